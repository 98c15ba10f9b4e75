/**
 * A session: the tokens of one person, renewed once for however many ask.
 *
 * Pages keep the access token in memory and have the refresh token in a cookie that no script can read (`cookie`). All tabs of a
 * browser share that cookie, and using a refresh token twice ends the session as stolen: so one tab at a time renews, under a
 * lock of the browser, and under a key that outlives a reload: with it a lost answer is given again.
 *
 * @import { Session as Tokens } from "./types.js"
 */
import type { Session as Tokens } from "./types.js";
export type Call = (method: string, path: string, asked: import("./client.js").Asked) => Promise<any>;
/** @typedef {(method: string, path: string, asked: import("./client.js").Asked) => Promise<any>} Call */
export declare class Session {
    #private;
    /** @type {Tokens | null} */
    tokens: Tokens | null;
    /**
     * @param {Call} call
     * @param {{ kept?: Tokens | null, cookie?: boolean, keys?: Pick<Storage, "getItem" | "setItem" | "removeItem"> | null }} options
     */
    constructor(call: Call, { kept, cookie, keys }?: {
        kept?: Tokens | null;
        cookie?: boolean;
        keys?: Pick<Storage, "getItem" | "setItem" | "removeItem"> | null;
    });
    /** The headers with which a cookie is asked for, spent or cleared. @returns {Record<string, string>} */
    get headers(): Record<string, string>;
    /** Keep what logging in answered. @param {Tokens} said */
    keep(said: Tokens): Tokens;
    forget(): void;
    require(): Tokens;
    /** Go on with the session of this browser's cookie. Throws `Refused` (401) if there is none. */
    restore(): Promise<Tokens>;
    /**
     * Return an access token that is good for a while, and not `stale`, which the server refused or will soon.
     * @param {string | null} [stale]
     */
    token(stale?: string | null): Promise<string>;
}
