/** Retention: how long things are kept; records managers set it, once they have seen what that would destroy. */

import { desk, facts, roomNamed, roomOf } from "./audit_desk.js";
import { el, fill } from "./dom.js";
import { Pages } from "./pages.js";
import { attempt, confirmed, field, form, toast } from "./parts.js";
import { momentOf, say } from "./words.js";

/** @typedef {{ room_id: string | null, source: "room" | "default" | "none", days_min: number | null, days_max: number | null,
 *   set_at: string | null, destroys_from: string | null, dry_run: DryRun | null }} Retention
 * @typedef {{ at: string, messages: number, files: number, keys: number, held_messages: number, held_keys: number, is_complete: boolean }} DryRun
 * @typedef {{ days_min: number | null, days_max: number | null }} Days */

class AuditRetention extends HTMLElement {
  #outcome = el("div", { class: "outcome", "aria-live": "polite" });
  #typed = 0; // how often something else was asked for: what is counted of what stood in the form before is of no use
  /** @type {Pages<Retention>} the policy of all rooms without one of their own stands before those of rooms */
  #pages = new Pages(async ({ cursor, limit }) => {
    const page = await desk.call("GET", "/retention/rooms", { query: { cursor, limit } });
    return cursor === null ? { ...page, items: [await desk.call("GET", "/retention"), ...page.items] } : page;
  }, (each) => this.#row(each), () => "");

  connectedCallback() {
    fill(this, el("p", { class: "hint" }, say("retentionHint")), desk.is("records_manager") ? this.#trying() : null, this.#pages.element);
    this.#pages.draw();
  }

  /** @param {Retention} each */
  #row(each) {
    const title = each.room_id ? roomNamed(each.room_id) : say("everyOtherRoom");
    const isSet = each.room_id !== null || each.source === "default";
    const remove = () => attempt(async () => {
      const then = await afterwards(each.room_id);
      if (!(await confirmed(say("confirmPolicyGone", { of: title, then, reason: desk.reason }), say("removePolicy")))) return;
      await desk.call("DELETE", addressOf(each.room_id));
      await this.#pages.draw();
    });
    return el("li", { class: "card" }, el("header", {}, el("h2", {}, title),
      isSet && desk.is("records_manager") ? el("button", { type: "button", class: "button", "data-key": `remove ${each.room_id}`, on: { click: remove } }, say("removePolicy")) : null),
    facts(bounds(each)));
  }

  #trying() {
    const days = { type: "number", min: 1, step: 1, inputmode: "numeric" };
    const trying = form(async ({ room, days_min, days_max }) => {
      const typed = this.#forget();
      const roomId = await roomOf(room);
      const body = { days_min: days_min ? Number(days_min) : null, days_max: days_max ? Number(days_max) : null };
      /** @type {Retention} */
      const { dry_run } = await desk.call("PUT", addressOf(roomId), { body, query: { dry_run: true } });
      if (dry_run !== null && typed === this.#typed) this.#show(roomId, room.trim() || say("everyOtherRoom"), body, dry_run);
    }, say("count"), field(say("room"), { name: "room", autocomplete: "off" }, say("emptyForAll")),
    field(say("daysMin"), { name: "days_min", ...days }), field(say("daysMax"), { name: "days_max", ...days }));
    trying.addEventListener("input", () => this.#forget());
    return el("section", { class: "card" }, el("h2", {}, say("setPolicy")), trying, this.#outcome);
  }

  /** Show nothing that was counted, nor what is being counted: it is of something else. Return how often that was so. */
  #forget() {
    fill(this.#outcome);
    return (this.#typed += 1);
  }

  /** Show what a policy would destroy now, and have it set by whoever wants it still.
   * @param {string | null} roomId @param {string} title @param {Days} body @param {DryRun} counted */
  #show(roomId, title, body, counted) {
    const { at, messages, files, keys, held_messages, held_keys, is_complete } = counted;
    const set = async () => {
      const question = say("confirmPolicy", { of: title, ...daysOf(body), n: messagesOf(counted), reason: desk.reason });
      if (!(await confirmed(question, say("setPolicy")))) return;
      await attempt(async () => {
        await desk.call("PUT", addressOf(roomId), { body });
        fill(this.#outcome);
        this.querySelector("input")?.focus(); // the button that was pressed is gone
        toast(say("policySet", { of: title }));
        await this.#pages.draw();
      });
    };
    fill(this.#outcome, el("p", { class: "hint" }, say("dryRunSaid", { at: momentOf(at) })),
      facts([[say("messages"), messages], [say("files"), files], [say("dataKeys"), keys], [say("heldMessages"), held_messages], [say("heldKeys"), held_keys]]),
      is_complete ? null : el("p", { class: "problem" }, say("dryRunPart")),
      el("div", { class: "buttons" }, el("button", { type: "button", class: "button danger", on: { click: set } }, say("setPolicy"))));
  }
}

/** @param {string | null} roomId */
const addressOf = (roomId) => (roomId ? `/rooms/${roomId}/retention` : "/retention");

/** @param {Days} days */
const daysOf = ({ days_min, days_max }) => ({ min: days_min ?? say("noBound"), max: days_max ?? say("noBound") });

/** @param {DryRun} counted */
const messagesOf = ({ messages, is_complete }) => (is_complete ? messages : `> ${messages}`);

/** Return what holds once a policy is gone, and what that would destroy. @param {string | null} roomId */
async function afterwards(roomId) {
  if (roomId === null) return say("thenNone");
  /** @type {Retention} */
  const { days_min, days_max } = await desk.call("GET", "/retention");
  if (days_max === null) return say("thenKept", daysOf({ days_min, days_max }));
  /** @type {Retention} */
  const { dry_run } = await desk.call("PUT", addressOf(roomId), { body: { days_min, days_max }, query: { dry_run: true } });
  return say("thenDefault", { ...daysOf({ days_min, days_max }), n: dry_run === null ? "?" : messagesOf(dry_run) });
}

/** @param {Retention} each @returns {[string, import("./dom.js").Child][]} */
function bounds({ days_min, days_max, set_at, destroys_from }) {
  return [[say("daysMin"), days_min ?? say("noBound")], [say("daysMax"), days_max ?? say("noBound")], [say("when"), set_at && momentOf(set_at)],
    [say("destroysFrom"), destroys_from && momentOf(destroys_from)]];
}

customElements.define("hansard-audit-retention", AuditRetention);
