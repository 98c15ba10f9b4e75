/** Push: this browser is told of things while no page is open, by its vendor's push service, which can read nothing of it. */

import { Refused } from "./hansard-client/index.js";
import { agentOf } from "./parts.js";
import { trustedWorker } from "./trusted.js";
import { say } from "./words.js";
import { workspace } from "./workspace.js";

const KEPT = "hansard-push";
const WORDS = "/push_words";
const KINDS = /** @type {const} */ (["mention", "direct", "thread", "keyword", "room", "invitation", "file", "several", "other"]);

/** Whether this browser can be pushed to; without HTTPS (or loopback) none can. */
export const canPush = "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;

/** Leave the worker its words, in the language that is spoken now. */
export async function keepWords() {
  const words = Object.fromEntries(KINDS.map((kind) => [kind, say(`push.${kind}`)]));
  await (await caches.open(KEPT)).put(WORDS, new Response(JSON.stringify(words)));
}

/** Have notices open their rooms in this page, and follow the language, once push was allowed. */
export async function attachPush() {
  if (!canPush || Notification.permission !== "granted") return;
  navigator.serviceWorker.addEventListener("message", ({ data }) => {
    if (typeof data?.roomId === "string" && data.roomId) location.hash = data.roomId;
  });
  await keepWords();
}

/** Ask for leave, and subscribe this browser for the session. */
export async function turnOn() {
  const { client } = workspace;
  if ((await Notification.requestPermission()) !== "granted") throw new Refused("page.push_denied", 403, say("push.denied"));
  await keepWords();
  await navigator.serviceWorker.register(trustedWorker(), { scope: "/", updateViaCache: "none" });
  const { pushManager } = await navigator.serviceWorker.ready;
  const subscribed = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: await client.pushKey() });
  const { endpoint, keys } = subscribed.toJSON();
  await client.subscribePush({ endpoint: String(endpoint), keys: { p256dh: String(keys?.p256dh), auth: String(keys?.auth) }, device: agentOf(navigator.userAgent) });
}

/** Tell this browser nothing more. @param {string} subscriptionId */
export async function turnOff(subscriptionId) {
  await workspace.client.unsubscribePush(subscriptionId);
  const registration = await navigator.serviceWorker.getRegistration("/");
  await (await registration?.pushManager.getSubscription())?.unsubscribe();
}
