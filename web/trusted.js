/**
 * Trusted types: the page's policy allows text to become HTML, or an address a program, only here. `markup.js` parses what the
 * server has rendered; the one program beside the page is the worker that push messages wake.
 */

const WORKER = "/assets/push_worker.js";

/** @type {{ createHTML(html: string): unknown, createScriptURL(address: string): unknown } | undefined} */
const policy = /** @type {any} */ (window).trustedTypes?.createPolicy("hansard", {
  createHTML: (/** @type {string} */ html) => html,
  createScriptURL: (/** @type {string} */ address) => {
    if (address !== WORKER) throw new TypeError(`${address} is no program of the page`);
    return address;
  },
});

/** HTML of the server, for `innerHTML` of a template. @param {string} html */
export function trustedHtml(html) {
  return /** @type {string} */ (policy ? policy.createHTML(html) : html);
}

/** The address of the worker that push messages wake. */
export function trustedWorker() {
  return /** @type {string} */ (policy ? policy.createScriptURL(WORKER) : WORKER);
}
