/**
 * What a chat hands out: feeds of rooms, which miss nothing, and notices, which are told once and not again.
 *
 * @import { ChatEvent, Happening, NoticeSaid } from "./types.js"
 */
import type { ChatEvent, Happening, NoticeSaid } from "./types.js";
export declare const FEED_EVENTS_MAX = 256;
/** Something that is waited for until it ends: with an error, which is thrown, or with a reason. @template Item */
declare class Heard<Item> {
    #private;
    /** @type {string | null} */
    reason: string | null;
    /** @type {Item[]} */
    waiting: Item[];
    /** End it, for those who wait; what came before is still handed out. @param {string} reason @param {Error | null} error */
    end(reason: string, error: Error | null): void;
    changed(): void;
    /** Wait until it is so, or it ended. @param {() => boolean} isSo @returns {Promise<void>} */
    until(isSo: () => boolean): Promise<void>;
    /** What is thrown at those who wait when it has ended; `null` after an end that is none of theirs. */
    get error(): Error | null;
    ending(): Error;
}
/**
 * A room's events, each once and in order, whatever becomes of the connection. One loop at a time reads it.
 *
 * The loop over it ends when the membership does (`reason`: `removed`, `left`) or the feed is closed. It throws
 * `RecordChanged`, `Refused`, and what ends the chat. `position` is the cursor to keep, with `record`: everything up to it was
 * handed out. A feed that nobody reads holds up its whole chat; the server then waits, and loses nothing.
 * @extends {Heard<ChatEvent>}
 */
export declare class Feed extends Heard<ChatEvent> {
    #private;
    roomId: string;
    position: number | null;
    /** @type {string | null} */
    record: string | null;
    /** @param {string} roomId @param {number | null} after @param {(feed: Feed) => void} forget */
    constructor(roomId: string, after: number | null, forget: (feed: Feed) => void);
    /** @returns {AsyncIterator<ChatEvent, undefined>} */
    [Symbol.asyncIterator](): AsyncIterator<ChatEvent, undefined>;
    /** @returns {Promise<IteratorResult<ChatEvent, undefined>>} */
    next(): Promise<IteratorResult<ChatEvent, undefined>>;
    /**
     * Wait until the replay is over, and return how far it went; what follows is new.
     * A replay longer than what a feed queues ends only if it is read meanwhile.
     */
    live(): Promise<number>;
    /** Hear this room no more. */
    close(): void;
    /** Wait until the server took the subscription, and where the feed stands is known. */
    begun(): Promise<void>;
    get isFull(): boolean;
    /** Wait until one more event may be queued, or never will be. */
    hasSpace(): Promise<void>;
    /** Take what happened in this room. @param {Happening} happening */
    take(happening: Happening): void;
}
/**
 * What is told once and not again: one's own feed (events with no room), typing, presence, and each `hello`.
 *
 * After a `hello` that is not the first, something of it may have been missed: read your lists again. Of what is not read in
 * time the oldest is dropped, and counted.
 * @extends {Heard<NoticeSaid>}
 */
export declare class Notices extends Heard<NoticeSaid> {
    #private;
    dropped: number;
    /** @param {(notices: Notices) => void} forget */
    constructor(forget: (notices: Notices) => void);
    /** @returns {AsyncIterator<NoticeSaid, undefined>} */
    [Symbol.asyncIterator](): AsyncIterator<NoticeSaid, undefined>;
    /** @returns {Promise<IteratorResult<NoticeSaid, undefined>>} */
    next(): Promise<IteratorResult<NoticeSaid, undefined>>;
    /** Be told no more. */
    close(): void;
    /** @param {NoticeSaid} notice */
    take(notice: NoticeSaid): void;
}
export {};
