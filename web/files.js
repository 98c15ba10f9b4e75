/** Files: pictures and attachments of messages, fetched with the session's token, and uploads with their progress. */

import { el, icon } from "./dom.js";
import { Refused, Unreachable, newId } from "./hansard-client/index.js";
import { attempt } from "./parts.js";
import { say, sizeOf } from "./words.js";
import { workspace } from "./workspace.js";

const PICTURES_MAX = 60;
const WIDTH_MAX = 420;
const HEIGHT_MAX = 320;

/** @typedef {import("./hansard-client/types.js").File} File_ */

/** Addresses of pictures, the latest used last. @type {Map<string, Promise<string>>} */
const pictures = new Map();

/** Return an address at which the page can show a variant of a picture. @param {string} fileId @param {string} variant */
function pictureOf(fileId, variant) {
  const key = `${fileId}/${variant}`;
  const found = pictures.get(key) ?? workspace.client.download(fileId, variant).then((blob) => URL.createObjectURL(blob));
  found.catch(() => pictures.delete(key));
  pictures.delete(key);
  pictures.set(key, found);
  for (const [old, address] of pictures) {
    if (pictures.size <= PICTURES_MAX) break;
    pictures.delete(old);
    address.then((each) => URL.revokeObjectURL(each), () => undefined);
  }
  return found;
}

/** Return what a message shows of its file. @param {import("./message.js").Shown} shown */
export function attachment({ file, file_id: fileId }) {
  if (!fileId || !file) return null;
  if (file.status === "failed") return el("p", { class: "file failed" }, icon("file"), file.original_name, " – ", file.error?.detail ?? say("fileFailed"));
  if (file.status !== "completed") return processing(file);
  const preview = file.variants?.preview;
  return preview && file.mime_type.startsWith("image/") ? picture(file, preview) : download(file);
}

/** @param {File_} file */
function processing(file) {
  return el("p", { class: "file" }, el("span", { class: "spinner" }), file.original_name, " ", el("small", {}, say("processing")));
}

/** @param {File_} file @param {{ width: number, height: number }} size */
function picture(file, { width, height }) {
  const image = el("img", { alt: say("picture", { name: file.original_name }), loading: "lazy", decoding: "async" });
  const scale = Math.min(1, WIDTH_MAX / width, HEIGHT_MAX / height);
  const frame = el("button", { type: "button", class: "picture", on: { click: () => enlarge(file) } }, image);
  frame.style.setProperty("width", `${Math.round(width * scale)}px`);
  frame.style.setProperty("aspect-ratio", `${width} / ${height}`);
  pictureOf(file.id, "preview").then((address) => image.setAttribute("src", address), () => frame.classList.add("failed"));
  return frame;
}

/** @param {File_} file */
async function enlarge(file) {
  const image = el("img", { alt: say("picture", { name: file.original_name }) });
  const close = () => dialog.close();
  const dialog = el("dialog", { class: "lightbox", "aria-label": file.original_name, on: { click: close } }, image,
    el("button", { type: "button", class: "button", on: { click: close } }, say("close")),
    el("button", { type: "button", class: "button", on: { click: () => keep(file) } }, say("download", { name: file.original_name })));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  image.src = await pictureOf(file.id, "original" in file.variants ? "original" : "preview");
}

/** @param {File_} file */
function download(file) {
  return el("button", { type: "button", class: "file", on: { click: () => keep(file) } }, icon("file"),
    el("span", {}, file.original_name), el("small", {}, sizeOf(file.size_bytes)));
}

/** Have the browser keep a file. @param {File_} file */
function keep(file) {
  return attempt(async () => {
    const address = URL.createObjectURL(await workspace.client.download(file.id));
    el("a", { href: address, download: file.original_name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  });
}

/**
 * Upload a file, once, and return its id. `fetch` cannot say how far it is.
 * @param {Blob} content @param {string} name @param {string} roomId @param {(share: number) => void} told @param {AbortSignal} signal
 * @returns {Promise<string>}
 */
export async function upload(content, name, roomId, told, signal) {
  const token = await workspace.client.token();
  return await new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/v1/files/upload?room_id=${roomId}`);
    request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.setRequestHeader("Idempotency-Key", newId());
    request.responseType = "json";
    request.upload.addEventListener("progress", ({ loaded, total }) => told(total ? loaded / total : 0));
    request.addEventListener("error", () => reject(new Unreachable("The upload was cut off.")));
    request.addEventListener("abort", () => reject(new DOMException("It was left.", "AbortError")));
    request.addEventListener("load", () => {
      if (request.status < 300) resolve(request.response.id);
      else reject(Refused.of(request.response, request.status));
    });
    signal.addEventListener("abort", () => request.abort());
    const form = new FormData();
    form.append("file", content, name);
    request.send(form);
  });
}
