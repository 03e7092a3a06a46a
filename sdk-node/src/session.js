// @ts-check
'use strict';

const { CoattailError, METHOD_NOT_FOUND, fromWire, toWire } = require('./errors');

/**
 * @typedef {{ write(line: string): Promise<void>, readonly backlog: number }} Writer
 * @typedef {(params: any) => unknown} Method
 * @typedef {{ resolve: (result: any) => void, reject: (error: Error) => void }} Waiting
 */

/** A two-way JSON-RPC session: calls and is called over the same lines. */
class Session {
  #writer;
  #methods;
  #complain;
  /** @type {Map<number, Waiting>} */
  #pending = new Map();
  #lastId = 0;
  #ended = false;

  /**
   * @param {Writer} writer
   * @param {Record<string, Method>} methods what the other side may call
   * @param {(text: string) => void} complain told about lines that are no frames
   */
  constructor(writer, methods, complain) {
    this.#writer = writer;
    this.#methods = new Map(Object.entries(methods));
    this.#complain = complain;
  }

  /**
   * Calls the other side.
   * @param {string} method
   * @param {object} params
   * @returns {Promise<any>} rejects with a CoattailError
   */
  request(method, params) {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(lost(method));
      if (this.#pending.size >= MAX_PENDING) {
        return reject(new CoattailError('busy', `${method}: ${MAX_PENDING} requests are unanswered already`));
      }
      const id = ++this.#lastId;
      this.#pending.set(id, { resolve, reject });
      this.#send({ jsonrpc: '2.0', id, method, params }).catch((error) => {
        this.#pending.delete(id);
        reject(error);
      });
    });
  }

  /**
   * Tells the other side, if it keeps up: notifications are news, and nobody waits for news.
   * @param {string} method
   * @param {object} params
   * @returns {boolean} whether it was sent
   */
  notify(method, params) {
    if (this.#ended || this.#writer.backlog > MAX_BACKLOG) return false;
    this.#send({ jsonrpc: '2.0', method, params }).catch((error) => this.#complain(`${method}: ${error.message}`));
    return true;
  }

  /** Takes one line of the other side. @param {string} line */
  receive(line) {
    let frame;
    try {
      frame = JSON.parse(line);
    } catch {
      return this.#complain(`left out a line of ${line.length} characters that is no JSON`);
    }
    if (typeof frame !== 'object' || frame === null || Array.isArray(frame)) {
      return this.#complain('left out a line that is no JSON-RPC object');
    }
    if (typeof frame.method === 'string') {
      const { id, method, params = {} } = frame;
      void (id === undefined ? this.#hear(method, params) : this.#answer(id, method, params));
    } else {
      this.#settle(frame);
    }
  }

  /** No answer will come any more. */
  end() {
    this.#ended = true;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const { reject } of pending) reject(lost('the request'));
  }

  /** @param {string} method @param {any} params */
  async #hear(method, params) {
    try {
      await this.#methods.get(method)?.(params);
    } catch (error) {
      this.#complain(`${method}: ${toWire(error).message}`);
    }
  }

  /** @param {unknown} id @param {string} method @param {any} params */
  async #answer(id, method, params) {
    const handler = this.#methods.get(method);
    try {
      const outcome = handler
        ? { result: await handler(params) }
        : { error: { code: METHOD_NOT_FOUND, message: `there is no method \`${method}\`` } };
      await this.#send({ jsonrpc: '2.0', id, ...outcome });
    } catch (error) {
      // Also a result that is no JSON or too large ends here: the caller must hear of it.
      await this.#send({ jsonrpc: '2.0', id, error: toWire(error) });
    }
  }

  /** @param {any} frame */
  #settle(frame) {
    const waiting = this.#pending.get(frame.id);
    // An answer that nobody waits for is dropped: the request was given up.
    if (!waiting) return;
    this.#pending.delete(frame.id);
    if (frame.error != null) waiting.reject(fromWire(frame.error));
    else waiting.resolve(frame.result);
  }

  /** @param {object} frame */
  async #send(frame) {
    let line;
    try {
      line = JSON.stringify(frame);
    } catch (error) {
      const why = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
      throw new CoattailError('failed', `the value cannot be written as JSON: ${why}`);
    }
    await this.#writer.write(line);
  }
}

/** @param {string} what */
function lost(what) {
  return new CoattailError('lost', `${what} was not answered: the daemon has closed the connection`);
}

/** Unanswered requests of ours: what the daemon takes from one session. */
const MAX_PENDING = 1024;

/** Bytes that may wait to be written before notifications are dropped. */
const MAX_BACKLOG = 1024 * 1024;

module.exports = { Session };
