/**
 * Chat: a connection that is kept up. What a user waits for here outlives any number of sockets.
 *
 * An error that coming back cannot mend (the session is over, the server says stay away) is thrown wherever the user waits: in
 * feeds, sends, notices. It fires `state` when `state` changes: `connecting`, `online`, `away`, `over`.
 *
 * @import { Dial, Frame, Happening, NoticeSaid, Sent, Wire } from "./types.js"
 */

import { Backoff, idOf, newId, pause, secureChance } from "./backoff.js";
import { Conversation } from "./conversation.js";
import { Closed, Refused, Unacknowledged, Unreachable } from "./errors.js";
import { Feed, Notices } from "./feeds.js";
import { now } from "./wire.js";

const REQUESTS_IN_FLIGHT_MAX = 64;
const REPLY_SECONDS = 30;
const SUBSCRIBE_LOOKS = 6; // how often the wait for a subscription's reply is looked at
const HEARTBEAT_SECONDS = 25;
const HEARTBEATS_MISSED_MAX = 2.5;
const AWAY_SECONDS_MAX = 60;
const UNAUTHENTICATED = 4401;
// The server has too much to do, or we asked too much: a connection that ended so is no reason to come back sooner.
const OVERLOADED = new Set([4008, 4013, 4414]);

/** @typedef {{ resolve: (reply: Frame) => void, reject: (error: Error) => void }} Waiting */

export class Chat extends EventTarget {
  /** @type {"connecting" | "online" | "away" | "over"} */
  state = "connecting";
  /** @type {Error | null} */
  error = null;
  connections = 0;
  /** @type {Map<string, Feed>} */
  #feeds = new Map();
  /** @type {Set<Notices>} */
  #notices = new Set();
  /** @type {Map<number, Waiting>} */
  #replies = new Map();
  /** @type {(() => void)[]} */
  #queue = [];
  #inFlight = 0;
  #left = new AbortController();
  #hurry = new AbortController();
  #backAt = 0;
  #heartbeatSeconds = HEARTBEAT_SECONDS;
  #hasProgressed = false;
  /** @type {Feed | null} */
  #lastFed = null;
  #isHeldUp = false;
  /** @type {string | null} */
  #token = null;
  /** @type {Wire | null} */
  #wire = null;
  #conversation;
  #dial;
  #tokenNot;
  #backoff;
  #chance;
  #patience;
  #task;

  /**
   * @param {object} given
   * @param {Dial} given.dial
   * @param {(stale: string | null) => Promise<string>} given.token returns an access token that is not the one given
   * @param {string | null} [given.userId]
   * @param {Backoff} [given.backoff]
   * @param {() => number} [given.chance]
   * @param {number} [given.patienceSeconds] how long a connection has to answer a subscription; then another one is asked
   */
  constructor({ dial, token, userId = null, backoff, chance, patienceSeconds = REPLY_SECONDS }) {
    super();
    this.#dial = dial;
    this.#tokenNot = token;
    this.#backoff = backoff ?? new Backoff();
    this.#chance = chance ?? secureChance;
    this.#patience = patienceSeconds;
    this.#conversation = new Conversation(userId);
    this.#task = this.#run();
  }

  /** The record that the server speaks of; null: there was no connection yet. */
  get record() {
    return this.#conversation.record;
  }

  /** How often the wire skipped an event, and the room was asked for again. */
  get gaps() {
    return this.#conversation.gaps;
  }

  /** How many events the wire brought again, and were passed over. */
  get duplicates() {
    return this.#conversation.duplicates;
  }

  /** Leave: feeds and notices end, sends that wait are given up. */
  async close() {
    this.#left.abort();
    this.#wire?.close();
    this.#over(null);
    await this.#task;
  }

  /** Do not wait for the next try to come back: there is reason to believe that it succeeds (`online`, a page shown again). */
  hurry() {
    this.#hurry.abort();
  }

  // Hearing

  /**
   * Hear a room: everything after a position, or, with null, everything from the moment that this returns.
   * A kept cursor is `after` and `record`. Throws `Refused`, `RecordChanged`, and `Unreachable` when it takes longer than its
   * time. A room is heard by one feed at a time.
   * @param {string} roomId
   * @param {{ after?: number | null, record?: string | null, timeoutSeconds?: number }} [options]
   */
  async subscribe(roomId, { after = null, record = null, timeoutSeconds = REPLY_SECONDS } = {}) {
    this.#requireRunning();
    const at = idOf(roomId);
    if (this.#feeds.has(at)) throw new TypeError(`room ${at} is heard already; close that feed first`);
    if (after !== null && !(Number.isSafeInteger(after) && after >= 0)) throw new TypeError(`${after} is no position`);
    this.#conversation.subscribe(at, after, record);
    const feed = new Feed(at, after, (closed) => this.#forget(closed));
    this.#feeds.set(at, feed);
    this.#flush();
    const late = new Unreachable(`The subscription was not taken within ${timeoutSeconds} s.`);
    try {
      await within(timeoutSeconds, late, feed.begun());
    } catch (error) {
      feed.close();
      throw error;
    }
    return feed;
  }

  /** Return what is told beside the rooms, from now on. */
  notices() {
    const notices = new Notices((closed) => this.#notices.delete(closed));
    this.#notices.add(notices);
    if (this.state === "over") notices.end(this.error ? "failed" : "closed", this.error);
    return notices;
  }

  // Saying

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
  async send(roomId, content, options = {}) {
    const { messageId = newId(), replyTo, fileId, messageType = "text", threadId, inRoom, timeoutSeconds } = options;
    /** @type {Record<string, unknown>} */
    const fields = { room_id: roomId, message_id: messageId, content, message_type: messageType };
    if (replyTo) fields.reply_to = replyTo;
    if (fileId) fields.file_id = fileId;
    if (threadId) fields.thread_id = threadId;
    if (inRoom) fields.in_room = true;
    try {
      const reply = await this.#ask("send", fields, timeoutSeconds);
      return { message_id: messageId, position: reply.position, duplicate: Boolean(reply.duplicate) };
    } catch (error) {
      if (error instanceof Unacknowledged) error.messageId = messageId;
      throw error;
    }
  }

  /**
   * Replace a message's text; returns the position of the edit (of the last change, where nothing changed).
   * @param {string} messageId @param {string} content @param {{ reason?: string, timeoutSeconds?: number }} [options]
   * @returns {Promise<number>}
   */
  async edit(messageId, content, { reason, timeoutSeconds } = {}) {
    const fields = { message_id: messageId, content, ...(reason ? { reason } : {}) };
    return (await this.#ask("edit", fields, timeoutSeconds)).position;
  }

  /**
   * Leave a tombstone of a message; returns the position of the deletion.
   * @param {string} messageId @param {{ reason?: string, timeoutSeconds?: number }} [options]
   * @returns {Promise<number>}
   */
  async delete(messageId, { reason, timeoutSeconds } = {}) {
    const fields = { message_id: messageId, ...(reason ? { reason } : {}) };
    return (await this.#ask("delete", fields, timeoutSeconds)).position;
  }

  /** Move one's read mark of a room forward. @param {string} roomId @param {number} position */
  async read(roomId, position) {
    await this.#ask("read", { room_id: roomId, position });
  }

  /** Say that one is typing; it is worth nothing later, and so not repeated. @param {string} roomId */
  typing(roomId) {
    this.#conversation.mention("typing", { room_id: idOf(roomId) });
    this.#flush();
  }

  /**
   * Ask until answered; what the server cannot take just now is asked again after a pause.
   * @param {string} kind @param {Record<string, unknown>} fields @param {number} [seconds]
   * @returns {Promise<Frame>}
   */
  async #ask(kind, fields, seconds = REPLY_SECONDS) {
    const pauses = this.#backoff.pauses(this.#chance);
    const until = now() + seconds;
    const late = () => new Unacknowledged(`The ${kind} was not answered within ${seconds} s.`);
    await this.#turn(seconds, late());
    try {
      while (true) {
        const reply = await this.#request(kind, fields, Math.max(0, until - now()), late());
        if (reply.ok) return reply;
        const refused = Refused.of(reply.error);
        if (!refused.isRetryable) throw refused;
        const wait = Math.max(pauses(), refused.retryAfter ?? 0);
        if (now() + wait > until) throw late();
        await pause(wait, this.#left.signal);
      }
    } finally {
      this.#handOver();
    }
  }

  /** Wait for one of the places of requests in flight. @param {number} seconds @param {Error} late */
  async #turn(seconds, late) {
    if (this.#inFlight < REQUESTS_IN_FLIGHT_MAX) {
      this.#inFlight += 1;
      return;
    }
    const { promise, resolve } = deferred();
    this.#queue.push(resolve);
    try {
      await within(seconds, late, promise);
    } catch (error) {
      if (this.#queue.includes(resolve)) this.#queue.splice(this.#queue.indexOf(resolve), 1);
      else this.#handOver(); // it was given the place at that very moment
      throw error;
    }
  }

  /** Give the place of a request that ended to the one that waits longest. */
  #handOver() {
    const next = this.#queue.shift();
    if (next) next();
    else this.#inFlight -= 1;
  }

  /**
   * Ask once, over any number of connections.
   * @param {string} kind @param {Record<string, unknown>} fields @param {number} seconds @param {Error} late
   * @returns {Promise<Frame>}
   */
  async #request(kind, fields, seconds, late) {
    this.#requireRunning();
    const number = this.#conversation.ask(kind, fields);
    /** @type {Promise<Frame>} */
    const reply = new Promise((resolve, reject) => this.#replies.set(number, { resolve, reject }));
    this.#flush();
    try {
      return await within(seconds, late, reply);
    } finally {
      this.#conversation.withdraw(number);
      this.#replies.delete(number);
    }
  }

  // Keeping the connection up

  async #run() {
    try {
      await this.#keepUp();
    } catch (error) {
      this.#over(/** @type {Error} */ (error));
    }
  }

  async #keepUp() {
    /** @type {string | null} */
    let stale = null;
    let pauses = this.#backoff.pauses(this.#chance);
    while (!this.#left.signal.aborted) {
      this.#backAt = 0;
      this.#hasProgressed = false;
      /** @type {Closed} */
      let closed;
      try {
        await this.#lastFed?.hasSpace();
        this.#token = await this.#tokenNot(stale);
        stale = null;
        const wire = await this.#dial(this.#token);
        closed = await this.#converse(wire);
      } catch (error) {
        closed = asClosed(error);
      } finally {
        this.#conversation.lost();
      }
      if (this.#left.signal.aborted) return;
      if (closed.isFinal) throw closed;
      if (closed.code === UNAUTHENTICATED) stale = this.#token;
      if (this.#hasProgressed && !OVERLOADED.has(closed.code ?? 0)) pauses = this.#backoff.pauses(this.#chance);
      this.#become("away");
      const seconds = Math.min(Math.max(pauses(), closed.retryAfter, this.#backAt - now()), AWAY_SECONDS_MAX);
      this.#hurry = new AbortController();
      await pause(seconds, AbortSignal.any([this.#left.signal, this.#hurry.signal]));
    }
  }

  /** Live one connection, to its end, and return what ended it. @param {Wire} wire @returns {Promise<Closed>} */
  async #converse(wire) {
    if (this.#left.signal.aborted) {
      wire.close();
      return new Closed(null, "the chat was left");
    }
    this.#wire = wire;
    this.#isHeldUp = false;
    this.#heartbeatSeconds = HEARTBEAT_SECONDS;
    const over = new AbortController();
    try {
      return asClosed(await Promise.race([
        this.#read(wire).catch((error) => error),
        this.#listen(wire, over.signal),
        this.#leaveWhenNotAnswered(over.signal),
      ]));
    } finally {
      over.abort();
      this.#wire = null;
      wire.close();
    }
  }

  /** @param {Wire} wire @returns {Promise<never>} */
  async #read(wire) {
    while (true) {
      // A frame holds at most one event, so only the feed that got the last one can be full.
      if (this.#lastFed?.isFull) {
        this.#isHeldUp = true;
        await this.#lastFed.hasSpace();
        this.#isHeldUp = false;
      }
      const text = await wire.receive();
      if (this.#wire !== wire) throw new Closed(null, "it was left");
      for (const happening of this.#conversation.receive(text)) this.#take(happening);
      this.#flush();
    }
  }

  /**
   * End a connection on which nothing comes for too long; where pings are not seen, a pong is asked for.
   * @param {Wire} wire @param {AbortSignal} over
   */
  async #listen(wire, over) {
    while (!over.aborted) {
      await pause(this.#heartbeatSeconds / 2, over);
      const silent = now() - wire.heardAt;
      if (this.#backAt && now() >= this.#backAt) return new Closed(null, "the server asked to come back");
      if (silent > HEARTBEATS_MISSED_MAX * this.#heartbeatSeconds) return new Closed(null, "nothing was heard for too long");
      if (silent >= this.#heartbeatSeconds / 2) this.#conversation.mention("ping");
      this.#flush();
    }
    return new Closed(null, "it is over");
  }

  /** Come back where a subscription is not answered though we listen: its feed would else wait for ever. @param {AbortSignal} over */
  async #leaveWhenNotAnswered(over) {
    /** @type {number | null} */
    let asked = null;
    let looks = 0;
    while (!over.aborted) {
      await pause(this.#patience / SUBSCRIBE_LOOKS, over);
      if (this.#isHeldUp) continue;
      const number = this.#conversation.unanswered;
      looks = number !== null && number === asked ? looks + 1 : 0;
      asked = number;
      if (looks === SUBSCRIBE_LOOKS) break;
    }
    return new Closed(null, `a subscription was not answered within ${this.#patience} s`);
  }

  /** Show a fresh token in band when the present one is about to expire. */
  async #renew() {
    try {
      this.#token = await this.#tokenNot(this.#token);
      const late = new Unacknowledged("The token was not taken.");
      const reply = await this.#request("authenticate", { token: this.#token }, REPLY_SECONDS, late);
      if (!reply.ok) this.#wire?.close();
    } catch (error) {
      // Unreachable: the socket is closed with 4401, and we come back. Everything else ends the chat when it does.
      if (!(error instanceof Unreachable)) this.#wire?.close();
    }
  }

  /** Write what there is to write. A wire that does not take it has ended, and its reader says so. */
  #flush() {
    if (this.#wire === null) return;
    try {
      for (const text of this.#conversation.outgoing()) this.#wire.send(text);
    } catch {
      this.#wire.close();
    }
  }

  /** @param {Happening} happening */
  #take(happening) {
    switch (happening.happened) {
      case "notice":
        this.#notice(happening.type, happening.frame);
        this.#hasProgressed ||= happening.type !== "hello";
        return;
      case "own":
        this.#tell({ event: happening.event });
        break;
      case "replied":
        this.#replies.get(happening.number)?.resolve(happening.reply);
        break;
      case "comeBack":
        throw new Closed(null, happening.reason);
      default: {
        const feed = this.#feeds.get(happening.roomId);
        if (happening.happened === "ended") this.#feeds.delete(happening.roomId);
        feed?.take(happening);
        this.#lastFed = feed ?? null;
      }
    }
    this.#hasProgressed = true;
  }

  /** @param {string} type @param {Frame} frame */
  #notice(type, frame) {
    switch (type) {
      case "hello":
        this.connections += 1;
        this.#heartbeatSeconds = frame.heartbeat_seconds || HEARTBEAT_SECONDS;
        this.#become("online");
        break;
      case "expiring":
        this.#renew();
        return;
      case "reconnect": {
        const seconds = Math.min((frame.after_ms ?? 0) / 1000, AWAY_SECONDS_MAX);
        this.#backAt = now() + seconds;
        const wire = this.#wire;
        pause(seconds, this.#left.signal).then(() => wire?.close());
        return;
      }
    }
    this.#tell({ type, frame });
  }

  /** @param {NoticeSaid} notice */
  #tell(notice) {
    for (const notices of this.#notices) notices.take(notice);
  }

  /** @param {"connecting" | "online" | "away" | "over"} state */
  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  // The end

  /** Hear the room of this feed no more; nothing happens when it has ended. @param {Feed} feed */
  #forget(feed) {
    if (this.#feeds.get(feed.roomId) !== feed) return;
    this.#feeds.delete(feed.roomId);
    this.#conversation.unsubscribe(feed.roomId);
    this.#flush();
  }

  #requireRunning() {
    if (this.state === "over") throw this.error ?? new Closed(null, "the chat is over");
  }

  /** End everything that anybody waits for, with an error or because the chat is left. @param {Error | null} error */
  #over(error) {
    if (this.state === "over") return;
    this.error = error;
    this.#become("over");
    for (const heard of [...this.#feeds.values(), ...this.#notices]) heard.end(error ? "failed" : "closed", error);
    for (const waiting of this.#replies.values()) waiting.reject(error ?? new Closed(null, "the chat was left"));
  }
}

/**
 * Return what a promise does, unless it takes longer than so many seconds: then throw `late`.
 * @template Result
 * @param {number} seconds @param {Error} late @param {Promise<Result>} promise
 * @returns {Promise<Result>}
 */
async function within(seconds, late, promise) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  promise.catch(() => undefined); // it may fail after its time
  try {
    return await Promise.race([
      promise,
      new Promise((_, reject) => {
        timer = setTimeout(() => reject(late), seconds * 1000);
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}

/** @returns {{ promise: Promise<void>, resolve: () => void }} */
function deferred() {
  /** @type {() => void} */
  let resolve = () => undefined;
  /** @type {Promise<void>} */
  const promise = new Promise((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** Return an error as the end of a connection to come back from; throw what coming back cannot mend. @param {unknown} error */
function asClosed(error) {
  if (error instanceof Closed) return error;
  if (error instanceof Unreachable) return new Closed(null, error.message);
  if (error instanceof Refused && error.isRetryable) return new Closed(null, error.message, error.retryAfter ?? 0);
  throw error;
}
