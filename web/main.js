/** The page: the door, or the workspace of who has come in. The address says which room is on screen. */

import "./door.js";
import "./shell.js";
import { custom, fill } from "./dom.js";
import { Refused } from "./hansard-client/index.js";
import { toast } from "./parts.js";
import { attachPush } from "./push.js";
import { applyTheme } from "./theme.js";
import { say } from "./words.js";
import { workspace } from "./workspace.js";

const WAS_HERE = "hansard-was-here"; // else there is no cookie to ask for

applyTheme();

function showDoor() {
  document.title = "Hansard";
  fill(document.body, custom("hansard-door", { on: { entered: enter } }));
}

async function enter() {
  localStorage.setItem(WAS_HERE, "yes");
  const started = workspace.start();
  fill(document.body, custom("hansard-shell"));
  attachPush().catch(() => undefined); // a browser that keeps nothing has no words to leave
  try {
    await started;
  } catch (error) {
    if (error instanceof Refused && error.status === 401) return leave();
    throw error;
  }
}

/** What the page keeps of somebody goes with their session: drafts, too, since the next one at this screen may be another person. */
function forget() {
  localStorage.removeItem(WAS_HERE);
  sessionStorage.clear();
  workspace.stop();
  showDoor();
}

function leave() {
  forget();
  toast(say("sessionOver"));
}

workspace.addEventListener("over", leave);
workspace.addEventListener("left", forget);
addEventListener("online", () => workspace.chat?.hurry());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") workspace.chat?.hurry();
});

if (localStorage.getItem(WAS_HERE) === null) showDoor();
else await goOn();

async function goOn() {
  try {
    await workspace.client.restore();
    await enter();
  } catch (error) {
    showDoor();
    if (!(error instanceof Refused)) toast(say("unreachable"));
  }
}
