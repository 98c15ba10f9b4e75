/** Errors: everything that this library throws on purpose is a `HansardError`. */

const STAY_AWAY_FROM = 4500;
const STAY_AWAY_BEFORE = 5000;
const RETRYABLE = new Set([429, 502, 503, 504]);

/** @typedef {{ pointer: string, code: string, detail: string }} FieldError What is wrong with one field. */

export class HansardError extends Error {
  /** @param {string} detail @param {ErrorOptions} [options] */
  constructor(detail, options) {
    super(detail, options);
    this.name = new.target.name;
  }
}

/** The server said no. `code` is stable (`room.not_a_member`), `detail` is for a person. */
export class Refused extends HansardError {
  /**
   * @param {string} code
   * @param {number} status HTTP's number, on sockets too
   * @param {string} detail
   * @param {{ errors?: FieldError[], retryAfter?: number | null, requestId?: string | null }} [more] `retryAfter` in seconds
   */
  constructor(code, status, detail, { errors = [], retryAfter = null, requestId = null } = {}) {
    super(`${detail} (${code})`);
    this.code = code;
    this.status = status;
    this.detail = detail;
    this.errors = errors;
    this.retryAfter = retryAfter;
    this.requestId = requestId;
  }

  /** Whether the very same request may be answered otherwise a little later. */
  get isRetryable() {
    return RETRYABLE.has(this.status);
  }

  /**
   * Return the refusal of a problem (RFC 9457) or of a socket's reply.
   * @param {any} said @param {number} [status] @param {number | null} [retryAfter]
   */
  static of(said, status = 500, retryAfter = null) {
    const about = said !== null && typeof said === "object" ? said : {};
    const known = about.status ?? status;
    return new Refused(about.code ?? `http.${known}`, known, about.detail ?? "The server refused without a reason.", {
      errors: about.errors ?? [],
      retryAfter: about.retry_after_seconds ?? about.retry_after ?? retryAfter,
      requestId: about.request_id ?? null,
    });
  }
}

/** There is no session: log in first. */
export class NotLoggedIn extends HansardError {}

/** No answer came, for as long as was waited. Whether a write arrived is not known: repeat it under its own id. */
export class Unreachable extends HansardError {}

/** A chat's request was not answered in time. `messageId` is the id to repeat a send with, to learn what became of it. */
export class Unacknowledged extends Unreachable {
  /** @type {string | null} */
  messageId = null;
}

/** A position is of another record than the server's (restored, replaced): read the room afresh, from nothing. */
export class RecordChanged extends HansardError {}

/** A connection ended. `code` is WebSocket's or Hansard's close code; null: it was cut without a word. */
export class Closed extends HansardError {
  /** @param {number | null} code @param {string} [reason] @param {number} [retryAfter] seconds */
  constructor(code, reason = "", retryAfter = 0) {
    super(`The connection ended with ${code ?? "no close code"}: ${reason || "no reason was given"}.`);
    this.code = code;
    this.reason = reason;
    this.retryAfter = retryAfter;
  }

  /** Whether the server says: stay away. After everything else one may come back. */
  get isFinal() {
    return this.code !== null && this.code >= STAY_AWAY_FROM && this.code < STAY_AWAY_BEFORE;
  }
}

/**
 * Return the seconds of a Retry-After header; null for none, and for a date, which would need a clock.
 * @param {string | null | undefined} retryAfter
 */
export function secondsOf(retryAfter) {
  return retryAfter && /^\d+$/.test(retryAfter) ? Number(retryAfter) : null;
}
