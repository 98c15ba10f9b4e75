/** A list that comes by pages: drawn anew with as many as were shown, and more of them when asked for. */

import { el, fill } from "./dom.js";
import { say } from "./words.js";
import { sentenceOf } from "./workspace.js";

const PAGE_ITEMS = 20;

/**
 * @template Item
 * @typedef {(place: { cursor: string | null, limit: number }) => Promise<import("./hansard-client/types.js").Page<Item>>} Asking
 */

/** @template Item */
export class Pages {
  #ask;
  #row;
  #empty;
  #then;
  #list;
  #foot = el("div", { class: "buttons" });
  #drawn = "";
  #failed = "";
  #pages = 1;
  #shown = 1;
  #turn = 0;

  /** @param {Asking<Item>} ask @param {(item: Item) => HTMLElement} row @param {() => string} empty what is said where there is none
   * @param {{ look?: string, then?: (items: Item[] | null) => void }} [options] `look`: the list's class; `then` is called with what
   *   is shown whenever it was asked for, with null where it could not be had */
  constructor(ask, row, empty, { look = "cards", then = () => {} } = {}) {
    this.#then = then;
    this.#ask = ask;
    this.#row = row;
    this.#empty = empty;
    this.#list = el("ul", { class: look, tabindex: -1 });
    this.element = el("div", { class: "pages" }, this.#list, this.#foot);
  }

  /** Draw the list anew, unless it was asked for again meanwhile. Where it could not be had, that is said below it.
   * @param {{ isAnother?: boolean }} [options] `isAnother`: it is of something else now, and begins at its first page */
  async draw({ isAnother = false } = {}) {
    const turn = (this.#turn += 1);
    if (isAnother) {
      this.#pages = this.#shown = 1;
      this.#drawn = ""; // where there is none of either, that is said in other words
    }
    try {
      /** @type {Item[]} */
      const items = [];
      let cursor = null;
      for (let i = 0; i < this.#pages; i += 1) {
        const page = await this.#ask({ cursor, limit: PAGE_ITEMS });
        items.push(...page.items);
        cursor = page.next_cursor;
        if (cursor === null) break;
      }
      if (turn !== this.#turn) return;
      const drawn = JSON.stringify([items, cursor !== null]);
      if (drawn !== this.#drawn) this.#show(items, cursor !== null);
      this.#shown = this.#pages;
      this.#drawn = drawn; // what is as it was stays as it is, with what somebody marked in it
      this.#then(items);
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#fail(error);
      this.#then(null);
    }
  }

  /** Whoever was on a button of the list stays on it; if it is gone, they are on the list. @param {Item[]} items @param {boolean} hasMore */
  #show(items, hasMore) {
    this.#failed = "";
    const at = this.element.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement) : null;
    const before = this.#list.children.length;
    const key = at?.dataset.key;
    fill(this.#list, items.length || hasMore ? items.map(this.#row) : el("li", { class: "hint" }, this.#empty()));
    fill(this.#foot, hasMore ? el("button", { type: "button", class: "button", "data-key": "more", on: { click: () => this.#more() } }, say("showMore")) : null);
    if (at === null || at === this.#list) return;
    const again = key ? this.element.querySelector(`[data-key="${CSS.escape(key)}"]`) : null;
    const added = key === "more" ? this.#list.children[before] : null;
    /** @type {HTMLElement} */ (again ?? added?.querySelector("button") ?? this.#list).focus({ preventScroll: true });
  }

  #more() {
    this.#pages += 1;
    return this.draw();
  }

  /** Say why it could not be had, once: what stands there already is not announced anew, and whoever is on its button stays there.
   * @param {unknown} error */
  #fail(error) {
    this.#drawn = "";
    this.#pages = this.#shown;
    const sentence = sentenceOf(error);
    if (sentence === this.#failed) return;
    this.#failed = sentence;
    const wasHere = this.#foot.contains(document.activeElement);
    const again = el("button", { type: "button", class: "button", on: { click: () => this.draw() } }, say("tryAgain"));
    fill(this.#foot, el("p", { class: "problem", role: "alert" }, sentence), again);
    if (wasHere) again.focus({ preventScroll: true });
  }
}
