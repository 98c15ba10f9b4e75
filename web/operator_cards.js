/** Cards: what there is to say beside the projections, as names and values. */

import { el } from "./dom.js";
import { countOf, secondsOf } from "./operator_words.js";
import { momentOf, say, sizeOf } from "./words.js";

/** @typedef {import("./operator.js").Stats} Stats */

/** @param {Stats} stats */
export function cards(stats) {
  return [notary(stats), files(stats), tasks(stats), keys(stats), disk(stats), gateway(stats)];
}

/** @param {string} title @param {[string, string][]} lines @param {...import("./dom.js").Child} more */
function card(title, lines, ...more) {
  return el("section", { class: "op-card" }, el("h2", { class: "op-name" }, title),
    el("dl", {}, lines.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))), ...more);
}

/** @param {Stats} stats */
function notary({ notary: { signed_position: signed, waiting_events: events, waiting_seconds: seconds, witnessed_position: witnessed } }) {
  return card(say("op.notary"), [
    [say("op.signed"), countOf(signed)],
    [say("op.unsigned"), events ? say("op.waits", { n: countOf(events), seconds: secondsOf(seconds) }) : say("op.noLag")],
    [say("op.witnessed"), witnessed === null ? say("op.never") : countOf(witnessed)],
  ]);
}

/** @param {Stats} stats */
function files({ files: { unscanned, unscanned_seconds: seconds, unprocessed, failed } }) {
  const waits = unscanned ? say("op.oldest", { n: countOf(unscanned), seconds: secondsOf(seconds) }) : "0";
  const failures = failed.map(({ id, reason, failed_at: at }) =>
    el("li", {}, el("code", {}, reason ?? "?"), ` ${at === null ? "" : momentOf(at)}`, el("small", {}, id)));
  return card(say("op.files"), [[say("op.unscanned"), waits], [say("op.unprocessed"), countOf(unprocessed)], [say("op.lately"), countOf(failed.length)]],
    failures.length ? el("ul", { class: "op-failed" }, failures) : null);
}

/** @param {Stats} stats */
function tasks({ tasks: found }) {
  if (found === null) return card(say("op.tasks"), [], el("p", { class: "problem" }, say("op.noRedis")));
  return card(say("op.tasks"), found.map(({ kind, queued, later }) =>
    [say(`op.task.${kind}`), later ? say("op.later", { n: countOf(queued), later: countOf(later) }) : countOf(queued)]));
}

/** @param {Stats} stats */
function keys({ keys: { data_keys: data, signing_keys: signing, signs_from: since, notary_keys: notarys } }) {
  return card(say("op.keys"), [
    [say("op.dataKeys"), countOf(data)], [say("op.signingKeys"), countOf(signing)],
    [say("op.since"), since === null ? "–" : momentOf(since)], [say("op.notaryKeys"), countOf(notarys)],
  ]);
}

/** @param {Stats} stats */
function disk({ disk: { database_bytes: database, free_bytes: free, total_bytes: total } }) {
  return card(say("op.disk"), [[say("op.database"), sizeOf(database)], [say("op.free"), say("op.ofTotal", { n: sizeOf(free), total: sizeOf(total) })]],
    el("meter", { min: 0, max: total, value: total - free, low: total * 0.8, high: total * 0.9, optimum: 0, "aria-label": say("op.disk") }));
}

/** @param {Stats} stats */
function gateway({ gateway: { version, loop_tasks: loop, frames } }) {
  return card(say("op.gateway"), [[say("op.build"), version], [say("op.loop"), countOf(loop)], [say("op.frames"), countOf(frames)]]);
}
