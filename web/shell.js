/** The shell: rooms on the left, the room on screen, details on the right; on a telephone one of them at a time. */

import "./details.js";
import "./room.js";
import { attachOperator, isOperator } from "./operator_link.js";
import { openBrowser, openInbox, openNewDirect, openNewRoom, openSettings } from "./dialogs.js";
import { custom, el, fill, icon, iconButton } from "./dom.js";
import { attempt, avatar, nameTag } from "./parts.js";
import { say } from "./words.js";
import { workspace } from "./workspace.js";

const AUDIT = "#audit";
const isAudit = () => location.hash === AUDIT || location.hash.startsWith(`${AUDIT}/`);

class Shell extends HTMLElement {
  #rooms = el("nav", { class: "rooms", "aria-label": say("rooms") });
  #state = el("div", { class: "connection", role: "status" });
  #inbox = el("span", { class: "badge", hidden: true });
  #room = /** @type {import("./room.js").RoomView} */ (custom("hansard-room"));
  #details = /** @type {import("./details.js").Details} */ (custom("hansard-details", { hidden: true }));
  #console = el("div", { class: "console", hidden: true });
  #audit = el("a", { href: AUDIT, class: "room-link", hidden: true }, icon("shield"), el("span", { class: "room-name" }, say("audit")));
  #search = el("input", { class: "input search", type: "search", placeholder: say("search"), "aria-label": say("search"), on: { input: () => this.#drawRooms() } });
  #isDue = false;
  /** @type {[EventTarget, string, () => void][]} */
  #listening = [
    [workspace, "rooms", () => this.#later()],
    [workspace, "people", () => this.#later()],
    [workspace, "connection", () => this.#drawState()],
    [workspace, "inbox", () => this.#drawInbox()],
    [workspace, "roles", () => this.#showConsole()],
    [window, "hashchange", () => this.#follow()],
  ];

  connectedCallback() {
    const inbox = el("button", { type: "button", class: "icon-button", "aria-label": say("inbox"), title: say("inbox"), on: { click: openInbox } }, icon("bell"), this.#inbox);
    fill(this,
      el("aside", { class: "sidebar", "aria-label": say("rooms") },
        el("header", { class: "sidebar-head" }, el("strong", { class: "wordmark" }, "Hansard"), inbox,
          iconButton("plus", say("newRoom"), openNewRoom)),
        this.#search, this.#rooms, this.#audit, this.#state,
        el("footer", { class: "me" }, avatar(workspace.me?.id ?? null, true), el("span", { class: "me-name" }, nameTag(workspace.me?.id ?? null)),
          iconButton("gear", say("settings"), openSettings))),
      this.#room, this.#console, this.#details);
    this.#room.addEventListener("details", (event) => this.#showDetails(/** @type {CustomEvent} */ (event).detail));
    this.#details.addEventListener("closed", () => this.classList.remove("with-details"));
    this.addEventListener("keydown", (event) => this.#key(event));
    attachOperator(this);
    for (const [target, type, listener] of this.#listening) target.addEventListener(type, listener);
    this.#drawState();
    this.#drawRooms();
    this.#follow();
  }

  disconnectedCallback() {
    for (const [target, type, listener] of this.#listening) target.removeEventListener(type, listener);
  }

  #later() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#drawRooms();
      const { roomId } = this.#room;
      if (roomId === null && !isAudit()) this.#follow();
    });
  }

  /** Show the room that the address names, or the first one. */
  #follow() {
    this.#showConsole();
    if (isAudit()) return;
    const named = location.hash.slice(1);
    const roomId = workspace.rooms.has(named) || named ? named : null;
    if (isOperator()) return;
    if (roomId) {
      if (this.#room.roomId !== roomId) this.#details.close();
      this.#room.show(roomId);
      this.classList.add("in-room");
      this.#drawRooms();
    } else if (!named) {
      this.classList.remove("in-room");
      this.#room.show(null);
    }
  }

  /** Show the console instead of the room, where the address says so and one has a role for it. */
  #showConsole() {
    this.#audit.hidden = workspace.roles.length === 0;
    const isShown = isAudit() && !this.#audit.hidden;
    [this.#console.hidden, this.#room.hidden] = [!isShown, isShown];
    if (!isAudit()) return this.#audit.removeAttribute("aria-current");
    this.#audit.setAttribute("aria-current", "page");
    this.#details.close();
    this.#room.show(null);
    this.#drawRooms();
    this.classList.add("in-room");
    if (isShown) attempt(() => this.#loadConsole());
  }

  async #loadConsole() {
    await import("./audit.js");
    if (!this.#console.firstElementChild) fill(this.#console, custom("hansard-audit"));
    const shown = /** @type {import("./audit.js").AuditConsole} */ (this.#console.firstElementChild);
    shown.show(location.hash.slice(AUDIT.length + 1));
  }

  /** @param {{ kind: string, message?: any }} wanted */
  #showDetails(wanted) {
    if (this.#room.roomId === null) return;
    this.classList.toggle("with-details", this.#details.show(this.#room.roomId, wanted));
  }

  #drawRooms() {
    const wanted = this.#search.value.trim().toLowerCase();
    const found = [...workspace.rooms.values()].filter((room) => room.my_role !== null && !room.is_archived)
      .filter((room) => workspace.titleOf(room).toLowerCase().includes(wanted))
      .sort((a, b) => lastOf(b) - lastOf(a));
    const [directs, rooms] = [found.filter((room) => room.kind === "direct"), found.filter((room) => room.kind !== "direct")];
    fill(this.#rooms,
      this.#group("rooms", rooms, iconButton("search", say("browse"), openBrowser)),
      this.#group("directs", directs, iconButton("plus", say("newDirect"), openNewDirect)));
  }

  /** @param {"rooms" | "directs"} title @param {import("./hansard-client/types.js").Room[]} rooms @param {HTMLElement} action */
  #group(title, rooms, action) {
    return el("section", {}, el("header", {}, el("h2", {}, say(title)), action),
      el("ul", {}, rooms.map((room) => el("li", {}, roomLink(room, room.id === this.#room.roomId)))),
      rooms.length === 0 && title === "rooms" ? el("p", { class: "hint" }, say("noRooms")) : null);
  }

  #drawState() {
    const state = workspace.chat?.state ?? "connecting";
    this.#state.className = `connection ${state}`;
    this.#state.textContent = state === "online" ? "" : say(`state.${state}`);
  }

  #drawInbox() {
    this.#inbox.hidden = workspace.inboxUnread === 0;
    this.#inbox.textContent = String(workspace.inboxUnread);
  }

  /** Alt with an arrow goes from room to room. @param {KeyboardEvent} event */
  #key(event) {
    if (!event.altKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
    event.preventDefault();
    const links = [...this.#rooms.querySelectorAll("a")];
    const at = links.findIndex((link) => link.getAttribute("aria-current") === "page");
    links[(at + (event.key === "ArrowDown" ? 1 : -1) + links.length) % links.length]?.click();
  }
}

/** @param {import("./hansard-client/types.js").Room} room */
function lastOf(room) {
  return room.last_message?.position ?? 0;
}

/** @param {import("./hansard-client/types.js").Room} room @param {boolean} isCurrent */
function roomLink(room, isCurrent) {
  const unread = isCurrent && document.hasFocus() ? 0 : (room.unread ?? 0);
  const count = unread > 99 ? "99+" : String(unread);
  return el("a", { href: `#${room.id}`, class: `room-link${unread ? " unread" : ""}`, "aria-current": isCurrent ? "page" : null },
    room.kind === "direct" ? icon("people") : icon(room.is_private ? "lock" : "hash"),
    el("span", { class: "room-name" }, workspace.titleOf(room)),
    unread ? el("span", { class: `badge${room.mention_count || room.kind === "direct" ? " loud" : ""}`, "aria-label": say("unread", { n: count }) }, count) : null);
}

customElements.define("hansard-shell", Shell);
