/**
 * The operator's view: how the deployment does, asked every few seconds while somebody looks.
 *
 * @import { Rebuild } from "./operator_rebuild.js"
 * @typedef {{ name: string, version: number, served_version: number | null, position: number, lag_events: number, lag_seconds: number,
 *   state: "served" | "behind" | "standing_still" | "not_followed" | "not_built", owner: string | null, parked_events: number,
 *   rebuild: Rebuild | null }} Projection
 * @typedef {{ at: string, position: number, redis: boolean, projections: Projection[],
 *   gateway: { id: string, version: string, sockets: number, requests: number, faults: number, frames: number, loop_tasks: number },
 *   notary: { signed_position: number, waiting_events: number, waiting_seconds: number, witnessed_position: number | null },
 *   files: { unscanned: number, unscanned_seconds: number, unprocessed: number,
 *     failed: { id: string, reason: string | null, failed_at: string | null }[] },
 *   tasks: { kind: "scan" | "image" | "document" | "rebuild" | "export", queued: number, later: number }[] | null,
 *   keys: { data_keys: number, signing_keys: number, signs_from: string | null, notary_keys: number },
 *   disk: { database_bytes: number, free_bytes: number, total_bytes: number } }} Stats
 */

import { el, fill, iconButton } from "./dom.js";
import { cards } from "./operator_cards.js";
import { Chart } from "./operator_charts.js";
import { TaskList } from "./operator_tasks.js";
import { WatchedRebuild, openRebuild } from "./operator_rebuild.js";
import { countOf, secondsOf } from "./operator_words.js";
import { Refused } from "./hansard-client/index.js";
import { say } from "./words.js";
import { sentenceOf, workspace } from "./workspace.js";

const EVERY_MS = 3000;
const EVERY_MS_OF_REBUILD = 1000;
const GATEWAYS_MAX = 20;

const styles = el("link", { rel: "stylesheet", href: new URL("./operator.css", import.meta.url).href });
document.head.append(styles);

class Operator extends HTMLElement {
  #state = el("span", { class: "op-live", role: "status" });
  #charts = {
    events: new Chart(say("op.events"), countOf),
    requests: new Chart(say("op.requests"), countOf),
    sockets: new Chart(say("op.sockets"), countOf),
    lag: new Chart(say("op.lagSeconds"), secondsOf, { height: 1 }),
  };
  #rows = el("tbody");
  #rebuilds = el("div", { class: "op-rebuilds" });
  #tasks = new TaskList();
  #cards = el("div", { class: "op-cards op-facts" });
  #drawn = "";
  /** @type {Map<string, WatchedRebuild>} */
  #watched = new Map();
  /** @type {Set<string>} */
  #dismissed = new Set();
  /** @type {Map<string, Stats>} the last answer of each gateway: only what one counts can be compared */
  #last = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #next;
  #asked = 0;
  #turned = () => (document.hidden ? this.#stop() : this.#ask());

  connectedCallback() {
    const { events, requests, sockets, lag } = this.#charts;
    const heads = [say("op.name"), say("op.state"), say("op.position"), say("op.lag"), say("op.owner")];
    fill(this,
      el("header", { class: "room-head" },
        iconButton("back", say("openMenu"), () => (location.hash = ""), { class: "icon-button only-small" }),
        el("div", { class: "room-title" }, el("h1", {}, say("op.title")), el("p", {}, say("op.hint"))), this.#state),
      el("main", { class: "op-body", tabindex: 0 },
        el("div", { class: "op-cards" }, events.element, requests.element, sockets.element, lag.element),
        this.#rebuilds,
        el("section", {}, el("h2", {}, say("op.projections")),
          el("div", { class: "op-table" }, el("table", {},
            el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)), el("td"))), this.#rows))),
        this.#tasks.element, this.#cards));
    document.addEventListener("visibilitychange", this.#turned);
    this.#turned();
  }

  disconnectedCallback() {
    document.removeEventListener("visibilitychange", this.#turned);
    this.#stop();
  }

  #stop() {
    clearTimeout(this.#next);
    this.#asked += 1; // an answer that is still on its way is not drawn
  }

  async #ask() {
    clearTimeout(this.#next);
    const asked = (this.#asked += 1);
    try {
      const stats = /** @type {Stats} */ (await workspace.client.call("GET", "/admin/stats"));
      if (asked !== this.#asked) return;
      this.#draw(stats);
      await this.#follow(stats);
      if (asked !== this.#asked) return;
      this.#tasks.refresh(); // takes long while Redis is away, and says so itself
      this.#say("live", say("op.live"));
    } catch (error) {
      if (asked !== this.#asked) return;
      if (error instanceof Refused && error.status === 403) return fill(this, el("main", { class: "welcome" }, el("p", {}, sentenceOf(error))));
      this.#say("stale", say("op.stale"));
    }
    if (asked !== this.#asked) return;
    const isBusy = [...this.#watched.values()].some((each) => !each.hasEnded);
    this.#next = setTimeout(() => this.#ask(), isBusy ? EVERY_MS_OF_REBUILD : EVERY_MS);
  }

  /** @param {string} state @param {string} text */
  #say(state, text) {
    this.#state.dataset.state = state;
    if (this.#state.textContent !== text) this.#state.textContent = text;
  }

  /** @param {Stats} stats */
  #draw(stats) {
    const { gateway, projections } = stats;
    const [seconds, last] = this.#since(stats);
    const rate = (/** @type {(each: Stats) => number} */ of) => (last ? Math.max(0, of(stats) - of(last)) / seconds : null);
    this.#charts.events.add(rate((each) => each.position), say("op.ofRecord", { n: countOf(stats.position) }));
    this.#charts.requests.add(rate((each) => each.gateway.requests), `${say("op.ofGateway")} · ${say("op.faults", { n: countOf(gateway.faults) })}`);
    this.#charts.sockets.add(gateway.sockets, say("op.ofGateway"));
    const events = projections.reduce((sum, each) => sum + each.lag_events, 0);
    this.#charts.lag.add(Math.max(0, ...projections.map((each) => each.lag_seconds)), say("op.lagEvents", { n: countOf(events) }));
    const signature = JSON.stringify(projections);
    if (signature !== this.#drawn) this.#drawRows(projections);
    this.#drawn = signature;
    fill(this.#cards, cards(stats));
  }

  /** Return for how many seconds this gateway was not asked, and what it said then. @param {Stats} stats @returns {[number, Stats | undefined]} */
  #since(stats) {
    const last = this.#last.get(stats.gateway.id);
    if (this.#last.size >= GATEWAYS_MAX) this.#last.clear();
    this.#last.set(stats.gateway.id, stats);
    const seconds = last ? (Date.parse(stats.at) - Date.parse(last.at)) / 1000 : 0;
    return seconds > 0 ? [seconds, last] : [0, undefined];
  }

  /** Draw the rows anew; the button that has the focus keeps it. @param {Projection[]} projections */
  #drawRows(projections) {
    const focused = /** @type {HTMLElement | null} */ (this.#rows.querySelector("button:focus"))?.dataset.name;
    fill(this.#rows, projections.map((each) => this.#row(each)));
    if (focused) /** @type {HTMLElement | null} */ (this.#rows.querySelector(`button[data-name="${CSS.escape(focused)}"]`))?.focus();
  }

  /** @param {Projection} each */
  #row(each) {
    const isServed = each.served_version === null || each.served_version === each.version;
    const version = isServed ? say("op.version", { n: each.version }) : say("op.versions", { served: String(each.served_version), wanted: each.version });
    const lag = each.lag_events ? say("op.lagOf", { events: countOf(each.lag_events), seconds: secondsOf(each.lag_seconds) }) : say("op.noLag");
    const isBusy = each.rebuild !== null && each.rebuild.state !== "interrupted";
    const rebuild = () => openRebuild(each.name, (asked) => this.#watch(asked));
    return el("tr", {},
      el("th", { scope: "row" }, el("code", {}, each.name), el("small", {}, version)),
      el("td", {}, el("span", { class: "op-state", "data-state": each.state }, say(`op.${each.state}`)), each.parked_events ? el("small", { class: "problem" }, say("op.parked", { n: each.parked_events })) : null),
      el("td", { class: "op-number" }, countOf(each.position)), el("td", {}, lag), el("td", {}, el("small", {}, each.owner ?? say("op.nobody"))),
      el("td", {}, el("button", { type: "button", class: "button", disabled: isBusy, "data-name": each.name, "aria-label": say("op.rebuildOf", { name: each.name }), on: { click: rebuild } }, say("op.rebuild"))));
  }

  // Rebuilds

  /** @param {Rebuild} rebuild */
  #watch(rebuild) {
    if (this.#watched.has(rebuild.id) || this.#dismissed.has(rebuild.id)) return;
    const watched = new WatchedRebuild(rebuild, () => {
      this.#dismissed.add(rebuild.id);
      this.#watched.delete(rebuild.id);
      watched.element.remove();
    });
    this.#watched.set(rebuild.id, watched);
    this.#rebuilds.prepend(watched.element);
    this.#ask();
  }

  /** Show how rebuilds go that are under way, and what came of those that are no more. @param {Stats} stats */
  async #follow({ projections }) {
    const going = new Map(projections.flatMap(({ rebuild }) => (rebuild ? [[rebuild.id, rebuild]] : [])));
    for (const [id, watched] of this.#watched) {
      if (watched.hasEnded) continue;
      watched.show(going.get(id) ?? (await workspace.client.call("GET", `/admin/rebuilds/${id}`)));
    }
    for (const rebuild of going.values()) this.#watch(rebuild);
  }
}

customElements.define("hansard-operator", Operator);
