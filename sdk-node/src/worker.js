// @ts-check
'use strict';

const { AsyncLocalStorage } = require('node:async_hooks');
const { inspect } = require('node:util');
const { Api } = require('./api');
const { control } = require('./control');
const { CoattailError, failed, messageOf } = require('./errors');
const { Followers } = require('./follow');
const { broken } = require('./load');
const { log } = require('./logger');
const { coattail } = require('./legacy');
const { understand } = require('./plugin');
const { Session } = require('./session');
const { version } = require('../package.json');

/**
 * @typedef {import('./api').Call & { controller: AbortController }} OpenCall
 * @typedef {{ call: string, input?: unknown, context?: { caller?: string }, publication?: object }} CallParams
 */

/** Answers the daemon for one plugin. */
class Worker {
  #file;
  #load;
  #complain;
  #current = /** @type {AsyncLocalStorage<OpenCall>} */ (new AsyncLocalStorage());
  /** @type {Map<string, OpenCall>} */
  #calls = new Map();
  #followers = new Followers();
  /** @type {import('./plugin').Definition | undefined} */
  #plugin;
  #stopping = false;
  #dropped = 0;
  #finish = () => {};
  #stopped = () => {};

  /**
   * @param {import('./session').Writer} writer
   * @param {string} file absolute path of the plugin
   * @param {(file: string) => Promise<unknown>} load gives what the file exports
   * @param {(text: string) => void} complain writes to stderr, where stacks belong
   */
  constructor(writer, file, load, complain) {
    this.#file = file;
    this.#load = load;
    this.#complain = complain;
    /** Resolves when it is to stop and every call is answered. @type {Promise<void>} */
    this.finished = new Promise((resolve) => (this.#finish = resolve));
    /** Resolves when it takes no more calls. @type {Promise<void>} */
    this.stopped = new Promise((resolve) => (this.#stopped = resolve));
    const methods = {
      initialize: (/** @type {any} */ params) => this.#initialize(params),
      perform: (/** @type {CallParams} */ params) => this.#perform(params),
      receive: (/** @type {CallParams} */ params) => this.#receive(params),
      cancel: (/** @type {{ call: string }} */ { call }) => this.#calls.get(call)?.controller.abort(),
      shutdown: () => this.#shutdown(),
      ...this.#followers.methods,
    };
    /** @type {Session} */
    this.session = new Session(writer, methods, complain);
  }

  /** How many calls are not answered yet. */
  get inFlight() {
    return this.#calls.size;
  }

  /** Takes no more calls. */
  stop() {
    this.#stopping = true;
    this.#stopped();
    if (this.#calls.size === 0) this.#finish();
  }

  /** Tells every call that it is no longer wanted. */
  cancelAll() {
    for (const { controller } of this.#calls.values()) controller.abort();
  }

  /** @param {{ protocol: number, kind: import('./plugin').Kind, name: string, instance: string, issuer: string }} params */
  async #initialize({ protocol, kind, name, instance, issuer }) {
    if (this.#plugin) throw new CoattailError('invalid-input', 'the worker is initialized already');
    if (protocol !== PROTOCOL) {
      throw new CoattailError('unsupported-version', `the worker speaks protocol ${PROTOCOL}, not ${protocol}`);
    }
    if (!KINDS.has(kind)) throw new CoattailError('invalid-input', `\`${kind}\` is neither action nor receiver`);
    try {
      const exported = await this.#load(this.#file);
      const api = new Api(this.session, this.#followers, () => this.#current.getStore());
      const sink = (/** @type {import('./logger').Level} */ level, /** @type {string} */ message) => this.#log(level, message);
      const legacy = coattail({ kind, name, instance, issuer, api, control: control(instance), log: sink });
      this.#plugin = asPlugin(this.#file, () => understand(exported, kind, legacy.adopt));
    } catch (error) {
      this.#complain(inspect(error instanceof CoattailError ? error.cause : error));
      throw error;
    }
    const { description, input, output } = this.#plugin;
    return { protocol: PROTOCOL, software: `coattail-node/${version}`, description, input, output };
  }

  /** @param {CallParams} params */
  async #perform(params) {
    const output = await this.#run('action', params);
    return { output };
  }

  /** @param {CallParams} params */
  async #receive(params) {
    await this.#run('receiver', params);
    return {};
  }

  /** @param {import('./plugin').Kind} kind @param {CallParams} params */
  async #run(kind, { call: id, input, context, publication }) {
    if (this.#stopping) throw new CoattailError('shutting-down', 'the worker is stopping');
    if (!this.#plugin) throw new CoattailError('invalid-input', 'the worker is not initialized');
    if (this.#plugin.kind !== kind) throw new CoattailError('unknown-method', `the plugin is no ${kind}`);
    if (typeof id !== 'string') throw new CoattailError('invalid-input', '`call` is missing');
    if (this.#calls.has(id)) throw new CoattailError('invalid-input', `call ${id} is under way already`);

    const call = this.#open(id);
    const { run } = this.#plugin;
    try {
      return await this.#current.run(call, async () => run(input, this.#context(call, context, publication)));
    } catch (thrown) {
      throw this.#judge(thrown, kind, call);
    } finally {
      this.#calls.delete(id);
      // Later, so that the answer is written first.
      if (this.#stopping && this.#calls.size === 0) setImmediate(this.#finish);
    }
  }

  /** @param {string} id @returns {OpenCall} */
  #open(id) {
    const controller = new AbortController();
    const call = { id, controller, signal: controller.signal, log: log((level, text) => this.#log(level, text, id)) };
    this.#calls.set(id, call);
    return call;
  }

  /**
   * @param {OpenCall} call
   * @param {{ caller?: string }} [from]
   * @param {object} [publication]
   */
  #context(call, from, publication) {
    return Object.freeze({
      call: call.id,
      caller: from?.caller,
      signal: call.signal,
      log: call.log,
      progress: (/** @type {number} */ fraction, /** @type {string} */ message) =>
        void this.session.notify('progress', { call: call.id, fraction, message }),
      working: () => this.#working(call),
      // Bound to this call, also where the runtime loses track of what caused what.
      coattail: new Api(this.session, this.#followers, () => call),
      ...(publication && { publication: Object.freeze(publication) }),
    });
  }

  /** @param {OpenCall} call */
  #working(call) {
    // A request: news may be dropped, but this must arrive. Whoever does not wait need not hear that it failed.
    const told = this.session.request('working', { call: call.id }).then(() => {});
    told.catch(() => {});
    return told;
  }

  /** @param {unknown} thrown @param {import('./plugin').Kind} kind @param {OpenCall} call */
  #judge(thrown, kind, call) {
    const { code, retryAfterMs } = /** @type {any} */ (thrown ?? {});
    if (kind === 'receiver' && (code === 'rejected' || code === 'retry-later')) {
      return new CoattailError(code, messageOf(thrown), { retryAfterMs });
    }
    if (!isAbort(thrown)) this.#complain(`call ${call.id} failed: ${inspect(thrown)}`);
    // Whatever it ended with: it was told to end, and it did not succeed.
    return call.signal.aborted ? new CoattailError('cancelled', `cancelled: ${messageOf(thrown)}`) : failed(thrown);
  }

  /** @param {import('./logger').Level} level @param {string} message @param {string} [call] */
  #log(level, message, call = this.#current.getStore()?.id) {
    if (this.#dropped > 0) {
      const report = `${this.#dropped} log lines were left out: the daemon could not keep up`;
      if (this.session.notify('log', { level: 'warn', message: report })) this.#dropped = 0;
    }
    if (!this.session.notify('log', { call, level, message })) this.#dropped += 1;
  }

  #shutdown() {
    // Later, so that the answer is written first.
    setImmediate(() => this.stop());
    this.#stopping = true;
    return {};
  }
}

/** @template T @param {string} file @param {() => T} understood @returns {T} */
function asPlugin(file, understood) {
  try {
    return understood();
  } catch (error) {
    throw broken(file, error);
  }
}

/** @param {any} thrown */
function isAbort(thrown) {
  return thrown?.name === 'AbortError' || thrown?.code === 'cancelled';
}

/** The version of the wire. */
const PROTOCOL = 1;

const KINDS = new Set(['action', 'receiver']);

module.exports = { Worker };
