// @ts-check
'use strict';

/**
 * @typedef {import('../index').Follow} Follow
 * @typedef {{ call: string, level: import('./logger').Level, message: string }} LogLine
 * @typedef {{ call: string, fraction?: number, message?: string }} Step
 */

/** Who listens to what calls that were asked for say. The daemon sends nothing that was not asked to be followed. */
class Followers {
  /** @type {Map<string, Follow>} No more than there may be unanswered requests. */
  #following = new Map();

  /** What the daemon may call. */
  get methods() {
    return {
      log: (/** @type {LogLine} */ { call, level, message }) =>
        this.#following.get(call)?.onLog?.({ level, message }),
      progress: (/** @type {Step} */ { call, fraction, message }) =>
        this.#following.get(call)?.onProgress?.({ ...(fraction !== undefined && { fraction }), ...(message !== undefined && { message }) }),
    };
  }

  /**
   * Listens until `work` is done.
   * @template T
   * @param {string} call
   * @param {Follow | undefined} follow
   * @param {() => Promise<T>} work
   */
  async during(call, follow, work) {
    if (!follow) return work();
    this.#following.set(call, follow);
    try {
      return await work();
    } finally {
      if (this.#following.get(call) === follow) this.#following.delete(call);
    }
  }
}

module.exports = { Followers };
