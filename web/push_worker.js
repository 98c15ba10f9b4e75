/**
 * The worker that a push message wakes while no page is open. It shows what the message says and no more: what is to stay in the
 * house is not in it. Its words are left by the page (push.js), in the language that is spoken there.
 */
"use strict";

{
  const worker = /** @type {any} */ (self);
  const KEPT = "hansard-push";
  const WORDS = "/push_words";

  /** @returns {Promise<Record<string, string>>} */
  const words = async () => {
    const kept = await (await caches.open(KEPT)).match(WORDS);
    return kept ? await kept.json() : {};
  };

  /** @param {any} notice */
  const show = async (notice) => {
    const said = await words();
    const summary = notice.count > 1 ? (said.several ?? "{n}").replace("{n}", String(notice.count)) : (said[notice.kind] ?? said.other ?? "");
    const text = [notice.actor_name, notice.text].filter(Boolean).join(": ");
    const data = { roomId: notice.room_id ?? "" };
    await worker.registration.showNotification(notice.room_name ?? "Hansard", { body: text || summary, tag: notice.room_id ?? notice.kind, renotify: true, data });
  };

  /** Show the room in a page that is open, or open one. @param {string} roomId */
  const open = async (roomId) => {
    const [shown] = await worker.clients.matchAll({ type: "window" });
    if (!shown) return await worker.clients.openWindow(`/#${roomId}`);
    shown.postMessage({ roomId });
    return await shown.focus();
  };

  worker.addEventListener("install", () => worker.skipWaiting());
  worker.addEventListener("activate", (/** @type {any} */ event) => event.waitUntil(worker.clients.claim()));
  worker.addEventListener("push", (/** @type {any} */ event) => event.waitUntil(show(event.data?.json() ?? {})));
  worker.addEventListener("notificationclick", (/** @type {any} */ event) => {
    event.notification.close();
    event.waitUntil(open(event.notification.data.roomId));
  });
}
