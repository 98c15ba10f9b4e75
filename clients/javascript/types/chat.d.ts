/**
 * Chat: a connection that is kept up. What a user waits for here outlives any number of sockets.
 *
 * An error that coming back cannot mend (the session is over, the server says stay away) is thrown wherever the user waits: in
 * feeds, sends, notices. It fires `state` when `state` changes: `connecting`, `online`, `away`, `over`.
 *
 * @import { Dial, Frame, Happening, NoticeSaid, Sent, Wire } from "./types.js"
 */
import type { Dial, Frame, Sent } from "./types.js";
import { Backoff } from "./backoff.js";
import { Feed, Notices } from "./feeds.js";
export type Waiting = {
    resolve: (reply: Frame) => void;
    reject: (error: Error) => void;
};
/** @typedef {{ resolve: (reply: Frame) => void, reject: (error: Error) => void }} Waiting */
export declare class Chat extends EventTarget {
    #private;
    /** @type {"connecting" | "online" | "away" | "over"} */
    state: "connecting" | "online" | "away" | "over";
    /** @type {Error | null} */
    error: Error | null;
    connections: number;
    /**
     * @param {object} given
     * @param {Dial} given.dial
     * @param {(stale: string | null) => Promise<string>} given.token returns an access token that is not the one given
     * @param {string | null} [given.userId]
     * @param {Backoff} [given.backoff]
     * @param {() => number} [given.chance]
     * @param {number} [given.patienceSeconds] how long a connection has to answer a subscription; then another one is asked
     */
    constructor({ dial, token, userId, backoff, chance, patienceSeconds }: {
        dial: Dial;
        token: (stale: string | null) => Promise<string>;
        userId?: string | null;
        backoff?: Backoff;
        chance?: () => number;
        patienceSeconds?: number;
    });
    /** The record that the server speaks of; null: there was no connection yet. */
    get record(): string | null;
    /** How often the wire skipped an event, and the room was asked for again. */
    get gaps(): number;
    /** How many events the wire brought again, and were passed over. */
    get duplicates(): number;
    /** Leave: feeds and notices end, sends that wait are given up. */
    close(): Promise<void>;
    /** Do not wait for the next try to come back: there is reason to believe that it succeeds (`online`, a page shown again). */
    hurry(): void;
    /**
     * Hear a room: everything after a position, or, with null, everything from the moment that this returns.
     * A kept cursor is `after` and `record`. Throws `Refused`, `RecordChanged`, and `Unreachable` when it takes longer than its
     * time. A room is heard by one feed at a time.
     * @param {string} roomId
     * @param {{ after?: number | null, record?: string | null, timeoutSeconds?: number }} [options]
     */
    subscribe(roomId: string, { after, record, timeoutSeconds }?: {
        after?: number | null;
        record?: string | null;
        timeoutSeconds?: number;
    }): Promise<Feed>;
    /** Return what is told beside the rooms, from now on. */
    notices(): Notices;
    /**
     * Post a message; when this returns it is on the server's disk. Throws `Refused`.
     *
     * It is repeated over any number of connections, under one id, so it is posted once. Throws `Unacknowledged` after
     * its time: whether it was posted is not known then; the same send with that `messageId` finds out.
     * @param {string} roomId
     * @param {string} content
     * @param {{ messageId?: string, replyTo?: string | null, fileId?: string | null, messageType?: string,
     *   threadId?: string | null, inRoom?: boolean, timeoutSeconds?: number }} [options]
     * @returns {Promise<Sent>}
     */
    send(roomId: string, content: string, options?: {
        messageId?: string;
        replyTo?: string | null;
        fileId?: string | null;
        messageType?: string;
        threadId?: string | null;
        inRoom?: boolean;
        timeoutSeconds?: number;
    }): Promise<Sent>;
    /**
     * Replace a message's text; returns the position of the edit (of the last change, where nothing changed).
     * @param {string} messageId @param {string} content @param {{ reason?: string, timeoutSeconds?: number }} [options]
     * @returns {Promise<number>}
     */
    edit(messageId: string, content: string, { reason, timeoutSeconds }?: {
        reason?: string;
        timeoutSeconds?: number;
    }): Promise<number>;
    /**
     * Leave a tombstone of a message; returns the position of the deletion.
     * @param {string} messageId @param {{ reason?: string, timeoutSeconds?: number }} [options]
     * @returns {Promise<number>}
     */
    delete(messageId: string, { reason, timeoutSeconds }?: {
        reason?: string;
        timeoutSeconds?: number;
    }): Promise<number>;
    /** Move one's read mark of a room forward. @param {string} roomId @param {number} position */
    read(roomId: string, position: number): Promise<void>;
    /** Say that one is typing; it is worth nothing later, and so not repeated. @param {string} roomId */
    typing(roomId: string): void;
}
