/**
 * The messages of a room that are at hand: a window of the record, in order of position, and what is being sent. The window moves
 * and does not grow. It fires `change`; nothing here touches the document.
 *
 * @import { ChatEvent, Message } from "./hansard-client/types.js"
 * @import { Shown } from "./message.js"
 */

import { Refused, newId } from "./hansard-client/index.js";
import { mayHaveMarkup } from "./markup.js";
import { workspace } from "./workspace.js";

const PAGE = 50;
export const WINDOW_MAX = 200;
const RENDER_MS = 120;
const RENDER_MAX = 100;

export class RoomMessages extends EventTarget {
  /** @type {Message[]} */
  items = [];
  /** @type {Map<string, Shown>} */
  pending = new Map();
  isOpen = false; // something was read
  hasOlder = false;
  hasNewer = false;
  missed = 0; // how many came while the window was elsewhere
  isAtEnd = true; // the view shows the end, and so the window may leave the beginning
  /** @type {Map<string, Message | null>} */
  #quoted = new Map();
  /** @type {Map<string, number>} */
  #unrendered = new Map();
  #head = 0;
  #turn = 0;
  #isLoading = false;

  /** @param {string} roomId */
  constructor(roomId) {
    super();
    this.roomId = roomId;
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  /** What is shown, in order: messages with what they quote, then what is being sent. @returns {Shown[]} */
  get shown() {
    const found = this.items.map((item) => ({ ...item, quoted: item.reply_to ? this.#quote(item.reply_to) : null }));
    return this.hasNewer ? found : [...found, ...this.pending.values()];
  }

  get last() {
    return this.items.at(-1) ?? null;
  }

  // Moving the window

  async openNewest() {
    this.#replace(await this.#page({}), (page) => {
      this.items = page.items.reverse();
      [this.hasOlder, this.hasNewer, this.missed] = [page.next_cursor !== null, false, 0];
    });
    if (!this.hasNewer && this.#head > (this.last?.position ?? 0)) await this.#catchUp();
  }

  /** Read anew what is on screen, if that is the newest: it was read before the room was heard. */
  async refresh() {
    if (this.isOpen && !this.hasNewer) await this.openNewest();
  }

  /** @param {number} position */
  async openAround(position) {
    this.#replace(await this.#page({ around: position }), (page) => {
      this.items = page.items;
      [this.hasOlder, this.hasNewer] = [true, true];
    });
  }

  async older() {
    await this.#once(async () => {
      const page = await this.#page({ older_than: this.items[0]?.position });
      this.items = [...page.items.reverse(), ...this.items];
      this.hasOlder = page.next_cursor !== null;
      if (this.items.length > WINDOW_MAX) {
        this.items.length = WINDOW_MAX;
        this.hasNewer = true;
      }
    });
  }

  async newer() {
    await this.#once(async () => {
      const page = await this.#page({ newer_than: this.last?.position ?? 0 });
      this.items.push(...page.items);
      this.hasNewer = page.next_cursor !== null;
      this.#trim();
    });
    if (!this.hasNewer) await this.#catchUp();
  }

  /** Read what came while the window was on its way to the end. */
  async #catchUp() {
    this.missed = 0;
    if (this.#head > (this.last?.position ?? 0)) {
      const page = await this.#page({ newer_than: this.last?.position ?? 0 });
      for (const item of page.items) this.#insert(item);
      if (page.next_cursor !== null) this.hasNewer = true;
    }
    this.#changed();
  }

  /** @param {object} where */
  async #page(where) {
    const after = Math.max(workspace.client.position, this.#head) || undefined;
    return await workspace.client.messagePage(this.roomId, { limit: PAGE, html: true, after, ...where });
  }

  /** @template Page @param {Page} page @param {(page: Page) => void} take */
  #replace(page, take) {
    this.#turn += 1;
    this.isOpen = true;
    take(page);
    this.#changed();
  }

  /** @param {() => Promise<void>} move */
  async #once(move) {
    if (this.#isLoading) return;
    this.#isLoading = true;
    const turn = this.#turn;
    try {
      await move();
    } finally {
      this.#isLoading = false;
    }
    if (turn === this.#turn) this.#changed();
  }

  #trim() {
    if (this.items.length <= WINDOW_MAX + PAGE) return; // many at once: each time everything in sight is laid out anew
    this.items.splice(0, this.items.length - WINDOW_MAX);
    this.hasOlder = true;
  }

  // What happens in the room

  /** @param {ChatEvent} event */
  take(event) {
    const data = /** @type {any} */ (event.data);
    this.#head = Math.max(this.#head, event.position);
    if (event.kind === "message.posted") this.#posted(data);
    else if (event.kind === "message.edited" || event.kind === "message.deleted") this.#revised(data, event.position);
    else if (event.kind.startsWith("reaction.")) this.#reacted(data, event.kind === "reaction.added");
    else if (event.kind === "message.pinned" || event.kind === "message.unpinned") this.#set(data.message_id, { pinned: event.kind === "message.pinned" });
    else if (event.kind.startsWith("thread.")) this.#threaded(data);
    else if (event.kind.startsWith("file.")) this.#filed(data);
    else if (event.kind.startsWith("member.") || event.kind.startsWith("room.")) this.#renderLater(`system ${event.position}`, event.position);
    this.#changed();
  }

  /** @param {Message} message */
  #posted(message) {
    if (message.thread_id && message.in_room !== true) return;
    this.pending.delete(message.id);
    const isFull = this.items.length >= WINDOW_MAX + PAGE && !this.isAtEnd;
    if (this.hasNewer || isFull) {
      this.hasNewer = true;
      this.missed += 1;
      return;
    }
    if (!this.isAtEnd) this.missed += 1;
    this.#insert(message);
    if (mayHaveMarkup(message.content)) this.#renderLater(message.id, message.position);
  }

  /** Put a message in its place. @param {Message} message */
  #insert(message) {
    this.pending.delete(message.id);
    let at = this.items.length;
    while (at > 0 && this.items[at - 1].position > message.position) at -= 1;
    if (this.items[at - 1]?.id === message.id) this.items[at - 1] = { ...this.items[at - 1], ...message };
    else this.items.splice(at, 0, message);
    if (this.isAtEnd) this.#trim();
  }

  /** @param {Message} message @param {number} position */
  #revised(message, position) {
    const { content, version, is_edited, deleted, updated_at } = message;
    const quoted = this.#quoted.get(message.id);
    if (quoted) this.#quoted.set(message.id, { ...quoted, content, version, deleted });
    if (!this.#set(message.id, { content, version, is_edited, deleted, updated_at, html: undefined })) return;
    if (!deleted && mayHaveMarkup(content)) this.#renderOne(message.id, position);
  }

  /** @param {{ message_id: string, emoji: string, count: number, user_id: string }} data @param {boolean} isAdded */
  #reacted({ message_id, emoji, count, user_id }, isAdded) {
    const found = this.items.find((item) => item.id === message_id);
    if (!found) return;
    const reactions = [...(found.reactions ?? [])];
    const at = reactions.findIndex((each) => each.emoji === emoji);
    const me = user_id === workspace.me?.id ? isAdded : Boolean(reactions[at]?.me);
    if (at < 0) reactions.push({ emoji, count, me });
    else if (count === 0) reactions.splice(at, 1);
    else reactions[at] = { emoji, count, me };
    this.#set(message_id, { reactions });
  }

  /** @param {any} data */
  #threaded({ thread_id, thread, user_id }) {
    const found = this.items.find((item) => item.id === thread_id)?.thread;
    const isOwn = user_id === workspace.me?.id;
    const unread = found?.following && !isOwn ? (found.unread ?? 0) + 1 : found?.unread;
    this.#set(thread_id, { thread: { ...found, ...thread, following: found?.following, unread } });
  }

  /** @param {any} file */
  #filed(file) {
    for (const item of this.items) if (item.file_id === file.id) this.#set(item.id, { file });
  }

  /** @param {string} messageId @param {Partial<Message>} values */
  #set(messageId, values) {
    const at = this.items.findIndex((item) => item.id === messageId);
    if (at < 0) return false;
    this.items[at] = { ...this.items[at], ...values };
    return true;
  }

  // What only the server makes: HTML, and the words of system messages

  /** Fetch what was posted with its HTML, many at once: however fast they come, there is one request at a time.
   * @param {string} key @param {number} position */
  #renderLater(key, position) {
    if (this.#unrendered.size === 0) setTimeout(() => this.#render(), RENDER_MS);
    this.#unrendered.set(key, position);
  }

  async #render() {
    const positions = [...this.#unrendered.values()];
    const [first, after] = [Math.min(...positions), Math.max(...positions)];
    this.#unrendered.clear();
    const options = { newer_than: first - 1, limit: RENDER_MAX, html: true, after };
    const page = await workspace.client.messagePage(this.roomId, options).catch(() => null);
    for (const item of page?.items ?? []) {
      if (item.message_type === "system" && !this.hasNewer) this.#insert(item);
      else if (this.items.find(({ id }) => id === item.id)?.version === item.version) this.#set(item.id, { html: item.html });
    }
    if (page && page.next_cursor !== null && !this.hasNewer) {
      const rest = positions.filter((position) => position > (page.items.at(-1)?.position ?? 0));
      for (const position of rest) this.#renderLater(`rest ${position}`, position);
    }
    this.#changed();
  }

  /** @param {string} messageId @param {number} after */
  async #renderOne(messageId, after) {
    const message = await workspace.client.message(messageId, { html: true, after }).catch(() => null);
    if (message && this.items.find(({ id }) => id === messageId)?.version === message.version) {
      this.#set(messageId, { html: message.html });
      this.#changed();
    }
  }

  /** @param {string} messageId */
  #quote(messageId) {
    const found = this.items.find(({ id }) => id === messageId) ?? this.#quoted.get(messageId);
    if (found === undefined) {
      this.#quoted.set(messageId, null);
      workspace.client.message(messageId).then((message) => {
        this.#quoted.set(messageId, message);
        this.#changed();
      }, () => undefined);
    }
    return found ?? null;
  }

  // Sending

  /**
   * Send a message: it is shown at once, and settles when it is on the record.
   * @param {string} content
   * @param {{ replyTo?: string | null, fileId?: string | null, messageType?: string, messageId?: string, file?: any }} [options]
   */
  async send(content, options = {}) {
    const messageId = options.messageId ?? newId();
    const at = new Date().toISOString();
    /** @type {Shown} */
    const shown = {
      id: messageId, room_id: this.roomId, sender_id: workspace.me?.id ?? null, message_type: options.messageType ?? "text", content,
      file_id: options.fileId ?? null, file: options.file, reply_to: options.replyTo ?? null, is_edited: false, deleted: false, created_at: at,
      updated_at: at, position: Number.MAX_SAFE_INTEGER, version: 0, state: "sending",
      quoted: options.replyTo ? this.#quote(options.replyTo) : null,
    };
    this.pending.set(messageId, shown);
    if (this.hasNewer) await this.openNewest().catch(() => undefined);
    this.#changed();
    try {
      const sent = await workspace.chat?.send(this.roomId, content, { ...options, messageId });
      if (sent && !this.items.some(({ id }) => id === messageId) && this.pending.has(messageId)) {
        this.#head = Math.max(this.#head, sent.position);
        await this.#catchUp();
      }
    } catch (error) {
      if (!this.pending.has(messageId)) return;
      this.pending.set(messageId, { ...shown, state: "failed" });
      this.#changed();
      if (error instanceof Refused) throw error;
    }
  }

  /** Send again what was not sent: under its id, so that it is posted once. @param {Shown} shown */
  retry({ id, content, reply_to, file_id, message_type }) {
    return this.send(content, { messageId: id, replyTo: reply_to, fileId: file_id, messageType: message_type });
  }

  /** @param {string} messageId */
  discard(messageId) {
    this.pending.delete(messageId);
    this.#changed();
  }
}
