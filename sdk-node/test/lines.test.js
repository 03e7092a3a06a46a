'use strict';

const assert = require('node:assert/strict');
const { Writable } = require('node:stream');
const { test } = require('node:test');
const { LineReader, LineWriter, MAX_FRAME } = require('../src/lines');

function read(chunks, limit) {
  const lines = [];
  let tooLong = 0;
  const reader = new LineReader((line) => lines.push(line), () => (tooLong += 1), limit);
  for (const chunk of chunks) reader.feed(Buffer.from(chunk));
  return { lines, tooLong };
}

test('lines are found wherever the chunks are cut', () => {
  const bytes = Buffer.from('grüße 🧥\r\n\nzwei\n');
  for (let size = 1; size <= bytes.length; size += 1) {
    const chunks = [];
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
    assert.deepEqual(read(chunks).lines, ['grüße 🧥', 'zwei'], `chunks of ${size}`);
  }
});

test('a line that is too long is left out, and the next one is read', () => {
  assert.deepEqual(read(['12345', '678901234\nok\n12345', '678\nend\n'], 8), { lines: ['ok', '12345678', 'end'], tooLong: 1 });
});

test('what has no end yet is no line', () => {
  assert.deepEqual(read(['torn']).lines, []);
});

test('writing waits until there is room', async () => {
  const taken = [];
  const stream = new Writable({ highWaterMark: 4, write: (_chunk, _encoding, done) => taken.push(done) });
  const writer = new LineWriter(stream);
  let written = false;
  const writing = writer.write('a long line').then(() => (written = true));
  await new Promise(setImmediate);
  assert.equal(written, false);
  taken.forEach((done) => done());
  await writing;
});

test('writing to a stream that closes does not wait for ever', async () => {
  const stream = new Writable({ highWaterMark: 1, write: () => {} });
  const writing = new LineWriter(stream).write('a line');
  stream.destroy();
  await writing;
  await new LineWriter(stream).write('another');
});

test('a frame that the daemon would not take is refused', async () => {
  const writer = new LineWriter(new Writable({ write: () => assert.fail('written') }));
  await assert.rejects(writer.write('x'.repeat(MAX_FRAME + 1)), { code: 'too-large' });
});
