/** Retention: how long things are kept, and what another policy would destroy today. The page only asks; it sets nothing. */

import { desk, facts, roomNamed, roomOf } from "./audit_desk.js";
import { el, fill } from "./dom.js";
import { attempt, field, form } from "./parts.js";
import { momentOf, say } from "./words.js";

/** @typedef {{ room_id: string | null, days_min: number | null, days_max: number | null, set_at: string | null, destroys_from: string | null,
 *   dry_run: { at: string, messages: number, files: number, keys: number, held_messages: number, held_keys: number, is_complete: boolean } | null }} Retention */

class AuditRetention extends HTMLElement {
  #outcome = el("div", { "aria-live": "polite" });
  #policies = el("ul", { class: "cards" });

  connectedCallback() {
    fill(this, el("p", { class: "hint" }, say("retentionHint")), desk.is("records_manager") ? this.#trying() : null, this.#policies);
    attempt(async () => {
      const [most, { items }] = await Promise.all([desk.call("GET", "/retention"), desk.call("GET", "/retention/rooms")]);
      fill(this.#policies, [most, ...items].map((/** @type {Retention} */ each) => el("li", { class: "card" },
        el("header", {}, el("h2", {}, each.room_id ? roomNamed(each.room_id) : say("everyOtherRoom"))), facts(bounds(each)))));
    });
  }

  #trying() {
    const days = { type: "number", min: 1, step: 1, inputmode: "numeric" };
    return el("section", { class: "card" }, el("h2", {}, say("dryRun")), form(async ({ room, days_min, days_max }) => {
      const roomId = await roomOf(room);
      const body = { days_min: days_min ? Number(days_min) : null, days_max: days_max ? Number(days_max) : null };
      /** @type {Retention} */
      const { dry_run } = await desk.call("PUT", roomId ? `/rooms/${roomId}/retention` : "/retention", { body, query: { dry_run: true } });
      if (dry_run === null) return;
      const { at, messages, files, keys, held_messages, held_keys, is_complete } = dry_run;
      fill(this.#outcome, el("p", { class: "hint" }, say("dryRunSaid", { at: momentOf(at) })),
        facts([[say("messages"), messages], [say("files"), files], [say("dataKeys"), keys], [say("heldMessages"), held_messages], [say("heldKeys"), held_keys]]),
        is_complete ? null : el("p", { class: "problem" }, say("dryRunPart")));
    }, say("count"), field(say("room"), { name: "room", autocomplete: "off" }, say("emptyForAll")),
    field(say("daysMin"), { name: "days_min", ...days }), field(say("daysMax"), { name: "days_max", ...days })), this.#outcome);
  }
}

/** @param {Retention} each @returns {[string, import("./dom.js").Child][]} */
function bounds({ days_min, days_max, set_at, destroys_from }) {
  return [[say("daysMin"), days_min ?? say("noBound")], [say("daysMax"), days_max ?? say("noBound")], [say("when"), set_at && momentOf(set_at)],
    [say("destroysFrom"), destroys_from && momentOf(destroys_from)]];
}

customElements.define("hansard-audit-retention", AuditRetention);
