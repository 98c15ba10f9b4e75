/** Errors: everything that this library throws on purpose is a `HansardError`. */
export type FieldError = {
    pointer: string;
    code: string;
    detail: string;
};
/** @typedef {{ pointer: string, code: string, detail: string }} FieldError What is wrong with one field. */
export declare class HansardError extends Error {
    /** @param {string} detail @param {ErrorOptions} [options] */
    constructor(detail: string, options?: ErrorOptions);
}
/** The server said no. `code` is stable (`room.not_a_member`), `detail` is for a person. */
export declare class Refused extends HansardError {
    code: string;
    status: number;
    detail: string;
    errors: FieldError[];
    retryAfter: number | null;
    requestId: string | null;
    /**
     * @param {string} code
     * @param {number} status HTTP's number, on sockets too
     * @param {string} detail
     * @param {{ errors?: FieldError[], retryAfter?: number | null, requestId?: string | null }} [more] `retryAfter` in seconds
     */
    constructor(code: string, status: number, detail: string, { errors, retryAfter, requestId }?: {
        errors?: FieldError[];
        retryAfter?: number | null;
        requestId?: string | null;
    });
    /** Whether the very same request may be answered otherwise a little later. */
    get isRetryable(): boolean;
    /**
     * Return the refusal of a problem (RFC 9457) or of a socket's reply.
     * @param {any} said @param {number} [status] @param {number | null} [retryAfter]
     */
    static of(said: any, status?: number, retryAfter?: number | null): Refused;
}
/** There is no session: log in first. */
export declare class NotLoggedIn extends HansardError {
}
/** No answer came, for as long as was waited. Whether a write arrived is not known: repeat it under its own id. */
export declare class Unreachable extends HansardError {
}
/** A chat's request was not answered in time. `messageId` is the id to repeat a send with, to learn what became of it. */
export declare class Unacknowledged extends Unreachable {
    /** @type {string | null} */
    messageId: string | null;
}
/** A position is of another record than the server's (restored, replaced): read the room afresh, from nothing. */
export declare class RecordChanged extends HansardError {
}
/** A connection ended. `code` is WebSocket's or Hansard's close code; null: it was cut without a word. */
export declare class Closed extends HansardError {
    code: number | null;
    reason: string;
    retryAfter: number;
    /** @param {number | null} code @param {string} [reason] @param {number} [retryAfter] seconds */
    constructor(code: number | null, reason?: string, retryAfter?: number);
    /** Whether the server says: stay away. After everything else one may come back. */
    get isFinal(): boolean;
}
/**
 * Return the seconds of a Retry-After header; null for none, and for a date, which would need a clock.
 * @param {string | null | undefined} retryAfter
 */
export declare function secondsOf(retryAfter: string | null | undefined): number | null;
