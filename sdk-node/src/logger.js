// @ts-check
'use strict';

const { formatWithOptions } = require('node:util');

/**
 * @typedef {'debug' | 'info' | 'warn' | 'error'} Level
 * @typedef {(level: Level, message: string) => void} Sink
 */

/** @param {Sink} sink @returns {import('../index').Log} */
function log(sink) {
  const at = (/** @type {Level} */ level) => (/** @type {unknown[]} */ ...values) => sink(level, text(...values));
  return Object.freeze({ debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') });
}

/** The logger of the original. Its lines go to the daemon unless user code puts another stream in. */
class Logger {
  #sink;

  /**
   * @param {Sink} sink
   * @param {string[]} prefixes the first says what is logging, which the daemon knows
   * @param {{ stdOut?: any, stdErr?: any, color?: boolean, buffer?: string[] }} [streams]
   */
  constructor(sink, prefixes, { stdOut = DAEMON, stdErr = DAEMON, color = false, buffer = [] } = {}) {
    this.#sink = sink;
    this.prefixes = prefixes;
    this.stdOut = stdOut;
    this.stdErr = stdErr;
    this.color = color;
    this.buffer = buffer;
  }

  /** @param {unknown} message */
  info(message) {
    this.#line(this.stdOut, 'info', message);
  }

  /** @param {unknown} message */
  debug(message) {
    this.#line(this.stdOut, 'debug', message);
  }

  /** @param {unknown} message */
  warning(message) {
    this.#line(this.stdErr, 'warn', message);
  }

  /** @param {unknown} message */
  error(message) {
    this.#line(this.stdErr, 'error', message);
  }

  /** @param {string} prefix @param {unknown} value */
  object(prefix, value) {
    this.#line(this.stdOut, 'info', `${prefix}: ${plain(value)}`);
  }

  /** @param {unknown} packet */
  incoming(packet) {
    this.object('INCOMING', packet);
  }

  /** @param {unknown} packet */
  outgoing(packet) {
    this.object('OUTGOING', packet);
  }

  /** @param {string} prefix */
  child(prefix) {
    return new Logger(this.#sink, this.prefixes.concat(prefix), this);
  }

  parent() {
    return new Logger(this.#sink, this.prefixes.slice(0, -1), this);
  }

  /** The same, saying nothing. */
  silent() {
    return new Logger(this.#sink, this.prefixes, { ...this, stdOut: null, stdErr: null });
  }

  /** The same, collecting its lines in `buffer`. */
  buffered() {
    /** @type {string[]} */
    const buffer = [];
    const stream = { write: (/** @type {string} */ line) => void buffer.push(line) };
    return new Logger(this.#sink, this.prefixes, { ...this, stdOut: stream, stdErr: stream, buffer });
  }

  /** @param {string} level @param {unknown} message */
  format(level, message) {
    return `${new Date().toISOString()} ${level} ${this.prefixString()} ${plain(message)}`;
  }

  prefixString() {
    return `(${this.prefixes.join('/')})`;
  }

  /** @param {any} stream @param {Level} level @param {unknown} message */
  #line(stream, level, message) {
    if (stream === DAEMON) {
      const own = this.prefixes.slice(1);
      this.#sink(level, cut(own.length > 0 ? `(${own.join('/')}) ${plain(message)}` : plain(message)));
    } else if (stream) {
      stream.write(`${this.format(LEVELS[level], message)}\n`);
    }
  }
}

/** Several values on one line, the first one may hold `%s`. @param {...unknown} values */
function text(...values) {
  const parts = values.map((value) => (value instanceof Error ? errorText(value) : value));
  return cut(formatWithOptions({ breakLength: Infinity, depth: 4 }, ...parts));
}

/** As the original rendered a message, but for errors, of which it showed nothing. @param {unknown} value */
function plain(value) {
  if (value instanceof Error) return errorText(value);
  if (typeof value !== 'object' || value === null) return String(value);
  try {
    return JSON.stringify(value, null, 2);
  } catch {
    return text(value);
  }
}

/** @param {Error} error */
function errorText(error) {
  return error.name === 'Error' ? error.message : `${error.name}: ${error.message}`;
}

/** @param {string} message */
function cut(message) {
  return message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE)}…` : message;
}

/** Stands for the daemon where a stream is expected. */
const DAEMON = Object.freeze({ write: (/** @type {string} */ line) => process.stderr.write(line) });

const LEVELS = { debug: 'DEBG', info: 'INFO', warn: 'WARN', error: 'ERRO' };

/** Characters of a log line: a log is for reading. */
const MAX_MESSAGE = 64 * 1024;

module.exports = { log, Logger };
