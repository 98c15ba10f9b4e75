/**
 * A conversation over sockets, without a socket: frames of the server in, what they mean and the frames to write out.
 *
 * It outlives connections. It knows which rooms are heard and up to where each is held, and which requests await their
 * reply. After `hello` it subscribes to all rooms with one frame, from what is held, and repeats those requests as they
 * were. So whatever a wire loses, repeats or cuts off, each event of a room comes out once, in order, without a gap.
 *
 * @import { ChatEvent, Frame, Happening } from "./types.js"
 */
import type { Happening } from "./types.js";
export type Room = {
    /**
     * everything told up to this position came out; null: nothing is known yet, it begins now
     */
    held: number | null;
    record: string | null;
    /**
     * the subscribe whose reply is to come: what comes before it is of an older feed
     */
    awaited: number | null;
    /**
     * the last event told was the listener's own leaving
     */
    farewell: string | null;
};
/**
 * @typedef {object} Room
 * @property {number | null} held everything told up to this position came out; null: nothing is known yet, it begins now
 * @property {string | null} record
 * @property {number | null} awaited the subscribe whose reply is to come: what comes before it is of an older feed
 * @property {string | null} farewell the last event told was the listener's own leaving
 */
export declare class Conversation {
    #private;
    /** @type {string | null} */
    record: string | null;
    gaps: number;
    duplicates: number;
    /** @param {string | null} [userId] who listens: so a feed can say why it ended if the socket ended at that very moment */
    constructor(userId?: string | null);
    /**
     * Hear a room: everything after a position (of a record; null: the server's), or from now on.
     * Throws `RecordChanged` if it is known already that the record is another one.
     * @param {string} roomId @param {number | null} [after] @param {string | null} [record]
     */
    subscribe(roomId: string, after?: number | null, record?: string | null): void;
    /** Hear a room no more. @param {string} roomId */
    unsubscribe(roomId: string): void;
    /** Return up to where everything of a room came out; null: it is not known yet. @param {string} roomId */
    held(roomId: string): number | null;
    /** The number of the eldest subscribe whose reply is to come on this connection, or null. */
    get unanswered(): number | null;
    /**
     * Ask for something and return the request's number; it is repeated on every connection until answered.
     * Throws `Refused` for a frame longer than the server takes, and a TypeError for what is no text.
     * @param {string} kind @param {Record<string, unknown>} fields
     */
    ask(kind: string, fields: Record<string, unknown>): number;
    /** Repeat a request no more; a reply to it is passed over. @param {number} number */
    withdraw(number: number): void;
    /**
     * Say what needs no reply and is worth nothing later; without a connection it is not said at all.
     * @param {string} kind @param {Record<string, unknown>} [fields]
     */
    mention(kind: string, fields?: Record<string, unknown>): void;
    /** Return the frames to be written to the present connection, each once. */
    outgoing(): string[];
    /** The connection is no more; what comes next comes from another one. */
    lost(): void;
    /**
     * Take a frame and return what happened by it. Throws a SyntaxError for what is no frame at all.
     * @param {string} text
     * @returns {Happening[]}
     */
    receive(text: string): Happening[];
}
