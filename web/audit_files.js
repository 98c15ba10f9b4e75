/** Files that are handed out to whoever sits before the page. */

import { el, icon } from "./dom.js";

const REVOKE_MS = 60_000;

/** Have the browser keep a file. @param {Blob} file @param {string} name */
export function keep(file, name) {
  const address = URL.createObjectURL(file);
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), REVOKE_MS);
}

/** A button that hands out a file that is here. @param {Blob} file @param {string} name @param {string} label */
export function saved(file, name, label) {
  return el("button", { type: "button", class: "button", on: { click: () => keep(file, name) } }, icon("down"), label);
}
