/**
 * A WebSocket for Node before 22, which has none: as much of RFC 6455 and of the browser's interface as `wire.js` uses.
 * It is loaded where `globalThis.WebSocket` is missing, and nowhere else.
 */

import { createHash, randomBytes } from "node:crypto";
import { request as requestPlain } from "node:http";
import { request as requestTls } from "node:https";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const FRAME_BYTES_MAX = 4 * 1024 * 1024;
const CLOSE_SECONDS = 2;
const TEXT = 0x1;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;
const CUT = 1006;

export class NodeSocket extends EventTarget {
  /** @type {import("node:stream").Duplex | null} */
  #stream = null;
  /** @type {Buffer} */
  #unread = Buffer.alloc(0);
  /** @type {Buffer[]} */
  #parts = [];
  #isOver = false;
  #request;

  /** @param {string} address @param {string[]} protocols */
  constructor(address, protocols) {
    super();
    const url = new URL(address.replace(/^ws/, "http"));
    const key = randomBytes(16).toString("base64");
    const headers = {
      Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key,
      "Sec-WebSocket-Protocol": protocols.join(", "),
    };
    this.#request = (url.protocol === "https:" ? requestTls : requestPlain)(url, { headers, agent: false });
    this.#request.on("upgrade", (answer, stream, head) => {
      const expected = createHash("sha1").update(key + GUID).digest("base64");
      if (answer.headers["sec-websocket-accept"] !== expected) return this.#end(CUT, "this is no WebSocket");
      this.#stream = stream;
      stream.on("data", (data) => this.#read(Buffer.from(data)));
      stream.on("error", () => this.#end(CUT, ""));
      stream.on("close", () => this.#end(CUT, ""));
      this.dispatchEvent(new Event("open"));
      this.#read(head);
    });
    this.#request.on("response", (answer) => {
      answer.resume();
      this.#end(CUT, `the handshake was answered ${answer.statusCode}`);
    });
    this.#request.on("error", (error) => this.#end(CUT, error.message));
    this.#request.end();
  }

  get bufferedAmount() {
    return this.#stream?.writableLength ?? 0;
  }

  /** @param {string} text */
  send(text) {
    this.#write(TEXT, Buffer.from(text));
  }

  /** @param {number} [code] */
  close(code = 1000) {
    if (this.#stream === null) {
      this.#request.destroy();
      return this.#end(CUT, "");
    }
    this.#write(CLOSE, Buffer.from([code >> 8, code & 0xff]));
    const stream = this.#stream;
    setTimeout(() => stream.destroy(), CLOSE_SECONDS * 1000).unref();
  }

  /** @param {Buffer} data */
  #read(data) {
    this.#unread = this.#unread.length ? Buffer.concat([this.#unread, data]) : data;
    while (!this.#isOver) {
      const frame = this.#next();
      if (frame === null) return;
      this.#take(frame.opcode, frame.isLast, frame.payload);
    }
  }

  /** Return the next whole frame of what was read, or null. */
  #next() {
    const unread = this.#unread;
    if (unread.length < 2) return null;
    let length = unread[1] & 0x7f;
    let at = 2;
    if (length === 126) {
      if (unread.length < 4) return null;
      length = unread.readUInt16BE(2);
      at = 4;
    } else if (length === 127) {
      if (unread.length < 10) return null;
      length = Number(unread.readBigUInt64BE(2));
      at = 10;
    }
    if (length > FRAME_BYTES_MAX) {
      this.#stream?.destroy();
      return null;
    }
    if (unread.length < at + length) return null;
    this.#unread = unread.subarray(at + length);
    return { opcode: unread[0] & 0x0f, isLast: (unread[0] & 0x80) !== 0, payload: unread.subarray(at, at + length) };
  }

  /** @param {number} opcode @param {boolean} isLast @param {Buffer} payload */
  #take(opcode, isLast, payload) {
    if (opcode === PING) return this.#write(PONG, payload);
    if (opcode === PONG) return;
    if (opcode === CLOSE) {
      this.#write(CLOSE, payload.subarray(0, 2));
      this.#end(payload.length < 2 ? 1005 : payload.readUInt16BE(0), payload.subarray(2).toString());
      this.#stream?.end();
      return;
    }
    this.#parts.push(payload);
    if (!isLast) return;
    const data = Buffer.concat(this.#parts).toString();
    this.#parts = [];
    this.dispatchEvent(new MessageEvent("message", { data }));
  }

  /** Write a frame, masked as clients must. @param {number} opcode @param {Buffer} payload */
  #write(opcode, payload) {
    if (this.#stream === null || this.#stream.writableEnded || this.#stream.destroyed) return;
    const length = payload.length;
    const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
    head[0] = 0x80 | opcode;
    head[1] = 0x80 | (length < 126 ? length : length < 65_536 ? 126 : 127);
    if (head.length === 4) head.writeUInt16BE(length, 2);
    if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2);
    const mask = randomBytes(4);
    const masked = Buffer.allocUnsafe(length);
    for (let i = 0; i < length; i += 1) masked[i] = payload[i] ^ mask[i & 3];
    this.#stream.write(Buffer.concat([head, mask, masked]));
  }

  /** @param {number} code @param {string} reason */
  #end(code, reason) {
    if (this.#isOver) return;
    this.#isOver = true;
    this.dispatchEvent(Object.assign(new Event("close"), { code, reason }));
  }
}
