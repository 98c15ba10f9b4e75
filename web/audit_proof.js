/** "Prove this": a message or an entry of the record, its path through the tree and the signature, verified here in the browser. */

import { desk } from "./audit_desk.js";
import { saved } from "./audit_files.js";
import { el, fill, icon, wear } from "./dom.js";
import { openDialog } from "./parts.js";
import { judge, pin } from "./pinned_key.js";
import { drawPath } from "./proof_tree.js";
import { ProofError, bytesOf, canVerify, climb, hexOf, isSame, leafOf, readCheckpoint, readProof } from "./proofs.js";
import { momentOf, say } from "./words.js";
import { sentenceOf, workspace } from "./workspace.js";

wear(new URL("./audit.css", import.meta.url).href);

const SIGNED_TRIES = 8;
const SIGNED_MS = 500;

/**
 * @typedef {{ leaf: Uint8Array, index: number, hashes: Uint8Array[], checkpoint: import("./proofs.js").Checkpoint, file?: Blob }} Given
 * @typedef {{ position: number, leaf_hash: string }} Entry
 */

/** Prove that the posting of a message is on the record. @param {string} messageId @param {number} position */
export function proveMessage(messageId, position) {
  return show(position, async () => {
    const file = await workspace.client.bytes("GET", `/messages/${messageId}/proof`);
    const { entry, index, hashes, checkpoint } = readProof(await file.text());
    return { leaf: await leafOf(entry), index, hashes, checkpoint, file };
  });
}

/** Prove that an entry is on the record. @param {Entry} entry */
export function proveEntry({ position, leaf_hash }) {
  return show(position, async () => {
    const checkpoint = await signed(position);
    const proof = await desk.call("GET", "/audit/proofs/inclusion", { query: { position, size: checkpoint.size } });
    return { leaf: bytesOf(leaf_hash), index: position - 1, hashes: proof.hashes.map((/** @type {string} */ each) => bytesOf(each)), checkpoint };
  });
}

/** The newest checkpoint, once it holds a position. @param {number} position */
async function signed(position) {
  for (let tries = SIGNED_TRIES; ; tries -= 1) {
    const note = await workspace.client.bytes("GET", "/audit/checkpoint", { isPublic: true });
    const checkpoint = readCheckpoint(await note.text());
    if (checkpoint.size >= position || tries === 0) return checkpoint;
    await new Promise((resolve) => setTimeout(resolve, SIGNED_MS));
  }
}

/** @param {number} position @param {() => Promise<Given>} given */
async function show(position, given) {
  const body = el("div", { class: "proof", "aria-live": "polite" }, el("p", { class: "hint" }, say("proving")));
  const dialog = openDialog(say("proofOf", { n: position }), body);
  dialog.classList.add("wide");
  if (!canVerify()) return fill(body, el("p", { class: "problem" }, say("cannotVerify")));
  try {
    await draw(body, position, await given());
  } catch (error) {
    fill(body, verdict(false, say("notProven")), el("p", { class: "problem" }, faultOf(error)));
  }
}

/** Why there is no proof. @param {unknown} error */
function faultOf(error) {
  if (error instanceof ProofError) return say("proofFaulty", { what: error.message });
  return error instanceof DOMException && error.name === "NotSupportedError" ? say("noEd25519") : sentenceOf(error);
}

/** @param {HTMLElement} body @param {number} position @param {Given} given */
async function draw(body, position, { leaf, index, hashes, checkpoint, file }) {
  const { root, steps } = await climb(leaf, index, checkpoint.size, hashes);
  const isThere = isSame(root, checkpoint.root) && index === position - 1;
  const judged = await judge(checkpoint);
  const isKnown = judged.key !== null && judged.standing !== "another";
  const path = say("provenPath", { n: hashes.length, size: checkpoint.size });
  fill(body, verdict(isThere && isKnown, isThere && isKnown ? say("proven", { n: position }) : say("notProven")),
    el("ul", { class: "checks" },
      check(isThere, isThere ? path : say("otherRoot")),
      check(judged.key !== null, judged.key ? say("provenSigned", { key: judged.key.id, origin: checkpoint.origin }) : say("notSigned")),
      judged.key ? check(isKnown, standing(judged)) : null),
    judged.key && !isKnown ? pinButton(judged.key.vkey) : null,
    drawPath(leaf, index, steps, isThere),
    el("details", { class: "raw" }, el("summary", {}, say("proofWhole")),
      el("dl", {}, el("dt", {}, say("proofLeaf")), el("dd", {}, hexOf(leaf)), el("dt", {}, say("proofRoot")), el("dd", {}, hexOf(root)),
        el("dt", {}, say("proofKey")), el("dd", {}, judged.key?.vkey ?? "–"), el("dt", {}, say("proofSays")), el("dd", {}, checkpoint.text))),
    el("p", { class: "hint" }, say("proofMeans")),
    file ? el("div", { class: "buttons" }, saved(file, `${position}.tlog-proof`, say("keepProof"))) : null);
}

/** @param {import("./pinned_key.js").Judged} judged */
function standing({ standing: how, since }) {
  if (how === "first") return say("keyFirst");
  if (how === "followed") return say("keyFollowed");
  return how === "known" ? say("keyKnown", { at: momentOf(String(since)) }) : say("keyAnother", { at: since ? momentOf(since) : "" });
}

/** @param {string} vkey */
function pinButton(vkey) {
  const button = el("button", { type: "button", class: "button danger" }, say("pinKey"));
  button.addEventListener("click", () => {
    pin(vkey);
    button.replaceWith(el("p", { class: "hint", role: "status" }, say("keyPinned")));
  });
  return button;
}

/** @param {boolean} isGood @param {string} text */
function verdict(isGood, text) {
  return el("p", { class: `verdict ${isGood ? "good" : "bad"}`, role: "status" }, icon(isGood ? "check" : "close"), text);
}

/** @param {boolean} isGood @param {string} text */
function check(isGood, text) {
  return el("li", { class: isGood ? "good" : "bad" }, icon(isGood ? "check" : "close"), el("span", {}, text));
}
