// @ts-check
'use strict';

const { CoattailError, messageOf } = require('./errors');
const { Token, decode, ifMissing } = require('./token');

/**
 * The class `Coattail.Peer` of the original.
 * @param {import('./legacy').Host} host
 * @param {new () => object} Action
 * @param {new () => object} Receiver
 */
function peers({ instance, issuer, api, control }, Action, Receiver) {
  const own = { issuer, control };
  /** Texts of tokens by their ids: each is read once. @type {Map<string, Promise<string | undefined>>} */
  const texts = new Map();

  class Peer {
    static idColumn = 'id';
    static table = 'coattail_peers';
    static ignoreColumns = ['token', 'isLocal'];

    #isLocal;

    /** @param {{ jwt?: string, id?: string, isLocal?: boolean }} [of] */
    constructor({ jwt = '', id, isLocal = false } = {}) {
      this.#isLocal = isLocal;
      this.id = id;
      // A secret: not among what is logged or returned with the object.
      this.jwt = '';
      Object.defineProperty(this, 'jwt', { value: jwt, enumerable: false, writable: true });
      this.token = new Token({ jwt }, own);
    }

    static local() {
      return new Peer({ id: instance, isLocal: true });
    }

    /** @param {{ id?: string }} [which] @returns {Promise<Peer | undefined>} */
    static async load({ id } = {}) {
      if (id === instance) return Peer.local();
      try {
        return await fromShown(await api.peer(String(id)));
      } catch (error) {
        // An id that can be none names no peer either.
        if (error instanceof CoattailError && NO_SUCH_PEER.has(error.code)) return undefined;
        throw error;
      }
    }

    /** @param {{ where?: Record<string, unknown> }} [which] @returns {Promise<Peer[]>} */
    static async loadAll({ where = {} } = {}) {
      if (typeof where !== 'object') throw new TypeError('`where` takes an object; loadAllMatching takes a function');
      const all = /** @type {any[]} */ (await Promise.all((await api.peers()).map(fromShown)));
      return all.filter((peer) => Object.entries(where).every(([field, value]) => peer[field] === value));
    }

    /** @param {{ matches?: (peer: Peer) => unknown }} [which] */
    static async loadAllMatching({ matches = () => true } = {}) {
      return (await Peer.loadAll()).filter(matches);
    }

    isLocal() {
      return this.#isLocal;
    }

    /** @param {{ name: string, data?: any, publish?: boolean, verbose?: boolean, logger?: any }} what */
    async performAction({ name, data, publish = false, logger }) {
      const peer = await this.#remote();
      // As in the original: only what runs here writes to the logger that was given.
      const follow = peer === undefined && logger ? { onLog: writer(logger.child(`action-${name}`)) } : undefined;
      return api.perform(name, data, { peer, publish: Boolean(publish), follow }).catch((error) => {
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
      const subscription = await api.subscribe({ peer, action, receiver });
      const { raw: jwt } = await control('tokens.show', { token: subscription.id, raw: true }).catch(() => ({}));
      return jwt ? new Token({ jwt }, own) : Token.ofSubscription(subscription, own);
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

    /**
     * Adds the peer. The daemon logs in with the token once: a peer that would not have us is not stored.
     * @param {{ database?: unknown, newId?: string }} [options] ignored: the daemon has one database, and makes the ids
     * @returns {Promise<void>}
     */
    async save(options) {
      void options;
      if (this.#isLocal) return;
      const known = await this.#known();
      if (known === undefined) this.id = (await control('peers.add', { token: this.jwt })).id;
      else if (this.jwt === '' || decode(this.jwt)?.jti === known.token) this.id = known.id;
      else throw new Error('a peer keeps its token: delete it, and save a new one');
    }

    /**
     * Forgets the peer and ends the subscriptions at it.
     * @param {{ database?: unknown }} [options] ignored
     * @returns {Promise<void>}
     */
    async delete(options) {
      void options;
      if (this.#isLocal) return;
      await control('peers.remove', { peer: await this.#remote() }).catch(ifMissing);
    }

    /** The id under which the daemon knows it; `undefined` stands for this instance. @returns {Promise<string | undefined>} */
    async #remote() {
      if (this.#isLocal || this.id === instance) return undefined;
      if (this.id !== undefined) return this.id;
      const known = await this.#known();
      if (!known) throw new Error('this peer was never added: try `peer.save()`, or `coattail peer add`');
      this.id = known.id;
      return this.id;
    }

    /** As the daemon shows it. One that was made from a token alone is known if that token was added. @returns {Promise<any>} */
    async #known() {
      const jti = decode(this.jwt)?.jti;
      if (this.id === undefined && jti === undefined) return undefined;
      const is = (/** @type {any} */ shown) => (this.id === undefined ? shown.token === jti : shown.id === this.id);
      return (await api.peers()).find(is);
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

  /** @param {any} shown @returns {Promise<Peer>} */
  async function fromShown(shown) {
    const jwt = await textOf(shown);
    if (jwt !== undefined) return new Peer({ id: shown.id, jwt });
    return Object.assign(new Peer({ id: shown.id }), { token: Token.ofPeer(shown, own) });
  }

  /** The text of a peer's token; `undefined` where there is no control socket to ask for it. @param {any} shown */
  function textOf({ id, token }) {
    const known = texts.get(token);
    if (known) return known;
    const text = control('peers.token', { peer: id }).then(({ raw }) => raw, () => void texts.delete(token));
    if (texts.size >= MAX_TEXTS) texts.clear();
    texts.set(token, text);
    return text;
  }

  return Peer;
}

/** @param {any} thrown */
function isErrorLike(thrown) {
  return typeof thrown?.message === 'string' && typeof thrown?.name === 'string';
}

/** What a call that is followed logs, to a logger of the original. @param {import('./logger').Logger} logger */
function writer(logger) {
  return (/** @type {import('../index').LogLine} */ { level, message }) =>
    level === 'warn' ? logger.warning(message) : logger[level](message);
}

/** Texts of tokens that are kept. */
const MAX_TEXTS = 1024;

/** What the daemon says to an id that is unknown, and to one that is none. */
const NO_SUCH_PEER = new Set(['not-found', 'invalid-input']);

module.exports = { peers };
