/** The timeline: a room's messages as a list that scrolls both ways, has a few hundred elements at most, and does not jump. */

import { el, fill, icon } from "./dom.js";
import { messageElement, signatureOf } from "./message.js";
import { RoomMessages } from "./room_messages.js";
import { say } from "./words.js";
import { workspace } from "./workspace.js";

const NEAR_PX = 700;
const END_PX = 48;
const SPACE_PX_MAX = 200_000;

/** @type {Record<string, string>} what a key does to the message that has the focus */
const KEYS = { r: "reply", t: "thread", e: "edit", Delete: "delete", p: "pin", h: "history" };

export class Timeline extends HTMLElement {
  /** @type {RoomMessages | null} */
  messages = null;
  /** @type {number | null} what was read when the room was opened; null: all of it */
  readMark = null;
  mayManage = false;
  /** @type {Map<string, { signature: string, element: HTMLElement }>} */
  #made = new Map();
  #list = el("div", { class: "entries", role: "log", "aria-label": say("messages"), "aria-relevant": "additions" });
  #beginning = el("p", { class: "beginning", hidden: true });
  #spacePx = 0;
  #scroller = el("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": say("messages"), on: { scroll: () => this.#scrolled() } }, this.#beginning, this.#list);
  #jump = el("button", { type: "button", class: "jump", hidden: true, on: { click: () => this.toEnd() } });
  #isDue = false;
  #isAtEnd = true;
  #change = () => this.#later();

  connectedCallback() {
    fill(this, this.#scroller, this.#jump);
    this.#scroller.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#isAtEnd && this.#toBottom()).observe(this.#list);
    new ResizeObserver(() => this.#isAtEnd && this.#toBottom()).observe(this.#scroller);
  }

  /** Show a room from its newest messages. @param {string} roomId @param {{ title: string, mayManage: boolean, readMark: number | null }} about */
  async show(roomId, { title, mayManage, readMark }) {
    this.messages?.removeEventListener("change", this.#change);
    const messages = (this.messages = new RoomMessages(roomId));
    [this.readMark, this.mayManage, this.#isAtEnd] = [readMark, mayManage, true];
    this.#made.clear();
    this.#list.replaceChildren();
    this.#beginning.hidden = true;
    this.#beginning.textContent = say("beginning", { room: title });
    messages.addEventListener("change", this.#change);
    await messages.openNewest();
  }

  /** Show a message, wherever in the record it is. @param {{ id: string, position: number }} wanted */
  async jumpTo({ id, position }) {
    if (!this.#made.has(id)) {
      this.#isAtEnd = false;
      await this.messages?.openAround(position);
      this.#draw();
    }
    const row = this.#made.get(id)?.element.querySelector(".message");
    row?.scrollIntoView({ block: "center" });
    if (row instanceof HTMLElement) row.focus({ preventScroll: true });
    this.#scrolled();
  }

  async toEnd() {
    if (this.messages?.hasNewer) await this.messages.openNewest();
    if (this.messages) this.messages.missed = 0;
    this.#isAtEnd = true;
    this.#draw();
  }

  #later() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#draw();
    });
  }

  /** Bring the elements to what is shown. What is in sight stays where it is. */
  #draw() {
    const { messages } = this;
    if (messages === null) return;
    const anchor = this.#isAtEnd ? null : this.#anchor();
    const elements = this.#elements(messages.shown);
    const wanted = new Set(elements);
    const kept = /** @type {HTMLElement | undefined} */ ([...this.#list.children].findLast((child) => wanted.has(/** @type {HTMLElement} */ (child))));
    const keptAt = kept?.offsetTop ?? 0;
    for (const child of [...this.#list.children]) if (!wanted.has(/** @type {HTMLElement} */ (child))) child.remove();
    let at = this.#list.firstChild;
    for (const element of elements) {
      if (element === at) at = at.nextSibling;
      else this.#list.insertBefore(element, at);
    }
    this.#beginning.hidden = messages.hasOlder || !messages.isOpen;
    this.#makeSpace(this.#isAtEnd && kept ? this.#spacePx + Math.max(0, keptAt - kept.offsetTop) : 0);
    if (this.#isAtEnd) this.#toBottom();
    else if (anchor) this.#scroller.scrollTop += topOf(this.#made.get(anchor.id)?.element, anchor.top) - anchor.top;
    this.#drawJump();
    this.#seen();
    this.#move();
  }

  /** Have space stand for what left the list above, while one looks at its end: so nothing in sight is laid out anew. */
  #makeSpace(/** @type {number} */ px) {
    this.#spacePx = px > SPACE_PX_MAX ? 0 : px;
    this.#list.style.setProperty("padding-top", `${this.#spacePx}px`);
  }

  /** @param {import("./message.js").Shown[]} shown */
  #elements(shown) {
    const made = new Map();
    /** @type {import("./message.js").Shown | null} */
    let before = null;
    let isMarked = false;
    const elements = [];
    for (const each of shown) {
      /** @type {boolean} */
      const isNew = !isMarked && this.readMark !== null && each.position > this.readMark && each.sender_id !== null && each.sender_id !== workspace.me?.id && before !== null;
      isMarked ||= isNew;
      const place = { shown: each, before, isNew, mayManage: this.mayManage };
      const signature = signatureOf(place);
      const known = this.#made.get(each.id);
      const element = known?.signature === signature ? known.element : messageElement(place);
      if (known && known.element !== element && known.element.contains(document.activeElement)) {
        queueMicrotask(() => /** @type {HTMLElement | null} */ (element.querySelector(".message"))?.focus({ preventScroll: true }));
      }
      made.set(each.id, { signature, element });
      elements.push(element);
      before = each;
    }
    this.#made = made;
    return elements;
  }

  /** The first message in sight, and where it is. Its elements may be made anew: under another one it has another head. */
  #anchor() {
    const top = this.#scroller.getBoundingClientRect().top;
    for (const element of this.#list.children) {
      if (element.getBoundingClientRect().bottom > top) return { id: element.getAttribute("data-id") ?? "", top: topOf(element, top) };
    }
    return null;
  }

  #toBottom() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #scrolled() {
    const { messages } = this;
    if (messages === null) return;
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const below = scrollHeight - scrollTop - clientHeight;
    this.#isAtEnd = !messages.hasNewer && below < END_PX;
    messages.isAtEnd = this.#isAtEnd;
    if (this.#isAtEnd) messages.missed = 0;
    this.#move();
    this.#drawJump();
    this.#seen();
  }

  /** Move the window where its end comes into sight. */
  #move() {
    const { messages } = this;
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    if (messages === null || messages.items.length === 0) return;
    if (scrollTop - this.#spacePx < NEAR_PX && messages.hasOlder) messages.older().catch(() => undefined);
    else if (scrollHeight - scrollTop - clientHeight < NEAR_PX && messages.hasNewer) messages.newer().catch(() => undefined);
  }

  #drawJump() {
    const { messages } = this;
    this.#jump.hidden = messages === null || this.#isAtEnd;
    if (messages === null || this.#isAtEnd) return;
    fill(this.#jump, icon("down"), messages.missed ? say("newBelow", { n: messages.missed }) : say("toPresent"));
  }

  /** What stands at the end and before a person's eyes was read. */
  #seen() {
    const last = this.messages?.last;
    if (last && this.#isAtEnd && document.hasFocus()) workspace.read(last.room_id, last.position);
  }

  /** Somebody looks again. */
  looked() {
    this.#seen();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const rows = /** @type {HTMLElement[]} */ ([...this.#list.querySelectorAll(".message")]);
    const at = rows.findIndex((row) => row.contains(target));
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      const next = at < 0 ? rows.at(-1) : rows[at + (event.key === "ArrowUp" ? -1 : 1)];
      next?.focus();
      if (next) event.preventDefault();
    } else if (at >= 0 && target === rows[at] && event.key in KEYS) {
      const id = rows[at].closest(".entry")?.getAttribute("data-id");
      const shown = this.messages?.shown.find((each) => each.id === id);
      event.preventDefault();
      if (shown) rows[at].dispatchEvent(new CustomEvent("act", { bubbles: true, detail: { kind: KEYS[event.key], shown } }));
    }
  }
}

/** Where a message begins, below what marks its day. @param {Element | undefined} element @param {number} otherwise */
function topOf(element, otherwise) {
  return element?.lastElementChild?.getBoundingClientRect().top ?? otherwise;
}

customElements.define("hansard-timeline", Timeline);
