/**
 * The key under which this browser knows the record. It is kept when it is first seen, and everything later is held against it:
 * another key is believed where statements that both keys signed lead to it, and else said to be another.
 */

import { isSigned, readKey, rotationOf } from "./proofs.js";

const KEPT = "hansard-record-key";

/**
 * @typedef {import("./proofs.js").Key} Key @typedef {import("./proofs.js").Checkpoint} Checkpoint
 * @typedef {{ key: Key | null, standing: "first" | "known" | "followed" | "another", pinned: string | null, since: string | null }} Judged
 *   `key` null: none of the keys that the server names has signed this
 */

/** @returns {{ vkey: string, since: string } | null} */
function kept() {
  try {
    const found = JSON.parse(localStorage.getItem(KEPT) ?? "null");
    return typeof found?.vkey === "string" ? found : null;
  } catch {
    return null;
  }
}

/** Believe a key from now on. @param {string} vkey */
export function pin(vkey) {
  localStorage.setItem(KEPT, JSON.stringify({ vkey, since: new Date().toISOString() }));
}

/** Find who signed a checkpoint, and whether this browser knows that key. @param {Checkpoint} checkpoint @returns {Promise<Judged>} */
export async function judge(checkpoint) {
  const answer = await fetch("/.well-known/hansard-keys", { cache: "no-store" });
  /** @type {{ keys: { vkey: string }[], rotations: { position: number, note: string }[] }} */
  const told = await answer.json();
  const before = kept();
  const about = { pinned: before?.vkey ?? null, since: before?.since ?? null };
  // The pinned key is asked first: it need not be among those that the server cares to name.
  const named = [...(before ? [before.vkey] : []), ...told.keys.map(({ vkey }) => vkey)];
  const key = await signerOf(checkpoint, named);
  if (key === null || key.name !== checkpoint.origin) return { key: null, standing: "another", ...about };
  if (before === null) {
    pin(key.vkey);
    return { key, standing: "first", ...about };
  }
  if (before.vkey === key.vkey) return { key, standing: "known", ...about };
  const isBound = await isFollowed(before.vkey, key.vkey, checkpoint.size, told.rotations);
  if (isBound) pin(key.vkey);
  return { key, standing: isBound ? "followed" : "another", ...about };
}

/** @param {Checkpoint} checkpoint @param {string[]} vkeys */
async function signerOf(checkpoint, vkeys) {
  for (const vkey of vkeys) {
    const key = await readKey(vkey);
    if (await isSigned(checkpoint, key)) return key;
  }
  return null;
}

/**
 * Whether statements lead from one key to another by a tree of this size.
 * @param {string} from @param {string} to @param {number} size @param {{ position: number, note: string }[]} rotations
 */
async function isFollowed(from, to, size, rotations) {
  let at = from;
  for (const { position, note } of [...rotations].sort((a, b) => a.position - b.position)) {
    const rotation = await rotationOf(note);
    if (rotation?.before.vkey === at && position <= size) at = rotation.after.vkey;
  }
  return at === to;
}
