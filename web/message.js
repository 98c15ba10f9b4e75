/** A message as elements. What it may be asked to do is told by an `act` event: reply, thread, react, edit, delete, pin, history, prove. */

import { el, iconButton } from "./dom.js";
import { attachment } from "./files.js";
import { elementsOf, mayHaveMarkup } from "./markup.js";
import { avatar, nameTag } from "./parts.js";
import { dayOf, momentOf, say, sayWith, timeOf } from "./words.js";
import { workspace } from "./workspace.js";

const QUICK = ["👍", "❤️", "😂", "🎉", "👀", "✅", "🙏", "🚀"];
const TOGETHER_MS = 5 * 60 * 1000;

/**
 * @typedef {import("./hansard-client/types.js").Message & { state?: "sending" | "failed", quoted?: Shown | null }} Shown
 * @typedef {{ shown: Shown, before: Shown | null, isNew: boolean, inThread?: boolean, mayManage?: boolean }} Place
 */

/** Whether a message stands under the one before it, without a head of its own. @param {Shown} shown @param {Shown | null} before */
function isTogether(shown, before) {
  return before !== null && before.sender_id === shown.sender_id && before.message_type !== "system" && !shown.reply_to
    && Date.parse(shown.created_at) - Date.parse(before.created_at) < TOGETHER_MS && isSameDay(shown, before);
}

/** @param {Shown} a @param {Shown | null} b */
function isSameDay(a, b) {
  return b !== null && new Date(a.created_at).toDateString() === new Date(b.created_at).toDateString();
}

/** What a message's elements depend on: if it is the same, they are. @param {Place} place */
export function signatureOf({ shown, before, isNew, mayManage }) {
  const { version, html, reactions, pinned, thread, state, file, quoted, deleted } = shown;
  return JSON.stringify([version, html?.length, html === undefined, reactions, pinned, thread, state, deleted, file?.status, isNew, mayManage,
    isTogether(shown, before), isSameDay(shown, before), quoted?.version, quoted?.deleted]);
}

/** Make the elements of a message. @param {Place} place */
export function messageElement(place) {
  const { shown, before, isNew } = place;
  const day = isSameDay(shown, before) || place.inThread ? null : el("div", { class: "day" }, el("span", {}, dayOf(shown.created_at)));
  const mark = isNew ? el("div", { class: "new-mark", role: "separator", "aria-label": say("newMessages") }, el("span", {}, say("newMessages"))) : null;
  const row = shown.message_type === "system" ? systemRow(shown) : messageRow(place);
  return el("div", { class: "entry", "data-id": shown.id, "data-position": shown.position }, day, mark, row);
}

/** @param {Shown} shown */
function systemRow(shown) {
  const [who, by] = shown.subjects ?? [];
  const word = shown.content === "member.joined" && by ? "member.added" : shown.content;
  const said = sayWith(word, { who: nameTag(who ?? null), by: nameTag(by ?? who ?? null) });
  return el("p", { class: "system" }, said, " ", el("time", { datetime: shown.created_at }, timeOf(shown.created_at)));
}

/** @param {Place} place */
function messageRow(place) {
  const { shown, before } = place;
  const isFirst = !isTogether(shown, before);
  const isMine = shown.sender_id === workspace.me?.id;
  const mentionsMe = shown.mentions?.includes(String(workspace.me?.id));
  const classes = ["message", isFirst ? "first" : "", shown.state ?? "", mentionsMe ? "for-me" : "", shown.pinned ? "pinned" : ""];
  const time = el("time", { datetime: shown.created_at, title: momentOf(shown.created_at) }, timeOf(shown.created_at));
  const row = el("article", { class: classes.filter(Boolean).join(" "), tabindex: -1 },
    isFirst ? avatar(shown.sender_id) : el("span", { class: "gutter" }, time.cloneNode(true)),
    el("div", { class: "message-body" },
      isFirst ? el("header", {}, el("strong", {}, nameTag(shown.sender_id)), time) : null,
      shown.quoted ? quote(shown.quoted) : null, content(shown), shown.deleted ? null : attachment(shown),
      reactions(shown), threadLine(shown, place), stateLine(shown)));
  if (!shown.deleted && !shown.state) row.append(toolbar(place, isMine));
  return row;
}

/** @param {Shown} quoted */
function quote(quoted) {
  const text = quoted.deleted ? say("deleted") : quoted.content || quoted.file?.original_name || "";
  return el("button", { type: "button", class: "quote", on: { click: act("jump", quoted) } }, el("strong", {}, nameTag(quoted.sender_id)), " ", text.slice(0, 160));
}

/** @param {Shown} shown */
function content(shown) {
  if (shown.deleted) return el("p", { class: "text gone" }, say("deleted"));
  if (!shown.content) return null;
  const isRendered = typeof shown.html === "string" && mayHaveMarkup(shown.content);
  const text = el("div", { class: isRendered ? "text rendered" : "text plain" }, isRendered ? elementsOf(String(shown.html)) : shown.content);
  if (shown.is_edited) text.append(el("button", { type: "button", class: "edited", on: { click: act("history", shown) } }, `(${say("edited")})`));
  return text;
}

/** @param {Shown} shown */
function reactions(shown) {
  if (!shown.reactions?.length || shown.deleted) return null;
  return el("div", { class: "reactions" }, shown.reactions.map(({ emoji, count, me }) =>
    el("button", { type: "button", class: `reaction${me ? " mine" : ""}`, "aria-pressed": String(me), on: { click: act("react", shown, { emoji, me }) } }, emoji, " ", count)));
}

/** @param {Shown} shown @param {Place} place */
function threadLine(shown, { inThread }) {
  const { thread } = shown;
  if (!thread?.reply_count || inThread) return null;
  const count = thread.reply_count === 1 ? say("oneReply") : say("replies", { n: thread.reply_count });
  return el("button", { type: "button", class: "thread-line", on: { click: act("thread", shown) } },
    thread.participants.slice(0, 3).map((userId) => avatar(userId)), el("span", {}, count),
    thread.unread ? el("span", { class: "badge" }, thread.unread) : null);
}

/** @param {Shown} shown */
function stateLine(shown) {
  if (shown.state !== "failed") return null;
  return el("p", { class: "not-sent", role: "alert" }, say("failed"), " ",
    el("button", { type: "button", class: "link", on: { click: act("retry", shown) } }, say("retry")), " ",
    el("button", { type: "button", class: "link", on: { click: act("discard", shown) } }, say("discard")));
}

/** @param {Place} place @param {boolean} isMine */
function toolbar({ shown, inThread, mayManage }, isMine) {
  const buttons = [iconButton("smile", say("react"), (event) => openReactions(shown, /** @type {HTMLElement} */ (event.currentTarget)))];
  if (!inThread) buttons.push(iconButton("reply", say("reply"), act("reply", shown)));
  if (!inThread && !shown.thread_id) buttons.push(iconButton("thread", say("startThread"), act("thread", shown)));
  if (isMine) buttons.push(iconButton("edit", say("edit"), act("edit", shown)));
  if (mayManage && !shown.thread_id) buttons.push(iconButton("pin", say(shown.pinned ? "unpin" : "pin"), act("pin", shown)));
  if (shown.is_edited) buttons.push(iconButton("history", say("history"), act("history", shown)));
  if (!inThread) buttons.push(iconButton("shield", say("proveMessage"), act("prove", shown)));
  if (isMine || mayManage) buttons.push(iconButton("trash", say("remove_"), act("delete", shown)));
  return el("div", { class: "toolbar", role: "group", "aria-label": say("more") }, buttons);
}

/** @param {Shown} shown @param {HTMLElement} from */
function openReactions(shown, from) {
  const pick = (/** @type {Event} */ event, /** @type {string} */ emoji) => {
    act("react", shown, { emoji, me: Boolean(shown.reactions?.some((each) => each.emoji === emoji && each.me)) })({ currentTarget: from });
    /** @type {HTMLElement} */ (event.currentTarget).closest("dialog")?.close();
  };
  const dialog = el("dialog", { class: "picker", "aria-label": say("react") },
    QUICK.map((emoji) => el("button", { type: "button", class: "emoji", "aria-label": emoji, on: { click: (/** @type {Event} */ event) => pick(event, emoji) } }, emoji)));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  const at = from.getBoundingClientRect();
  dialog.style.setProperty("top", `${Math.min(at.bottom + 6, innerHeight - 70)}px`);
  dialog.style.setProperty("left", `${Math.max(8, Math.min(at.right - 330, innerWidth - 340))}px`);
}

/** Return a listener that tells the view around it. @param {string} kind @param {Shown} shown @param {object} [more] */
function act(kind, shown, more = {}) {
  return (/** @type {{ currentTarget: any }} */ event) =>
    event.currentTarget.dispatchEvent(new CustomEvent("act", { bubbles: true, detail: { kind, shown, ...more } }));
}

