'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { test } = require('node:test');
const { action, receiver, CoattailError, Reject, RetryLater } = require('..');
const { memory } = require('./support');

test('both kinds of modules get the same package', async () => {
  const { default: _, ...imported } = await import('coattail');
  assert.deepEqual({ ...imported }, require('coattail'));
  assert.deepEqual(Object.keys(imported).sort(), ['CoattailError', 'Reject', 'RetryLater', 'action', 'receiver']);
});

test('an action gets its input and a context', async () => {
  const { daemon, initialized } = await memory('action', action((input, context) => {
    context.log.info('got %s', input.n, new Error('and an error'));
    context.progress(0.5, 'half');
    return { n: input.n + 1, call: context.call, caller: context.caller, publication: 'publication' in context };
  }, { description: 'adds' }));
  assert.equal(initialized.description, 'adds');
  const params = { call: 'c', input: { n: 1 }, context: { caller: 'them' } };
  const { output } = await daemon.session.request('perform', params);
  assert.deepEqual(output, { n: 2, call: 'c', caller: 'them', publication: false });
  assert.deepEqual(daemon.logs, [{ call: 'c', level: 'info', message: 'got 1 and an error' }]);
  assert.deepEqual(daemon.progress, [{ call: 'c', fraction: 0.5, message: 'half' }]);
});

test('nothing and null are told apart, in and out', async () => {
  const { daemon } = await memory('action', action((input) => (input === null ? undefined : input === undefined ? null : () => 1)));
  const answer = async (input) => daemon.session.request('perform', { call: 'c', ...input, context: {} });
  assert.deepEqual(await answer({ input: null }), {});
  assert.deepEqual(await answer({}), { output: null });
  assert.deepEqual(await answer({ input: 1 }), {});
});

test('a receiver gets what was published and where it came from', async () => {
  const got = [];
  const { daemon } = await memory('receiver', receiver((input, { publication }) => void got.push([input, publication.sequence])));
  assert.deepEqual(await daemon.receivePublication({ a: 1 }), {});
  assert.deepEqual(got, [[{ a: 1 }, 1]]);
});

test('a receiver says whether another try makes sense; an action cannot', async () => {
  const verdicts = { reject: () => new Reject('bad'), later: () => new RetryLater(), soon: () => new RetryLater('full', { after: '2s' }), other: () => new Error('oops') };
  const run = (what) => { throw verdicts[what](); };
  const { daemon } = await memory('receiver', receiver(run));
  await assert.rejects(daemon.receivePublication('reject'), { code: 'rejected', message: 'bad' });
  await assert.rejects(daemon.receivePublication('later'), (error) => error.code === 'retry-later' && !('retryAfterMs' in error));
  await assert.rejects(daemon.receivePublication('soon'), { code: 'retry-later', retryAfterMs: 2000 });
  await assert.rejects(daemon.receivePublication('other'), { code: 'failed', message: 'oops' });
  const other = await memory('action', action(run));
  await assert.rejects(other.daemon.perform('reject'), { code: 'failed' });
});

test('stacks go to stderr and nowhere else', async () => {
  const { daemon, stderr } = await memory('action', action(() => { throw new Error('oops'); }));
  await assert.rejects(daemon.perform(1, 'c'), (error) => !JSON.stringify(error).includes('worker.test.js'));
  assert.match(stderr.join(), /call c failed: Error: oops\n +at .*worker\.test\.js/);
});

test('cancelling ends one call and leaves the others', async () => {
  const { daemon } = await memory('action', action(async (input, { signal, progress }) => {
    progress(0);
    if (input === 'stubborn') return once(signal, 'abort').then(() => 'done all the same');
    await once(new EventTarget(), 'never', { signal });
  }));
  const [slow, stubborn] = [daemon.perform('slow', 'slow'), daemon.perform('stubborn', 'stubborn')];
  await daemon.until('both calls', () => daemon.progress.length === 2);
  daemon.cancel('unknown');
  daemon.cancel('slow');
  await assert.rejects(slow, { code: 'cancelled' });
  daemon.cancel('stubborn');
  assert.equal(await stubborn, 'done all the same');
});

test('what a call asks for names the call, and is cancelled with it', async () => {
  let answerPerform;
  const { daemon } = await memory('action', action((_input, { coattail }) => coattail.perform('Slow', { a: 1 }, { timeout: 10.5 })), {
    'actions.perform': () => new Promise((_resolve, reject) => (answerPerform = reject)),
    'actions.cancel': () => answerPerform(Object.assign(new Reject('cancelled'), { code: 'cancelled' })),
  });
  const call = daemon.perform(null, 'parent');
  await daemon.until('the request', () => daemon.asked.length === 1);
  const [, params] = daemon.asked[0];
  assert.deepEqual({ ...params, call: typeof params.call },
    { call: 'string', action: 'Slow', input: { a: 1 }, publish: false, timeout_ms: 11, parent: 'parent' });
  daemon.cancel('parent');
  await assert.rejects(call, { code: 'cancelled' });
  assert.deepEqual(daemon.asked[1], ['actions.cancel', { call: params.call }]);
});

test('what it takes and returns is told at the start', async () => {
  const input = { type: 'object', required: ['n'] };
  const { initialized } = await memory('action', action(() => {}, { input, output: true }));
  assert.deepEqual([initialized.input, initialized.output], [input, true]);
  const plain = await memory('action', action(() => {}));
  assert.ok(!('input' in plain.initialized) && !('output' in plain.initialized));
  assert.throws(() => receiver(() => {}, { input: 'a text' }), /`input` takes a JSON Schema/);
  assert.throws(() => action(() => {}, { output: [] }), /`output` takes a JSON Schema/);
});

test('a call that takes long says that it is worked on', async () => {
  const { daemon } = await memory('action', action((_input, { working }) => working()), { working: () => ({}) });
  await daemon.perform(null, 'c');
  assert.deepEqual(daemon.asked, [['working', { call: 'c' }]]);
  const old = await memory('action', action(async (_input, { working }) => {
    working();
    return working().catch((error) => error.code);
  }));
  assert.equal(await old.daemon.perform(), 'unknown-method');
});

test('a call that is followed is heard, in order and until its answer', async () => {
  const heard = [];
  const follow = {
    onLog: ({ level, message }) => heard.push([level, message]),
    onProgress: ({ fraction }) => {
      heard.push(fraction);
      throw new Error('of the listener');
    },
  };
  let say;
  const { daemon, stderr } = await memory('action', action((_input, { coattail }) =>
    coattail.perform('Slow', 1, { follow, startTimeout: 50, key: 'k' })), {
    'actions.perform': async ({ call }) => {
      say = (method, params) => daemon.session.notify(method, { call, ...params });
      say('log', { level: 'info', message: 'one' });
      say('progress', { fraction: 0.5 });
      daemon.session.notify('log', { call: 'another', level: 'info', message: 'not asked for' });
      say('log', { level: 'warn', message: 'two' });
      return { call, result: 'done' };
    },
  });
  assert.equal(await daemon.perform(null, 'parent'), 'done');
  say('log', { level: 'info', message: 'too late' });
  await daemon.session.request('shutdown', {});
  assert.deepEqual(heard, [['info', 'one'], 0.5, ['warn', 'two']]);
  const [, { follow: asked, start_timeout_ms, key }] = daemon.asked[0];
  assert.deepEqual({ asked, start_timeout_ms, key }, { asked: true, start_timeout_ms: 50, key: 'k' });
  assert.match(stderr.join(), /progress: of the listener/);
});

test('jobs are started, found again, waited for and cancelled', async () => {
  const job = { id: 'j', action: 'Slow', state: 'running', created: '2026-11-20T10:00:00Z' };
  const { daemon } = await memory('action', action(async (_input, { coattail: { jobs } }) => {
    const started = await jobs.start('Slow', { a: 1 }, { peer: 'p', publish: true, timeout: 10.5, startTimeout: 0, key: 'k' });
    const lines = [];
    const waited = await jobs.wait(started.id, { timeout: 5, follow: { onLog: ({ message }) => lines.push(message) } });
    await jobs.wait('j');
    const { error, ...cancelled } = await jobs.cancel('j');
    assert.ok(error instanceof CoattailError);
    return [await jobs.list(), await jobs.show('j'), await jobs.logs('j'), cancelled, error.code, error.hint, waited.state, lines];
  }), {
    'jobs.start': () => job, 'jobs.list': () => [job], 'jobs.show': () => job, 'jobs.logs': () => ({ lines: ['line'] }),
    'jobs.cancel': () => ({ ...job, state: 'cancelled', error: { code: 10, message: 'cancelled', data: { hint: 'start it again' } } }),
    'jobs.wait': async ({ job: id }) => {
      daemon.session.notify('log', { call: id, level: 'info', message: 'half' });
      return { ...job, state: 'succeeded' };
    },
  });
  const output = await daemon.perform(null, 'c');
  assert.deepEqual(output, [[job], job, ['line'], { ...job, state: 'cancelled' }, 'cancelled', 'start it again', 'succeeded', ['half']]);
  assert.deepEqual(daemon.asked, [
    ['jobs.start', { peer: 'p', action: 'Slow', input: { a: 1 }, publish: true, timeout_ms: 11, start_timeout_ms: 1, key: 'k', parent: 'c' }],
    ['jobs.wait', { job: 'j', timeout_ms: 5, follow: true }], ['jobs.wait', { job: 'j' }],
    ['jobs.cancel', { job: 'j' }], ['jobs.list', {}], ['jobs.show', { job: 'j' }], ['jobs.logs', { job: 'j' }],
  ]);
});

test('every method of the API arrives at the daemon', async () => {
  const answers = Object.fromEntries(['actions.publish', 'actions.list', 'receivers.list', 'peers.list', 'peers.show',
    'actions.subscribe', 'actions.unsubscribe', 'subscribers.list', 'subscribers.revoke'].map((method) => [method, () => ({ method })]));
  const what = { peer: 'p', action: 'a', receiver: 'r' };
  const { daemon } = await memory('action', action(async (_input, { coattail }) => {
    await coattail.publish('a', undefined);
    await coattail.publish('a', 1, { id: 'monday', ttl: 0.5, to: 'them' });
    await coattail.publish('a', 1, { peer: 'p', to: ['them', 'others'] });
    await coattail.actions({ peer: 'p', schemas: true });
    await coattail.receivers();
    await coattail.peers();
    await coattail.peer('p');
    await coattail.subscribe(what);
    await coattail.subscribe({ ...what, where: '/n > 1' });
    await coattail.unsubscribe(what);
    await coattail.subscribers();
    return coattail.revoke('s');
  }), answers);
  assert.deepEqual(await daemon.perform(null, 'c'), { method: 'subscribers.revoke' });
  assert.deepEqual(daemon.asked, [
    ['actions.publish', { action: 'a', input: null, parent: 'c' }],
    ['actions.publish', { action: 'a', input: 1, id: 'monday', ttl_ms: 1, to: ['them'], parent: 'c' }],
    ['actions.publish', { peer: 'p', action: 'a', input: 1, to: ['them', 'others'], parent: 'c' }],
    ['actions.list', { peer: 'p', schemas: true }], ['receivers.list', {}],
    ['peers.list', {}], ['peers.show', { peer: 'p' }], ['actions.subscribe', what],
    ['actions.subscribe', { ...what, filter: '/n > 1' }], ['actions.unsubscribe', what],
    ['subscribers.list', {}], ['subscribers.revoke', { subscription: 's' }],
  ]);
});

test('what the daemon should not send is refused', async () => {
  const { daemon } = await memory('action', action((_input, { progress, signal }) => (progress(0), once(signal, 'abort'))));
  await assert.rejects(daemon.receivePublication(1), { code: 'unknown-method' });
  await assert.rejects(daemon.session.request('perform', {}), { code: 'invalid-input' });
  await assert.rejects(daemon.initialize('/', 'action', 'x'), { code: 'invalid-input' });
  const call = daemon.perform(1, 'twice');
  await assert.rejects(daemon.perform(2, 'twice'), { code: 'invalid-input' });
  daemon.cancel('twice');
  await call;
});

test('after shutdown what is under way is finished, and nothing is begun', async () => {
  let finish;
  const { daemon, worker } = await memory('action', action((_input, { progress }) => new Promise((resolve) => (progress(0), (finish = resolve)))));
  const call = daemon.perform(1);
  await daemon.until('the call', () => daemon.progress.length === 1);
  assert.deepEqual(await daemon.session.request('shutdown', {}), {});
  await assert.rejects(daemon.perform(2), { code: 'shutting-down' });
  await worker.stopped;
  finish('finished');
  assert.equal(await call, 'finished');
  await worker.finished;
});

const WRONG = [
  ['nothing', {}, /exports nothing/],
  ['a class', class {}, /exports a class/],
  ['an async function', async () => assert.fail('was called'), /wrap it/],
  ['a function without a class', () => ({}), /expected `module.exports = \(Coattail\) => class/],
  ['a receiver', receiver(() => {}), /is a receiver, but lies among the actions/],
];

for (const [what, exported, message] of WRONG) {
  test(`an action that exports ${what} is refused with a hint`, async () => {
    await assert.rejects(memory('action', exported), { code: 'plugin-broken', message });
  });
}

test('another version of the wire is refused', async () => {
  await assert.rejects(memory('action', action(() => {}), {}, 2), { code: 'unsupported-version' });
});
