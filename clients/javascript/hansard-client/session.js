/**
 * A session: the tokens of one person, renewed once for however many ask.
 *
 * Pages keep the access token in memory and have the refresh token in a cookie that no script can read (`cookie`). All tabs of a
 * browser share that cookie, and using a refresh token twice ends the session as stolen: so one tab at a time renews, under a
 * lock of the browser, and under a key that outlives a reload: with it a lost answer is given again.
 *
 * @import { Session as Tokens } from "./types.js"
 */

import { newId } from "./backoff.js";
import { NotLoggedIn, Refused } from "./errors.js";
import { now } from "./wire.js";

const RENEW_SECONDS = 30; // how long before its end an access token is renewed
const LOCK = "hansard-renewal";

/** @typedef {(method: string, path: string, asked: import("./client.js").Asked) => Promise<any>} Call */

export class Session {
  /** @type {Tokens | null} */
  tokens;
  #renewAt = Infinity; // of a session that was kept nothing is known until a token is refused
  /** @type {Promise<void> | null} */
  #renewing = null;
  #renewal = { token: "", key: "" };
  #call;
  #isCookie;
  #keys;

  /**
   * @param {Call} call
   * @param {{ kept?: Tokens | null, cookie?: boolean, keys?: Pick<Storage, "getItem" | "setItem" | "removeItem"> | null }} options
   */
  constructor(call, { kept = null, cookie = false, keys = null } = {}) {
    this.#call = call;
    this.tokens = kept;
    this.#isCookie = cookie;
    this.#keys = keys;
  }

  /** The headers with which a cookie is asked for, spent or cleared. @returns {Record<string, string>} */
  get headers() {
    return this.#isCookie ? { "Hansard-Session": "cookie" } : {};
  }

  /** Keep what logging in answered. @param {Tokens} said */
  keep(said) {
    this.tokens = said;
    this.#renewAt = now() + said.expires_in - Math.min(RENEW_SECONDS, said.expires_in / 4);
    return said;
  }

  forget() {
    this.tokens = null;
    this.#renewAt = Infinity;
  }

  require() {
    if (this.tokens === null) throw new NotLoggedIn("There is no session: log in first.");
    return this.tokens;
  }

  /** Go on with the session of this browser's cookie. Throws `Refused` (401) if there is none. */
  async restore() {
    await this.#once(() => this.#renew(""));
    return this.require();
  }

  /**
   * Return an access token that is good for a while, and not `stale`, which the server refused or will soon.
   * @param {string | null} [stale]
   */
  async token(stale = null) {
    while (true) {
      await this.#renewing?.catch(() => undefined);
      const tokens = this.require();
      if (tokens.access_token !== stale && now() < this.#renewAt) return tokens.access_token;
      if (this.#renewing === null) {
        await this.#once(() => this.#renew(tokens.refresh_token ?? ""));
        return this.require().access_token;
      }
    }
  }

  /** @param {() => Promise<void>} renew */
  async #once(renew) {
    this.#renewing = this.#isCookie && globalThis.navigator?.locks ? navigator.locks.request(LOCK, renew) : renew();
    try {
      await this.#renewing;
    } finally {
      this.#renewing = null;
    }
  }

  /** @param {string} refreshToken "": the browser has it */
  async #renew(refreshToken) {
    const key = this.#keyOf(refreshToken);
    const body = this.#isCookie ? {} : { refresh_token: refreshToken };
    try {
      this.keep(await this.#call("POST", "/auth/refresh", { body, isPublic: true, key, headers: this.headers }));
      this.#keys?.removeItem(LOCK);
    } catch (error) {
      if (error instanceof Refused && !error.isRetryable) this.#keys?.removeItem(LOCK);
      if (error instanceof Refused && error.status === 401) this.forget();
      throw error;
    }
  }

  /** Return the key of a renewal: the same for a token however often its renewal is begun anew. @param {string} refreshToken */
  #keyOf(refreshToken) {
    if (this.#isCookie && this.#keys !== null) {
      const key = this.#keys.getItem(LOCK) ?? newId();
      this.#keys.setItem(LOCK, key);
      return key;
    }
    if (this.#renewal.token !== refreshToken || this.#isCookie) this.#renewal = { token: refreshToken, key: newId() };
    return this.#renewal.key;
  }
}
