/**
 * Client: one person's HTTP calls, each repeated safely until it is answered, with a session that renews itself.
 *
 * What the network or a busy server (429, 502, 503, 504) kept from being answered is asked again after growing pauses, for at
 * most `patienceSeconds`. That is safe: reads and PUTs say what shall be, every POST carries an `Idempotency-Key`, a message its
 * own id. The one exception, a change made on condition of a version, is not repeated once it may have arrived.
 *
 * What the server says is returned as it said it: names as in the contract, times as text.
 *
 * @import { AccountRole, Dial, File, Member, Message, Meta, NotificationPage, NotificationSettings, Page, Profile,
 *   PushSubscriptionInfo, Reactor, Role, Room, Session as Tokens, SessionInfo, Task, TaskKind, TaskState, User, Version } from "./types.js"
 */

import { Backoff, idOf, newId, pause, secureChance } from "./backoff.js";
import { Chat } from "./chat.js";
import { Refused, Unreachable, secondsOf } from "./errors.js";
import { Session } from "./session.js";
import { dialer, meantForDialing, now } from "./wire.js";

const REQUEST_SECONDS = 10;
const PATIENCE_SECONDS = 20;
const FILE_SECONDS = 60;
const STATUS_SECONDS = 0.25;
const PAGE_ITEMS = 100;

/**
 * What a call may say beside its route. `body` is its JSON, `after` a position that the answer must be at or beyond. `version`
 * becomes If-Match, `reason` Hansard-Reason, `key` the Idempotency-Key of a POST, which is otherwise made up. What `isPublic`
 * needs no session.
 * @typedef {{ body?: object, query?: Record<string, string | number | boolean | null | undefined>, after?: number,
 *   version?: number, reason?: string, key?: string, isPublic?: boolean, seconds?: number, headers?: Record<string, string> }} Asked
 */

/** @typedef {{ older_than?: number, newer_than?: number, around?: number, limit?: number, html?: boolean, after?: number,
 *   as_of?: number | string, cursor?: string }} Where Which messages. */

export class Client {
  /** The position of one's last write: reads that say it as `after` see it. */
  position = 0;
  #backoff;
  #chance;
  #patience;
  #fetch;
  #session;
  #socket;

  /**
   * @param {string} [url] of the server; a page's own where it is left out
   * @param {object} [options]
   * @param {Tokens | null} [options.session] goes on with a session that was kept
   * @param {boolean} [options.cookie] the refresh token is in a cookie: for pages of the server's own address
   * @param {Pick<Storage, "getItem" | "setItem" | "removeItem"> | null} [options.keys] where pages keep a renewal's key
   * @param {Backoff} [options.backoff]
   * @param {number} [options.patienceSeconds]
   * @param {() => number} [options.chance]
   * @param {typeof fetch} [options.fetch]
   * @param {any} [options.WebSocket]
   */
  constructor(url = globalThis.location?.origin, options = {}) {
    const { session = null, cookie = false, keys = null, backoff, patienceSeconds = PATIENCE_SECONDS, chance } = options;
    this.url = url.replace(/\/+$/, "");
    this.#backoff = backoff ?? new Backoff();
    this.#chance = chance ?? secureChance;
    this.#patience = patienceSeconds;
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
    this.#socket = options.WebSocket;
    this.#session = new Session((method, path, asked) => this.call(method, path, asked), { kept: session, cookie, keys });
  }

  /** The tokens of the session, or null. Whoever keeps them keeps the newest: a refresh token is good for one use. */
  get session() {
    return this.#session.tokens;
  }

  /**
   * Return a chat as this person, which connects at once.
   * @param {{ dial?: Dial, patienceSeconds?: number }} [options] `dial` opens its connections
   */
  chat({ dial, patienceSeconds } = {}) {
    const { user } = this.#session.require();
    return new Chat({
      dial: dial ?? dialer(this.url, () => this.#ticket(), { WebSocket: this.#socket }),
      token: (stale) => this.token(stale),
      userId: user.id, backoff: this.#backoff, chance: this.#chance, patienceSeconds,
    });
  }

  async #ticket() {
    try {
      return (await this.call("POST", "/ws/tickets")).ticket;
    } catch (error) {
      throw meantForDialing(error);
    }
  }

  // Sessions

  /** Make an account; it is not logged in by that. @param {string} email @param {string} username @param {string} password
   * @returns {Promise<Profile>} */
  async register(email, username, password) {
    return await this.call("POST", "/auth/register", { body: { email, username, password }, isPublic: true });
  }

  /** Open a session, which this client keeps and renews by itself. @param {string} email @param {string} password */
  async login(email, password) {
    const { headers } = this.#session;
    return this.#session.keep(
      await this.call("POST", "/auth/login", { body: { email, password }, isPublic: true, headers }),
    );
  }

  /** Go on with the session of this browser's cookie. Throws `Refused` (401) if there is none. */
  async restore() {
    return await this.#session.restore();
  }

  /** Renew the session now. Throws `Refused` when it is over; then log in again. */
  async refresh() {
    await this.token(this.#session.require().access_token);
    return this.#session.require();
  }

  /** End the session, everywhere; nothing happens where there is none. */
  async logout() {
    if (this.session === null) return;
    try {
      await this.call("POST", "/auth/logout", { headers: this.#session.headers });
    } catch (error) {
      if (!(error instanceof Refused && error.status === 401)) throw error;
    }
    this.#session.forget();
  }

  /** Return an access token that is good for a while, and not `stale`. @param {string | null} [stale] */
  async token(stale = null) {
    return await this.#session.token(stale);
  }

  /** @returns {Promise<SessionInfo[]>} */
  async sessions() {
    return (await this.call("GET", "/auth/sessions")).items;
  }

  /** @param {string} sessionId */
  async endSession(sessionId) {
    await this.call("DELETE", `/auth/sessions/${idOf(sessionId)}`);
  }

  /** Change one's password; every other session ends. @param {string} current @param {string} fresh */
  async changePassword(current, fresh) {
    await this.call("PUT", "/auth/password", { body: { current_password: current, new_password: fresh } });
  }

  // People

  /** @returns {Promise<Profile>} */
  async me() {
    return await this.call("GET", "/users/me");
  }

  /** Return one's roles beside being a person. @returns {Promise<AccountRole[]>} */
  async roles() {
    return (await this.call("GET", "/users/me/roles")).roles;
  }

  /** Absent means unchanged; null clears. @param {{ username?: string, avatar_url?: string | null }} changes
   * @returns {Promise<Profile>} */
  async changeMe(changes) {
    return await this.call("PUT", "/users/me", { body: changes });
  }

  /** Return who has this name, compared as names are, or null. @param {string} username @returns {Promise<User | null>} */
  async userNamed(username) {
    return (await this.call("GET", "/users", { query: { username } })).items[0] ?? null;
  }

  /** Return those of these people (at most 100) whom there are, in no promised order. @param {string[]} userIds
   * @returns {Promise<User[]>} */
  async users(userIds) {
    return (await this.call("GET", "/users", { query: { ids: userIds.map(idOf).join(",") } })).items;
  }

  // Rooms

  /**
   * Iterate over the rooms that one may see, that of the last message first.
   * @param {{ q?: string, joined?: boolean, archived?: boolean, limit?: number, after?: number }} [options]
   * @returns {AsyncGenerator<Room, void>}
   */
  rooms({ q, joined, archived, limit = PAGE_ITEMS, after } = {}) {
    return this.pages("/rooms", { q, joined: joined || null, archived: archived || null, limit }, after);
  }

  /** @param {string} name @param {{ description?: string | null, isPrivate?: boolean }} [options] @returns {Promise<Room>} */
  async openRoom(name, { description = null, isPrivate = false } = {}) {
    return await this.call("POST", "/rooms", { body: { name, description, is_private: isPrivate } });
  }

  /** @param {string} roomId @param {{ after?: number }} [options] @returns {Promise<Room>} */
  async room(roomId, { after } = {}) {
    return await this.call("GET", `/rooms/${idOf(roomId)}`, { after });
  }

  /** Absent means unchanged; null clears. @param {string} roomId
   * @param {{ name?: string, description?: string | null, topic?: string | null, is_private?: boolean, history?: "shared" | "joined" }} changes
   * @param {{ version?: number }} [options] @returns {Promise<Room>} */
  async changeRoom(roomId, changes, { version } = {}) {
    return await this.call("PATCH", `/rooms/${idOf(roomId)}`, { body: changes, version });
  }

  /** @param {string} roomId */
  async archiveRoom(roomId) {
    await this.call("DELETE", `/rooms/${idOf(roomId)}`);
  }

  /** Enter a public room; returns one's role in it. @param {string} roomId @returns {Promise<Role>} */
  async join(roomId) {
    return (await this.call("POST", `/rooms/${idOf(roomId)}/join`)).role;
  }

  /** @param {string} roomId */
  async leave(roomId) {
    await this.call("POST", `/rooms/${idOf(roomId)}/leave`);
  }

  /** Move one's read mark forward. @param {string} roomId @param {number} position */
  async markRead(roomId, position) {
    await this.call("PUT", `/rooms/${idOf(roomId)}/read`, { body: { position } });
  }

  /** Iterate over the members in the order they joined. @param {string} roomId @param {{ after?: number }} [options]
   * @returns {AsyncGenerator<Member, void>} */
  members(roomId, { after } = {}) {
    return this.pages(`/rooms/${idOf(roomId)}/members`, { limit: PAGE_ITEMS }, after);
  }

  /** Add somebody, or change their role. @param {string} roomId @param {string} userId @param {Role} [role] */
  async putMember(roomId, userId, role = "member") {
    await this.call("PUT", `/rooms/${idOf(roomId)}/members/${idOf(userId)}`, { body: { role } });
  }

  /** @param {string} roomId @param {string} userId @param {{ ban?: boolean, reason?: string }} [options] */
  async removeMember(roomId, userId, { ban, reason } = {}) {
    const path = `/rooms/${idOf(roomId)}/members/${idOf(userId)}`;
    await this.call("DELETE", path, { query: { ban: ban || null }, reason });
  }

  /** Open the room of these people (at most nine) and oneself, or return it. @param {string[]} userIds @returns {Promise<Room>} */
  async direct(userIds) {
    return await this.call("POST", "/direct", { body: { user_ids: userIds.map(idOf) } });
  }

  // Messages

  /**
   * Return a page of a room's messages: newest first; `newer_than` a position oldest first; `around` one ascending.
   * @param {string} roomId @param {Where} [where] @returns {Promise<Page<Message>>}
   */
  async messagePage(roomId, { older_than, newer_than, around, limit, html, after, as_of, cursor } = {}) {
    const render = html ? "html" : null;
    const query = { before: older_than, after: newer_than, around, limit: limit ?? PAGE_ITEMS, render, as_of, cursor };
    return await this.call("GET", `/rooms/${idOf(roomId)}/messages`, { query, after });
  }

  /** Iterate over a room's messages, as `messagePage` finds them. @param {string} roomId @param {Where} [where]
   * @returns {AsyncGenerator<Message, void>} */
  async *messages(roomId, where = {}) {
    let page = await this.messagePage(roomId, where);
    while (true) {
      yield* page.items;
      if (page.next_cursor === null) return;
      const { limit, html, after, as_of } = where;
      page = await this.messagePage(roomId, { limit, html, after, as_of, cursor: page.next_cursor });
    }
  }

  /**
   * Post a message; when this returns it is on the server's disk. The same `messageId` again posts nothing.
   * @param {string} roomId @param {string} content
   * @param {{ messageId?: string, replyTo?: string | null, fileId?: string | null, messageType?: string, threadId?: string | null,
   *   inRoom?: boolean }} [options]
   * @returns {Promise<Message>}
   */
  async send(roomId, content, { messageId = newId(), replyTo, fileId, messageType = "text", threadId, inRoom } = {}) {
    /** @type {Record<string, unknown>} */
    const body = { id: messageId, content, message_type: messageType };
    if (replyTo) body.reply_to = replyTo;
    if (fileId) body.file_id = fileId;
    if (threadId) body.thread_id = threadId;
    if (inRoom) body.in_room = true;
    return await this.call("POST", `/rooms/${idOf(roomId)}/messages`, { body });
  }

  /** @param {string} messageId @param {{ html?: boolean, after?: number }} [options] @returns {Promise<Message>} */
  async message(messageId, { html, after } = {}) {
    return await this.call("GET", `/messages/${idOf(messageId)}`, { query: { render: html ? "html" : null }, after });
  }

  /** Replace the text; with `version` only if the message is still that one (else `Refused`, 412). @param {string} messageId
   * @param {string} content @param {{ version?: number, reason?: string }} [options] @returns {Promise<Message>} */
  async edit(messageId, content, { version, reason } = {}) {
    return await this.call("PATCH", `/messages/${idOf(messageId)}`, { body: { content }, version, reason });
  }

  /** Leave a tombstone, and return it. @param {string} messageId @param {{ version?: number, reason?: string }} [options]
   * @returns {Promise<Message>} */
  async delete(messageId, { version, reason } = {}) {
    return await this.call("DELETE", `/messages/${idOf(messageId)}`, { version, reason });
  }

  /** Return every version of a message, the first first. @param {string} messageId @returns {Promise<Version[]>} */
  async history(messageId) {
    return await all(this.pages(`/messages/${idOf(messageId)}/history`, {}));
  }

  // Reactions, threads, pins

  /** @param {string} messageId @param {string} emoji */
  async react(messageId, emoji) {
    await this.call("PUT", `/messages/${idOf(messageId)}/reactions/${encodeURIComponent(emoji)}`);
  }

  /** @param {string} messageId @param {string} emoji */
  async unreact(messageId, emoji) {
    await this.call("DELETE", `/messages/${idOf(messageId)}/reactions/${encodeURIComponent(emoji)}`);
  }

  /** @param {string} messageId @returns {AsyncGenerator<Reactor, void>} */
  reactors(messageId) {
    return this.pages(`/messages/${idOf(messageId)}/reactions`, { limit: PAGE_ITEMS });
  }

  /** Iterate over the replies in the thread of a message, the oldest first. @param {string} messageId
   * @param {{ html?: boolean, after?: number }} [options] @returns {AsyncGenerator<Message, void>} */
  replies(messageId, { html, after } = {}) {
    return this.pages(`/messages/${idOf(messageId)}/thread`, { limit: PAGE_ITEMS, render: html ? "html" : null }, after);
  }

  /** @param {string} messageId */
  async pin(messageId) {
    await this.call("PUT", `/messages/${idOf(messageId)}/pin`);
  }

  /** @param {string} messageId */
  async unpin(messageId) {
    await this.call("DELETE", `/messages/${idOf(messageId)}/pin`);
  }

  /** Return the pinned messages of a room, what was pinned last first. @param {string} roomId @param {{ after?: number }} [options]
   * @returns {Promise<Message[]>} */
  async pins(roomId, { after } = {}) {
    return await all(this.pages(`/rooms/${idOf(roomId)}/pins`, {}, after));
  }

  // Operating, for administrators

  /** Return a page of the tasks that are queued, fail or were given up, the latest first.
   * @param {{ state?: TaskState, kind?: TaskKind, cursor?: string, limit?: number }} [options] @returns {Promise<Page<Task>>} */
  async tasks({ state, kind, cursor, limit = 50 } = {}) {
    return await this.call("GET", "/admin/tasks", { query: { state, kind, cursor, limit } });
  }

  /** Have a task tried again now that failed or was given up; return false if it was under way already. @param {string} taskId */
  async retryTask(taskId) {
    const { retried } = await this.call("POST", `/admin/tasks/${encodeURIComponent(taskId)}/retry`);
    return Boolean(retried);
  }

  // Notifications

  /** Return a page of one's inbox, the latest first. @param {{ cursor?: string, limit?: number, after?: number }} [options]
   * @returns {Promise<NotificationPage>} */
  async notifications({ cursor, limit = 50, after } = {}) {
    return await this.call("GET", "/notifications", { query: { cursor, limit }, after });
  }

  /** Mark everything in one's inbox up to a position as read, on all devices. @param {number} position */
  async readNotifications(position) {
    await this.call("PUT", "/notifications/read", { body: { position } });
  }

  /** @returns {Promise<NotificationSettings>} */
  async notificationSettings() {
    return await this.call("GET", "/users/me/notifications");
  }

  /** Absent means unchanged; null clears. @param {Partial<NotificationSettings>} changes @returns {Promise<NotificationSettings>} */
  async changeNotifications(changes) {
    return await this.call("PUT", "/users/me/notifications", { body: changes });
  }

  /** Return the key that this browser is to subscribe with (VAPID). @returns {Promise<string>} */
  async pushKey() {
    return (await this.call("GET", "/push/key")).public_key;
  }

  /** Return one's subscriptions, the newest first. @returns {Promise<PushSubscriptionInfo[]>} */
  async pushSubscriptions() {
    return (await this.call("GET", "/push/subscriptions", { after: this.position })).items;
  }

  /** Have a device be told of things while this session lives. @param {{ endpoint: string, keys: { p256dh: string, auth: string },
   * device?: string | null }} device what `PushSubscription.toJSON()` says, and a name @returns {Promise<PushSubscriptionInfo>} */
  async subscribePush(device) {
    return await this.call("POST", "/push/subscriptions", { body: device });
  }

  /** @param {string} subscriptionId */
  async unsubscribePush(subscriptionId) {
    await this.call("DELETE", `/push/subscriptions/${idOf(subscriptionId)}`);
  }

  /** Send a device a test, and return what its push service said. @param {string} subscriptionId
   * @returns {Promise<"told" | "gone" | "later" | "refused">} */
  async testPush(subscriptionId) {
    return (await this.call("POST", `/push/subscriptions/${idOf(subscriptionId)}/test`)).outcome;
  }

  // Blocks

  /** Return the ids of those whom one has blocked. @returns {Promise<string[]>} */
  async blocks() {
    /** @type {{ user_id: string }[]} */
    const found = await all(this.pages("/users/me/blocks", {}));
    return found.map(({ user_id }) => user_id);
  }

  /** Block somebody: they open no direct room with one, and mention one no more. @param {string} userId */
  async block(userId) {
    await this.call("PUT", `/users/me/blocks/${idOf(userId)}`);
  }

  /** @param {string} userId */
  async unblock(userId) {
    await this.call("DELETE", `/users/me/blocks/${idOf(userId)}`);
  }

  // Files

  /**
   * Upload a file and return its id: send it with `fileId`, wait for it with `processed`.
   * @param {Blob} content @param {string} name what people see
   * @param {{ roomId?: string | null, key?: string }} [options] `roomId`: the room that hears of its end
   * @returns {Promise<string>}
   */
  async upload(content, name, { roomId, key } = {}) {
    const form = new FormData();
    form.append("file", content, name);
    const query = { room_id: roomId ? idOf(roomId) : null };
    const answer = await this.#ask("POST", "/files/upload", { query, seconds: FILE_SECONDS, key }, form);
    return (await answer.json()).id;
  }

  /** @param {string} fileId @param {{ after?: number }} [options] @returns {Promise<File>} */
  async file(fileId, { after } = {}) {
    return await this.call("GET", `/files/${idOf(fileId)}`, { after });
  }

  /** Wait until a file is `completed` or `failed`, and return it. @param {string} fileId @param {AbortSignal} [signal] */
  async processed(fileId, signal) {
    while (true) {
      const file = await this.file(fileId, { after: this.position });
      if (file.status === "completed" || file.status === "failed") return file;
      signal?.throwIfAborted();
      await pause(STATUS_SECONDS, signal);
    }
  }

  /** Return the bytes of a file, or of one of its variants, once it is `completed`. @param {string} fileId @param {string} [variant]
   * @returns {Promise<Blob>} */
  async download(fileId, variant) {
    const form = variant === undefined ? "content" : `variants/${encodeURIComponent(variant)}`;
    return await this.bytes("GET", `/files/${idOf(fileId)}/${form}`, { seconds: FILE_SECONDS });
  }

  /** @returns {Promise<Meta>} */
  async meta() {
    return await this.call("GET", "/meta", { isPublic: true });
  }

  // Calls

  /**
   * Call any route below `/api/v1` and return its body. What the methods above have no name for is called so.
   * @param {string} method @param {string} path @param {Asked} [asked]
   * @returns {Promise<any>}
   */
  async call(method, path, asked = {}) {
    const text = await (await this.#ask(method, path, asked)).text();
    return text ? JSON.parse(text) : null;
  }

  /**
   * Call a route that answers with something else than JSON: a text, bytes. It is read in the time of the call.
   * @param {string} method @param {string} path @param {Asked} [asked]
   * @returns {Promise<Blob>}
   */
  async bytes(method, path, asked = {}) {
    return await (await this.#ask(method, path, asked)).blob();
  }

  /**
   * Iterate over all items of a list.
   * @param {string} path @param {NonNullable<Asked["query"]>} query @param {number} [after]
   * @returns {AsyncGenerator<any, void>}
   */
  async *pages(path, query, after) {
    let asked = query;
    while (true) {
      const page = await this.call("GET", path, { query: asked, after });
      yield* page.items;
      if (page.next_cursor === null) return;
      asked = { ...query, cursor: page.next_cursor };
    }
  }

  /** @param {string} method @param {string} path @param {Asked} asked @param {FormData} [form] @returns {Promise<Response>} */
  async #ask(method, path, asked, form) {
    const headers = headersOf(method, asked);
    const body = form ?? (asked.body === undefined ? undefined : JSON.stringify(asked.body));
    if (form === undefined && body !== undefined) headers.set("Content-Type", "application/json");
    const address = `${this.url}/api/v1${path}${queryOf(asked.query)}`;
    const pauses = this.#backoff.pauses(this.#chance);
    const until = now() + this.#patience;
    let token = "";
    /** @type {string | null} */
    let stale = null;
    while (true) {
      if (!asked.isPublic) {
        token = await this.token(stale);
        headers.set("Authorization", `Bearer ${token}`);
      }
      let wait = pauses();
      try {
        const signal = AbortSignal.timeout((asked.seconds ?? REQUEST_SECONDS) * 1000);
        const answer = await this.#fetch(address, { method, headers, body, signal, cache: "no-store" });
        this.position = Math.max(this.position, Number(answer.headers.get("Hansard-Position") ?? 0));
        if (answer.ok) return answer;
        const refused = Refused.of(await jsonOf(answer), answer.status, secondsOf(answer.headers.get("Retry-After")));
        if (refused.code === "auth.token_invalid" && !asked.isPublic && stale === null) {
          stale = token;
          continue;
        }
        wait = Math.max(wait, refused.retryAfter ?? 0);
        const isSafe = asked.version === undefined || !answer.headers.has("Hansard-Position");
        if (!refused.isRetryable || !isSafe || now() + wait > until) throw refused;
      } catch (error) {
        if (error instanceof Refused) throw error;
        if (asked.version !== undefined || now() + wait > until) {
          throw new Unreachable(`${this.url} does not answer: ${error}`, { cause: error });
        }
      }
      await pause(wait);
    }
  }
}

/** @param {string} method @param {Asked} asked */
function headersOf(method, { after, version, reason, key, headers: more }) {
  const headers = new Headers(more);
  if (method === "POST") headers.set("Idempotency-Key", key ?? newId());
  if (after) headers.set("Hansard-After", String(after));
  if (version !== undefined) headers.set("If-Match", `"${version}"`);
  // In UTF-8, though JavaScript's headers are made of bytes.
  if (reason) headers.set("Hansard-Reason", String.fromCharCode(...new TextEncoder().encode(reason)));
  return headers;
}

/** @param {Asked["query"]} query */
function queryOf(query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  return given.length ? `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}` : "";
}

/** @param {Response} answer */
async function jsonOf(answer) {
  try {
    return await answer.json();
  } catch {
    return {};
  }
}

/** Return all of it. @template Item @param {AsyncIterable<Item>} items */
async function all(items) {
  /** @type {Item[]} */
  const found = [];
  for await (const item of items) found.push(item);
  return found;
}
