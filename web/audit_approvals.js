/** Approvals: what somebody has asked for and somebody else decides. */

import { desk, facts } from "./audit_desk.js";
import { el, fill } from "./dom.js";
import { Pages } from "./pages.js";
import { attempt, confirmed, nameTag } from "./parts.js";
import { momentOf, say, sayOr } from "./words.js";
import { workspace } from "./workspace.js";

/** @typedef {{ id: string, subject: string, state: string, requester_id: string | null, user_id: string | null, summary: string, reason: string,
 *   requested_at: string, expires_at: string, decider_id: string | null, decision_reason: string | null, decided_at: string | null }} Approval */

const STATES = ["pending", "granted", "refused", "expired"];

class AuditApprovals extends HTMLElement {
  #state = STATES[0];
  /** @type {Pages<Approval>} */
  #pages = new Pages((place) => desk.call("GET", "/approvals", { query: { state: this.#state, ...place } }), (each) => this.#row(each),
    () => say(this.#state === "pending" ? "noApprovals" : "noSuchApprovals"));

  connectedCallback() {
    const choose = (/** @type {Event & { currentTarget: HTMLSelectElement }} */ { currentTarget }) => {
      this.#state = currentTarget.value;
      this.#pages.draw({ isAnother: true });
    };
    fill(this, el("p", { class: "hint" }, say("approvalsHint")),
      el("label", { class: "choice" }, el("span", {}, say("filter")), el("select", { class: "input", on: { change: choose } },
        STATES.map((each) => el("option", { value: each }, sayOr(`approval.${each}`, {}))))),
      this.#pages.element);
    this.#pages.draw();
  }

  /** @param {Approval} asked */
  #row(asked) {
    const decide = (/** @type {"approve" | "refuse"} */ how) => async () => {
      if (!(await confirmed(say("confirmDecision", { what: asked.summary, reason: desk.reason }), say(how)))) return;
      await attempt(async () => {
        await desk.call("POST", `/approvals/${asked.id}/${how}`);
        await this.#pages.draw();
      });
    };
    const mayDecide = asked.requester_id !== workspace.me?.id && (asked.subject === "export" || desk.is("records_manager", "admin"));
    const button = (/** @type {"approve" | "refuse"} */ how) => el("button", { type: "button", class: `button ${how === "approve" ? "primary" : ""}`, "data-key": `${how} ${asked.id}`, on: { click: decide(how) } }, say(how));
    return el("li", { class: "card" }, el("header", {}, el("h2", {}, sayOr(`subject.${asked.subject}`, {})), el("span", { class: `state ${asked.state === "granted" ? "on" : ""}` }, sayOr(`approval.${asked.state}`, {})),
      asked.state !== "pending" ? null : mayDecide ? [button("refuse"), button("approve")] : el("small", {}, say("othersDecide"))),
      facts([[say("askedFor"), asked.summary], [say("why"), asked.reason], [say("askedBy"), asked.requester_id ? nameTag(asked.requester_id) : say("theOperator")],
        [say("about"), asked.user_id && nameTag(asked.user_id)], [say("when"), momentOf(asked.requested_at)], [say("until"), momentOf(asked.expires_at)],
        [say("decidedBy"), asked.decided_at && el("span", {}, nameTag(asked.decider_id), ", ", momentOf(asked.decided_at))], [say("decidedWhy"), asked.decision_reason]]));
  }
}

customElements.define("hansard-audit-approvals", AuditApprovals);
