'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { CoattailError } = require('../src/errors');
const { Session } = require('../src/session');

/** Two sessions joined in memory. */
function pair(methods, writer = {}) {
  const complaints = [];
  const ends = {};
  const to = (end) => ({ backlog: 0, write: async (line) => void setImmediate(() => ends[end].receive(line)), ...writer });
  ends.here = new Session(to('there'), {}, (text) => complaints.push(text));
  ends.there = new Session(to('here'), methods, (text) => complaints.push(text));
  return { ...ends, complaints };
}

test('many requests are answered in the order in which they finish', async () => {
  const waiting = [];
  const { here } = pair({ hold: ({ n }) => new Promise((resolve) => {
    waiting.push(() => resolve({ n }));
    if (waiting.length === 100) waiting.reverse().forEach((answer) => answer());
  }) });
  const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => here.request('hold', { n })));
  assert.deepEqual(answers.map(({ n }) => n), Array.from({ length: 100 }, (_, n) => n));
});

test('errors come back with their code', async () => {
  const { here } = pair({ fail: () => { throw new CoattailError('busy', 'full', { hint: 'wait' }); } });
  await assert.rejects(here.request('fail', {}), { code: 'busy', message: 'full', hint: 'wait' });
  await assert.rejects(here.request('nothing', {}), { code: 'unknown-method' });
});

test('a result that is no JSON is an error of that request alone', async () => {
  const { here } = pair({ big: () => ({ output: 1n }), fine: () => ({ output: 1 }) });
  await assert.rejects(here.request('big', {}), { code: 'failed', message: /cannot be written as JSON/ });
  assert.deepEqual(await here.request('fine', {}), { output: 1 });
});

test('lines that are no frames are left out', async () => {
  const { here, there, complaints } = pair({ ping: () => ({}) });
  for (const line of ['printed', '[]', '7', 'null', '{"id":99,"result":{}}', '{}']) there.receive(line);
  assert.equal(complaints.length, 4);
  assert.deepEqual(await here.request('ping', {}), {});
});

test('the end of the session is an answer to everything', async () => {
  const { here } = pair({ hold: () => new Promise(() => {}) });
  const held = here.request('hold', {});
  here.end();
  await assert.rejects(held, { code: 'lost' });
  await assert.rejects(here.request('hold', {}), { code: 'lost' });
});

test('notifications are dropped, not queued, when the other side does not read', () => {
  let written = 0;
  const { here } = pair({}, { backlog: 1 << 30, write: async () => void (written += 1) });
  assert.equal(here.notify('log', {}), false);
  assert.equal(written, 0);
});

test('requests are bounded', async () => {
  const { here } = pair({}, { write: async () => {} });
  const held = Array.from({ length: 1024 }, () => here.request('hold', {}).catch(() => {}));
  await assert.rejects(here.request('one more', {}), { code: 'busy' });
  here.end();
  await Promise.all(held);
});
