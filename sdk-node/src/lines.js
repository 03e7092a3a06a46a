// @ts-check
'use strict';

const { CoattailError } = require('./errors');

/** Cuts a stream of bytes into lines. Memory stays bounded whatever comes. */
class LineReader {
  #onLine;
  #onTooLong;
  #limit;
  /** @type {Buffer[]} Pieces of the line that has not ended yet. */
  #pieces = [];
  #length = 0;
  #skipping = false;

  /**
   * @param {(line: string) => void} onLine
   * @param {(bytes: number) => void} onTooLong called once for a line that is left out
   * @param {number} [limit]
   */
  constructor(onLine, onTooLong, limit = MAX_LINE) {
    this.#onLine = onLine;
    this.#onTooLong = onTooLong;
    this.#limit = limit;
  }

  /** @param {Buffer} chunk */
  feed(chunk) {
    let start = 0;
    for (let end; (end = chunk.indexOf(NEWLINE, start)) !== -1; start = end + 1) {
      this.#add(chunk.subarray(start, end));
      this.#finish();
    }
    this.#add(chunk.subarray(start));
  }

  /** @param {Buffer} piece */
  #add(piece) {
    if (piece.length === 0 || this.#skipping) return;
    this.#length += piece.length;
    if (this.#length > this.#limit) {
      this.#skipping = true;
      this.#pieces = [];
      this.#onTooLong(this.#limit);
    } else {
      this.#pieces.push(piece);
    }
  }

  #finish() {
    const line = this.#skipping ? '' : Buffer.concat(this.#pieces).toString('utf8').trim();
    this.#pieces = [];
    this.#length = 0;
    this.#skipping = false;
    if (line !== '') this.#onLine(line);
  }
}

/** Writes lines and says when the other side has room for more. */
class LineWriter {
  #stream;
  /** @type {Promise<void> | undefined} */
  #drained;

  /** @param {import('node:stream').Writable} stream */
  constructor(stream) {
    this.#stream = stream;
  }

  /** Bytes that the other side has not taken yet. */
  get backlog() {
    return this.#stream.writableLength;
  }

  /**
   * Resolves when there is room for more. To a stream that has ended it writes nothing: whoever waited for
   * the line is gone.
   * @param {string} line
   * @returns {Promise<void>}
   */
  async write(line) {
    const bytes = Buffer.byteLength(line);
    if (bytes > MAX_FRAME) {
      throw new CoattailError('too-large', `${bytes} bytes are too large to send: the limit is ${MAX_FRAME}`);
    }
    if (!this.#stream.writable || this.#stream.write(`${line}\n`)) return;
    this.#drained ??= new Promise((resolve) => {
      const done = () => {
        this.#stream.off('drain', done).off('close', done);
        this.#drained = undefined;
        resolve();
      };
      this.#stream.on('drain', done).on('close', done);
    });
    await this.#drained;
  }

  /** Resolves when all is written, or cannot be. @returns {Promise<void>} */
  end() {
    if (this.#stream.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#stream.once('close', resolve);
      this.#stream.end(() => resolve());
    });
  }
}

const NEWLINE = 0x0a;

/** Bytes of a frame; the daemon and its peers take no more. */
const MAX_FRAME = 8 * 1024 * 1024;

/** Bytes of a line that is read: a frame of a peer, and what the daemon puts around it. */
const MAX_LINE = MAX_FRAME + 64 * 1024;

module.exports = { LineReader, LineWriter, MAX_FRAME, MAX_LINE };
