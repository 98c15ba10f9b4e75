/** Figures as people write them. */

import { language } from "./words.js";

const COUNT = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const FEW = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
/** @type {[number, string][]} */
const UNITS = [[86_400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
const SECOND = UNITS[UNITS.length - 1];
/** @type {[number, string]} */
const MILLISECOND = [0.001, "millisecond"];

/** A count, or a rate: a digit behind the point where it is small. @param {number} value */
export const countOf = (value) => (value < 10 ? FEW : COUNT).format(value);

/** A span of time, in the largest unit that fits. @param {number} seconds */
export function secondsOf(seconds) {
  const [size, unit] = UNITS.find(([each]) => seconds >= each) ?? (seconds > 0 ? MILLISECOND : SECOND);
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: seconds < 1 ? 0 : 1 }).format(seconds / size);
}
