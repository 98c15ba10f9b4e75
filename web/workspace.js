/**
 * The workspace: what the page knows, and keeps up by what it is told. Views read it, and listen to its events:
 * `rooms`, `people`, `connection`, `inbox`, `roles`, `over`, and `room` (with a room's event, a typing or a presence) for the room on screen.
 *
 * @import { AccountRole, ChatEvent, Message, Profile, Room, User } from "./hansard-client/types.js"
 * @import { Chat } from "./hansard-client/index.js"
 */

import { Client, HansardError, Refused, Unreachable } from "./hansard-client/index.js";
import { say } from "./words.js";

const NAMES_AT_ONCE = 100;
const NAMES_MS = 20;
const TYPING_MS = 6000;
const RECOUNT_MS = 250;
const TYPING_EVERY_MS = 3000;

/** @typedef {{ event?: ChatEvent, typing?: string, presence?: string, hasBegun?: boolean }} RoomNews */

class Workspace extends EventTarget {
  client = new Client(location.origin, { cookie: true, keys: localStorage });
  /** @type {Chat | null} */
  chat = null;
  /** @type {Profile | null} */
  me = null;
  /** @type {AccountRole[]} beside being a person: which views there are. What one may do, the server judges */
  roles = [];
  /** @type {Map<string, Room>} */
  rooms = new Map();
  /** @type {Map<string, User | null>} */
  people = new Map();
  /** @type {Map<string, Set<string>>} who is online, by room */
  online = new Map();
  /** @type {Map<string, Map<string, number>>} who is typing until when, by room */
  typing = new Map();
  inboxUnread = 0;
  /** @type {Set<string>} */
  #heard = new Set();
  /** @type {Map<string, string[]>} who else is in a direct room */
  #others = new Map();
  /** @type {Set<string>} */
  #unnamed = new Set();
  #typedAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #recounting;
  #counts = 0;

  /** Show this person's rooms, and hear them. */
  async start() {
    const { user } = this.client.session ?? {};
    if (!user) return;
    this.me = user;
    this.people.set(user.id, user);
    const chat = this.client.chat();
    this.chat = chat;
    chat.addEventListener("state", () => this.#connection(chat));
    this.#notices(chat);
    await this.reload();
    this.roles = await this.client.roles();
    this.tell("roles");
  }

  /** Forget everything: somebody else may log in. */
  stop() {
    this.chat?.close();
    this.chat = null;
    this.me = null;
    for (const each of [this.rooms, this.people, this.online, this.typing, this.#heard, this.#others]) each.clear();
    this.inboxUnread = 0;
    this.roles = [];
  }

  /** @param {string} type @param {any} [detail] */
  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  // Rooms

  /** Read one's rooms, and hear those that are not heard yet. */
  async reload() {
    for await (const room of this.client.rooms({ joined: true, after: this.client.position })) this.rooms.set(room.id, room);
    this.tell("rooms");
    for (const room of this.rooms.values()) if (room.my_role !== null && !room.is_archived) this.#hear(room.id);
    await this.#count();
  }

  /** Read one room anew. @param {string} roomId */
  async reloadRoom(roomId) {
    const room = await this.client.room(roomId, { after: this.client.position });
    this.rooms.set(roomId, room);
    this.tell("rooms");
    if (room.my_role !== null && !room.is_archived) this.#hear(roomId);
    return room;
  }

  /** What a room is called: a direct one by the others in it. @param {Room} room */
  titleOf(room) {
    if (room.kind !== "direct") return room.name;
    const others = this.#others.get(room.id);
    if (others === undefined) this.#meetOthers(room.id);
    return others?.length ? others.map((userId) => this.nameOf(userId)).join(", ") : "…";
  }

  /** @param {string} roomId */
  async #meetOthers(roomId) {
    this.#others.set(roomId, []);
    const others = [];
    try {
      for await (const { user_id } of this.client.members(roomId)) if (user_id !== this.me?.id) others.push(user_id);
    } catch {
      return;
    }
    this.#others.set(roomId, others);
    this.tell("rooms");
  }

  /** @param {string} roomId */
  async #hear(roomId) {
    if (this.#heard.has(roomId) || this.chat === null) return;
    const chat = this.chat;
    this.#heard.add(roomId);
    try {
      const feed = await chat.subscribe(roomId);
      this.tell("room", { roomId, hasBegun: true });
      for await (const event of feed) this.#take(roomId, event);
      this.rooms.delete(roomId);
    } catch (error) {
      if (!(error instanceof HansardError)) throw error; // the chat's end is told by its state
      if (error.name === "RecordChanged") location.reload();
    } finally {
      this.#heard.delete(roomId);
      if (this.chat === chat) this.tell("rooms");
    }
  }

  /** @param {string} roomId @param {ChatEvent} event */
  #take(roomId, event) {
    const room = this.rooms.get(roomId);
    if (room !== undefined) {
      const data = /** @type {any} */ (event.data);
      if (event.kind === "message.posted") this.#posted(room, data);
      if (event.kind === "room.changed" || event.kind === "room.archived") Object.assign(room, data, { owner_id: room.owner_id });
      if (event.kind === "member.joined") room.member_count += 1;
      if (event.kind === "member.left" || event.kind === "member.removed") room.member_count -= 1;
      if (event.kind === "member.role_changed" && data.user_id === this.me?.id) room.my_role = data.role;
      this.tell("rooms");
    }
    this.tell("room", { roomId, event });
  }

  /** @param {Room} room @param {Message} message */
  #posted(room, message) {
    if (message.thread_id && message.in_room === false) return;
    room.last_message = message;
    this.typing.get(room.id)?.delete(String(message.sender_id));
    if (message.sender_id === this.me?.id) {
      room.unread = 0;
      room.read_position = message.position;
      return;
    }
    room.unread = (room.unread ?? 0) + 1;
    if (message.mentions?.includes(String(this.me?.id))) room.mention_count = (room.mention_count ?? 0) + 1;
  }

  /** Say that everything up to here was seen. @param {string} roomId @param {number} position */
  read(roomId, position) {
    const room = this.rooms.get(roomId);
    if (!room || room.my_role === null || (room.read_position ?? 0) >= position) return;
    room.read_position = position;
    room.unread = 0;
    room.mention_count = 0;
    this.tell("rooms");
    this.chat?.read(roomId, position).then(() => this.#recount(), () => undefined);
  }

  /** Ask how much of the inbox is unread: what was read in its room is read there, too. */
  #recount() {
    clearTimeout(this.#recounting);
    this.#recounting = setTimeout(() => this.#count().catch(() => undefined), RECOUNT_MS);
  }

  /** Count now. Of several that ask at once the last one is believed: an older answer may come after a newer one. */
  async #count() {
    const count = ++this.#counts;
    const { unread } = await this.client.notifications({ limit: 1 });
    if (count !== this.#counts || this.chat === null) return;
    this.inboxUnread = unread;
    this.tell("inbox");
  }

  /** Say that one is typing, now and then. @param {string} roomId */
  type(roomId) {
    if (Date.now() - this.#typedAt < TYPING_EVERY_MS) return;
    this.#typedAt = Date.now();
    this.chat?.typing(roomId);
  }

  // What is told beside the rooms

  /** @param {Chat} chat */
  #connection(chat) {
    this.tell("connection");
    if (chat.state === "over" && this.chat === chat) this.tell("over");
  }

  /** @param {Chat} chat */
  async #notices(chat) {
    try {
      for await (const { event, type, frame } of chat.notices()) {
        if (event) this.#own(event);
        else if (type === "typing") this.#types(frame);
        else if (type === "presence") this.#presence(frame);
        else if (type === "hello" && chat.connections > 1) this.reload().catch(() => undefined);
      }
    } catch (error) {
      if (!(error instanceof HansardError)) throw error;
    }
  }

  /** @param {ChatEvent} event */
  #own(event) {
    const data = /** @type {any} */ (event.data);
    if (event.kind === "member.joined") {
      this.client.position = Math.max(this.client.position, event.position);
      this.reloadRoom(data.room_id).catch(() => undefined);
    }
    if (event.kind === "member.left" || event.kind === "member.removed") {
      this.rooms.delete(data.room_id);
      this.tell("rooms");
    }
    if (event.kind === "reading.marked") {
      const room = this.rooms.get(data.room_id);
      if (room && (room.last_message?.position ?? 0) <= data.position) {
        Object.assign(room, { unread: 0, mention_count: 0, read_position: data.position });
        this.tell("rooms");
      }
    }
    if (event.kind === "notification" || event.kind === "notification.read" || event.kind === "reading.marked") this.#recount();
    if (event.kind === "account.profile_changed" && this.me) {
      Object.assign(this.me, { username: data.username, avatar_url: data.avatar_url });
      this.tell("people");
    }
  }

  /** @param {any} frame */
  #types({ room_id: roomId, user_id: userId }) {
    const typing = this.typing.get(roomId) ?? new Map();
    this.typing.set(roomId, typing.set(userId, Date.now() + TYPING_MS));
    this.tell("room", { roomId, typing: userId });
    setTimeout(() => this.tell("room", { roomId, typing: userId }), TYPING_MS + 50);
  }

  /** Who is typing now, but for oneself. @param {string} roomId */
  typingIn(roomId) {
    const found = [...(this.typing.get(roomId) ?? [])].filter(([, until]) => until > Date.now()).map(([userId]) => userId);
    return found.filter((userId) => userId !== this.me?.id);
  }

  /** @param {any} frame */
  #presence({ room_id: roomId, user_id: userId, state }) {
    const online = this.online.get(roomId) ?? new Set();
    this.online.set(roomId, online);
    if (state === "online") online.add(userId);
    else online.delete(userId);
    this.tell("room", { roomId, presence: userId });
  }

  /** @param {string} userId */
  isOnline(userId) {
    if (userId === this.me?.id) return this.chat?.state === "online";
    return [...this.online.values()].some((online) => online.has(userId));
  }

  // People

  /** What somebody is called; where it is not known yet, `people` is told when it is. @param {string | null} userId */
  nameOf(userId) {
    if (userId === null) return "";
    const person = this.people.get(userId);
    if (person === undefined && !this.#unnamed.has(userId)) {
      if (this.#unnamed.size === 0) setTimeout(() => this.#name(), NAMES_MS);
      this.#unnamed.add(userId);
    }
    return person?.username ?? "…";
  }

  /** Wait until it is known what these few are called, where a name is said once and not kept up. @param {(string | null)[]} userIds */
  async named(userIds) {
    const asked = [...new Set(userIds)].filter((each) => each !== null && !this.people.get(each));
    for (let i = 0; i < asked.length; i += NAMES_AT_ONCE) {
      for (const person of await this.client.users(/** @type {string[]} */ (asked.slice(i, i + NAMES_AT_ONCE)))) this.people.set(person.id, person);
    }
  }

  async #name() {
    const asked = [...this.#unnamed].slice(0, NAMES_AT_ONCE);
    this.#unnamed.clear();
    try {
      for (const userId of asked) this.people.set(userId, null);
      await this.named(asked);
    } catch {
      for (const userId of asked) this.people.delete(userId);
    }
    this.tell("people");
  }
}

export const workspace = new Workspace();

/** Return a sentence on what went wrong. @param {unknown} error */
export function sentenceOf(error) {
  if (error instanceof Refused) return error.errors.map(({ detail }) => detail).join(" ") || error.detail;
  if (error instanceof Unreachable) return say("unreachable");
  return say("error");
}
