/** The auditor's desk: who one is to the record, why one looks, and the calls that say so. Each is recorded with its reason. */

import { el } from "./dom.js";
import { Refused } from "./hansard-client/index.js";
import { say } from "./words.js";
import { workspace } from "./workspace.js";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

class Desk extends EventTarget {
  /** Why one looks; it lasts as long as the page. */
  reason = "";

  /** @param {string} reason */
  open(reason) {
    this.reason = reason;
    this.dispatchEvent(new Event("reason"));
  }

  /** Ask with the reason, whatever was recorded before. @param {string} method @param {string} path
   * @param {import("./hansard-client/client.js").Asked} [asked] */
  call(method, path, asked = {}) {
    return workspace.client.call(method, path, { reason: this.reason, after: workspace.client.position, ...asked });
  }

  /** Whether one has one of these roles. @param {...import("./hansard-client/types.js").AccountRole} roles */
  is(...roles) {
    return roles.some((role) => workspace.roles.includes(role));
  }
}

export const desk = new Desk();

/** Return the id of a person who is named, or whose id it is. @param {string} text */
export async function personOf(text) {
  const wanted = text.trim();
  if (!wanted || UUID.test(wanted)) return wanted || null;
  const found = await workspace.client.userNamed(wanted);
  if (found === null) throw new Refused("page.nobody", 404, say("nobodyNamed"));
  return found.id;
}

/** Return the id of a room that one may see and that is named so, or whose id it is. @param {string} text */
export async function roomOf(text) {
  const wanted = text.trim();
  if (!wanted || UUID.test(wanted)) return wanted || null;
  const mine = [...workspace.rooms.values()].find((room) => workspace.titleOf(room) === wanted);
  if (mine) return mine.id;
  for await (const room of workspace.client.rooms({ q: wanted })) if (room.name === wanted) return room.id;
  throw new Refused("page.no_room", 404, say("noRoomNamed"));
}

/** Several, with commas between. @param {string} text @param {(each: string) => Promise<string | null>} one */
export async function several(text, one) {
  const found = await Promise.all(text.split(",").map(one));
  return found.filter((each) => each !== null);
}

/** A moment of a field of date and time, as the API has it; null where it is empty. @param {string | undefined} local */
export const momentAt = (local) => (local ? new Date(local).toISOString() : null);

/** What a room is called here, or its id. @param {string} roomId */
export function roomNamed(roomId) {
  const room = workspace.rooms.get(roomId);
  return room ? workspace.titleOf(room) : `${roomId.slice(0, 8)}…`;
}

/** A list of terms with what each is; those without are left out. @param {[string, import("./dom.js").Child][]} pairs */
export function facts(pairs) {
  return el("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value))));
}
