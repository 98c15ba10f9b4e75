/** Whom one has blocked: they open no direct room with one, mention one no more, and nobody is told of what they write. */

import { el, fill } from "./dom.js";
import { Refused } from "./hansard-client/index.js";
import { attempt, avatar, confirmed, field, form, nameTag, openDialog, toast } from "./parts.js";
import { say } from "./words.js";
import { workspace } from "./workspace.js";

export function openBlocks() {
  const list = el("ul", { class: "sessions" });
  openDialog(say("blocked"), el("p", { class: "hint" }, say("blockHint")), list, form(async ({ username }, made) => {
    const person = await workspace.client.userNamed(username);
    if (person === null) throw new Refused("page.nobody", 404, say("nobodyNamed"));
    await workspace.client.block(person.id);
    made.reset();
    await draw(list);
  }, say("block"), field(say("username"), { name: "username", required: true, autocomplete: "off" })));
  attempt(() => draw(list));
}

/** @param {HTMLElement} list */
async function draw(list) {
  const blocked = await workspace.client.blocks();
  await workspace.named(blocked);
  const lift = (/** @type {string} */ userId) => () => attempt(async () => {
    await workspace.client.unblock(userId);
    await draw(list);
  });
  fill(list, blocked.length ? blocked.map((userId) => el("li", {}, avatar(userId), el("span", { class: "member-name" }, nameTag(userId)),
    el("button", { type: "button", class: "button", "aria-label": say("unblockName", { name: workspace.nameOf(userId) }), on: { click: lift(userId) } }, say("unblock")))) : el("li", { class: "hint" }, say("nobodyBlocked")));
}

/** Block somebody, if one is sure. @param {string} userId */
export async function block(userId) {
  await attempt(() => workspace.named([userId]));
  const name = workspace.nameOf(userId);
  if (!(await confirmed(say("confirmBlock", { name }), say("block")))) return;
  await attempt(() => workspace.client.block(userId).then(() => toast(say("isBlocked", { name }))));
}
