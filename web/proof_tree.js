/** A proof as a picture: from the event's leaf at the foot up to the root that was signed, with the hashes that the server gave beside it. */

import { hexOf } from "./proofs.js";
import { say } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 560;
const ROW = 58;
const [BOX_WIDTH, BOX_HEIGHT] = [156, 36];
const MIDDLE = WIDTH / 2;
const ASIDE = 196;
const HEX_CHARS = 12;

/** @param {string} name @param {Record<string, string | number>} attributes @param {...(Node | string)} children */
function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [each, value] of Object.entries(attributes)) element.setAttribute(each, String(value));
  element.append(...children);
  return element;
}

/** @param {number} x @param {number} y @param {string} kind @param {Uint8Array} hash @param {string} label */
function box(x, y, kind, hash, label) {
  return svg("g", { class: `node ${kind}` },
    svg("rect", { x: x - BOX_WIDTH / 2, y, width: BOX_WIDTH, height: BOX_HEIGHT, rx: 8 }),
    svg("text", { x, y: y + 15, class: "hash" }, `${hexOf(hash).slice(0, HEX_CHARS)}…`),
    svg("text", { x, y: y + 29 }, label));
}

/** @param {import("./proofs.js").Range} range */
function eventsOf({ from, to }) {
  return to - from === 1 ? say("treeEvent", { n: to }) : say("treeEvents", { from: from + 1, to });
}

/**
 * Draw a path.
 * @param {Uint8Array} leaf @param {number} index @param {import("./proofs.js").Step[]} steps @param {boolean} isRoot whether it leads to the
 *   root that was signed
 */
export function drawPath(leaf, index, steps, isRoot) {
  const height = (steps.length + 1) * ROW;
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, class: "tree", role: "img", "aria-label": say("treeSaid", { n: index + 1, steps: steps.length }) });
  const at = (/** @type {number} */ level) => height - (level + 1) * ROW + (ROW - BOX_HEIGHT) / 2;
  for (const [i, { side }] of steps.entries()) {
    const [foot, head] = [at(i), at(i + 1) + BOX_HEIGHT];
    const x = MIDDLE + (side === "left" ? -ASIDE : ASIDE);
    picture.append(svg("path", { class: "way", d: `M${MIDDLE} ${foot}V${head}` }),
      svg("path", { class: "beside", d: `M${x} ${foot}C${x} ${head + 4} ${MIDDLE} ${foot - 2} ${MIDDLE} ${head}` }));
  }
  picture.append(box(MIDDLE, at(0), steps.length ? "leaf" : "leaf root", leaf, eventsOf({ from: index, to: index + 1 })));
  for (const [i, { side, sibling, hash, made, node }] of steps.entries()) {
    picture.append(box(MIDDLE + (side === "left" ? -ASIDE : ASIDE), at(i), "given", hash, eventsOf(sibling)));
    const isTop = i === steps.length - 1;
    picture.append(box(MIDDLE, at(i + 1), isTop ? (isRoot ? "root" : "root wrong") : "made", made, isTop ? say("treeRoot", { n: node.to }) : eventsOf(node)));
  }
  return picture;
}
