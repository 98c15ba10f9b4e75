/** The composer: what one writes, what it answers or edits, and the files that go with it. */

import { el, fill, icon, iconButton } from "./dom.js";
import { upload } from "./files.js";
import { Mentions } from "./mentions.js";
import { nameTag, toast } from "./parts.js";
import { say, sizeOf } from "./words.js";
import { sentenceOf } from "./workspace.js";

const FILES_MAX = 10;
const CHARS_MAX = 10_000;
const DRAFTS = "hansard-draft ";

/**
 * @typedef {{ id: string, name: string, size: number, isImage: boolean, fileId: string | null, error: string | null, left: AbortController, element: HTMLElement }} Upload
 * @typedef {import("./message.js").Shown} Shown
 */

export class Composer extends HTMLElement {
  roomId = "";
  /** @type {Shown | null} */
  #replyTo = null;
  /** @type {Shown | null} */
  #editing = null;
  /** @type {Upload[]} */
  #uploads = [];
  #about = el("div", { class: "about", hidden: true });
  #files = el("ul", { class: "uploads", "aria-label": say("attach"), hidden: true });
  #input = el("input", { type: "file", multiple: true, hidden: true, "aria-label": say("attach"), on: { change: () => this.#picked() } });
  #text = el("textarea", { rows: 1, maxlength: CHARS_MAX, class: "write", autocapitalize: "sentences" });
  #mentions = new Mentions(this.#text);
  #send = el("button", { type: "submit", class: "send", "aria-label": say("send"), title: say("keys") }, icon("send"));

  connectedCallback() {
    if (this.firstChild) return;
    this.#text.addEventListener("keydown", (event) => this.#key(event));
    this.#text.addEventListener("input", () => this.#typed());
    this.#text.addEventListener("paste", (event) => this.#pasted(event));
    const form = el("form", { class: "composer-box" }, iconButton("attach", say("attach"), () => this.#input.click()), this.#input, this.#text, this.#send);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    fill(this, this.#mentions.list, this.#about, this.#files, form);
  }

  /** @param {string} roomId @param {string} title */
  show(roomId, title) {
    for (const each of this.#uploads) each.left.abort();
    this.#uploads = [];
    this.roomId = roomId;
    this.#text.placeholder = say("writeTo", { room: title });
    this.#text.setAttribute("aria-label", say("writeTo", { room: title }));
    this.#text.value = sessionStorage.getItem(DRAFTS + roomId) ?? "";
    this.#leave();
    this.#drawFiles();
    this.#fit();
    if (matchMedia("(hover: hover)").matches) this.#text.focus();
  }

  focus() {
    this.#text.focus();
  }

  /** @param {Shown} shown */
  reply(shown) {
    this.#leave();
    this.#replyTo = shown;
    this.#drawAbout(el("span", {}, nameTag(shown.sender_id, "replyTo")));
  }

  /** @param {Shown} shown */
  edit(shown) {
    this.#leave();
    this.#editing = shown;
    this.#text.value = shown.content;
    this.#drawAbout(el("span", {}, say("editing")));
    this.#fit();
  }

  /** @param {HTMLElement} said */
  #drawAbout(said) {
    fill(this.#about, said, iconButton("close", say("cancel"), () => this.#leave(true)));
    this.#about.hidden = false;
    this.#text.focus();
  }

  /** Neither answer nor edit any more. @param {boolean} [forgets] */
  #leave(forgets) {
    if (this.#editing && forgets) this.#text.value = "";
    [this.#replyTo, this.#editing] = [null, null];
    this.#about.hidden = true;
    this.#fit();
  }

  #typed() {
    this.#fit();
    this.#mentions.look(this.roomId);
    if (!this.#editing) sessionStorage.setItem(DRAFTS + this.roomId, this.#text.value);
    if (this.#text.value) this.dispatchEvent(new CustomEvent("typing"));
  }

  #fit() {
    this.#text.style.setProperty("height", "auto");
    this.#text.style.setProperty("height", `${Math.min(this.#text.scrollHeight, 220)}px`);
    this.#send.disabled = !this.#text.value.trim() && this.#uploads.length === 0;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.isComposing || this.#mentions.takes(event)) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "Escape" && (this.#editing || this.#replyTo)) {
      this.#leave(true);
    } else if (event.key === "ArrowUp" && !this.#text.value) {
      event.preventDefault();
      this.dispatchEvent(new CustomEvent("edit-last"));
    }
  }

  #submit() {
    const content = this.#text.value.trim();
    if (this.#uploads.some((each) => each.fileId === null && each.error === null)) return;
    const files = this.#uploads.filter((each) => each.fileId !== null);
    if (!content && files.length === 0) return;
    const detail = { content, replyTo: this.#replyTo?.id ?? null, editing: this.#editing, files };
    this.#text.value = "";
    sessionStorage.removeItem(DRAFTS + this.roomId);
    this.#uploads = [];
    this.#drawFiles();
    this.#leave();
    this.dispatchEvent(new CustomEvent("say", { detail }));
  }

  // Files

  #picked() {
    this.add([...(this.#input.files ?? [])]);
    this.#input.value = "";
  }

  /** @param {ClipboardEvent} event */
  #pasted(event) {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    this.add(files);
  }

  /** Upload files, to go with the next message. @param {File[]} files */
  add(files) {
    for (const file of files.slice(0, FILES_MAX - this.#uploads.length)) this.#upload(file);
    this.#drawFiles();
    this.#text.focus();
  }

  /** @param {File} file */
  async #upload(file) {
    const bar = el("progress", { max: 1, value: 0, "aria-label": say("uploading", { name: file.name }) });
    /** @type {Upload} */
    const made = {
      id: file.name, name: file.name, size: file.size, isImage: file.type.startsWith("image/"), fileId: null, error: null,
      left: new AbortController(), element: el("li", {}),
    };
    const remove = iconButton("close", say("removeFile", { name: file.name }), () => this.#remove(made));
    fill(made.element, icon("file"), el("span", { class: "upload-name" }, file.name), el("small", {}, sizeOf(file.size)), bar, remove);
    this.#uploads.push(made);
    try {
      made.fileId = await upload(file, file.name, this.roomId, (share) => (bar.value = share), made.left.signal);
      bar.value = 1;
      made.element.classList.add("done");
    } catch (error) {
      made.error = sentenceOf(error);
      if (!made.left.signal.aborted) toast(`${file.name}: ${made.error}`);
      this.#remove(made);
    }
    this.#fit();
  }

  /** @param {Upload} upload_ */
  #remove(upload_) {
    upload_.left.abort();
    this.#uploads = this.#uploads.filter((each) => each !== upload_);
    this.#drawFiles();
  }

  #drawFiles() {
    this.#files.hidden = this.#uploads.length === 0;
    fill(this.#files, this.#uploads.map((each) => each.element));
    this.#fit();
  }
}

customElements.define("hansard-composer", Composer);
