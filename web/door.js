/** The door: logging in, and making an account. */

import { el, fill } from "./dom.js";
import { Refused } from "./hansard-client/index.js";
import { field, form, toast } from "./parts.js";
import { say } from "./words.js";
import { workspace } from "./workspace.js";

class Door extends HTMLElement {
  #isNew = false;

  connectedCallback() {
    this.#draw();
  }

  #draw() {
    const isNew = this.#isNew;
    const email = field(say("email"), { type: "email", name: "email", required: true, autocomplete: isNew ? "email" : "username", autofocus: true });
    const name = field(say("username"), { name: "username", required: true, minlength: 2, maxlength: 50, autocomplete: "nickname" });
    const password = field(
      say("password"),
      { type: "password", name: "password", required: true, minlength: isNew ? 8 : 1, autocomplete: isNew ? "new-password" : "current-password" },
      isNew ? say("passwordHint") : undefined,
    );
    const act = (/** @type {Record<string, string>} */ data) => this.#enter(data, isNew);
    const other = el("button", { type: "button", class: "link", on: { click: () => this.#turn() } }, say(isNew ? "toLogIn" : "toRegister"));
    fill(this, el("main", { class: "door" },
      el("div", { class: "brand" }, el("img", { src: new URL("./icon.svg", import.meta.url).pathname, alt: "", width: 44, height: 44 }),
        el("div", {}, el("h1", {}, "Hansard"), el("p", {}, say("tagline")))),
      form(act, say(isNew ? "register" : "logIn"), email, isNew ? name : null, password), other));
    /** @type {HTMLInputElement | null} */ (this.querySelector("input"))?.focus();
  }

  #turn() {
    this.#isNew = !this.#isNew;
    this.#draw();
  }

  /** @param {Record<string, string>} data @param {boolean} isNew */
  async #enter({ email, username, password }, isNew) {
    if (isNew) await workspace.client.register(email, username, password);
    try {
      await workspace.client.login(email, password);
    } catch (error) {
      if (!isNew || !(error instanceof Refused)) throw error;
      toast(say("verify"));
      this.#turn();
      return;
    }
    this.dispatchEvent(new CustomEvent("entered", { bubbles: true }));
  }
}

customElements.define("hansard-door", Door);
