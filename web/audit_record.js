/** The record as a list: what happened, who did it, from where and why; what it was before and after stands side by side. */

import { desk, facts, momentAt, personOf, roomNamed, roomOf } from "./audit_desk.js";
import { proveEntry } from "./audit_proof.js";
import { el, fill, icon } from "./dom.js";
import { attempt, field, form, nameTag } from "./parts.js";
import { momentOf, say } from "./words.js";
import { workspace } from "./workspace.js";

const PAGE_ITEMS = 50;
const TYPES = ["message.posted", "message.edited", "message.deleted", "member.joined", "member.role_changed", "room.changed", "session.opened", "session.ended",
  "account.role_granted", "account.password_changed", "audit.read", "hold.placed", "export.requested", "security.refusals_counted", "notary.key_rotated"];

/** @typedef {{ position: number, type: string, stream: string, version: number, recorded_at: string, room_id: string | null, event_id: string,
 *   command: string, actor: string | null, session: string | null, address: string | null, agent: string | null, correlation: string | null,
 *   causation: string | null, reason: string | null, data: Record<string, unknown>, before: Record<string, unknown> | null, erased: boolean,
 *   leaf_hash: string, unreadable: { code?: string } | null }} Entry */

class AuditRecord extends HTMLElement {
  #list = el("ol", { class: "events" });
  #order = el("p", { class: "hint", role: "status" });
  #more = el("button", { type: "button", class: "button", hidden: true });
  /** @type {Record<string, string | null>} */
  #wanted = {};
  #turn = 0;

  connectedCallback() {
    const types = el("datalist", { id: "audit-types" }, TYPES.map((each) => el("option", { value: each })));
    const rooms = el("datalist", { id: "audit-rooms" }, [...workspace.rooms.values()].map((room) => el("option", { value: workspace.titleOf(room) })));
    const filters = form(async (given) => await this.#find(given), say("filter"),
      field(say("actor"), { name: "actor", autocomplete: "off" }), field(say("subject"), { name: "subject", autocomplete: "off" }),
      field(say("room"), { name: "room", list: "audit-rooms", autocomplete: "off" }), field(say("eventType"), { name: "type", list: "audit-types", autocomplete: "off" }),
      field(say("from"), { name: "from", type: "datetime-local" }), field(say("until"), { name: "to", type: "datetime-local" }), types, rooms);
    filters.classList.add("filters");
    fill(this, filters, this.#order, this.#list, el("div", { class: "buttons start" }, this.#more));
    attempt(() => this.#find({}));
  }

  /** @param {Record<string, string>} given */
  async #find({ actor = "", subject = "", room = "", type = "", from, to }) {
    const turn = (this.#turn += 1);
    const [actorId, subjectId, roomId] = await Promise.all([personOf(actor), personOf(subject), roomOf(room)]);
    this.#wanted = { actor: actorId, subject: subjectId, room: roomId, type: type.trim() || null, from: momentAt(from), to: momentAt(to) };
    fill(this.#list);
    this.#more.hidden = true;
    const isAll = Object.values(this.#wanted).every((each) => each === null);
    this.#order.textContent = say(isAll ? "newestFirst" : "oldestFirst");
    if (isAll) await this.#backwards(turn, await headOf());
    else await this.#forwards(turn, null);
  }

  /** What was asked for, in the record's order. @param {number} turn @param {string | null} cursor */
  async #forwards(turn, cursor) {
    let page = { items: /** @type {Entry[]} */ ([]), next_cursor: cursor };
    do { // a page may be empty, and have a next one
      page = await desk.call("GET", "/audit/events", { query: { ...this.#wanted, limit: PAGE_ITEMS, cursor: page.next_cursor } });
    } while (page.items.length === 0 && page.next_cursor !== null && turn === this.#turn);
    if (turn !== this.#turn) return;
    this.#list.append(...page.items.map(row));
    if (!this.#list.childElementCount) this.#order.textContent = say("nothingFound");
    const { next_cursor } = page;
    this.#offer(next_cursor !== null, "showMore", () => this.#forwards(turn, next_cursor));
  }

  /** Everything, the latest first: the record is read forwards, so a stretch of it is turned round. @param {number} turn @param {number} last */
  async #backwards(turn, last) {
    const after = Math.max(0, last - PAGE_ITEMS);
    const page = await desk.call("GET", "/audit/events", { query: { after, limit: Math.max(1, last - after) } });
    if (turn !== this.#turn) return;
    this.#list.append(...page.items.filter((/** @type {Entry} */ { position }) => position <= last).reverse().map(row));
    this.#offer(after > 0, "showEarlier", () => this.#backwards(turn, after));
  }

  /** @param {boolean} isThere @param {"showMore" | "showEarlier"} word @param {() => Promise<void>} act */
  #offer(isThere, word, act) {
    this.#more.hidden = !isThere;
    this.#more.textContent = say(word);
    this.#more.onclick = () => attempt(act);
  }
}

/** How far the record was signed: its end, a second ago. */
async function headOf() {
  const note = await workspace.client.bytes("GET", "/audit/checkpoint", { isPublic: true });
  return Math.max(Number((await note.text()).split("\n")[1]), workspace.client.position);
}

/** @param {Entry} entry */
function row(entry) {
  const body = el("div", { class: "event-body" });
  const details = el("details", {}, el("summary", {},
    el("span", { class: "position" }, `#${entry.position}`), el("code", {}, entry.type),
    el("span", { class: "who" }, entry.actor ? nameTag(entry.actor) : say("theSystem")),
    entry.reason ? el("q", {}, entry.reason) : el("span", {}), el("time", { datetime: entry.recorded_at }, momentOf(entry.recorded_at))), body);
  details.addEventListener("toggle", () => {
    if (details.open && !body.childElementCount) fill(body, ...whole(entry));
  });
  return el("li", { class: entry.unreadable ? "unreadable" : "" }, details);
}

/** @param {Entry} entry */
function whole(entry) {
  const prove = el("button", { type: "button", class: "button", on: { click: () => attempt(() => proveEntry(entry)) } }, icon("shield"), say("proveEntry"));
  return [
    facts([
      [say("who"), entry.actor ? el("span", {}, nameTag(entry.actor), " ", el("small", {}, entry.actor)) : say("theSystem")],
      [say("fromWhere"), [entry.address, entry.agent].filter(Boolean).join(" · ")],
      [say("why"), entry.reason ?? say("noReason")], [say("when"), momentOf(entry.recorded_at)],
      [say("room"), entry.room_id ? roomNamed(entry.room_id) : null], [say("eventStream"), `${entry.stream} · ${entry.version}`],
      [say("session"), entry.session], [say("request"), entry.correlation], [say("causedBy"), entry.causation],
      [say("leafHash"), el("code", {}, entry.leaf_hash)],
    ]),
    entry.erased ? el("p", { class: "hint" }, say("entryErased")) : null,
    entry.unreadable ? el("p", { class: "problem" }, say("entryUnreadable")) : changes(entry),
    el("div", { class: "buttons start" }, prove),
  ].filter((each) => each !== null);
}

/** @param {Entry} entry */
function changes({ data, before }) {
  const names = Object.keys(data);
  if (names.length === 0) return el("p", { class: "hint" }, say("noData"));
  return el("table", { class: "changes" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, say("eventField")), before ? el("th", { scope: "col" }, say("before")) : null,
      el("th", { scope: "col" }, say(before ? "after" : "recorded")))),
    el("tbody", {}, names.map((name) => {
      const isChanged = before !== null && name in before && JSON.stringify(before[name]) !== JSON.stringify(data[name]);
      return el("tr", { class: isChanged ? "changed" : "" }, el("th", { scope: "row" }, name),
        before ? el("td", {}, isChanged ? el("del", {}, value(before[name])) : value(before[name])) : null,
        el("td", {}, isChanged ? el("ins", {}, value(data[name])) : value(data[name])));
    })));
}

/** @param {unknown} each */
function value(each) {
  if (each === undefined || each === null) return "–";
  return typeof each === "object" ? JSON.stringify(each) : String(each);
}

customElements.define("hansard-audit-record", AuditRecord);
