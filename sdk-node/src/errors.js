// @ts-check
'use strict';

const { milliseconds } = require('./duration');

/**
 * @typedef {import('../index').ErrorCode} ErrorCode
 * @typedef {{ hint?: string, thrown?: unknown, retry_after_ms?: number }} WireDetails
 * @typedef {{ code: number, message: string, data?: WireDetails }} WireError
 */

/**
 * Something was not done. Programs decide by `code`, never by the message.
 *
 *     CoattailError
 *     ├── Reject      a receiver will never take this publication
 *     └── RetryLater  a receiver cannot take it now
 */
class CoattailError extends Error {
  /**
   * @param {ErrorCode} code
   * @param {string} message
   * @param {{ hint?: string, thrown?: unknown, retryAfterMs?: number, cause?: unknown }} [details]
   */
  constructor(code, message, details = {}) {
    super(message, 'cause' in details ? { cause: details.cause } : undefined);
    this.name = 'CoattailError';
    /** @type {ErrorCode} */
    this.code = code;
    /** @type {string | undefined} What to try. */
    this.hint = details.hint;
    // After how many milliseconds to try again.
    if (details.retryAfterMs !== undefined) this.retryAfterMs = details.retryAfterMs;
    // Only if there is one: `null` can be thrown, too.
    if ('thrown' in details) this.thrown = details.thrown;
  }
}

class Reject extends CoattailError {
  /** @param {string} [message] @param {{ cause?: unknown }} [details] */
  constructor(message = 'rejected', details) {
    super('rejected', message, details);
    this.name = 'Reject';
  }
}

class RetryLater extends CoattailError {
  /**
   * @param {string} [message]
   * @param {{ after?: number | string, cause?: unknown }} [details] `after`: `'5m'`, or milliseconds
   */
  constructor(message = 'try again later', { after, ...details } = {}) {
    super('retry-later', message, { ...details, ...(after !== undefined && { retryAfterMs: milliseconds(after) }) });
    this.name = 'RetryLater';
  }
}

/**
 * What the user's code threw, as the failure of the action.
 * @param {unknown} thrown anything: a rejection with `undefined` is a failure like any other
 */
function failed(thrown) {
  const message = messageOf(thrown);
  const value = thrown instanceof Error ? ownProperties(thrown) : thrown;
  return isSendable(value)
    ? new CoattailError('failed', message, { thrown: value })
    : new CoattailError('failed', message);
}

/** One line for people. @param {unknown} thrown */
function messageOf(thrown) {
  const text = thrown instanceof Error ? String(thrown.message) || thrown.name : textOf(thrown);
  return text.length > MAX_MESSAGE ? `${text.slice(0, MAX_MESSAGE)}…` : text;
}

/** @param {unknown} value */
function textOf(value) {
  if (value === '') return 'an empty string was thrown';
  if (typeof value !== 'object' || value === null) return String(value);
  const message = /** @type {{ message?: unknown }} */ (value).message;
  if (typeof message === 'string' && message !== '') return message;
  try {
    return JSON.stringify(value) ?? 'an object was thrown';
  } catch {
    return 'an object was thrown that is no JSON';
  }
}

/** What an error says beyond its message; `undefined` if nothing. @param {Error} error */
function ownProperties(error) {
  // A stack holds paths of this machine, which are none of the caller's business.
  const { stack, ...own } = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (error));
  const said = Object.values(own).some((value) => value !== undefined && typeof value !== 'function');
  return said ? { name: error.name, message: error.message, ...own } : undefined;
}

/** @param {unknown} value */
function isSendable(value) {
  try {
    const text = JSON.stringify(value);
    return text !== undefined && text.length <= MAX_THROWN;
  } catch {
    return false;
  }
}

/** The one place where errors become JSON-RPC. @param {unknown} error @returns {WireError} */
function toWire(error) {
  if (!(error instanceof CoattailError)) return { code: CODES.internal, message: messageOf(error) };
  const { hint, message, retryAfterMs } = error;
  const data = {
    ...(hint !== undefined && { hint }),
    ...('thrown' in error && { thrown: error.thrown }),
    ...(retryAfterMs !== undefined && { retry_after_ms: retryAfterMs }),
  };
  const wire = { code: CODES[error.code] ?? CODES.internal, message };
  return Object.keys(data).length > 0 ? { ...wire, data } : wire;
}

/** Takes any error object, also one of another implementation. @param {any} error */
function fromWire(error) {
  const details = typeof error?.data === 'object' && error.data !== null ? error.data : {};
  return new CoattailError(nameOf(error?.code), String(error?.message ?? 'no reason given'), {
    ...(typeof details.hint === 'string' && { hint: details.hint }),
    ...('thrown' in details && { thrown: details.thrown }),
    ...(typeof details.retry_after_ms === 'number' && { retryAfterMs: details.retry_after_ms }),
  });
}

/** @param {unknown} number @returns {ErrorCode} */
function nameOf(number) {
  if (number === METHOD_NOT_FOUND) return 'unknown-method';
  if (number === -32700 || number === -32600 || number === -32602) return 'invalid-input';
  const found = Object.entries(CODES).find(([, code]) => code === number);
  return found ? /** @type {ErrorCode} */ (found[0]) : 'internal';
}

/** @type {Record<ErrorCode, number>} */
const CODES = {
  failed: 1,
  'invalid-input': 2,
  'unknown-method': 3,
  'not-permitted': 4,
  'not-found': 5,
  unreachable: 6,
  busy: 7,
  'too-large': 8,
  lost: 9,
  cancelled: 10,
  'timed-out': 11,
  'storage-full': 12,
  'unsupported-version': 13,
  'already-exists': 14,
  'shutting-down': 15,
  internal: 16,
  'token-refused': 17,
  'too-many-hops': 18,
  'plugin-broken': 19,
  rejected: 20,
  'retry-later': 21,
  'wrong-peer': 22,
  'not-running': 23,
  usage: 24,
  'token-revoked': 25,
  'storage-failed': 26,
};

/** JSON-RPC's own code for a method that does not exist. */
const METHOD_NOT_FOUND = -32601;

/** Characters of a message: more is no message but a dump, and goes to stderr with the stack. */
const MAX_MESSAGE = 4096;

/** Characters of a thrown value as JSON: it is a reason, not a result. */
const MAX_THROWN = 64 * 1024;

module.exports = { CoattailError, Reject, RetryLater, METHOD_NOT_FOUND, failed, messageOf, toWire, fromWire };
