/** Details beside a room: its members, what is pinned in it, or a thread. */

import { block } from "./blocks.js";
import { el, fill, icon, iconButton } from "./dom.js";
import { Refused } from "./hansard-client/index.js";
import { messageElement } from "./message.js";
import { attempt, avatar, field, form, nameTag } from "./parts.js";
import { say } from "./words.js";
import { workspace } from "./workspace.js";

/** @typedef {import("./message.js").Shown} Shown @typedef {{ kind: string, message?: Shown }} Wanted */

export class Details extends HTMLElement {
  #roomId = "";
  /** @type {Wanted | null} */
  #wanted = null;
  #body = el("div", { class: "details-body", tabindex: 0, role: "region", "aria-label": say("details") });
  #turn = 0;
  #news = (/** @type {any} */ { detail }) => this.#hear(detail);

  connectedCallback() {
    workspace.addEventListener("room", this.#news);
    this.setAttribute("role", "complementary");
    this.setAttribute("aria-label", say("details"));
    this.addEventListener("act", (event) => {
      event.stopPropagation();
      const view = /** @type {import("./room.js").RoomView | null} */ (document.querySelector("hansard-room"));
      view?.act(/** @type {CustomEvent} */ (event).detail);
    });
    this.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
  }

  disconnectedCallback() {
    workspace.removeEventListener("room", this.#news);
  }

  /** Show something of a room, or close if it is shown. Returns whether anything is. @param {string} roomId @param {Wanted} wanted */
  show(roomId, wanted) {
    const isSame = this.#roomId === roomId && this.#wanted?.kind === wanted.kind && this.#wanted?.message?.id === wanted.message?.id;
    if (isSame && !this.hidden) {
      this.close();
      return false;
    }
    [this.#roomId, this.#wanted, this.hidden] = [roomId, wanted, false];
    const title = wanted.kind === "thread" ? say("thread") : wanted.kind === "pins" ? say("pins") : say("members");
    fill(this.#body);
    const foot = wanted.kind === "thread" ? this.#threadForm() : wanted.kind === "members" ? this.#addForm() : null;
    fill(this, el("div", { class: "details-head" }, el("h2", {}, title), iconButton("close", say("close"), () => this.close())), this.#body, foot);
    this.#draw();
    return true;
  }

  close() {
    [this.hidden, this.#wanted] = [true, null];
    this.dispatchEvent(new CustomEvent("closed"));
  }

  /** @param {import("./workspace.js").RoomNews & { roomId: string }} news */
  #hear({ roomId, event, presence }) {
    if (roomId !== this.#roomId || this.#wanted === null) return;
    const { kind } = this.#wanted;
    if (kind === "members" ? event?.kind.startsWith("member.") : event) this.#draw(event?.position);
    else if (presence && kind === "members") return;
  }

  /** @param {number} [after] */
  async #draw(after) {
    const turn = (this.#turn += 1);
    const { kind, message } = this.#wanted ?? {};
    /** @returns {Promise<HTMLElement[]>} */
    const make = () => (kind === "members" ? this.#members(after) : kind === "pins" ? this.#pins(after) : this.#thread(message, after));
    const made = await attempt(make);
    if (turn !== this.#turn || !made) return;
    const isAtEnd = this.#body.scrollHeight - this.#body.scrollTop - this.#body.clientHeight < 40;
    fill(this.#body, ...made);
    if (kind === "thread" && isAtEnd) this.#body.scrollTop = this.#body.scrollHeight;
  }

  // Members

  /** @param {number} [after] */
  async #members(after = workspace.client.position) {
    const room = workspace.rooms.get(this.#roomId);
    const rows = [];
    for await (const member of workspace.client.members(this.#roomId, { after })) rows.push(this.#member(member, room));
    return [el("ul", { class: "members" }, rows)];
  }

  /** @param {import("./hansard-client/types.js").Member} member @param {import("./hansard-client/types.js").Room | undefined} room */
  #member({ user_id, role }, room) {
    const mine = room?.my_role;
    const isMe = user_id === workspace.me?.id;
    const mayChange = !isMe && room?.kind !== "direct" && mine === "owner";
    const mayRemove = !isMe && room?.kind !== "direct" && (mine === "owner" || (mine === "admin" && role === "member"));
    const change = (/** @type {import("./hansard-client/types.js").Role} */ to) => attempt(() => workspace.client.putMember(this.#roomId, user_id, to));
    const roles = /** @type {const} */ (["owner", "admin", "member"]);
    const choice = el("select", { class: "role", "aria-label": say("members"), on: { change: () => change(/** @type {any} */ (choice.value)) } },
      roles.map((each) => el("option", { value: each, selected: each === role }, say(each))));
    return el("li", {}, avatar(user_id, true), el("span", { class: "member-name" }, nameTag(user_id), isMe ? el("small", {}, ` (${say("you")})`) : null),
      mayChange ? choice : el("small", { class: "role" }, say(role)),
      isMe ? null : el("button", { type: "button", class: "icon-button", title: say("block"), on: { click: () => block(user_id) } }, icon("block"), el("span", { class: "unseen" }, nameTag(user_id, "blockName"))),
      mayRemove ? iconButton("close", say("remove"), () => attempt(() => workspace.client.removeMember(this.#roomId, user_id))) : null);
  }

  #addForm() {
    const room = workspace.rooms.get(this.#roomId);
    if (room?.kind === "direct" || (room?.my_role !== "owner" && room?.my_role !== "admin")) return null;
    return form(async ({ username }, made) => {
      const person = await workspace.client.userNamed(username);
      if (person === null) throw new Refused("page.nobody", 404, say("nobodyNamed"));
      await workspace.client.putMember(this.#roomId, person.id);
      made.reset();
    }, say("add"), field(say("addPerson"), { name: "username", required: true, autocomplete: "off" }));
  }

  // Pins

  /** @param {number} [after] */
  async #pins(after = workspace.client.position) {
    const pins = await workspace.client.pins(this.#roomId, { after });
    if (pins.length === 0) return [el("p", { class: "hint" }, say("noPins"))];
    return pins.map((shown) => el("button", { type: "button", class: "pin", on: { click: (/** @type {Event} */ event) =>
      event.currentTarget?.dispatchEvent(new CustomEvent("act", { bubbles: true, detail: { kind: "jump", shown } })) } },
    el("strong", {}, nameTag(shown.sender_id)), el("span", {}, shown.content || shown.file?.original_name || "")));
  }

  // Threads

  /** @param {Shown | undefined} root @param {number} [after] */
  async #thread(root, after = workspace.client.position) {
    if (!root) return [];
    /** @type {Shown[]} */
    const replies = [];
    for await (const reply of workspace.client.replies(root.id, { html: true, after })) replies.push(reply);
    const last = replies.at(-1);
    if (last && root.thread?.following !== false) workspace.client.call("PUT", `/messages/${root.id}/thread/read`, { body: { position: last.position } }).catch(() => undefined);
    const mayManage = workspace.rooms.get(this.#roomId)?.my_role !== "member";
    const place = (/** @type {Shown} */ shown, /** @type {Shown | null} */ before) => messageElement({ shown, before, isNew: false, inThread: true, mayManage });
    return [place({ ...root, pinned: false }, null), el("hr"), ...(replies.length ? replies.map((each, i) => place(each, replies[i - 1] ?? null)) : [el("p", { class: "hint" }, say("threadHint"))])];
  }

  #threadForm() {
    const text = el("textarea", { name: "content", rows: 2, required: true, class: "input", "aria-label": say("startThread"), placeholder: say("startThread") });
    const inRoom = el("input", { type: "checkbox", name: "in_room" });
    const made = form(async ({ content }) => {
      const root = this.#wanted?.message;
      if (!root || !content.trim()) return;
      await workspace.chat?.send(this.#roomId, content.trim(), { threadId: root.id, inRoom: inRoom.checked });
      text.value = "";
    }, say("send"), text, el("label", { class: "check" }, inRoom, say("alsoInRoom")));
    text.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      made.requestSubmit();
    });
    return made;
  }
}

customElements.define("hansard-details", Details);
