/**
 * Proofs: that an event stands in the tree that the notary signed, judged in the browser and not believed. SHA-256 and Ed25519 are
 * WebCrypto's; the formats are C2SP's tlog-checkpoint, signed-note and tlog-proof (docs/record-format.md). Nothing here is of the page.
 */

const LEAF = 0;
const NODE = 1;
const ED25519 = 1;
const HASH_BYTES = 32;
const KEY_ID_BYTES = 4;
const SIGNATURE_LINE = /^— (\S+) (\S+)$/;
const PROOF_FORMAT = "c2sp.org/tlog-proof@v1";
const ROTATION_FORMAT = "hansard key rotation v1";

/**
 * @typedef {{ name: string, id: string, bytes: Uint8Array<ArrayBuffer>, vkey: string }} Key
 * @typedef {{ text: string, origin: string, size: number, root: Uint8Array<ArrayBuffer>, signatures: { name: string, bytes: Uint8Array<ArrayBuffer> }[] }} Checkpoint
 * @typedef {{ from: number, to: number }} Range the leaves below a node, `to` not among them
 * @typedef {{ side: "left" | "right", sibling: Range, hash: Uint8Array, node: Range, made: Uint8Array }} Step the sibling of a node of
 *   the path, and the node above the two
 * @typedef {{ origin: string, before: Key, after: Key }} Rotation
 */

/** What was said is not in its format, or contradicts itself. */
export class ProofError extends Error {}

/** Whether this browser can verify at all: pages without TLS have no WebCrypto. */
export const canVerify = () => globalThis.crypto?.subtle !== undefined;

/** @param {Uint8Array} bytes */
export const hexOf = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Read canonical Base64. @param {string} text @param {number} [length] @returns {Uint8Array<ArrayBuffer>} */
export function bytesOf(text, length) {
  let found;
  try {
    found = atob(text);
  } catch {
    throw new ProofError(`${text} is no Base64`);
  }
  if (btoa(found) !== text || (length !== undefined && found.length !== length)) throw new ProofError(`${text} is not what stands here`);
  return Uint8Array.from(found, (sign) => sign.charCodeAt(0));
}

/** @param {...Uint8Array} parts */
async function sha256(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));
}

/** @param {...Uint8Array} parts */
function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** @param {Uint8Array} a @param {Uint8Array} b */
export const isSame = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);

/** The leaf of an entry (RFC 9162, 2.1.1). @param {Uint8Array} entry */
export const leafOf = (entry) => sha256(Uint8Array.of(LEAF), entry);

/**
 * Climb from a leaf to the root by the hashes of an inclusion proof (RFC 9162, 2.1.3); returns each step of the way.
 * @param {Uint8Array} leaf @param {number} index @param {number} size @param {Uint8Array[]} hashes from the leaf up
 * @returns {Promise<{ root: Uint8Array, steps: Step[] }>}
 */
export async function climb(leaf, index, size, hashes) {
  if (!(Number.isSafeInteger(index) && Number.isSafeInteger(size) && index >= 0 && index < size)) throw new ProofError("no such leaf in this tree");
  const places = placesOf(index, size);
  if (places.length !== hashes.length) throw new ProofError("a path of another length");
  const steps = [];
  let root = leaf;
  for (const [i, { side, sibling, node }] of places.entries()) {
    const hash = hashes[i];
    root = await (side === "left" ? sha256(Uint8Array.of(NODE), hash, root) : sha256(Uint8Array.of(NODE), root, hash));
    steps.push({ side, sibling, node, hash, made: root });
  }
  return { root, steps };
}

/** The siblings on the way from a leaf to the root. @param {number} index @param {number} size
 * @returns {{ side: "left" | "right", sibling: Range, node: Range }[]} */
function placesOf(index, size) {
  const places = [];
  let [from, to] = [0, size];
  while (to - from > 1) {
    let width = 1;
    while (width * 2 < to - from) width *= 2;
    const [node, middle] = [{ from, to }, from + width];
    if (index < middle) {
      places.unshift({ side: /** @type {const} */ ("right"), sibling: { from: middle, to }, node });
      to = middle;
    } else {
      places.unshift({ side: /** @type {const} */ ("left"), sibling: { from, to: middle }, node });
      from = middle;
    }
  }
  return places;
}

/** Take a signed note apart. @param {string} note */
function readNote(note) {
  const end = note.lastIndexOf("\n\n");
  if (end < 0 || !note.endsWith("\n")) throw new ProofError("this is no signed note");
  const signatures = note.slice(end + 2, -1).split("\n").map((line) => {
    const [, name, text] = SIGNATURE_LINE.exec(line) ?? [];
    if (!text) throw new ProofError("a signature that is none");
    return { name, bytes: bytesOf(text) };
  });
  return { text: note.slice(0, end + 1), signatures };
}

/** @param {string} note @returns {Checkpoint} */
export function readCheckpoint(note) {
  const { text, signatures } = readNote(note);
  const [origin, size, root] = text.split("\n");
  if (!/^(0|[1-9]\d*)$/.test(size) || !Number.isSafeInteger(Number(size))) throw new ProofError("a size that is none");
  return { text, origin, size: Number(size), root: bytesOf(root, HASH_BYTES), signatures };
}

/** @param {string} vkey as signed notes write it @returns {Promise<Key>} */
export async function readKey(vkey) {
  const [, name, id, text] = /^(.+?)\+([0-9a-f]{8})\+(.+)$/.exec(vkey) ?? [];
  if (!text) throw new ProofError(`${vkey} is no key`);
  const coded = bytesOf(text, HASH_BYTES + 1);
  const named = (await sha256(new TextEncoder().encode(`${name}\n`), coded)).slice(0, KEY_ID_BYTES);
  if (coded[0] !== ED25519 || hexOf(named) !== id) throw new ProofError(`${vkey} contradicts itself`);
  return { name, id, bytes: coded.slice(1), vkey };
}

/** Whether a key has signed this. @param {{ text: string, signatures: Checkpoint["signatures"] }} note @param {Key} key */
export async function isSigned({ text, signatures }, key) {
  const made = signatures.find(({ name, bytes }) => name === key.name && hexOf(bytes.slice(0, KEY_ID_BYTES)) === key.id);
  if (!made) return false;
  const known = await crypto.subtle.importKey("raw", key.bytes, "Ed25519", false, ["verify"]);
  return await crypto.subtle.verify("Ed25519", known, made.bytes.slice(KEY_ID_BYTES), new TextEncoder().encode(text));
}

/** Take a proof in a file apart. @param {string} proof */
export function readProof(proof) {
  const end = proof.indexOf("\n\n");
  const [format, extra, index, ...hashes] = proof.slice(0, end).split("\n");
  if (end < 0 || format !== PROOF_FORMAT || !extra?.startsWith("extra ") || !/^index \d+$/.test(index ?? "")) throw new ProofError("this is no tlog-proof");
  return {
    entry: bytesOf(extra.slice(6), HASH_BYTES), index: Number(index.slice(6)), hashes: hashes.map((each) => bytesOf(each, HASH_BYTES)),
    checkpoint: readCheckpoint(proof.slice(end + 2)),
  };
}

/** Return what a statement of two keys says, if both have signed it. @param {string} note @returns {Promise<Rotation | null>} */
export async function rotationOf(note) {
  const said = readNote(note);
  const [format, origin, before, after] = said.text.split("\n");
  if (format !== ROTATION_FORMAT) return null;
  const keys = { before: await readKey(before), after: await readKey(after) };
  const isBound = keys.before.name === origin && keys.after.name === origin && (await isSigned(said, keys.before)) && (await isSigned(said, keys.after));
  return isBound ? { origin, ...keys } : null;
}
