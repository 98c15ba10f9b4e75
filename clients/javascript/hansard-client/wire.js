/**
 * The wire: what a chat needs of a connection, and the real one, by a WebSocket. Tests give another one.
 *
 * A browser's WebSocket neither shows pings nor stops reading. So the chat itself asks for a `pong` where nothing came for
 * long, and a wire whose frames nobody takes is closed: what it held is asked for again on the next one.
 *
 * @import { Dial, Wire } from "./types.js"
 */

import { Closed, Refused } from "./errors.js";

const SUBPROTOCOL = "hansard.v1.json";
const OPEN_SECONDS = 10;
export const WIRE_FRAMES_MAX = 1024;
const CUT = 1006;
const WRITE_BYTES_MAX = 1024 * 1024;

/**
 * Return what opens sockets of the server at `url` with tickets, which is how pages show who they are.
 * @param {string} url http or https
 * @param {() => Promise<string>} ticket spends the session's token for a ticket of one use
 * @param {{ WebSocket?: any }} [options] what to open sockets with, where the platform has none of its own
 * @returns {Dial}
 */
export function dialer(url, ticket, { WebSocket: Given } = {}) {
  const address = `ws${url.replace(/\/+$/, "").replace(/^http/, "")}/api/v1/ws`;
  return async () => {
    const Socket = Given ?? globalThis.WebSocket ?? (await import("./node_socket.js")).NodeSocket;
    return await opened(new Socket(`${address}?ticket=${encodeURIComponent(await ticket())}`, [SUBPROTOCOL]));
  };
}

/** @param {WebSocket} socket @returns {Promise<Wire>} */
function opened(socket) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.close();
      reject(new Closed(null, `it did not open within ${OPEN_SECONDS} s`));
    }, OPEN_SECONDS * 1000);
    const wire = new SocketWire(socket);
    socket.addEventListener("open", () => {
      clearTimeout(timer);
      resolve(wire);
    });
    // A browser does not say why a handshake was refused; asking for the next ticket will.
    socket.addEventListener("close", (event) => {
      clearTimeout(timer);
      const { code, reason } = /** @type {CloseEvent} */ (event);
      reject(new Closed(code === CUT ? null : code, reason));
    });
  });
}

/** @implements {Wire} */
class SocketWire {
  heardAt = now();
  /** @type {string[]} */
  #frames = [];
  /** @type {Closed | null} */
  #end = null;
  /** @type {(() => void) | null} */
  #wake = null;
  #socket;

  /** @param {WebSocket} socket */
  constructor(socket) {
    this.#socket = socket;
    socket.addEventListener("message", (event) => this.#take(event.data));
    socket.addEventListener("close", (event) => {
      const { code, reason } = /** @type {CloseEvent} */ (event);
      this.#over(code === CUT || code === 1005 ? new Closed(null, "it was cut") : new Closed(code, reason));
    });
  }

  /** @param {string} text */
  send(text) {
    if (this.#end !== null) throw this.#end;
    if (this.#socket.bufferedAmount > WRITE_BYTES_MAX) throw new Closed(null, "the other side does not read");
    this.#socket.send(text);
  }

  async receive() {
    while (this.#frames.length === 0) {
      if (this.#end !== null) throw this.#end;
      await new Promise((resolve) => {
        this.#wake = () => resolve(undefined);
      });
    }
    return /** @type {string} */ (this.#frames.shift());
  }

  close() {
    this.#frames.length = 0;
    this.#over(new Closed(null, "it was left"));
    this.#socket.close(1000);
  }

  /** @param {unknown} data */
  #take(data) {
    if (this.#end !== null) return;
    this.heardAt = now();
    this.#frames.push(String(data));
    if (this.#frames.length > WIRE_FRAMES_MAX) {
      this.close();
    } else {
      this.#wake?.();
    }
  }

  /** @param {Closed} closed */
  #over(closed) {
    this.#end ??= closed;
    this.#wake?.();
  }
}

/** Seconds that never go back. */
export function now() {
  return performance.now() / 1000;
}

/**
 * Return what a refused ticket means to a connection: a fresh token is needed, come back later, or it will never work.
 * @param {unknown} error
 */
export function meantForDialing(error) {
  if (!(error instanceof Refused)) return error;
  if (error.code === "auth.token_invalid") return new Closed(4401, error.detail);
  return error;
}
