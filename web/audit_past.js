/** A room as it was: a slider whose stops are what happened in it, and the room at that position, through whose eyes one chooses. */

import { desk, momentAt, roomNamed, roomOf } from "./audit_desk.js";
import { proveEntry } from "./audit_proof.js";
import { el, fill, icon } from "./dom.js";
import { elementsOf, mayHaveMarkup } from "./markup.js";
import { attempt, avatar, field, form, nameTag } from "./parts.js";
import { momentOf, say, sayWith } from "./words.js";
import { workspace } from "./workspace.js";

const STOPS_MAX = 1000;
const PAGE_ITEMS = 200;
const MESSAGES = 50;
const REST_MS = 150;

/** @typedef {import("./audit_record.js").Entry} Entry @typedef {import("./hansard-client/types.js").Message} Message */

class AuditPast extends HTMLElement {
  #shown = el("div", { class: "then", "aria-live": "polite" });
  #stage = el("div", { class: "stage", hidden: true });
  #slider = el("input", { type: "range", min: 0, step: 1, "aria-label": say("stop"), on: { input: () => this.#moved() } });
  #what = el("p", { class: "stop", role: "status" });
  #eyes = el("select", { class: "input", on: { change: () => this.#look() } });
  #room = "";
  /** @type {Entry[]} */
  #stops = [];
  #turn = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #resting;

  connectedCallback() {
    const rooms = el("datalist", { id: "past-rooms" }, [...workspace.rooms.values()].map((room) => el("option", { value: workspace.titleOf(room) })));
    const asked = form(async (given) => await this.#open(given), say("open"),
      field(say("room"), { name: "room", list: "past-rooms", required: true, autocomplete: "off" }), field(say("from"), { name: "from", type: "datetime-local" }), rooms);
    asked.classList.add("filters");
    fill(this.#stage, el("div", { class: "card scrub" }, this.#slider, this.#what, el("label", { class: "field" }, el("span", {}, say("eyes")), this.#eyes)), this.#shown);
    fill(this, el("p", { class: "hint" }, say("pastHint")), asked, this.#stage);
  }

  disconnectedCallback() {
    clearTimeout(this.#resting);
  }

  /** Find what happened in a room: these are the stops. @param {Record<string, string>} given */
  async #open({ room, from }) {
    this.#room = String(await roomOf(room));
    /** @type {Entry[]} */
    const stops = [];
    let cursor = null;
    do {
      const page = await desk.call("GET", "/audit/events", { query: { room: this.#room, from: momentAt(from), limit: PAGE_ITEMS, cursor } });
      stops.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null && stops.length < STOPS_MAX);
    this.#stops = stops;
    this.#stage.hidden = stops.length === 0;
    if (stops.length === 0) return fill(this.#shown);
    this.#slider.max = String(stops.length - 1);
    this.#slider.value = this.#slider.max;
    const actors = [...new Set(stops.map(({ actor }) => actor))].filter((each) => each !== null && each !== workspace.me?.id);
    await workspace.named(actors);
    const isMine = Boolean(workspace.rooms.get(this.#room)?.my_role);
    const mine = el("option", { value: "", selected: isMine }, say("ownEyes"));
    fill(this.#eyes, mine, actors.map((each, i) => el("option", { value: each, selected: !isMine && i === 0 }, workspace.nameOf(each))));
    this.#said();
    await this.#look();
  }

  /** The slider was moved: look once it rests. */
  #moved() {
    this.#said();
    clearTimeout(this.#resting);
    this.#resting = setTimeout(() => this.#look(), REST_MS);
  }

  get #stop() {
    return this.#stops[Number(this.#slider.value)];
  }

  #said() {
    const { position, type, actor, recorded_at } = this.#stop;
    this.#slider.setAttribute("aria-valuetext", `#${position} ${type}, ${momentOf(recorded_at)}`);
    fill(this.#what, sayWith("stopSaid", { n: new Text(String(position)), at: new Text(momentOf(recorded_at)), type: el("code", {}, type),
      who: actor ? nameTag(actor) : new Text(say("theSystem")) }));
  }

  async #look() {
    const turn = (this.#turn += 1);
    const stop = this.#stop;
    const query = { as_of: stop.position, as: this.#eyes.value || null };
    const at = `/rooms/${this.#room}`;
    const found = await attempt(() => Promise.all([
      desk.call("GET", `${at}/messages`, { query: { ...query, limit: MESSAGES, render: "html" } }),
      desk.call("GET", `${at}/members`, { query: { ...query, limit: MESSAGES } }), desk.call("GET", at, { query }),
    ]));
    if (turn !== this.#turn || !found) return;
    const [{ items: messages }, { items: members }, { name }] = found;
    const prove = el("button", { type: "button", class: "button", on: { click: () => attempt(() => proveEntry(stop)) } }, icon("shield"), say("proveEntry"));
    fill(this.#shown, el("header", {}, el("h2", {}, name || roomNamed(this.#room)), el("p", { class: "hint" }, say("thenMembers"), " ",
      members.map((/** @type {{ user_id: string }} */ { user_id }, /** @type {number} */ i) => [i ? ", " : "", nameTag(user_id)]).flat()), prove),
    el("ol", {}, messages.toReversed().map(thenRow)), messages.length === 0 ? el("p", { class: "hint" }, say("thenEmpty")) : null);
  }
}

/** @param {Message} message */
function thenRow(message) {
  if (message.message_type === "system") {
    const [who, by] = message.subjects ?? [];
    return el("li", { class: "system" }, sayWith(message.content === "member.joined" && by ? "member.added" : message.content, { who: nameTag(who ?? null), by: nameTag(by ?? who ?? null) }));
  }
  const isRendered = typeof message.html === "string" && mayHaveMarkup(message.content);
  const text = message.deleted ? el("p", { class: "text gone" }, say("deleted"))
    : el("div", { class: isRendered ? "text rendered" : "text plain" }, isRendered ? elementsOf(String(message.html)) : message.content || message.file?.original_name);
  return el("li", { class: "message first" }, avatar(message.sender_id),
    el("div", {}, el("header", {}, el("strong", {}, nameTag(message.sender_id)), el("time", { datetime: message.created_at }, momentOf(message.created_at)),
      message.is_edited ? el("small", {}, `(${say("edited")})`) : null), text));
}

customElements.define("hansard-audit-past", AuditPast);
