/**
 * What a chat hands out: feeds of rooms, which miss nothing, and notices, which are told once and not again.
 *
 * @import { ChatEvent, Happening, NoticeSaid } from "./types.js"
 */

import { Closed } from "./errors.js";

export const FEED_EVENTS_MAX = 256;
const NOTICES_MAX = 256;

/** Something that is waited for until it ends: with an error, which is thrown, or with a reason. @template Item */
class Heard {
  /** @type {string | null} */
  reason = null;
  /** @type {Item[]} */
  waiting = [];
  /** @type {Error | null} */
  #error = null;
  /** @type {Set<() => void>} */
  #waiters = new Set();

  /** End it, for those who wait; what came before is still handed out. @param {string} reason @param {Error | null} error */
  end(reason, error) {
    if (this.reason === null) {
      this.reason = reason;
      this.#error = error;
    }
    this.changed();
  }

  changed() {
    for (const wake of [...this.#waiters]) wake();
  }

  /** Wait until it is so, or it ended. @param {() => boolean} isSo @returns {Promise<void>} */
  until(isSo) {
    if (isSo() || this.reason !== null) return Promise.resolve();
    return new Promise((resolve) => {
      const look = () => {
        if (!isSo() && this.reason === null) return;
        this.#waiters.delete(look);
        resolve();
      };
      this.#waiters.add(look);
    });
  }

  /** What is thrown at those who wait when it has ended; `null` after an end that is none of theirs. */
  get error() {
    return this.#error;
  }

  ending() {
    return this.#error ?? new Closed(null, `it is over: ${this.reason}`);
  }
}

/**
 * A room's events, each once and in order, whatever becomes of the connection. One loop at a time reads it.
 *
 * The loop over it ends when the membership does (`reason`: `removed`, `left`) or the feed is closed. It throws
 * `RecordChanged`, `Refused`, and what ends the chat. `position` is the cursor to keep, with `record`: everything up to it was
 * handed out. A feed that nobody reads holds up its whole chat; the server then waits, and loses nothing.
 * @extends {Heard<ChatEvent>}
 */
export class Feed extends Heard {
  /** @type {string | null} */
  record = null;
  /** @type {number | null} */
  #live = null;
  #forget;

  /** @param {string} roomId @param {number | null} after @param {(feed: Feed) => void} forget */
  constructor(roomId, after, forget) {
    super();
    this.roomId = roomId;
    this.position = after;
    this.#forget = forget;
  }

  /** @returns {AsyncIterator<ChatEvent, undefined>} */
  [Symbol.asyncIterator]() {
    return { next: () => this.next() };
  }

  /** @returns {Promise<IteratorResult<ChatEvent, undefined>>} */
  async next() {
    await this.until(() => this.waiting.length > 0);
    const event = this.waiting.shift();
    if (event === undefined) {
      if (this.error !== null) throw this.ending();
      return { done: true, value: undefined };
    }
    this.position = event.position;
    this.changed();
    return { done: false, value: event };
  }

  /**
   * Wait until the replay is over, and return how far it went; what follows is new.
   * A replay longer than what a feed queues ends only if it is read meanwhile.
   */
  async live() {
    await this.until(() => this.#live !== null);
    if (this.#live === null) throw this.ending();
    return this.#live;
  }

  /** Hear this room no more. */
  close() {
    this.#forget(this);
    this.waiting.length = 0;
    this.end("closed", null);
  }

  // The chat's side

  /** Wait until the server took the subscription, and where the feed stands is known. */
  async begun() {
    await this.until(() => this.record !== null && this.position !== null);
    if (this.record === null) throw this.ending();
  }

  get isFull() {
    return this.reason === null && this.waiting.length >= FEED_EVENTS_MAX;
  }

  /** Wait until one more event may be queued, or never will be. */
  hasSpace() {
    return this.until(() => this.waiting.length < FEED_EVENTS_MAX);
  }

  /** Take what happened in this room. @param {Happening} happening */
  take(happening) {
    switch (happening.happened) {
      case "begun":
        this.record = happening.record;
        break;
      case "told":
        // A feed from now on begins before its first event: nothing between was asked for.
        this.position ??= happening.event.position - 1;
        this.waiting.push(happening.event);
        break;
      case "live":
        this.#live ??= happening.position;
        this.position ??= happening.position;
        break;
      case "ended":
        this.end(happening.reason, happening.error);
        break;
    }
    this.changed();
  }
}

/**
 * What is told once and not again: one's own feed (events with no room), typing, presence, and each `hello`.
 *
 * After a `hello` that is not the first, something of it may have been missed: read your lists again. Of what is not read in
 * time the oldest is dropped, and counted.
 * @extends {Heard<NoticeSaid>}
 */
export class Notices extends Heard {
  dropped = 0;
  #forget;

  /** @param {(notices: Notices) => void} forget */
  constructor(forget) {
    super();
    this.#forget = forget;
  }

  /** @returns {AsyncIterator<NoticeSaid, undefined>} */
  [Symbol.asyncIterator]() {
    return { next: () => this.next() };
  }

  /** @returns {Promise<IteratorResult<NoticeSaid, undefined>>} */
  async next() {
    await this.until(() => this.waiting.length > 0);
    const notice = this.waiting.shift();
    if (notice !== undefined) return { done: false, value: notice };
    if (this.error !== null) throw this.ending();
    return { done: true, value: undefined };
  }

  /** Be told no more. */
  close() {
    this.#forget(this);
    this.end("closed", null);
  }

  /** @param {NoticeSaid} notice */
  take(notice) {
    if (this.waiting.length === NOTICES_MAX) {
      this.waiting.shift();
      this.dropped += 1;
    }
    this.waiting.push(notice);
    this.changed();
  }
}
