/** Backoff: how long to wait before trying again, and chance. */

export class Backoff {
  /** @param {number} [firstSeconds] @param {number} [mostSeconds] Pauses double, up to a bound. */
  constructor(firstSeconds = 0.2, mostSeconds = 20) {
    this.firstSeconds = firstSeconds;
    this.mostSeconds = mostSeconds;
  }

  /**
   * Return a function of pauses in seconds without end, each between half of its bound and all of it: chance spreads clients
   * that were cut off together.
   * @param {() => number} chance
   */
  pauses(chance) {
    let bound = this.firstSeconds;
    return () => {
      const pause = bound / 2 + (chance() * bound) / 2;
      bound = Math.min(2 * bound, this.mostSeconds);
      return pause;
    };
  }
}

/** A number from 0 to 1 that nobody can guess. */
export function secureChance() {
  return crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32;
}

/** A new UUID. Pages without TLS have no `crypto.randomUUID`. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/**
 * Wait so long, or until the signal.
 * @param {number} seconds @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function pause(seconds, signal) {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, Math.max(0, seconds * 1000));
    signal?.addEventListener("abort", end);
  });
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/**
 * Return an id as it stands in an address. Throws a TypeError for what is none, which could be another address.
 * @param {string} name
 */
export function idOf(name) {
  if (!UUID.test(name)) throw new TypeError(`${name} is no id`);
  return name.toLowerCase();
}
