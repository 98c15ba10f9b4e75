/**
 * The wire: what a chat needs of a connection, and the real one, by a WebSocket. Tests give another one.
 *
 * A browser's WebSocket neither shows pings nor stops reading. So the chat itself asks for a `pong` where nothing came for
 * long, and a wire whose frames nobody takes is closed: what it held is asked for again on the next one.
 *
 * @import { Dial, Wire } from "./types.js"
 */
import type { Dial } from "./types.js";
export declare const WIRE_FRAMES_MAX = 1024;
/**
 * Return what opens sockets of the server at `url` with tickets, which is how pages show who they are.
 * @param {string} url http or https
 * @param {() => Promise<string>} ticket spends the session's token for a ticket of one use
 * @param {{ WebSocket?: any }} [options] what to open sockets with, where the platform has none of its own
 * @returns {Dial}
 */
export declare function dialer(url: string, ticket: () => Promise<string>, { WebSocket: Given }?: {
    WebSocket?: any;
}): Dial;
/** Seconds that never go back. */
export declare function now(): number;
/**
 * Return what a refused ticket means to a connection: a fresh token is needed, come back later, or it will never work.
 * @param {unknown} error
 */
export declare function meantForDialing(error: unknown): unknown;
