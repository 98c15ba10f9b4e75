/** The room on screen: its head, its timeline, who is typing, and the composer. */

import "./composer.js";
import "./timeline.js";
import { openRoomSettings, openVersions } from "./dialogs.js";
import { custom, el, fill, icon, iconButton } from "./dom.js";
import { attempt, confirmed, toast } from "./parts.js";
import { say } from "./words.js";
import { sentenceOf, workspace } from "./workspace.js";

/** @typedef {import("./message.js").Shown} Shown */

export class RoomView extends HTMLElement {
  /** @type {string | null} */
  roomId = null;
  #timeline = /** @type {import("./timeline.js").Timeline} */ (custom("hansard-timeline"));
  #composer = /** @type {import("./composer.js").Composer} */ (custom("hansard-composer"));
  #head = el("header", { class: "room-head" });
  #typing = el("p", { class: "typing", role: "status" });
  #foot = el("div", { class: "room-foot" });
  #drop = el("div", { class: "drop", hidden: true });
  #listening = /** @type {[EventTarget, string, (event: any) => void][]} */ ([
    [workspace, "room", (event) => this.#news(event.detail)],
    [workspace, "rooms", () => this.#drawHead()],
    [workspace, "people", () => this.#named()],
    [window, "focus", () => this.#timeline.looked()],
  ]);

  connectedCallback() {
    for (const [target, type, listener] of this.#listening) target.addEventListener(type, listener);
    this.addEventListener("act", (event) => this.act(/** @type {CustomEvent} */ (event).detail));
    this.#composer.addEventListener("say", (event) => this.#say(/** @type {CustomEvent} */ (event).detail));
    this.#composer.addEventListener("typing", () => this.roomId && workspace.type(this.roomId));
    this.#composer.addEventListener("edit-last", () => this.#editLast());
    this.addEventListener("dragover", (event) => this.#dragged(event));
    this.addEventListener("dragleave", (event) => {
      if (!this.contains(/** @type {Node | null} */ (event.relatedTarget))) this.#drop.hidden = true;
    });
    this.addEventListener("drop", (event) => this.#dropped(event));
    this.show(this.roomId);
  }

  disconnectedCallback() {
    for (const [target, type, listener] of this.#listening) target.removeEventListener(type, listener);
  }

  get room() {
    return this.roomId === null ? undefined : workspace.rooms.get(this.roomId);
  }

  get mayManage() {
    const role = this.room?.my_role;
    return role === "owner" || role === "admin";
  }

  /** @param {string | null} roomId */
  async show(roomId) {
    if (roomId !== null && roomId === this.roomId && this.querySelector("hansard-timeline")) return;
    this.roomId = roomId;
    if (roomId === null) {
      fill(this, el("main", { class: "welcome" }, el("h1", {}, say("welcome")), el("p", {}, say("welcomeHint"))));
      return;
    }
    const room = this.room ?? (await attempt(() => workspace.reloadRoom(roomId)));
    if (this.roomId !== roomId || !room) return;
    const about = { title: workspace.titleOf(room), mayManage: this.mayManage, readMark: room.unread ? (room.read_position ?? 0) : null };
    fill(this, el("main", { class: "room" }, this.#head, this.#timeline, this.#typing, this.#foot, this.#drop));
    this.#foot.removeAttribute("data-kind");
    this.#drawHead();
    this.#drawTyping();
    await attempt(() => this.#timeline.show(roomId, about));
  }

  // What is drawn

  #drawHead() {
    const { room } = this;
    if (room === undefined || this.roomId === null) return;
    const title = workspace.titleOf(room);
    document.title = `${title} · Hansard`;
    const count = room.member_count === 1 ? say("oneMember") : say("memberCount", { n: room.member_count });
    const open = (/** @type {string} */ kind) => () => this.dispatchEvent(new CustomEvent("details", { detail: { kind } }));
    const signature = JSON.stringify([room.id, title, room.topic, room.description, room.member_count, room.my_role, room.is_archived]);
    if (this.#head.dataset.signature !== signature) {
      this.#head.dataset.signature = signature;
      fill(this.#head,
        iconButton("back", say("openMenu"), () => (location.hash = ""), { class: "icon-button only-small" }),
        el("div", { class: "room-title" }, el("h1", {}, room.kind === "direct" ? null : icon(room.is_private ? "lock" : "hash"), title),
          room.topic || room.description ? el("p", {}, room.topic || room.description) : null),
        el("button", { type: "button", class: "chip", "aria-label": count, title: say("members"), on: { click: open("members") } }, icon("people"), room.member_count),
        iconButton("pin", say("pins"), open("pins")),
        room.my_role && room.kind !== "direct" ? iconButton("more", say("roomSettings"), () => openRoomSettings(room.id)) : null);
    }
    this.#drawFoot(room, title);
  }

  /** @param {import("./hansard-client/types.js").Room} room @param {string} title */
  #drawFoot(room, title) {
    const kind = room.is_archived ? "archived" : room.my_role === null ? "join" : "write";
    if (this.#foot.dataset.kind === `${kind} ${room.id}`) return;
    this.#foot.dataset.kind = `${kind} ${room.id}`;
    if (kind === "write") {
      fill(this.#foot, this.#composer);
      this.#composer.show(room.id, title);
    } else if (kind === "join") {
      const join = () => attempt(async () => {
        await workspace.client.join(room.id);
        await workspace.reloadRoom(room.id);
      });
      fill(this.#foot, el("div", { class: "join" }, el("p", {}, say("mayNotWrite")), el("button", { type: "button", class: "button primary", on: { click: join } }, say("join"))));
    } else {
      fill(this.#foot, el("p", { class: "join" }, say("archived")));
    }
  }

  #named() {
    this.#drawHead();
    this.#drawTyping();
  }

  #drawTyping() {
    const typing = this.roomId === null ? [] : workspace.typingIn(this.roomId);
    const [first] = typing;
    this.#typing.textContent = typing.length > 1 ? say("manyTyping") : first ? say("oneTyping", { name: workspace.nameOf(first) }) : "";
  }

  // What happens

  /** @param {import("./workspace.js").RoomNews & { roomId: string }} news */
  #news({ roomId, event, hasBegun }) {
    if (roomId !== this.roomId) return;
    if (hasBegun) this.#timeline.messages?.refresh().catch(() => undefined); // what was changed before it was heard
    if (event) this.#timeline.messages?.take(event);
    this.#drawTyping();
  }

  /** @param {{ content: string, replyTo: string | null, editing: Shown | null, files: import("./composer.js").Upload[] }} said */
  async #say({ content, replyTo, editing, files }) {
    const { messages } = this.#timeline;
    if (messages === null) return;
    if (editing !== null) {
      if (content && content !== editing.content) await attempt(async () => await workspace.chat?.edit(editing.id, content));
      return;
    }
    const said = files.length ? files : [null];
    attempt(() => this.#timeline.toEnd());
    for (const [i, file] of said.entries()) {
      const text = i === 0 ? content : "";
      const shown = file ? { id: file.fileId, original_name: file.name, status: "processing" } : undefined;
      const options = { replyTo: i === 0 ? replyTo : null, fileId: file?.fileId, file: shown, messageType: file ? (file.isImage ? "image" : "file") : "text" };
      messages.send(text, options).catch((error) => toast(sentenceOf(error)));
    }
  }

  #editLast() {
    const mine = this.#timeline.messages?.shown.findLast((each) => each.sender_id === workspace.me?.id && !each.deleted && !each.state);
    if (mine) this.#composer.edit(mine);
  }

  /** Do what one asks of a message. @param {{ kind: string, shown: Shown, emoji?: string, me?: boolean }} asked */
  async act({ kind, shown, emoji = "👍", me }) {
    const { client, chat } = workspace;
    switch (kind) {
      case "reply":
        return this.#composer.reply(shown);
      case "edit":
        return shown.sender_id === workspace.me?.id && this.#composer.edit(shown);
      case "thread":
        return this.dispatchEvent(new CustomEvent("details", { detail: { kind: "thread", message: shown } }));
      case "jump":
        return await attempt(() => this.#timeline.jumpTo(shown));
      case "react":
        return await attempt(() => (me ? client.unreact(shown.id, emoji) : client.react(shown.id, emoji)));
      case "pin":
        return this.mayManage && (await attempt(() => (shown.pinned ? client.unpin(shown.id) : client.pin(shown.id))));
      case "prove":
        return await attempt(async () => (await import("./audit_proof.js")).proveMessage(shown.id, shown.position));
      case "history":
        return openVersions(shown.id);
      case "retry":
        return await attempt(async () => await this.#timeline.messages?.retry(shown));
      case "discard":
        return this.#timeline.messages?.discard(shown.id);
      case "delete":
        if (shown.sender_id !== workspace.me?.id && !this.mayManage) return;
        if (await confirmed(say("confirmDelete"), say("remove_"))) await attempt(async () => await chat?.delete(shown.id));
    }
  }

  /** @param {DragEvent} event */
  #dragged(event) {
    if (!event.dataTransfer?.types.includes("Files") || !this.room?.my_role) return;
    event.preventDefault();
    this.#drop.textContent = say("dropHere", { room: workspace.titleOf(this.room) });
    this.#drop.hidden = false;
  }

  /** @param {DragEvent} event */
  #dropped(event) {
    this.#drop.hidden = true;
    if (!event.dataTransfer?.files.length || !this.room?.my_role) return;
    event.preventDefault();
    this.#composer.add([...event.dataTransfer.files]);
  }
}

customElements.define("hansard-room", RoomView);
