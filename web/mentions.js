/** Mentions: while one writes `@` and the beginning of a name, those in the room who are called so are offered. */

import { el, fill } from "./dom.js";
import { avatar } from "./parts.js";
import { say } from "./words.js";
import { workspace } from "./workspace.js";

const OFFERED_MAX = 6;
const NAMED = /(?:^|\s)@([\p{L}\p{N}_.-]*)$/u;
const LIST_ID = "hansard-mentions";

export class Mentions {
  list = el("ul", { class: "mentions", role: "listbox", id: LIST_ID, "aria-label": say("members"), hidden: true });
  /** @type {Map<string, string[]>} names, by room */
  #names = new Map();
  /** @type {{ name: string, userId: string }[]} */
  #offered = [];
  #at = 0;
  #text;

  /** @param {HTMLTextAreaElement} text */
  constructor(text) {
    this.#text = text;
    text.setAttribute("aria-controls", LIST_ID);
    text.setAttribute("aria-autocomplete", "list");
    text.addEventListener("blur", () => this.close());
  }

  /** Offer those whose names begin so. @param {string} roomId */
  async look(roomId) {
    const begun = this.#begun();
    if (begun === null) return this.close();
    const userIds = this.#names.get(roomId) ?? (await this.#read(roomId));
    if (this.#begun() !== begun) return;
    const named = userIds.map((userId) => ({ userId, name: workspace.people.get(userId)?.username ?? "" }));
    const found = named.filter(({ userId, name }) => userId !== workspace.me?.id && name.toLowerCase().startsWith(begun.toLowerCase()));
    this.#offered = found.slice(0, OFFERED_MAX);
    this.#at = 0;
    this.#draw();
  }

  /** @param {string} roomId */
  async #read(roomId) {
    const userIds = [];
    try {
      for await (const { user_id } of workspace.client.members(roomId)) userIds.push(user_id);
      const unknown = userIds.filter((userId) => !workspace.people.get(userId)).slice(0, 100);
      if (unknown.length) for (const person of await workspace.client.users(unknown)) workspace.people.set(person.id, person);
    } catch {
      return [];
    }
    this.#names.set(roomId, userIds);
    return userIds;
  }

  /** What stands behind the `@` before the caret, or null. */
  #begun() {
    const { value, selectionStart, selectionEnd } = this.#text;
    return selectionStart === selectionEnd ? (NAMED.exec(value.slice(0, selectionStart))?.[1] ?? null) : null;
  }

  /** Take a key that is meant for the list; returns whether it was. @param {KeyboardEvent} event */
  takes(event) {
    if (this.list.hidden) return false;
    const { length } = this.#offered;
    if (event.key === "ArrowDown") this.#at = (this.#at + 1) % length;
    else if (event.key === "ArrowUp") this.#at = (this.#at - 1 + length) % length;
    else if (event.key === "Enter" || event.key === "Tab") this.#choose(this.#offered[this.#at].name);
    else if (event.key === "Escape") this.close();
    else return false;
    event.preventDefault();
    if (!this.list.hidden) this.#draw();
    return true;
  }

  close() {
    this.list.hidden = true;
    this.#text.removeAttribute("aria-activedescendant");
  }

  /** @param {string} name */
  #choose(name) {
    const { value, selectionStart } = this.#text;
    const from = selectionStart - (this.#begun()?.length ?? 0);
    this.#text.setRangeText(`${name} `, from, selectionStart, "end");
    this.close();
    if (this.#text.value !== value) this.#text.dispatchEvent(new Event("input"));
  }

  #draw() {
    if (this.#offered.length === 0) return this.close();
    fill(this.list, this.#offered.map(({ name, userId }, i) => {
      const option = el("li", { role: "option", id: `${LIST_ID}-${i}`, "aria-selected": String(i === this.#at) }, avatar(userId), name);
      option.addEventListener("mousedown", (event) => {
        event.preventDefault();
        this.#choose(name);
      });
      return option;
    }));
    this.list.hidden = false;
    this.#text.setAttribute("aria-activedescendant", `${LIST_ID}-${this.#at}`);
  }
}
