// @ts-check
'use strict';

const { fromWire } = require('./errors');

/** Calls that the daemon keeps: whoever started one need not wait for it, and finds its outcome later. */
class Jobs {
  #session;
  #followers;
  #current;

  /**
   * @param {import('./api').Requester} session
   * @param {import('./follow').Followers} followers
   * @param {() => import('./api').Call | undefined} current
   */
  constructor(session, followers, current) {
    this.#session = session;
    this.#followers = followers;
    this.#current = current;
  }

  /**
   * Resolves when the job is on disk.
   * @param {string} action
   * @param {unknown} [input]
   * @param {import('../index').JobOptions} [options]
   */
  async start(action, input, { peer, publish, timeout, startTimeout, key } = {}) {
    const limits = { timeout_ms: wholeMs(timeout), start_timeout_ms: wholeMs(startTimeout) };
    const params = { peer, action, input, publish, ...limits, key, parent: this.#current()?.id };
    return read(await this.#session.request('jobs.start', params));
  }

  async list() {
    return (await this.#session.request('jobs.list', {})).map(read);
  }

  /** @param {string} job */
  async show(job) {
    return read(await this.#session.request('jobs.show', { job }));
  }

  /** @param {string} job @param {import('../index').WaitOptions} [options] */
  async wait(job, { timeout, follow } = {}) {
    const params = { job, timeout_ms: wholeMs(timeout), follow: follow && true };
    return read(await this.#followers.during(job, follow, () => this.#session.request('jobs.wait', params)));
  }

  /** @param {string} job */
  async cancel(job) {
    return read(await this.#session.request('jobs.cancel', { job }));
  }

  /** @param {string} job */
  async logs(job) {
    return (await this.#session.request('jobs.logs', { job })).lines;
  }
}

/** A job with its error as one. @param {any} job @returns {import('../index').Job} */
function read(job) {
  return job.error ? { ...job, error: fromWire(job.error) } : job;
}

/** What may be waited: at least something, in the whole milliseconds of the wire. @param {number | undefined} ms */
function wholeMs(ms) {
  return ms === undefined ? undefined : Math.max(1, Math.ceil(ms));
}

module.exports = { Jobs, wholeMs };
