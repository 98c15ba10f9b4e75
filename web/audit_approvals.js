/** Approvals: what somebody has asked for and somebody else decides. */

import { desk, facts } from "./audit_desk.js";
import { el, fill } from "./dom.js";
import { attempt, confirmed, nameTag } from "./parts.js";
import { momentOf, say, sayOr } from "./words.js";
import { workspace } from "./workspace.js";

/** @typedef {{ id: string, subject: string, state: string, requester_id: string | null, user_id: string | null, summary: string, reason: string,
 *   requested_at: string, expires_at: string }} Approval */

class AuditApprovals extends HTMLElement {
  #list = el("ul", { class: "cards" });

  connectedCallback() {
    fill(this, el("p", { class: "hint" }, say("approvalsHint")), this.#list);
    attempt(() => this.#draw());
  }

  async #draw() {
    const { items } = await desk.call("GET", "/approvals", { query: { state: "pending" } });
    fill(this.#list, items.length ? items.map((/** @type {Approval} */ each) => this.#row(each)) : el("li", { class: "hint" }, say("noApprovals")));
  }

  /** @param {Approval} asked */
  #row(asked) {
    const decide = (/** @type {"approve" | "refuse"} */ how) => async () => {
      if (!(await confirmed(say("confirmDecision", { what: asked.summary, reason: desk.reason }), say(how)))) return;
      await attempt(async () => {
        await desk.call("POST", `/approvals/${asked.id}/${how}`);
        await this.#draw();
      });
    };
    const mayDecide = asked.requester_id !== workspace.me?.id && (asked.subject === "export" || desk.is("records_manager", "admin"));
    const button = (/** @type {"approve" | "refuse"} */ how) => el("button", { type: "button", class: `button ${how === "approve" ? "primary" : ""}`, on: { click: decide(how) } }, say(how));
    return el("li", { class: "card" }, el("header", {}, el("h2", {}, sayOr(`subject.${asked.subject}`, {})), mayDecide ? [button("refuse"), button("approve")] : el("small", {}, say("othersDecide"))),
      facts([[say("askedFor"), asked.summary], [say("why"), asked.reason], [say("askedBy"), asked.requester_id ? nameTag(asked.requester_id) : say("theOperator")],
        [say("about"), asked.user_id && nameTag(asked.user_id)], [say("when"), momentOf(asked.requested_at)], [say("until"), momentOf(asked.expires_at)]]));
  }
}

customElements.define("hansard-audit-approvals", AuditApprovals);
