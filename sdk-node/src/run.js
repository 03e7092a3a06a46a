// @ts-check
'use strict';

const { inspect } = require('node:util');
const { LineReader, LineWriter } = require('./lines');
const { load } = require('./load');
const { Worker } = require('./worker');

/**
 * Serves one plugin until the daemon says stop, or is gone.
 * @param {import('./stdio').Wire} wire
 * @param {string | undefined} file
 */
async function run(wire, file) {
  if (file === undefined) {
    complain('usage: node runner.js FILE (the daemon starts it; it speaks JSON-RPC over stdin and stdout)');
    process.exit(EXIT_USAGE);
  }
  guard();
  const writer = new LineWriter(wire.output);
  const worker = new Worker(writer, file, load, complain);
  const reader = new LineReader(
    (line) => worker.session.receive(line),
    (limit) => complain(`left out a line of more than ${limit} bytes`),
  );
  const gone = () => {
    worker.session.end();
    worker.stop();
  };
  wire.input.on('data', (chunk) => reader.feed(chunk)).on('end', gone).on('close', gone).on('error', gone);
  // Nobody is left to hear the answers.
  wire.output.on('error', () => {
    gone();
    worker.cancelAll();
  });

  // 1. Calls in flight are finished, within a time. The clock starts when the daemon wants us gone.
  const late = await Promise.race([worker.finished, graceAfter(worker.stopped)]);
  if (late) {
    complain(`gave up on ${worker.inFlight} calls that did not finish within ${GRACE_MS / 1000} s`);
    worker.cancelAll();
  }
  // 2. Their answers are written.
  await Promise.race([writer.end(), delay(FLUSH_MS)]);
  // 3. Timers and sockets that user code has left open do not keep the process.
  process.exit(late ? EXIT_FAILED : 0);
}

/** @param {Promise<void>} stopped */
async function graceAfter(stopped) {
  await stopped;
  await delay(GRACE_MS);
  return true;
}

/** @param {number} ms @returns {Promise<void>} */
function delay(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Faults outside of any call: nobody waits for them, so they are told to stderr. */
function guard() {
  process.stderr.on('error', () => {});
  process.on('unhandledRejection', (reason) => complain(`unhandled rejection: ${inspect(reason)}`));
  process.on('uncaughtException', (error) => {
    complain(`uncaught exception: ${inspect(error)}`);
    // What state the code is in is unknown. The daemon starts another worker.
    process.exit(EXIT_CRASHED);
  });
}

/** @param {string} text */
function complain(text) {
  process.stderr.write(`${text}\n`);
}

/** Time for calls in flight; the daemon itself takes 30 s to stop. */
const GRACE_MS = 30_000;

/** Time for the daemon to take the last answers. */
const FLUSH_MS = 5_000;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_CRASHED = 70;

module.exports = { run };
