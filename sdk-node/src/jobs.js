// @ts-check
'use strict';

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
  start(action, input, { peer, publish, timeout, startTimeout, key } = {}) {
    const limits = { timeout_ms: wholeMs(timeout), start_timeout_ms: wholeMs(startTimeout) };
    return this.#session.request('jobs.start', { peer, action, input, publish, ...limits, key, parent: this.#current()?.id });
  }

  list() {
    return this.#session.request('jobs.list', {});
  }

  /** @param {string} job */
  show(job) {
    return this.#session.request('jobs.show', { job });
  }

  /** @param {string} job @param {import('../index').WaitOptions} [options] */
  wait(job, { timeout, follow } = {}) {
    const params = { job, timeout_ms: wholeMs(timeout), follow: follow && true };
    return this.#followers.during(job, follow, () => this.#session.request('jobs.wait', params));
  }

  /** @param {string} job */
  cancel(job) {
    return this.#session.request('jobs.cancel', { job });
  }

  /** @param {string} job */
  async logs(job) {
    return (await this.#session.request('jobs.logs', { job })).lines;
  }
}

/** What may be waited: at least something, in the whole milliseconds of the wire. @param {number | undefined} ms */
function wholeMs(ms) {
  return ms === undefined ? undefined : Math.max(1, Math.ceil(ms));
}

module.exports = { Jobs, wholeMs };
