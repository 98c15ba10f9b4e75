/** Legal holds: which there are; records managers place and release them. */

import { desk, facts, momentAt, personOf, roomNamed, roomOf, several } from "./audit_desk.js";
import { el, fill } from "./dom.js";
import { Pages } from "./pages.js";
import { attempt, confirmed, field, form, nameTag } from "./parts.js";
import { momentOf, say } from "./words.js";

const NAME_CHARS_MAX = 200;

/** @typedef {{ id: string, name: string, persons: string[], rooms: string[], from: string | null, to: string | null, placed_by: string,
 *   placed_at: string, released_by: string | null, released_at: string | null }} Hold */

class AuditHolds extends HTMLElement {
  /** @type {Pages<Hold>} */
  #pages = new Pages((place) => desk.call("GET", "/legal-holds", { query: place }), (hold) => this.#row(hold), () => say("noHolds"));

  connectedCallback() {
    fill(this, el("p", { class: "hint" }, say("holdsHint")), desk.is("records_manager") ? this.#placing() : null, this.#pages.element);
    this.#pages.draw();
  }

  /** @param {Hold} hold */
  #row(hold) {
    const names = hold.persons.flatMap((each, i) => [i ? ", " : "", nameTag(each)]);
    const release = async () => {
      if (!(await confirmed(say("confirmRelease", { name: hold.name }), say("release")))) return;
      await attempt(async () => {
        await desk.call("POST", `/legal-holds/${hold.id}/release`);
        await this.#pages.draw();
      });
    };
    const isMine = hold.released_at === null && desk.is("records_manager");
    return el("li", { class: "card" }, el("header", {}, el("h2", {}, hold.name), el("span", { class: `state ${hold.released_at ? "" : "on"}` }, say(hold.released_at ? "holdReleased" : "holdActive")),
      isMine ? el("button", { type: "button", class: "button", "data-key": hold.id, on: { click: release } }, say("release")) : null),
    facts([[say("persons"), names.length ? el("span", {}, names) : say("anybody")], [say("rooms"), hold.rooms.map(roomNamed).join(", ") || say("anywhere")],
      [say("from"), hold.from && momentOf(hold.from)], [say("until"), hold.to && momentOf(hold.to)],
      [say("placedBy"), el("span", {}, nameTag(hold.placed_by), ", ", momentOf(hold.placed_at))],
      [say("releasedBy"), hold.released_at && el("span", {}, nameTag(hold.released_by), ", ", momentOf(hold.released_at))]]));
  }

  #placing() {
    return el("details", { class: "card" }, el("summary", {}, say("placeHold")), form(async ({ name, persons, rooms, from, to }, made) => {
      const body = { name, persons: await several(persons, personOf), rooms: await several(rooms, roomOf), from: momentAt(from), to: momentAt(to) };
      await desk.call("POST", "/legal-holds", { body });
      made.reset();
      await this.#pages.draw();
    }, say("placeHold"), field(say("holdName"), { name: "name", required: true, maxlength: NAME_CHARS_MAX, autocomplete: "off" }),
    field(say("persons"), { name: "persons", autocomplete: "off" }, say("commaOrAll")), field(say("rooms"), { name: "rooms", autocomplete: "off" }, say("commaOrAll")),
    field(say("from"), { name: "from", type: "datetime-local" }), field(say("until"), { name: "to", type: "datetime-local" })));
  }
}

customElements.define("hansard-audit-holds", AuditHolds);
