/** The audit console: the record and what is proved, kept, destroyed and handed out of it. It is loaded when it is first opened. */

import { desk } from "./audit_desk.js";
import { custom, el, fill, iconButton, wear } from "./dom.js";
import { field, form } from "./parts.js";
import { say } from "./words.js";
import "./audit_approvals.js";
import "./audit_exports.js";
import "./audit_holds.js";
import "./audit_past.js";
import "./audit_record.js";
import "./audit_retention.js";
wear(new URL("./audit.css", import.meta.url).href);

/** @type {Record<string, import("./words.js").Word>} what stands in the address, and what it is called */
const VIEWS = { record: "theRecord", past: "thePast", holds: "legalHolds", retention: "retention", exports: "exports", approvals: "approvals" };
const REASON_CHARS_MAX = 500;

export class AuditConsole extends HTMLElement {
  #head = el("header", { class: "room-head audit-head" });
  #tabs = el("nav", { class: "tabs", "aria-label": say("audit") });
  #body = el("div", { class: "audit-body" });
  #view = "";
  #drawn = "";

  connectedCallback() {
    fill(this, el("main", { class: "audit" }, this.#head, this.#tabs, this.#body));
    desk.addEventListener("reason", this.#redraw);
  }

  disconnectedCallback() {
    desk.removeEventListener("reason", this.#redraw);
  }

  #redraw = () => {
    this.#drawn = "";
    this.show(this.#view);
  };

  /** Show the view that stands in the address. @param {string} wanted */
  show(wanted) {
    this.#view = wanted in VIEWS ? wanted : Object.keys(VIEWS)[0];
    document.title = `${say("audit")} · Hansard`;
    fill(this.#head, iconButton("back", say("openMenu"), () => (location.hash = ""), { class: "icon-button only-small" }),
      el("div", { class: "room-title" }, el("h1", {}, say("audit")), el("p", {}, say("auditHint"))), this.#reason());
    fill(this.#tabs, Object.entries(VIEWS).map(([view, word]) =>
      el("a", { href: `#audit/${view}`, "aria-current": view === this.#view ? "page" : null }, say(word))));
    if (this.#drawn === this.#view) return;
    this.#drawn = this.#view;
    fill(this.#body, desk.reason ? custom(`hansard-audit-${this.#view}`) : this.#ask());
  }

  #reason() {
    if (!desk.reason) return null;
    const change = el("button", { type: "button", class: "link", on: { click: () => desk.open("") } }, say("changeReason"));
    return el("p", { class: "reason" }, el("span", {}, say("recordedReason")), el("strong", {}, desk.reason), change);
  }

  #ask() {
    return el("section", { class: "card ask" }, el("h2", {}, say("whyLook")), el("p", {}, say("whyLookHint")),
      form(async ({ reason }) => desk.open(reason.trim()), say("open"),
        field(say("reason"), { name: "reason", required: true, pattern: ".*\\S.*", maxlength: REASON_CHARS_MAX, autofocus: true, autocomplete: "off", placeholder: say("reasonExample") })));
  }
}

customElements.define("hansard-audit", AuditConsole);
