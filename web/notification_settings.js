/** What one wants to be told of: everywhere and by room, by words, when not, by mail, and on which devices. */

import { el, fill } from "./dom.js";
import { attempt, field, form, openDialog, toast } from "./parts.js";
import { attachPush, canPush, turnOff, turnOn } from "./push.js";
import { momentOf, say } from "./words.js";
import { workspace } from "./workspace.js";

/** @typedef {import("./hansard-client/types.js").NotificationSettings} Settings @typedef {import("./hansard-client/types.js").Level} Level */

const LEVELS = /** @type {const} */ (["all", "mentions", "none"]);
const PACES = /** @type {const} */ (["off", "soon", "daily"]);
const DAYS = /** @type {const} */ (["mon", "tue", "wed", "thu", "fri", "sat", "sun"]);
const HOUR_MS = 3_600_000;
const MORNING = 8;
const QUIET = { from: "22:00", to: "07:00", time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone, days: [...DAYS] };

/** @type {Promise<unknown>} the change of rooms' levels that was asked for last */
let changed = Promise.resolve();

export async function openNotificationSettings() {
  await changed;
  const settings = await attempt(() => workspace.client.notificationSettings());
  if (!settings) return;
  const devices = el("div", { class: "form" });
  openDialog(say("nt.title"), general(settings),
    el("section", {}, el("h3", {}, say("nt.rooms")), el("p", { class: "hint" }, say("nt.roomsHint")), ownLevels(settings)),
    el("section", {}, el("h3", {}, say("push.title")), el("p", { class: "hint" }, say("push.hint")), devices));
  attempt(() => drawDevices(devices));
}

/** @param {Settings} settings */
function general(settings) {
  const quiet = settings.quiet ?? QUIET;
  const isQuiet = el("input", { type: "checkbox", name: "is_quiet", checked: settings.quiet !== null });
  const days = DAYS.map((day) => el("input", { type: "checkbox", value: day, checked: quiet.days.includes(day) }));
  const hours = el("fieldset", { class: "form", hidden: settings.quiet === null }, el("legend", {}, say("nt.quiet")),
    el("div", { class: "columns" }, field(say("from"), { type: "time", name: "from", required: true, value: quiet.from }), field(say("until"), { type: "time", name: "to", required: true, value: quiet.to })),
    field(say("nt.zone"), { name: "time_zone", required: true, maxlength: 64, value: quiet.time_zone }),
    el("div", { class: "days", role: "group", "aria-label": say("nt.days") }, days.map((day) => el("label", { class: "check" }, day, say(`day.${/** @type {typeof DAYS[number]} */ (day.value)}`)))));
  isQuiet.addEventListener("change", () => (hours.hidden = !isQuiet.checked));
  return form(async (given) => {
    await workspace.client.changeNotifications({
      default: /** @type {Level} */ (given.default),
      email: /** @type {Settings["email"]} */ (given.email),
      content: given.content === "on" ? "shown" : "hidden",
      keywords: given.keywords.split(",").map((word) => word.trim()).filter(Boolean),
      quiet: isQuiet.checked ? { from: given.from, to: given.to, time_zone: given.time_zone, days: days.filter((day) => day.checked).map((day) => day.value) } : null,
      ...until(given.dnd),
    });
    toast(say("nt.saved"));
  }, say("save"),
  choice(say("notifyMe"), "default", LEVELS.map((level) => [level, say(`level.${level}`)]), settings.default),
  field(say("nt.keywords"), { name: "keywords", autocomplete: "off", value: settings.keywords.join(", ") }, say("nt.keywordsHint")),
  choice(say("nt.dnd"), "dnd", pauses(settings.dnd_until), "keep"),
  el("label", { class: "check" }, isQuiet, say("nt.quietOn")), hours,
  choice(say("nt.email"), "email", PACES.map((pace) => [pace, say(`pace.${pace}`)]), settings.email),
  el("label", { class: "check" }, el("input", { type: "checkbox", name: "content", checked: settings.content === "shown" }), say("nt.content")));
}

/** @param {string} label @param {string} name @param {[string, string][]} options @param {string} chosen */
function choice(label, name, options, chosen) {
  return el("label", { class: "field" }, el("span", {}, label),
    el("select", { class: "input", name }, options.map(([value, said]) => el("option", { value, selected: value === chosen }, said))));
}

/** @param {string | null} now until when it is so at present @returns {[string, string][]} */
function pauses(now) {
  const isOn = now !== null && Date.parse(now) > Date.now();
  const present = isOn ? say("nt.dndUntil", { at: momentOf(now) }) : say("nt.dndOff");
  return [["keep", present], ...(isOn ? [/** @type {[string, string]} */ (["off", say("nt.dndOff")])] : []), ["hour", say("nt.dndHour")], ["morning", say("nt.dndMorning")]];
}

/** @param {string} chosen @returns {Partial<Settings>} */
function until(chosen) {
  if (chosen === "keep") return {};
  if (chosen === "off") return { dnd_until: null };
  if (chosen === "hour") return { dnd_until: new Date(Date.now() + HOUR_MS).toISOString() };
  const morning = new Date();
  morning.setDate(morning.getDate() + 1);
  morning.setHours(MORNING, 0, 0, 0);
  return { dnd_until: morning.toISOString() };
}

/** The rooms that one is in, each with a level of its own or none. @param {Settings} settings */
function ownLevels(settings) {
  const rooms = [...workspace.rooms.values()].filter((room) => room.my_role !== null && !room.is_archived);
  return el("ul", { class: "sessions" }, rooms.map((room) => {
    const title = workspace.titleOf(room);
    const options = ["default", ...LEVELS].map((level) => el("option", { value: level, selected: level === (settings.rooms[room.id] ?? "default") }, level === "default" ? say("nt.asDefault") : say(`level.${/** @type {Level} */ (level)}`)));
    const level = el("select", { class: "role", "aria-label": title, on: { change: () => setLevel(room.id, /** @type {Level | "default"} */ (level.value)) } }, options);
    return el("li", {}, el("span", { class: "member-name" }, title), level);
  }));
}

/**
 * Have a room told of by a level of its own, or as all others are (`default`). The levels of all rooms are kept together, so one
 * change waits for that before it: none is made of what another has changed since.
 * @param {string} roomId @param {Level | "default"} level
 */
export function setLevel(roomId, level) {
  changed = changed.then(() => attempt(async () => {
    const { [roomId]: _, ...others } = (await workspace.client.notificationSettings()).rooms;
    await workspace.client.changeNotifications({ rooms: level === "default" ? others : { ...others, [roomId]: level } });
  }));
}

/** @param {HTMLElement} place */
async function drawDevices(place) {
  const { client } = workspace;
  const found = await client.pushSubscriptions();
  const own = found.find((each) => each.is_current);
  const act = (/** @type {() => Promise<unknown>} */ work) => () => attempt(work).then(() => drawDevices(place));
  const test = async (/** @type {string} */ id) => toast(say(`push.said.${await client.testPush(id)}`));
  const on = async () => {
    await turnOn();
    await attachPush();
  };
  const button = (/** @type {string} */ said, /** @type {() => Promise<unknown>} */ work) => el("button", { type: "button", class: "button", on: { click: act(work) } }, said);
  fill(place,
    el("ul", { class: "sessions" }, found.map((each) => el("li", {},
      el("span", {}, el("strong", {}, each.is_current ? say("push.thisDevice") : (each.device ?? say("push.device"))), el("small", {}, `${new URL(each.service).host} · ${momentOf(each.subscribed_at)}`)),
      el("span", { class: "buttons" }, button(say("push.test"), () => test(each.id)), button(say("push.off"), () => (each === own ? turnOff(each.id) : client.unsubscribePush(each.id))))))),
    own ? null : canPush ? el("div", { class: "buttons start" }, button(say("push.on"), on)) : el("p", { class: "hint" }, say("push.cannot")));
}
