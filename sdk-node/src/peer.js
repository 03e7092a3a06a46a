// @ts-check
'use strict';

const { CoattailError, messageOf } = require('./errors');
const { Token } = require('./token');

/**
 * The class `Coattail.Peer` of the original.
 * @param {import('./legacy').Host} host
 * @param {new () => object} Action
 * @param {new () => object} Receiver
 */
function peers({ instance, issuer, api }, Action, Receiver) {
  class Peer {
    static idColumn = 'id';
    static table = 'coattail_peers';
    static ignoreColumns = ['token', 'isLocal'];

    #isLocal;

    /** @param {{ jwt?: string, id?: string, isLocal?: boolean }} [of] */
    constructor({ jwt = '', id, isLocal = false } = {}) {
      this.#isLocal = isLocal;
      this.id = id;
      this.jwt = jwt;
      /** @type {Token | undefined} */
      this.token = jwt === '' ? undefined : Token.decode(jwt);
    }

    static local() {
      return new Peer({ id: instance, isLocal: true });
    }

    /** @param {{ id?: string }} [which] @returns {Promise<Peer | undefined>} */
    static async load({ id } = {}) {
      if (id === instance) return Peer.local();
      try {
        return fromShown(await api.peer(String(id)));
      } catch (error) {
        // An id that can be none names no peer either.
        if (error instanceof CoattailError && NO_SUCH_PEER.has(error.code)) return undefined;
        throw error;
      }
    }

    /** @param {{ where?: Record<string, unknown> }} [which] @returns {Promise<Peer[]>} */
    static async loadAll({ where = {} } = {}) {
      if (typeof where !== 'object') throw new TypeError('`where` takes an object; loadAllMatching takes a function');
      const all = /** @type {any[]} */ ((await api.peers()).map(fromShown));
      return all.filter((peer) => Object.entries(where).every(([field, value]) => peer[field] === value));
    }

    /** @param {{ matches?: (peer: Peer) => unknown }} [which] */
    static async loadAllMatching({ matches = () => true } = {}) {
      return (await Peer.loadAll()).filter(matches);
    }

    isLocal() {
      return this.#isLocal;
    }

    /** @param {{ name: string, data?: any, publish?: boolean }} what */
    async performAction({ name, data, publish = false }) {
      const peer = await this.#remote();
      return api.perform(name, data, { peer, publish: Boolean(publish) }).catch((error) => {
        throw this.#asThrown(error);
      });
    }

    /** @param {{ name: string, data?: any }} what @returns {Promise<void>} */
    async publishActionResponse({ name, data }) {
      await api.publish(name, data, { peer: await this.#remote() });
    }

    /** @param {{ action: string, receiver: string }} what */
    async subscribeTo({ action, receiver }) {
      const peer = await this.#other('subscribe to');
      return Token.ofSubscription(await api.subscribe({ peer, action, receiver }), issuer);
    }

    /** @param {{ action: string, receiver: string }} what */
    async unsubscribe({ action, receiver }) {
      const peer = await this.#other('unsubscribe from');
      await api.unsubscribe({ peer, action, receiver });
      return 0;
    }

    /** @returns {Promise<any[]>} */
    async getActions() {
      const entries = await api.actions({ peer: await this.#remote() });
      if (!this.#isLocal) return entries;
      // Performing one of them goes through the daemon: its code belongs to another worker.
      const perform = (/** @type {string} */ name) => (/** @type {any} */ data) => this.performAction({ name, data });
      return entries.map((/** @type {any} */ entry) =>
        Object.defineProperty(Object.assign(new Action(), entry), 'perform', { value: perform(entry.name) }));
    }

    /** @returns {Promise<any[]>} */
    async getReceivers() {
      const entries = await api.receivers({ peer: await this.#remote() });
      return this.#isLocal ? entries.map((/** @type {any} */ entry) => Object.assign(new Receiver(), entry)) : entries;
    }

    /** @param {{ subscriptionId: string }} which @returns {Promise<void>} */
    async revokeSubscription({ subscriptionId }) {
      if (!this.#isLocal) throw new Error('only subscriptions to this instance can be revoked, by its local peer');
      await api.revoke(subscriptionId);
    }

    async save() {
      throw new Error('peers are added by their owner: try `coattail peer add`');
    }

    async delete() {
      throw new Error('peers are removed by their owner: try `coattail peer remove`');
    }

    /** The id under which the daemon knows it; `undefined` stands for this instance. @returns {Promise<string | undefined>} */
    async #remote() {
      if (this.#isLocal || this.id === instance) return undefined;
      if (this.id !== undefined) return this.id;
      // One that was made from a token alone is known if that token was added.
      const jti = this.token?.claims().jti;
      const known = jti && (await api.peers()).find((/** @type {{ token: string }} */ peer) => peer.token === jti);
      if (!known) throw new Error('this peer was never added: try `coattail peer add`');
      this.id = known.id;
      return this.id;
    }

    /** @param {string} what @returns {Promise<string>} */
    async #other(what) {
      const peer = await this.#remote();
      if (peer === undefined) throw new Error(`cannot ${what} an action of the same instance`);
      return peer;
    }

    /** What the original rejected with: a remote failure as it was sent, a local one as it was thrown. @param {any} error */
    #asThrown(error) {
      if (!(error instanceof CoattailError) || error.code !== 'failed') return error;
      const { thrown } = error;
      if (!Object.hasOwn(error, 'thrown')) return this.#isLocal ? new Error(error.message) : error.message;
      const wasError = this.#isLocal && isErrorLike(thrown) && messageOf(thrown) === error.message;
      return wasError ? Object.assign(new Error(error.message), thrown) : thrown;
    }
  }

  /** @param {any} shown @returns {Peer} */
  function fromShown(shown) {
    return Object.assign(new Peer({ id: shown.id }), { token: Token.ofPeer(shown) });
  }

  return Peer;
}

/** @param {any} thrown */
function isErrorLike(thrown) {
  return typeof thrown?.message === 'string' && typeof thrown?.name === 'string';
}

/** What the daemon says to an id that is unknown, and to one that is none. */
const NO_SUCH_PEER = new Set(['not-found', 'invalid-input']);

module.exports = { peers };
