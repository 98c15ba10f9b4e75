/**
 * A conversation over sockets, without a socket: frames of the server in, what they mean and the frames to write out.
 *
 * It outlives connections. It knows which rooms are heard and up to where each is held, and which requests await their
 * reply. After `hello` it subscribes to all rooms with one frame, from what is held, and repeats those requests as they
 * were. So whatever a wire loses, repeats or cuts off, each event of a room comes out once, in order, without a gap.
 *
 * @import { ChatEvent, Frame, Happening } from "./types.js"
 */

import { HansardError, RecordChanged, Refused } from "./errors.js";

const FRAME_BYTES_MAX = 128 * 1024;
/** @type {Record<string, string>} */
const FAREWELLS = { "member.removed": "removed", "member.left": "left" };
const OTHER_RECORD = "This position is of another record, or beyond its end: read the room afresh.";
const bytes = new TextEncoder();

/**
 * @typedef {object} Room
 * @property {number | null} held everything told up to this position came out; null: nothing is known yet, it begins now
 * @property {string | null} record
 * @property {number | null} awaited the subscribe whose reply is to come: what comes before it is of an older feed
 * @property {string | null} farewell the last event told was the listener's own leaving
 */

export class Conversation {
  /** @type {string | null} */
  record = null;
  gaps = 0;
  duplicates = 0;
  /** @type {Map<string, Room>} */
  #rooms = new Map();
  /** @type {Map<number, string>} */
  #requests = new Map();
  /** @type {Map<number, string[]>} */
  #subscribes = new Map();
  /** @type {string[]} */
  #outgoing = [];
  #number = 0;
  #isReady = false;
  #userId;

  /** @param {string | null} [userId] who listens: so a feed can say why it ended if the socket ended at that very moment */
  constructor(userId = null) {
    this.#userId = userId;
  }

  // What the user wants

  /**
   * Hear a room: everything after a position (of a record; null: the server's), or from now on.
   * Throws `RecordChanged` if it is known already that the record is another one.
   * @param {string} roomId @param {number | null} [after] @param {string | null} [record]
   */
  subscribe(roomId, after = null, record = null) {
    if (this.record !== null && record !== null && record !== this.record) throw new RecordChanged(OTHER_RECORD);
    this.#rooms.set(roomId, { held: after, record: record ?? this.record, awaited: null, farewell: null });
    if (this.#isReady) this.#subscribe([roomId]);
  }

  /** Hear a room no more. @param {string} roomId */
  unsubscribe(roomId) {
    if (this.#rooms.delete(roomId) && this.#isReady) this.#write({ type: "unsubscribe", room_id: roomId });
  }

  /** Return up to where everything of a room came out; null: it is not known yet. @param {string} roomId */
  held(roomId) {
    return this.#rooms.get(roomId)?.held ?? null;
  }

  /** The number of the eldest subscribe whose reply is to come on this connection, or null. */
  get unanswered() {
    return this.#subscribes.size ? Math.min(...this.#subscribes.keys()) : null;
  }

  /**
   * Ask for something and return the request's number; it is repeated on every connection until answered.
   * Throws `Refused` for a frame longer than the server takes, and a TypeError for what is no text.
   * @param {string} kind @param {Record<string, unknown>} fields
   */
  ask(kind, fields) {
    for (const value of Object.values(fields)) {
      if (typeof value === "string" && hasHalfSurrogate(value)) throw new TypeError("half of a surrogate pair is no text");
    }
    const number = ++this.#number;
    const text = JSON.stringify({ id: number, type: kind, ...fields });
    if (bytes.encode(text).length > FRAME_BYTES_MAX) {
      throw new Refused("frame.too_large", 413, `A frame has at most ${FRAME_BYTES_MAX} bytes.`);
    }
    this.#requests.set(number, text);
    if (this.#isReady) this.#outgoing.push(text);
    return number;
  }

  /** Repeat a request no more; a reply to it is passed over. @param {number} number */
  withdraw(number) {
    this.#requests.delete(number);
  }

  /**
   * Say what needs no reply and is worth nothing later; without a connection it is not said at all.
   * @param {string} kind @param {Record<string, unknown>} [fields]
   */
  mention(kind, fields = {}) {
    if (this.#isReady) this.#write({ type: kind, ...fields });
  }

  // What the wire brings

  /** Return the frames to be written to the present connection, each once. */
  outgoing() {
    const frames = this.#outgoing;
    this.#outgoing = [];
    return frames;
  }

  /** The connection is no more; what comes next comes from another one. */
  lost() {
    this.#isReady = false;
    this.#outgoing = [];
    this.#subscribes.clear();
  }

  /**
   * Take a frame and return what happened by it. Throws a SyntaxError for what is no frame at all.
   * @param {string} text
   * @returns {Happening[]}
   */
  receive(text) {
    const frame = JSON.parse(text);
    if (frame === null || typeof frame !== "object" || Array.isArray(frame)) throw new SyntaxError("a frame is an object");
    switch (frame.type) {
      case "event":
        return this.#event(frame);
      case "reply":
        return this.#reply(frame);
      case "live":
        return this.#live(frame);
      case "hello":
        return [{ happened: "notice", type: "hello", frame }, ...this.#hello(frame)];
      case "reset":
        return this.#end([frame.room_id], "record_changed", new RecordChanged(OTHER_RECORD));
      case "unsubscribed":
        return this.#unsubscribed(frame);
      case "pong":
        return [];
      default:
        return [{ happened: "notice", type: String(frame.type), frame }];
    }
  }

  /** @param {Frame} frame @returns {Happening[]} */
  #hello(frame) {
    const record = /** @type {string} */ (frame.record);
    this.record = record;
    this.#isReady = true;
    const gone = [...this.#rooms]
      .filter(([, room]) => room.held !== null && room.record !== null && room.record !== record)
      .map(([roomId]) => roomId);
    const ended = this.#end(gone, "record_changed", new RecordChanged(OTHER_RECORD));
    for (const room of this.#rooms.values()) room.record = record;
    this.#subscribe([...this.#rooms.keys()]);
    this.#outgoing.push(...this.#requests.values());
    return ended;
  }

  /** @param {Frame} frame @returns {Happening[]} */
  #event(frame) {
    /** @type {ChatEvent} */
    const event = {
      kind: frame.event, position: frame.position, prev: frame.prev ?? null, room_id: frame.room_id ?? null,
      at: frame.at, actor_id: frame.actor_id ?? null, data: frame.data ?? {},
    };
    if (event.room_id === null) return [{ happened: "own", event }];
    const room = this.#rooms.get(event.room_id);
    if (room === undefined || room.awaited !== null) return [];
    if (room.held !== null) {
      if (event.position <= room.held) {
        this.duplicates += 1;
        return [];
      }
      if ((event.prev ?? 0) > room.held) {
        this.gaps += 1;
        this.#subscribe([event.room_id]);
        return [];
      }
    }
    room.held = event.position;
    const isOwn = this.#userId !== null && event.data.user_id === this.#userId;
    room.farewell = isOwn ? (FAREWELLS[event.kind] ?? null) : null;
    return [{ happened: "told", roomId: event.room_id, event }];
  }

  /** @param {Frame} frame @returns {Happening[]} */
  #live(frame) {
    const room = this.#rooms.get(frame.room_id);
    if (room === undefined || room.awaited !== null) return [];
    // Otherwise what is held stays the last event's: the next one's `prev` is checked against it.
    if (room.held === null) room.held = frame.position;
    return [{ happened: "live", roomId: frame.room_id, position: frame.position }];
  }

  /** @param {Frame} frame @returns {Happening[]} */
  #unsubscribed(frame) {
    const room = this.#rooms.get(frame.room_id);
    if (room !== undefined && room.awaited !== null) {
      room.farewell = frame.reason; // of the feed before; the reply to come says whether it may begin again
      return [];
    }
    return this.#end([frame.room_id], String(frame.reason), null);
  }

  /** @param {Frame} frame @returns {Happening[]} */
  #reply(frame) {
    const number = frame.id;
    if (typeof number !== "number") return [];
    const subscribed = this.#subscribes.get(number);
    if (subscribed !== undefined) {
      this.#subscribes.delete(number);
      return this.#subscribed(subscribed.filter((at) => this.#rooms.get(at)?.awaited === number), frame);
    }
    return this.#requests.delete(number) ? [{ happened: "replied", number, reply: frame }] : [];
  }

  /**
   * Take the reply to a subscribe: of many rooms all were taken or none, and `rooms` says which were refused.
   * @param {string[]} roomIds @param {Frame} frame
   * @returns {Happening[]}
   */
  #subscribed(roomIds, frame) {
    const rooms = roomIds.map((at) => /** @type {Room} */ (this.#rooms.get(at)));
    for (const room of rooms) room.awaited = null;
    if (frame.ok) {
      for (const room of rooms) room.farewell = null;
      return roomIds.map((roomId) => ({ happened: "begun", roomId, record: String(this.record) }));
    }
    const refused = Refused.of(frame.error);
    if (refused.isRetryable) return [{ happened: "comeBack", reason: refused.detail }];
    const named = Object.entries(frame.error.rooms ?? {}).filter(([at]) => roomIds.includes(at));
    const codes = new Map(named.length ? named : roomIds.map((at) => [at, refused.code]));
    /** @type {Happening[]} */
    const ended = [];
    for (const [roomId, code] of codes) {
      const farewell = this.#rooms.get(roomId)?.farewell ?? null;
      const detail = code === refused.code ? refused.detail : "This room is not heard.";
      const error = farewell === null ? new Refused(code, refused.status, detail) : null;
      ended.push(...this.#end([roomId], farewell ?? "refused", error));
    }
    this.#subscribe(roomIds.filter((at) => !codes.has(at)));
    return ended;
  }

  /** @param {string[]} roomIds @param {string} reason @param {HansardError | null} error @returns {Happening[]} */
  #end(roomIds, reason, error) {
    return roomIds
      .filter((roomId) => this.#rooms.delete(roomId))
      .map((roomId) => ({ happened: "ended", roomId, reason, error }));
  }

  /** Subscribe, all with one frame, from what is held. @param {string[]} roomIds */
  #subscribe(roomIds) {
    if (!roomIds.length) return;
    const number = ++this.#number;
    this.#subscribes.set(number, roomIds);
    /** @type {Record<string, number | null>} */
    const rooms = {};
    for (const roomId of roomIds) {
      const room = /** @type {Room} */ (this.#rooms.get(roomId));
      room.awaited = number;
      rooms[roomId] = room.held;
    }
    this.#write({ id: number, type: "subscribe", rooms, record: this.record });
  }

  /** @param {object} frame */
  #write(frame) {
    this.#outgoing.push(JSON.stringify(frame));
  }
}

/** @param {string} text */
function hasHalfSurrogate(text) {
  return /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text);
}
