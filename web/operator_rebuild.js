/** A rebuild: asked for by a dialog, and watched until it has ended. */

import { el, fill } from "./dom.js";
import { Chart } from "./operator_charts.js";
import { countOf, secondsOf } from "./operator_words.js";
import { field, form, openDialog } from "./parts.js";
import { say } from "./words.js";
import { workspace } from "./workspace.js";

const JOBS_MAX = 8;

/**
 * @typedef {"queued" | "running" | "interrupted" | "done" | "failed"} RebuildState
 * @typedef {{ table: string, rows: number, is_equal: boolean, is_swapped: boolean, differences: string[] }} Compared
 * @typedef {{ id: string, projection: string, version: number, shadow: boolean, state: RebuildState, doing: string, position: number,
 *   total: number, events_per_second: number, seconds_left: number | null, tables: Compared[], error: string | null, jobs: number }} Rebuild
 */

/** Ask for a rebuild; `then` gets it. @param {string} name @param {(rebuild: Rebuild) => void} then */
export function openRebuild(name, then) {
  const asked = form(async ({ shadow, jobs }) => {
    const body = { shadow: shadow === "on", jobs: Number(jobs) };
    then(await workspace.client.call("POST", `/admin/projections/${encodeURIComponent(name)}/rebuild`, { body }));
    dialog.close();
  }, say("op.start"),
  el("p", {}, say("op.rebuildHint")),
  el("label", { class: "check" }, el("input", { type: "checkbox", name: "shadow" }), say("op.shadow")),
  field(say("op.jobs"), { type: "number", name: "jobs", min: 1, max: JOBS_MAX, value: 1, required: true }));
  const dialog = openDialog(say("op.rebuildOf", { name }), asked);
}

/** A rebuild that is watched: how far it is and how fast, then what came of it. */
export class WatchedRebuild {
  #rate = new Chart(say("op.rate"), countOf, { pointsMin: 2 });
  #title;
  #state = el("span", { class: "op-state" });
  #bar = el("progress", { max: 1, value: 0 });
  #far = el("p", { class: "op-far", role: "status" });
  #end = el("div", { class: "op-end" });

  /** @param {Rebuild} rebuild @param {() => void} dismiss */
  constructor(rebuild, dismiss) {
    this.rebuild = rebuild;
    this.#title = say("op.rebuildOf", { name: rebuild.projection });
    this.#bar.setAttribute("aria-label", this.#title);
    this.element = el("section", { class: "op-rebuild", "aria-label": this.#title },
      el("header", {}, el("h2", {}, this.#title), this.#state, el("button", { type: "button", class: "link", on: { click: dismiss } }, say("op.dismiss"))),
      el("div", { class: "op-rebuild-body" }, el("div", {}, this.#bar, this.#far, this.#end), this.#rate.element));
    this.show(rebuild);
  }

  get hasEnded() {
    return this.rebuild.state === "done" || this.rebuild.state === "failed";
  }

  /** @param {Rebuild} rebuild */
  show(rebuild) {
    this.rebuild = rebuild;
    this.#state.textContent = say(`op.${rebuild.state}`);
    this.#state.dataset.state = rebuild.state;
    this.#bar.max = Math.max(1, rebuild.total);
    this.#bar.value = rebuild.state === "done" ? this.#bar.max : rebuild.position;
    const far = say("op.progress", { n: countOf(rebuild.position), total: countOf(rebuild.total) });
    const left = rebuild.seconds_left === null || this.hasEnded ? null : say("op.left", { seconds: secondsOf(rebuild.seconds_left) });
    this.#far.textContent = [far, rebuild.doing, left].filter(Boolean).join(" · ");
    this.#rate.add(rebuild.state === "queued" ? null : rebuild.events_per_second);
    if (this.hasEnded) this.#tell(rebuild);
  }

  /** @param {Rebuild} rebuild */
  #tell({ tables, error }) {
    const unequal = tables.filter((table) => !table.is_equal);
    const isSwapped = tables.some((table) => table.is_swapped);
    fill(this.#end,
      error ? el("p", { class: "problem" }, error) : null,
      tables.length && unequal.length === 0 ? el("p", {}, say("op.equal", { n: tables.length })) : null,
      unequal.length ? el("p", { class: "problem" }, say("op.unequal", { n: unequal.length, names: unequal.map(({ table }) => table).join(", ") })) : null,
      unequal.length ? el("ul", {}, unequal.flatMap((table) => table.differences.map((each) => el("li", {}, `${table.table}: ${each}`)))) : null,
      el("p", {}, say(isSwapped ? "op.swapped" : "op.kept")));
  }
}
