/**
 * A WebSocket for Node before 22, which has none: as much of RFC 6455 and of the browser's interface as `wire.js` uses.
 * It is loaded where `globalThis.WebSocket` is missing, and nowhere else.
 */
export declare class NodeSocket extends EventTarget {
    #private;
    /** @param {string} address @param {string[]} protocols */
    constructor(address: string, protocols: string[]);
    get bufferedAmount(): number;
    /** @param {string} text */
    send(text: string): void;
    /** @param {number} [code] */
    close(code?: number): void;
}
