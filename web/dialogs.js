/** Dialogs: opening rooms, finding them, one's inbox, and settings. */

import { openBlocks } from "./blocks.js";
import { el, fill, icon } from "./dom.js";
import { Refused } from "./hansard-client/index.js";
import { openNotificationSettings, setLevel } from "./notification_settings.js";
import { agentOf, attempt, confirmed, field, form, nameTag, openDialog, toast } from "./parts.js";
import { THEMES, changeTheme, theme } from "./theme.js";
import { LANGUAGES, language, momentOf, say, sayOr, speak } from "./words.js";
import { workspace } from "./workspace.js";

/** @param {string} roomId */
async function enter(roomId) {
  await workspace.reloadRoom(roomId);
  location.hash = roomId;
}

export function openNewRoom() {
  const dialog = openDialog(say("newRoom"), form(async ({ name, description, is_private }) => {
    const room = await workspace.client.openRoom(name, { description: description || null, isPrivate: is_private === "on" });
    dialog.close();
    await enter(room.id);
  }, say("create"),
  field(say("roomName"), { name: "name", required: true, maxlength: 100, autofocus: true, autocomplete: "off" }),
  field(say("description"), { name: "description", maxlength: 1000, autocomplete: "off" }),
  el("label", { class: "check" }, el("input", { type: "checkbox", name: "is_private" }), say("isPrivate"))));
}

export function openNewDirect() {
  const dialog = openDialog(say("newDirect"), form(async ({ names }) => {
    const found = await Promise.all(names.split(",").map((name) => name.trim()).filter(Boolean).map((name) => workspace.client.userNamed(name)));
    if (found.length === 0 || found.includes(null)) throw new Refused("page.nobody", 404, say("nobodyNamed"));
    const room = await workspace.client.direct(found.map((person) => String(person?.id)));
    dialog.close();
    await enter(room.id);
  }, say("open"), field(say("people"), { name: "names", required: true, autofocus: true, autocomplete: "off" })));
}

export function openBrowser() {
  const list = el("ul", { class: "found" });
  let turn = 0;
  const find = async () => {
    const mine = (turn += 1);
    const rows = [];
    for await (const room of workspace.client.rooms({ q: search.value.trim() || undefined })) {
      if (room.kind === "direct") continue;
      const open = () => {
        dialog.close();
        attempt(() => enter(room.id));
      };
      rows.push(el("li", {}, el("button", { type: "button", on: { click: open } }, icon(room.is_private ? "lock" : "hash"),
        el("span", {}, el("strong", {}, room.name), el("small", {}, room.topic || room.description || "")), el("small", {}, say("memberCount", { n: room.member_count })))));
      if (rows.length >= 100) break;
    }
    if (mine === turn) fill(list, rows.length ? rows : el("li", { class: "hint" }, say("noRooms")));
  };
  const search = el("input", { class: "input", type: "search", "aria-label": say("search"), placeholder: say("search"), autofocus: true, on: { input: () => attempt(find) } });
  const dialog = openDialog(say("browse"), search, list);
  attempt(find);
}

/** @param {string} roomId */
export function openRoomSettings(roomId) {
  const room = workspace.rooms.get(roomId);
  if (!room) return;
  const mayChange = room.my_role === "owner" || room.my_role === "admin";
  const change = form(async ({ name, topic, description }) => {
    await workspace.client.changeRoom(roomId, { name, topic: topic || null, description: description || null });
    dialog.close();
  }, say("save"), field(say("roomName"), { name: "name", required: true, maxlength: 100, value: room.name }),
  field(say("topic"), { name: "topic", maxlength: 250, value: room.topic ?? "" }),
  field(say("description"), { name: "description", maxlength: 1000, value: room.description ?? "" }));
  const act = (/** @type {() => Promise<unknown>} */ work) => async () => {
    if (!(await confirmed(say("confirmLeave"), say("leave")))) return;
    await attempt(work);
    dialog.close();
    location.hash = "";
  };
  const leave = el("button", { type: "button", class: "button", on: { click: act(() => workspace.client.leave(roomId)) } }, icon("out"), say("leave"));
  const dialog = openDialog(say("roomSettings"), levelChoice(roomId), mayChange ? change : null, el("div", { class: "buttons start" }, leave));
}

/** @param {string} roomId */
function levelChoice(roomId) {
  const levels = /** @type {const} */ (["all", "mentions", "none"]);
  const choice = el("select", { class: "input" }, levels.map((level) => el("option", { value: level }, say(`level.${level}`))));
  const read = attempt(() => workspace.client.notificationSettings());
  read.then((settings) => {
    if (settings) choice.value = /** @type {any} */ (settings).rooms[roomId] ?? /** @type {any} */ (settings).default;
  });
  choice.addEventListener("change", () => setLevel(roomId, /** @type {typeof levels[number]} */ (choice.value)));
  return el("label", { class: "field" }, el("span", {}, say("notifyMe")), choice);
}

/** @param {string} messageId */
export async function openVersions(messageId) {
  const versions = await attempt(() => workspace.client.history(messageId));
  if (!Array.isArray(versions)) return;
  openDialog(say("versions"), el("ol", { class: "versions" }, versions.map((version) =>
    el("li", {}, el("header", {}, el("strong", {}, nameTag(version.actor_id)), el("time", { datetime: version.at }, momentOf(version.at)), el("small", {}, `#${version.position}`)),
      el("p", { class: "text plain" }, version.deleted ? say("deleted") : version.content)))));
}

export async function openInbox() {
  const list = el("ul", { class: "found" });
  const dialog = openDialog(say("inbox"), list);
  const page = await attempt(() => workspace.client.notifications());
  const items = /** @type {import("./hansard-client/types.js").NotificationPage | undefined} */ (page)?.items ?? [];
  const open = (/** @type {string | null} */ roomId) => () => {
    dialog.close();
    if (roomId) location.hash = roomId;
  };
  await attempt(() => workspace.named(items.map(({ actor_id }) => actor_id)));
  fill(list, items.length ? items.map((item) => {
    const room = item.room_id ? workspace.rooms.get(item.room_id) : undefined;
    const said = sayOr(`kind.${item.kind}`, { name: workspace.nameOf(item.actor_id), room: room ? workspace.titleOf(room) : "" });
    return el("li", {}, el("button", { type: "button", class: item.read ? "" : "unread", on: { click: open(item.room_id) } }, icon("bell"), el("span", {}, said), el("small", {}, momentOf(item.at))));
  }) : el("li", { class: "hint" }, say("inboxEmpty")));
  const last = items[0];
  if (!last) return;
  const read = () => attempt(async () => {
    await workspace.client.readNotifications(last.position);
    workspace.inboxUnread = 0;
    workspace.tell("inbox");
    dialog.close();
  });
  dialog.firstElementChild?.append(el("div", { class: "buttons" }, el("button", { type: "button", class: "button", on: { click: read } }, icon("check"), say("markRead"))));
}

export function openSettings() {
  const { client, me } = workspace;
  const name = form(async ({ username }) => {
    const changed = await client.changeMe({ username });
    if (workspace.me) workspace.me.username = changed.username;
    workspace.people.set(changed.id, changed);
    workspace.tell("people");
  }, say("save"), field(say("username"), { name: "username", required: true, minlength: 2, maxlength: 50, value: me?.username }));
  const password = form(async ({ current, fresh }, made) => {
    await client.changePassword(current, fresh);
    made.reset();
    toast(say("changed"));
  }, say("changePassword"), field(say("currentPassword"), { type: "password", name: "current", required: true, autocomplete: "current-password" }),
  field(say("newPassword"), { type: "password", name: "fresh", required: true, minlength: 8, autocomplete: "new-password" }, say("passwordHint")));
  const themes = el("select", { class: "input" }, THEMES.map((each) => el("option", { value: each, selected: each === theme() }, say(`theme.${each}`))));
  themes.addEventListener("change", () => changeTheme(themes.value));
  const languages = el("select", { class: "input" }, Object.entries(LANGUAGES).map(([each, { name: said }]) => el("option", { value: each, selected: each === language }, said)));
  languages.addEventListener("change", () => speak(languages.value));
  const sessions = el("ul", { class: "sessions" });
  const leave = el("button", { type: "button", class: "button", on: { click: () => attempt(logOut) } }, icon("out"), say("logOut"));
  const dialog = openDialog(say("settings"),
    el("section", {}, el("h3", {}, say("profile")), el("p", { class: "hint" }, me?.email), name),
    el("section", {}, el("h3", {}, say("appearance")), el("label", { class: "field" }, el("span", {}, say("theme")), themes), el("label", { class: "field" }, el("span", {}, say("language")), languages)),
    el("section", {}, el("h3", {}, say("inbox")), el("div", { class: "buttons start" }, leads(say("nt.title"), "bell", openNotificationSettings), leads(say("blocked"), "block", openBlocks))),
    el("section", {}, el("h3", {}, say("sessions")), sessions),
    el("section", {}, el("h3", {}, say("changePassword")), password),
    el("div", { class: "buttons start" }, leave));
  attempt(() => drawSessions(sessions));

  /** @param {string} said @param {string} drawn @param {() => unknown} open */
  function leads(said, drawn, open) {
    const follow = () => {
      dialog.close();
      open();
    };
    return el("button", { type: "button", class: "button", on: { click: follow } }, icon(drawn), said);
  }

  async function logOut() {
    dialog.close();
    const { chat } = workspace;
    workspace.chat = null;
    await client.logout();
    chat?.close();
    workspace.tell("left");
  }
}

/** @param {HTMLElement} list */
async function drawSessions(list) {
  const sessions = await workspace.client.sessions();
  fill(list, sessions.map((session) => {
    const end = () => attempt(async () => {
      await workspace.client.endSession(session.id);
      await drawSessions(list);
    });
    return el("li", {}, el("span", {}, el("strong", {}, agentOf(session.agent)), el("small", {}, `${session.address ?? ""} · ${say("lastUsed", { at: momentOf(session.last_used_at) })}`)),
      session.is_current ? el("small", {}, say("thisSession")) : el("button", { type: "button", class: "button", on: { click: end } }, say("endSession")));
  }));
}
