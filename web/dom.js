/** The document: elements are made by name and properties, never of text. Nothing here takes HTML. */

/**
 * @typedef {Node | string | number | null | undefined | false} Child
 * @typedef {Record<string, any>} Properties `on` has listeners by event, `class` a class; what begins with "." is set as a
 *   property, the rest are attributes; `true` is an empty attribute; null, undefined and false are none
 */

/**
 * Make an element.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag @param {Properties} [properties] @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name.startsWith(".")) {
      /** @type {any} */ (element)[name.slice(1)] = value;
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...nodes(children));
  return element;
}

/** Make an element of one's own. @param {string} tag @param {Properties} [properties] @param {...(Child | Child[])} children */
export function custom(tag, properties = {}, ...children) {
  return el(/** @type {any} */ (tag), properties, ...children);
}

/** Have the page wear a style sheet that stands beside a module, from the first time on. @param {string} address */
export function wear(address) {
  const { pathname } = new URL(address);
  if (document.querySelector(`link[href="${pathname}"]`) === null) document.head.append(el("link", { rel: "stylesheet", href: pathname }));
}

/** Replace everything in an element. @param {Element} element @param {...(Child | Child[])} children */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
}

/** @param {(Child | Child[])[]} children @returns {(Node | string)[]} */
function nodes(children) {
  const found = [];
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    found.push(child instanceof Node ? child : String(child));
  }
  return found;
}

/** @type {Record<string, string>} */
const PATHS = {
  shield: "M12 3l7.5 3v5.5c0 4.5-3 8-7.5 9.5-4.5-1.5-7.5-5-7.5-9.5V6zM8.5 12l2.5 2.5 4.5-5",
  hash: "M9 4 7 20M17 4l-2 16M4.5 9h16M3.5 15h16", lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3", plus: "M12 5v14M5 12h14",
  send: "M4 12 20 4l-5 16-3.5-6.5z", close: "M6 6l12 12M18 6 6 18", reply: "M9 6 4 11l5 5M4 11h9a7 7 0 0 1 7 7v1",
  smile: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM8.5 14.5s1.2 2 3.5 2 3.5-2 3.5-2M9 9.5v.5M15 9.5v.5", edit: "M4 20h4L19 9l-4-4L4 16z",
  trash: "M5 7h14M10 7V4.5h4V7M7 7l1 13h8l1-13", pin: "M9 4h6l-1 7 3 3v1.5H7V14l3-3zM12 15.5V21", more: "M5 12h.01M12 12h.01M19 12h.01",
  people: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20c0-3.6 2.9-6 6.5-6s6.5 2.4 6.5 6M16 4.4a3.5 3.5 0 0 1 0 6.2M18 14.5c2.2.8 3.5 2.8 3.5 5.5",
  attach: "M20 11.5 12 19.5a5 5 0 0 1-7-7l8.5-8.5a3.4 3.4 0 0 1 4.8 4.8L10 17a1.7 1.7 0 0 1-2.4-2.4l7.4-7.4",
  bell: "M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15zM10 20.5h4", gear: "M12 15.2a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4zM19 12a7 7 0 0 0-.1-1.3l2-1.5-2-3.4-2.3.9a7 7 0 0 0-2.2-1.3L14 3h-4l-.4 2.4a7 7 0 0 0-2.2 1.3l-2.3-.9-2 3.4 2 1.5a7 7 0 0 0 0 2.6l-2 1.5 2 3.4 2.3-.9a7 7 0 0 0 2.2 1.3L10 21h4l.4-2.4a7 7 0 0 0 2.2-1.3l2.3.9 2-3.4-2-1.5c.1-.4.1-.9.1-1.3z",
  back: "M14 6l-6 6 6 6", down: "M12 5v13M6 12.5l6 6 6-6", thread: "M4 5h16v10H10l-4 4v-4H4z", history: "M4 12a8 8 0 1 0 2.5-5.8M4 4.5v4h4M12 8v4.5l3 1.8",
  search: "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5 20 20", check: "M5 12.5l4.5 4.5L19 7.5", file: "M7 3h7l4 4v14H7zM14 3v4h4",
  out: "M10 4H5v16h5M14 8l4 4-4 4M18 12H9", block: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM5.8 5.8l12.4 12.4", sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
};

/** Draw an icon; what it means is said beside it. @param {string} name */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/**
 * A button that shows an icon, and says what it does to those who do not see it.
 * @param {string} name @param {string} label @param {(event: Event) => void} act @param {Properties} [properties]
 */
export function iconButton(name, label, act, properties = {}) {
  return el("button", { type: "button", class: "icon-button", "aria-label": label, title: label, on: { click: act }, ...properties }, icon(name));
}
