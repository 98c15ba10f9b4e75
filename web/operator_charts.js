/** Charts: a line over the last minutes, drawn as SVG. What it shows is said to those who do not see it, too. */

import { el } from "./dom.js";
import { say } from "./words.js";

const POINTS_MAX = 90;
const POINTS_MIN = 20; // fewer stand on the right, and the line grows to the left
const WIDTH = 240;
const HEIGHT = 56;
const MARGIN = 3;

/** Make an element of SVG. @param {string} tag @param {Record<string, string | number>} properties @param {...SVGElement} children */
export function drawing(tag, properties, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(properties)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

/** A figure that moves: its name, its value now, what else there is to say, and the line of the last values. */
export class Chart {
  #title;
  #write;
  #pointsMin;
  #height;
  /** @type {number[]} */
  #values = [];
  #now = el("strong", { class: "chart-now" }, "–");
  #aside = el("small");
  #most = el("small", { class: "chart-most" });
  #area = drawing("path", { class: "chart-area" });
  #line = drawing("path", { class: "chart-line" });
  #drawn = drawing("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" }, this.#area, this.#line);

  /**
   * @param {string} title @param {(value: number) => string} write how a value is written
   * @param {{ pointsMin?: number, height?: number }} [options] for how many points there is room at least, and for which value
   */
  constructor(title, write, { pointsMin = POINTS_MIN, height = 0 } = {}) {
    this.#title = title;
    this.#pointsMin = pointsMin;
    this.#height = height;
    this.#write = write;
    this.#drawn.setAttribute("aria-label", title);
    this.element = el("div", { class: "op-card" }, el("h2", { class: "op-name" }, title), el("div", { class: "chart-head" }, this.#now, this.#most), this.#drawn, this.#aside);
  }

  /** @param {number | null} value null: there is none yet @param {string} [aside] */
  add(value, aside = "") {
    this.#aside.textContent = aside;
    if (value === null) return;
    this.#values.push(value);
    if (this.#values.length > POINTS_MAX) this.#values.shift();
    const most = Math.max(...this.#values);
    this.#now.textContent = this.#write(value);
    this.#most.textContent = say("op.most", { n: this.#write(most) });
    this.#drawn.setAttribute("aria-label", `${this.#title}: ${this.#write(value)}, ${this.#most.textContent}`);
    this.#draw(Math.max(most, this.#height));
  }

  /** @param {number} most */
  #draw(most) {
    const values = this.#values.length === 1 ? [this.#values[0], this.#values[0]] : this.#values;
    const step = WIDTH / (Math.max(this.#pointsMin, values.length) - 1);
    const first = WIDTH - (values.length - 1) * step;
    const high = (/** @type {number} */ value) => HEIGHT - MARGIN - (value / (most || 1)) * (HEIGHT - 2 * MARGIN);
    const points = values.map((value, i) => `${(first + i * step).toFixed(1)} ${high(value).toFixed(1)}`);
    this.#line.setAttribute("d", `M${points.join("L")}`);
    this.#area.setAttribute("d", `M${first.toFixed(1)} ${HEIGHT}L${points.join("L")}L${WIDTH} ${HEIGHT}Z`);
  }
}
