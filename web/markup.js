/**
 * Markup: the one place where text of the server becomes elements. The server has made the HTML of messages from their Markdown
 * and sanitised it (docs/decisions). Here it is parsed where nothing runs or loads, and only what a message may hold is taken over:
 * so a fault of one side alone lets nothing through. The page's policy allows no other way from text to HTML.
 */

import { trustedHtml } from "./trusted.js";

const ELEMENTS = new Set(["P", "BR", "EM", "STRONG", "S", "DEL", "CODE", "PRE", "BLOCKQUOTE", "UL", "OL", "LI", "A", "SPAN"]);
const SCHEMES = new Set(["http:", "https:", "mailto:"]);
const DEPTH_MAX = 64;

/** Return the elements of a message's HTML. @param {string} html */
export function elementsOf(html) {
  const template = document.createElement("template");
  template.innerHTML = trustedHtml(html);
  const fragment = document.createDocumentFragment();
  take(template.content, fragment, 0);
  return fragment;
}

/** @param {Node} from @param {Node} to @param {number} depth */
function take(from, to, depth) {
  for (const node of from.childNodes) {
    if (node instanceof Text) {
      to.appendChild(document.createTextNode(node.data));
    } else if (node instanceof HTMLElement && ELEMENTS.has(node.tagName) && depth < DEPTH_MAX) {
      take(node, to.appendChild(bare(node)), depth + 1);
    } else if (node instanceof Element) {
      to.appendChild(document.createTextNode(node.textContent ?? ""));
    }
  }
}

/** @param {HTMLElement} element */
function bare(element) {
  const made = document.createElement(element.tagName);
  if (made instanceof HTMLAnchorElement) {
    const address = element.getAttribute("href") ?? "";
    if (URL.canParse(address) && SCHEMES.has(new URL(address).protocol)) {
      made.href = address;
      made.target = "_blank";
      made.rel = "noopener noreferrer nofollow";
    }
  }
  if (made instanceof HTMLOListElement && element.hasAttribute("start")) made.start = Number(element.getAttribute("start")) || 1;
  return made;
}

/** Whether a text may look otherwise when it is rendered; what is plain needs no rendering. @param {string} content */
export function mayHaveMarkup(content) {
  return /[*_`~\\[\]>]|^\s*(?:[-+]|\d+[.)])\s|:\/\/|www\.|@[\w.-]+\.\w|\n/m.test(content);
}
