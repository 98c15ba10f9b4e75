/** The way to the operator's view: a link for those who have the role, and its place, filled when somebody comes there. */

import { custom, el } from "./dom.js";
import { drawing } from "./operator_charts.js";
import { say } from "./words.js";
import { workspace } from "./workspace.js";

const ADDRESS = "#operator";
const GAUGE = "M4 17a8.5 8.5 0 1 1 16 0M12 14.5l4-5M12 16a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3z";

export const isOperator = () => location.hash === ADDRESS;

/** Add the link and the place of the view to the shell. @param {HTMLElement} shell */
export function attachOperator(shell) {
  shell.append(custom("hansard-operator-place", { hidden: true }));
  shell.querySelector(".sidebar .me")?.before(custom("hansard-operator-link"));
}

class OperatorLink extends HTMLElement {
  #link = el("a", { href: ADDRESS, class: "room-link" },
    drawing("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, drawing("path", { d: GAUGE })),
    el("span", { class: "room-name" }, say("op.title")));
  #mark = () => {
    if (isOperator()) this.#link.setAttribute("aria-current", "page");
    else this.#link.removeAttribute("aria-current");
  };

  async connectedCallback() {
    addEventListener("hashchange", this.#mark);
    this.#mark();
    const found = await workspace.client.call("GET", "/users/me/roles").catch(() => null);
    if (found?.roles.includes("admin")) this.replaceChildren(this.#link);
  }

  disconnectedCallback() {
    removeEventListener("hashchange", this.#mark);
  }
}

class OperatorPlace extends HTMLElement {
  #title = "";
  #follow = () => this.#show(isOperator());

  connectedCallback() {
    addEventListener("hashchange", this.#follow);
    this.#follow();
  }

  disconnectedCallback() {
    removeEventListener("hashchange", this.#follow);
  }

  /** @param {boolean} isHere */
  async #show(isHere) {
    if (isHere !== this.hasAttribute("hidden")) return;
    this.toggleAttribute("hidden", !isHere);
    this.parentElement?.classList.toggle("operating", isHere);
    if (!isHere) {
      document.title = this.#title;
      this.replaceChildren();
      return;
    }
    this.#title = document.title;
    document.title = `${say("op.title")} · Hansard`;
    this.parentElement?.classList.add("in-room");
    await import("./operator.js");
    if (isOperator()) this.replaceChildren(custom("hansard-operator"));
  }
}

customElements.define("hansard-operator-link", OperatorLink);
customElements.define("hansard-operator-place", OperatorPlace);
