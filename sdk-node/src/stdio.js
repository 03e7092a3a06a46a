// @ts-check
'use strict';

const fs = require('node:fs');
const net = require('node:net');
const { Readable } = require('node:stream');

/** @typedef {{ input: import('node:stream').Readable, output: import('node:stream').Writable }} Wire */

/**
 * Takes stdin and stdout for the protocol and leaves user code others: afterwards fd 0 is empty and fd 1
 * is stderr, for child processes that inherit them as well.
 * @returns {Wire}
 */
function claim() {
  const { O_RDONLY, O_WRONLY, O_NONBLOCK } = fs.constants;
  // Non-blocking, or opening a pipe whose other end is gone would wait for ever.
  const input = reopen(0, O_RDONLY | O_NONBLOCK);
  const output = reopen(1, O_WRONLY | O_NONBLOCK);
  const stderr = reopen(2, O_WRONLY | O_NONBLOCK);
  if (!input || !output || !stderr) {
    for (const opened of [input, output, stderr]) if (opened) fs.closeSync(opened.fd);
    return claimInProcess();
  }
  fs.closeSync(stderr.fd);

  // Opening takes the lowest free number, so each of these lands where the other was closed.
  fs.closeSync(0);
  fs.openSync('/dev/null', 'r');
  fs.closeSync(1);
  fs.openSync(stderr.path, 'a');
  return { input: readable(input.fd), output: writable(output.fd) };
}

/**
 * Node cannot duplicate a descriptor, but the system's folder of open descriptors can be opened again. On
 * Linux that fails for sockets.
 * @param {number} fd @param {number} flags
 */
function reopen(fd, flags) {
  for (const folder of ['/proc/self/fd', '/dev/fd']) {
    const path = `${folder}/${fd}`;
    try {
      return { path, fd: fs.openSync(path, flags) };
    } catch {
      // The next one, or the fallback.
    }
  }
  return undefined;
}

/** Second best: prints of this process go to stderr; what a child prints on an inherited stdout does not. */
function claimInProcess() {
  const empty = Readable.from([]);
  Object.defineProperty(process, 'stdin', { configurable: true, get: () => empty });
  Object.defineProperty(process, 'stdout', { configurable: true, get: () => process.stderr });
  return { input: readable(0), output: writable(1) };
}

/** @param {number} fd @returns {import('node:stream').Readable} */
function readable(fd) {
  // A read stream on a pipe would hold one of the few threads of the pool for as long as nothing comes.
  return isPipe(fd) ? new net.Socket({ fd, readable: true, writable: false }) : fs.createReadStream('', { fd });
}

/** @param {number} fd @returns {import('node:stream').Writable} */
function writable(fd) {
  return isPipe(fd) ? new net.Socket({ fd, readable: false, writable: true }) : fs.createWriteStream('', { fd });
}

/** @param {number} fd */
function isPipe(fd) {
  const stat = fs.fstatSync(fd);
  return stat.isFIFO() || stat.isSocket();
}

module.exports = { claim };
