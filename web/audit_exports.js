/** Exports: packages of what was said, with their proofs; asked for, watched, and handed out. */

import { desk, facts, momentAt, personOf, roomNamed, roomOf, several } from "./audit_desk.js";
import { keep } from "./audit_files.js";
import { el, fill, icon } from "./dom.js";
import { Pages } from "./pages.js";
import { attempt, field, form, nameTag } from "./parts.js";
import { momentOf, percentOf, say, sayOr, sizeOf } from "./words.js";
import { workspace } from "./workspace.js";

const FORMATS = ["jsonl", "csv", "eml", "slack", "rsmf"];
const AGE = "age-encryption.org";
const LOOK_MS = 2000;
const WAITING_LOOK_MS = 15_000;
const PACKAGE_SECONDS = 600;
const AWAITING = "awaiting_approval";
const UNDER_WAY = new Set(["queued", "running", "interrupted"]);

/** @typedef {{ id: string, status: string, progress: number, messages: number, size: number | null, sha256: string | null, requested_by: string,
 *   requested_at: string, range: { after: number, until: number }, rooms: string[], actors: string[], formats: string[], encrypted: boolean,
 *   error: string | null }} Export */

class AuditExports extends HTMLElement {
  /** @type {Pages<Export>} */
  #pages = new Pages((place) => desk.call("GET", "/audit/exports", { query: place }), (each) => this.#row(each), () => say("noExports"),
    { then: (items) => this.#wait(items) });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #looking;

  connectedCallback() {
    fill(this, el("p", { class: "hint" }, say("exportsHint")), this.#asking(), this.#pages.element);
    this.#pages.draw();
  }

  disconnectedCallback() {
    clearTimeout(this.#looking);
  }

  /** Look again as long as one is under way: each look is recorded, once a minute. @param {Export[] | null} items */
  #wait(items) {
    clearTimeout(this.#looking);
    const again = items === null ? WAITING_LOOK_MS : items.some(({ status }) => UNDER_WAY.has(status)) ? LOOK_MS : items.some(({ status }) => status === AWAITING) ? WAITING_LOOK_MS : null;
    if (this.isConnected && again !== null) this.#looking = setTimeout(() => this.#pages.draw(), again);
  }

  /** @param {Export} each */
  #row(each) {
    const isWaiting = UNDER_WAY.has(each.status) || each.status === AWAITING;
    const cancel = () => attempt(async () => {
      await desk.call("POST", `/audit/exports/${each.id}/cancel`);
      await this.#pages.draw();
    });
    const fetched = () => attempt(async () => {
      const made = await workspace.client.bytes("GET", `/audit/exports/${each.id}/package`, { reason: desk.reason, seconds: PACKAGE_SECONDS });
      const sealed = (await made.slice(0, AGE.length).text()) === AGE ? ".age" : ".pgp";
      keep(made, `hansard-export-${each.range.after}-${each.range.until}.zip${each.encrypted ? sealed : ""}`);
    });
    return el("li", { class: "card" }, el("header", {}, el("h2", {}, say("exportOf", { from: each.range.after + 1, to: each.range.until })),
      el("span", { class: `state ${each.status === "completed" ? "on" : ""}` }, sayOr(`export.${each.status}`, {})),
      isWaiting ? el("button", { type: "button", class: "button", "data-key": `cancel ${each.id}`, on: { click: cancel } }, say("cancel")) : null,
      each.status === "completed" ? el("button", { type: "button", class: "button primary", "data-key": `fetch ${each.id}`, on: { click: fetched } }, icon("down"), say("downloadPackage")) : null),
    UNDER_WAY.has(each.status) ? el("div", { class: "far" }, el("progress", { max: 1, value: each.progress, "aria-label": sayOr(`export.${each.status}`, {}) }),
      el("small", {}, `${percentOf(each.progress)} · ${say("messageCount", { n: each.messages })}`)) : null,
    each.status === AWAITING ? el("p", {}, say("waitsForApproval"), " ", el("a", { href: "#audit/approvals", "data-key": `approvals ${each.id}` }, say("approvals"))) : null,
    facts([[say("askedBy"), el("span", {}, nameTag(each.requested_by), ", ", momentOf(each.requested_at))], [say("formats"), each.formats.join(", ")],
      [say("rooms"), each.rooms.map(roomNamed).join(", ") || say("anywhere")], [say("size"), each.size === null ? null : `${sizeOf(each.size)} · ${say("messageCount", { n: each.messages })}`],
      ["SHA-256", each.sha256 && el("code", {}, each.sha256)], [say("whyFailed"), each.error && sayOr(`exportFault.${each.error}`, {})]]));
  }

  #asking() {
    const formats = el("fieldset", { class: "formats" }, el("legend", {}, say("formats")),
      FORMATS.map((each, i) => el("label", { class: "check" }, el("input", { type: "checkbox", name: each, checked: i === 0 }), each.toUpperCase())));
    return el("details", { class: "card" }, el("summary", {}, say("newExport")), form(async (given) => {
      const [rooms, actors] = [await several(given.rooms, roomOf), await several(given.actors, personOf)];
      const body = { formats: FORMATS.filter((each) => given[each]), rooms, actors, from: momentAt(given.from), to: momentAt(given.to), recipient: given.recipient.trim() || null };
      await desk.call("POST", "/audit/exports", { body });
      await this.#pages.draw();
    }, say("newExport"), formats, field(say("rooms"), { name: "rooms", autocomplete: "off" }, say("commaOrAll")),
    field(say("persons"), { name: "actors", autocomplete: "off" }, say("commaOrAll")), field(say("from"), { name: "from", type: "datetime-local" }),
    field(say("until"), { name: "to", type: "datetime-local" }), field(say("recipient"), { name: "recipient", autocomplete: "off" }, say("recipientHint"))));
  }
}

customElements.define("hansard-audit-exports", AuditExports);
