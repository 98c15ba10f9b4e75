/** Backoff: how long to wait before trying again, and chance. */
export declare class Backoff {
    firstSeconds: number;
    mostSeconds: number;
    /** @param {number} [firstSeconds] @param {number} [mostSeconds] Pauses double, up to a bound. */
    constructor(firstSeconds?: number, mostSeconds?: number);
    /**
     * Return a function of pauses in seconds without end, each between half of its bound and all of it: chance spreads clients
     * that were cut off together.
     * @param {() => number} chance
     */
    pauses(chance: () => number): () => number;
}
/** A number from 0 to 1 that nobody can guess. */
export declare function secureChance(): number;
/** A new UUID. Pages without TLS have no `crypto.randomUUID`. */
export declare function newId(): string;
/**
 * Wait so long, or until the signal.
 * @param {number} seconds @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export declare function pause(seconds: number, signal?: AbortSignal): Promise<void>;
/**
 * Return an id as it stands in an address. Throws a TypeError for what is none, which could be another address.
 * @param {string} name
 */
export declare function idOf(name: string): string;
