/** Tasks that are queued, fail or were given up: looked at anew as long as somebody looks, and tried again by a press. */

import { el } from "./dom.js";
import { Pages } from "./pages.js";
import { attempt, nameTag, toast } from "./parts.js";
import { momentOf, say } from "./words.js";
import { workspace } from "./workspace.js";

/** @typedef {import("./hansard-client/types.js").Task} Task @typedef {import("./hansard-client/types.js").TaskState} TaskState */

/** @type {TaskState[]} */
const STATES = ["queued", "running", "failed", "dead"];

export class TaskList {
  /** @type {TaskState | undefined} */
  #state;
  #isLooking = false;
  /** @type {Pages<Task>} */
  #pages = new Pages(({ cursor, limit }) => workspace.client.tasks({ state: this.#state, cursor: cursor ?? undefined, limit }),
    (task) => this.#row(task), () => say(this.#state ? "op.noSuchTasks" : "op.noTasks"), { look: "op-tasks" });

  constructor() {
    const choose = (/** @type {Event & { currentTarget: HTMLSelectElement }} */ { currentTarget }) => {
      this.#state = STATES.find((each) => each === currentTarget.value);
      this.#pages.draw({ isAnother: true });
    };
    this.element = el("section", { "aria-label": say("op.allTasks") }, el("header", { class: "op-head" }, el("h2", {}, say("op.allTasks")),
      el("label", { class: "choice" }, el("span", {}, say("op.state")), el("select", { class: "input", on: { change: choose } },
        el("option", { value: "" }, say("op.every")), STATES.map((each) => el("option", { value: each }, say(`op.is.${each}`)))))),
    this.#pages.element);
  }

  /** Look anew, unless that is under way. */
  async refresh() {
    if (this.#isLooking) return;
    this.#isLooking = true;
    await this.#pages.draw();
    this.#isLooking = false;
  }

  /** @param {Task} task */
  #row(task) {
    const again = () => attempt(async () => {
      const isNew = await workspace.client.retryTask(task.id);
      toast(say(isNew ? "op.triedAgain" : "op.underWay"));
      await this.#pages.draw();
    });
    const kind = say(`op.task.${task.kind}`);
    const tries = task.attempts ? say("op.tries", { n: task.attempts }) : null;
    const due = task.due_at ? say(task.state === "failed" ? "op.againAt" : "op.dueAt", { at: momentOf(task.due_at) }) : null;
    return el("li", {},
      el("div", {}, el("strong", {}, kind), el("small", {}, el("code", {}, task.about_id))),
      el("div", {}, el("span", { class: "op-state", "data-state": task.state }, say(`op.is.${task.state}`)), el("small", {}, [tries, due].filter(Boolean).join(" · "))),
      el("div", {}, el("span", {}, task.error ?? ""), el("small", {}, momentOf(task.at), task.user_id ? [", ", nameTag(task.user_id)] : null)),
      task.can_retry ? el("button", { type: "button", class: "button", "data-key": task.id, "aria-label": say("op.retryOf", { kind, id: task.about_id }), on: { click: again } }, say("op.retry")) : null);
  }
}
