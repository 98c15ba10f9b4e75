/** Parts: small elements that all views use: names, pictures of people, fields, dialogs, and what is said in passing. */

import { custom, el, fill, iconButton } from "./dom.js";
import { say } from "./words.js";
import { sentenceOf, workspace } from "./workspace.js";

const TOAST_MS = 6000;
const HUES = 360;

/** Somebody's name, or a sentence with it, kept up. */
class NameTag extends HTMLElement {
  #write = () => {
    const [name, sentence] = [workspace.nameOf(this.getAttribute("user-id")), this.getAttribute("sentence")];
    this.replaceChildren(sentence === null ? name : say(/** @type {import("./words.js").Word} */ (sentence), { name }));
  };

  connectedCallback() {
    this.#write();
    workspace.addEventListener("people", this.#write);
  }

  disconnectedCallback() {
    workspace.removeEventListener("people", this.#write);
  }
}

/** Somebody's picture: the first letters of the name, in a colour of their own, and whether they are online. */
class Avatar extends HTMLElement {
  #write = () => {
    const userId = this.getAttribute("user-id") ?? "";
    this.replaceChildren(workspace.nameOf(userId).slice(0, 2).toUpperCase());
    this.style.setProperty("--hue", String(hueOf(userId)));
    if (this.hasAttribute("shows-presence")) this.classList.toggle("online", workspace.isOnline(userId));
  };

  connectedCallback() {
    this.setAttribute("aria-hidden", "true");
    this.#write();
    workspace.addEventListener("people", this.#write);
    if (this.hasAttribute("shows-presence")) workspace.addEventListener("room", this.#write);
  }

  disconnectedCallback() {
    workspace.removeEventListener("people", this.#write);
    workspace.removeEventListener("room", this.#write);
  }
}

customElements.define("hansard-name", NameTag);
customElements.define("hansard-avatar", Avatar);

/** @param {string} text */
function hueOf(text) {
  let sum = 0;
  for (const sign of text) sum = (sum * 31 + sign.charCodeAt(0)) % HUES;
  return sum;
}

/** @param {string | null} userId @param {import("./words.js").Word} [sentence] one of `words.js` with a {name} */
export const nameTag = (userId, sentence) => custom("hansard-name", { "user-id": userId, sentence: sentence ?? null });
/** @param {string | null} userId @param {boolean} [showsPresence] */
export const avatar = (userId, showsPresence) => custom("hansard-avatar", { "user-id": userId, "shows-presence": showsPresence });

/**
 * A field with its label.
 * @param {string} label @param {Record<string, any>} properties @param {string} [hint]
 */
export function field(label, properties, hint) {
  const input = el("input", { class: "input", ...properties });
  return el("label", { class: "field" }, el("span", {}, label), input, hint ? el("small", {}, hint) : null);
}

/** Say something in passing, to those who hear the page as well. @param {string} text */
export function toast(text) {
  let place = document.querySelector(".toasts");
  if (place === null) document.body.append((place = el("div", { class: "toasts", role: "status" })));
  const said = el("div", { class: "toast" }, text);
  place.append(said);
  setTimeout(() => said.remove(), TOAST_MS);
}

/** Do something that may fail, and say so if it does. @template Result @param {() => Promise<Result>} act @returns {Promise<Result | undefined>} */
export async function attempt(act) {
  try {
    return await act();
  } catch (error) {
    toast(sentenceOf(error));
    return undefined;
  }
}

/**
 * Open a dialog. It is gone when it is closed.
 * @param {string} title @param {...import("./dom.js").Child} children
 */
export function openDialog(title, ...children) {
  const dialog = el("dialog", { "aria-label": title, class: "dialog" });
  const close = () => dialog.close();
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) close();
  });
  fill(dialog, el("div", { class: "dialog-body" },
    el("header", {}, el("h2", {}, title), iconButton("close", say("close"), close)), ...children));
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * A form that says what went wrong, and takes one answer at a time.
 * @param {(data: Record<string, string>, form: HTMLFormElement) => Promise<unknown>} act
 * @param {string} button @param {...import("./dom.js").Child} children
 */
export function form(act, button, ...children) {
  const problem = el("p", { class: "problem", role: "alert" });
  const submit = el("button", { class: "button primary", type: "submit" }, button);
  const made = el("form", { class: "form" }, ...children, problem, el("div", { class: "buttons" }, submit));
  made.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    problem.textContent = "";
    try {
      await act(/** @type {Record<string, string>} */ (Object.fromEntries(new FormData(made))), made);
    } catch (error) {
      problem.textContent = sentenceOf(error);
    } finally {
      submit.disabled = false;
    }
  });
  return made;
}

/** Ask yes or no. @param {string} question @param {string} yes @returns {Promise<boolean>} */
export function confirmed(question, yes) {
  return new Promise((resolve) => {
    const agree = el("button", { class: "button danger", type: "button" }, yes);
    const cancel = el("button", { class: "button", type: "button", autofocus: true }, say("cancel"));
    const dialog = openDialog(question, el("div", { class: "buttons" }, cancel, agree));
    dialog.addEventListener("close", () => resolve(false));
    cancel.addEventListener("click", () => dialog.close());
    agree.addEventListener("click", () => {
      resolve(true);
      dialog.close();
    });
  });
}

/** What a browser calls itself, shortened. @param {string | null} agent */
export function agentOf(agent) {
  const found = /(Firefox|Edg|Chrome|Safari)\/[\d.]+/.exec(agent ?? "");
  return found ? found[1].replace("Edg", "Edge") : (agent ?? "").slice(0, 40) || "?";
}
