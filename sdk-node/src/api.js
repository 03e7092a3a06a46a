// @ts-check
'use strict';

const { randomUUID } = require('node:crypto');
const { CoattailError } = require('./errors');
const { Jobs, wholeMs } = require('./jobs');

/**
 * @typedef {{ id: string, signal: AbortSignal, log: import('../index').Log }} Call
 * @typedef {{ request(method: string, params: object): Promise<any> }} Requester
 */

/** The Coattail API: asks the daemon, with the rights of its instance. */
class Api {
  #session;
  #followers;
  #current;

  /**
   * @param {Requester} session
   * @param {import('./follow').Followers} followers those of this session
   * @param {() => Call | undefined} current the call that is being handled: what it asks for is its consequence
   */
  constructor(session, followers, current) {
    this.#session = session;
    this.#followers = followers;
    this.#current = current;
    this.jobs = new Jobs(session, followers, current);
  }

  /**
   * Performs an action and resolves to its result.
   * @param {string} action
   * @param {unknown} [input]
   * @param {import('../index').PerformOptions} [options]
   */
  async perform(action, input, { peer, publish = false, timeout, startTimeout, key, follow, signal } = {}) {
    const parent = this.#current();
    const wanted = bothOf(parent?.signal, signal);
    if (wanted?.aborted) throw new CoattailError('cancelled', `${action} was not started: the call is cancelled`);
    const call = randomUUID();
    // The daemon answers the call itself as cancelled, so there is nothing else to do with this answer.
    const cancel = () => void this.#session.request('actions.cancel', { call }).catch(() => {});
    wanted?.addEventListener('abort', cancel, { once: true });
    try {
      const limits = { timeout_ms: wholeMs(timeout), start_timeout_ms: wholeMs(startTimeout) };
      const params = { call, peer, action, input, publish, ...limits, key, follow: follow && true, parent: parent?.id };
      const perform = () => this.#session.request('actions.perform', params);
      const { result, publication_error: unpublished } = await this.#followers.during(call, follow, perform);
      if (unpublished) parent?.log.error(`the result of ${action} was not published: ${unpublished}`);
      return result;
    } finally {
      wanted?.removeEventListener('abort', cancel);
    }
  }

  /** @param {string} action @param {unknown} value @param {import('../index').PublishOptions} [options] */
  publish(action, value, { peer, id, ttl, to } = {}) {
    const input = value === undefined ? null : value;
    const terms = { id, ttl_ms: wholeMs(ttl), to: typeof to === 'string' ? [to] : to };
    return this.#session.request('actions.publish', { peer, action, input, ...terms, parent: this.#current()?.id });
  }

  /** @param {{ peer?: string, schemas?: boolean }} [options] */
  actions({ peer, schemas } = {}) {
    return this.#session.request('actions.list', { peer, schemas });
  }

  /** @param {{ peer?: string, schemas?: boolean }} [options] */
  receivers({ peer, schemas } = {}) {
    return this.#session.request('receivers.list', { peer, schemas });
  }

  peers() {
    return this.#session.request('peers.list', {});
  }

  /** @param {string} id */
  peer(id) {
    return this.#session.request('peers.show', { peer: id });
  }

  /** @param {{ peer: string, action: string, receiver: string, from?: unknown, where?: string }} what */
  subscribe({ peer, action, receiver, from, where: filter }) {
    return this.#session.request('actions.subscribe', { peer, action, receiver, from, filter });
  }

  /** @param {{ peer: string, action: string, receiver: string }} what */
  unsubscribe({ peer, action, receiver }) {
    return this.#session.request('actions.unsubscribe', { peer, action, receiver });
  }

  subscribers() {
    return this.#session.request('subscribers.list', {});
  }

  /** @param {string} subscription */
  revoke(subscription) {
    return this.#session.request('subscribers.revoke', { subscription });
  }
}

/** @param {AbortSignal | undefined} one @param {AbortSignal | undefined} other */
function bothOf(one, other) {
  return one && other ? AbortSignal.any([one, other]) : one ?? other;
}

module.exports = { Api };
