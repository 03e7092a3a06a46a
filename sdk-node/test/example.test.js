'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { instance, start } = require('./support');

const EXAMPLE = path.join(__dirname, '../../examples/node-ported');

/** An instance with the files of the example, and a worker for one of them. */
async function begin(t, file, answers, root = instance(t, {})) {
  fs.cpSync(EXAMPLE, root, { recursive: true });
  const { daemon } = start(t, root, file, { answers });
  await daemon.initialize(root, file.startsWith('actions/') ? 'action' : 'receiver', path.parse(file).name);
  return { daemon, root };
}

test('Load Average gives the five numbers', async (t) => {
  const { daemon } = await begin(t, 'actions/Load Average.js');
  assert.deepEqual(await daemon.perform({ samples: [4, 1, 3, 2] }), { count: 4, min: 1, q1: 1.75, median: 2.5, q3: 3.25, max: 4 });
  assert.equal((await daemon.perform({ load: { one: 0.4, five: 0.3, fifteen: 0.2 } })).median, 0.3);
  await assert.rejects(daemon.perform(), { code: 'failed', message: /no samples/ });
});

test('Health Score judges by the worst figure', async (t) => {
  const { daemon } = await begin(t, 'actions/Health Score.js');
  const load = { one: 1, five: 0.5, fifteen: 0.2 };
  assert.deepEqual(await daemon.perform({ disk: { used_percent: 91 }, load, cpus: 2 }),
    { status: 'warn', reasons: ['disk: 91% used (warn from 80)'], score: 13 });
  assert.deepEqual(await daemon.perform({ host: 'a', disk: { used_percent: 40 }, load, cpus: 2 }),
    { host: 'a', status: 'ok', reasons: [], score: 75 });
  assert.deepEqual(await daemon.perform({ disk: { used_percent: 99 }, load: { ...load, five: 2 } }),
    { status: 'critical', reasons: ['disk: 99% used (critical from 95)', 'load: 2 per CPU (warn from 1)'], score: 0 });
  await assert.rejects(daemon.perform({}), { code: 'failed', message: /nothing to judge/ });
});

test('Daily Report sums up what Store Entry has kept', async (t) => {
  const receiver = await begin(t, 'receivers/Store Entry.js');
  await receiver.daemon.receivePublication({ status: 'ok', reasons: [], score: 75 });
  await receiver.daemon.receivePublication({ status: 'warn', reasons: ['disk: 91% used'], score: 13 });
  // `check` beside the example installs the real one.
  const root = receiver.root;
  fs.mkdirSync(path.join(root, 'node_modules/ms'), { recursive: true });
  fs.writeFileSync(path.join(root, 'node_modules/ms/index.js'), 'module.exports = (text) => ({ "1h": 3600000 })[text];');
  const { daemon } = await begin(t, 'actions/Daily Report.js', {
    'actions.perform': ({ action, input }) => ({ call: 'x', result: { action, input } }),
  }, root);
  const { received } = JSON.parse(fs.readFileSync(path.join(root, 'entries.jsonl'), 'utf8').split('\n')[0]);
  const day = received.slice(0, 10);
  assert.deepEqual(await daemon.perform({ day }), {
    day, count: 2, ok: 1, warn: 1, critical: 0, reasons: { disk: 1 },
    scores: { action: 'Load Average', input: { samples: [75, 13] } },
  });
  assert.equal((await daemon.perform({ day: '1999-01-01' })).count, 0);
  assert.equal((await daemon.perform({ last: '1h' })).count, 2);
  await assert.rejects(daemon.perform({ last: 'a while' }), { code: 'failed', message: /"a while" is no length of time/ });
});
