'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { CoattailError } = require('../src/errors');
const { memory } = require('./support');

const ENTRY = { name: 'Other', kind: 'action', performable: true, publishable: true, subscribable: true };
const SHOWN = {
  id: 'peer-1', issuer: 'their-hash', addresses: ['net:[::1]:49365~tls'], token: 'jti-1', performable: ['A'], publishable: [],
  subscribable: ['*'], expires: '2999-01-01T00:00:00Z', connected: false,
};

/** Performs `body` as the `perform` of an action of the original. */
async function perform(body, answers, input) {
  const joined = await memory('action', (Coattail) => class extends Coattail.Action {
    async perform(data) {
      return body.call(this, Coattail, data);
    }
  }, answers);
  return { ...joined, output: await joined.daemon.perform(input, 'parent') };
}

test('the Coattail object is exactly Peer, Receiver, Action', async () => {
  const { output } = await perform((Coattail) => Object.keys(Coattail));
  assert.deepEqual(output, ['Peer', 'Receiver', 'Action']);
});

test('function and class are used anew for every call; the module is not', async () => {
  let [called, made] = [0, 0];
  const { daemon } = await memory('action', (Coattail) => {
    called += 1;
    return class extends Coattail.Action {
      constructor(...given) {
        super();
        made += 1;
        this.before = [given.length, this.name, this.logger];
      }
      perform() {
        return { called, made, before: this.before.map(String), name: this.name, logger: typeof this.logger.info };
      }
    };
  });
  const first = await daemon.perform();
  assert.deepEqual(first, { called: 2, made: 1, before: ['0', 'undefined', 'undefined'], name: 'Test', logger: 'function' });
  assert.deepEqual(await daemon.perform(), { ...first, called: 3, made: 2 });
});

test('a receiver is notified', async () => {
  const got = [];
  const { daemon } = await memory('receiver', (Coattail) => class extends Coattail.Receiver {
    onReceived(input) {
      this.logger.child('deep').warning(new Error('careful'));
      got.push(input);
    }
  });
  await daemon.receivePublication({ a: 1 });
  assert.deepEqual(got, [{ a: 1 }]);
  assert.equal(daemon.logs[0].message, '(deep) careful');
  assert.equal(daemon.logs[0].level, 'warn');
  assert.equal(typeof daemon.logs[0].call, 'string');
});

test('a method that is missing says so', async () => {
  const { daemon } = await memory('action', (Coattail) => class extends Coattail.Action {});
  await assert.rejects(daemon.perform(), { code: 'failed', message: 'action Test must implement perform(input)' });
});

for (const thrown of [undefined, null, '', 'text', { a: 1 }]) {
  test(`rejecting with ${JSON.stringify(thrown)} is a failure`, async () => {
    await assert.rejects(perform(() => Promise.reject(thrown)), (error) => error.code === 'failed' && error.thrown === thrown
      || JSON.stringify(error.thrown) === JSON.stringify(thrown));
  });
}

test('the local peer performs through the daemon', async () => {
  const { output, daemon } = await perform(async (Coattail, data) => {
    const local = Coattail.Peer.local();
    return [local.id, local.jwt, local.isLocal(), await local.performAction({ name: 'Other', data, publish: true })];
  }, { 'actions.perform': ({ input }) => ({ call: 'x', result: { got: input } }) }, 7);
  assert.deepEqual(output, ['/instance', '', true, { got: 7 }]);
  const [, { action, publish, parent, peer }] = daemon.asked[0];
  assert.deepEqual({ action, publish, parent, peer }, { action: 'Other', publish: true, parent: 'parent', peer: undefined });
});

const failure = (thrown) => new CoattailError('failed', 'no', thrown);
const REJECTIONS = [
  ['local', failure({}), (error) => error instanceof Error && error.message === 'no'],
  ['local', failure({ thrown: { name: 'Error', message: 'no', errno: -2 } }), (error) => error instanceof Error && error.errno === -2],
  ['local', failure({ thrown: 'text' }), (error) => error === 'text'],
  ['local', failure({ thrown: null }), (error) => error === null],
  ['remote', failure({}), (error) => error === 'no'],
  ['remote', failure({ thrown: { errno: -2 } }), (error) => !(error instanceof Error) && error.errno === -2],
  ['remote', new CoattailError('unreachable', 'no'), (error) => error instanceof Error && error.code === 'unreachable'],
];

for (const [where, answer, expected] of REJECTIONS) {
  test(`a ${where} action that ends with ${answer.code} ${JSON.stringify(answer.thrown)} rejects as the original did`, async () => {
    const { output } = await perform(async (Coattail) => {
      const peer = where === 'local' ? Coattail.Peer.local() : await Coattail.Peer.load({ id: 'peer-1' });
      return peer.performAction({ name: 'Other' }).then(() => 'performed', (error) => expected(error));
    }, { 'actions.perform': () => { throw answer; }, 'peers.show': () => SHOWN });
    assert.equal(output, true);
  });
}

test('peers are loaded with their token', async () => {
  const { output } = await perform(async ({ Peer }) => {
    const peer = await Peer.load({ id: 'peer-1' });
    const { token } = peer;
    return [
      peer.isLocal(), token.issuer(), token.isValid(), token.performable(), token.getClientConfig(), token.claims().jti,
      (await Peer.loadAll()).length, (await Peer.loadAll({ where: { id: 'other' } })).length,
      (await Peer.loadAllMatching({ matches: (one) => one.token.subscribable().includes('*') })).length,
      (await Peer.load({ id: '/instance' })).isLocal(), await Peer.load({ id: 'unknown' }),
    ];
  }, {
    'peers.show': ({ peer }) => {
      if (peer !== 'peer-1') throw new CoattailError('not-found', 'no such peer');
      return SHOWN;
    },
    'peers.list': () => [SHOWN],
  });
  // There is no control socket here where one could ask for the text.
  const config = { host: '::1', port: 49365, tls: true, auth: '' };
  assert.deepEqual(output, [false, 'their-hash', true, ['A'], config, 'jti-1', 1, 0, 1, true, null]);
});

test('a peer made from a token is the one that the token was added for', async () => {
  const jwt = ['e30', Buffer.from('{"jti":"jti-1","iss":"their-hash"}').toString('base64url'), ''].join('.');
  const { daemon } = await perform(({ Peer }) => new Peer({ jwt }).publishActionResponse({ name: 'A', data: 1 }),
    { 'peers.list': () => [SHOWN], 'actions.publish': () => ({ id: 'x', sequence: 1 }) });
  assert.deepEqual(daemon.asked[1], ['actions.publish', { peer: 'peer-1', action: 'A', input: 1, parent: 'parent' }]);
  await assert.rejects(perform(({ Peer }) => new Peer({}).getActions()), /never added/);
});

test('subscriptions are made at others and revoked here', async () => {
  const what = { action: 'A', receiver: 'R' };
  const { output, daemon } = await perform(async ({ Peer }) => {
    const peer = await Peer.load({ id: 'peer-1' });
    const refused = await Promise.all([
      Peer.local().subscribeTo(what), Peer.local().unsubscribe(what), peer.revokeSubscription({ subscriptionId: 's' }),
    ].map((promise) => promise.then(() => 'resolved', (error) => error instanceof Error)));
    const token = await peer.subscribeTo(what);
    await Peer.local().revokeSubscription({ subscriptionId: 's' });
    return [refused, token.subscribedTo(), token.use(), await peer.unsubscribe(what)];
  }, {
    'peers.show': () => SHOWN, 'subscribers.revoke': () => ({ id: 's', told: true }),
    'actions.subscribe': (asked) => ({ id: 'sub', ...asked }), 'actions.unsubscribe': () => ({ id: 'sub', told: false }),
  });
  assert.deepEqual(output, [[true, true, true], ['A'], 'Publisher Authentication', 0]);
  assert.deepEqual(daemon.asked.at(-1), ['actions.unsubscribe', { peer: 'peer-1', ...what }]);
});

test('listed actions of this instance are actions, those of others are plain', async () => {
  const { output } = await perform(async ({ Peer, Action }) => {
    const [own] = await Peer.local().getActions();
    const [other] = await (await Peer.load({ id: 'peer-1' })).getActions();
    return [own instanceof Action, own.name, own.performable, await own.performWithInputValidation(1), other instanceof Action];
  }, { 'actions.list': () => [ENTRY], 'peers.show': () => SHOWN, 'actions.perform': () => ({ call: 'c', result: 'result' }) });
  assert.deepEqual(output, [true, 'Other', true, 'result', false]);
});

test('a result that cannot be published is not lost', async () => {
  const full = { 'actions.publish': () => { throw new CoattailError('storage-full', 'the disk is full'); } };
  const { output, daemon } = await perform(async function again(_Coattail, input) {
    return input === 'inner' ? 'result' : this.performWithInputValidation('inner', true);
  }, full);
  assert.equal(output, 'result');
  assert.match(daemon.logs[0].message, /not published: the disk is full/);
});

test('what runs here writes to the logger that was given; what runs elsewhere does not', async () => {
  let daemon;
  const joined = await memory('action', (Coattail) => class extends Coattail.Action {
    async perform() {
      const logger = this.logger.buffered();
      await Coattail.Peer.local().performAction({ name: 'Other', logger });
      await (await Coattail.Peer.load({ id: 'peer-1' })).performAction({ name: 'Other', logger });
      return logger.buffer.map((line) => line.slice(25));
    }
  }, {
    'peers.show': () => SHOWN,
    'actions.perform': ({ call }) => {
      for (const level of ['warn', 'debug']) daemon.session.notify('log', { call, level, message: 'said' });
      return { call };
    },
  });
  daemon = joined.daemon;
  assert.deepEqual(await daemon.perform(),
    ['WARN (action-Test/action-Other) said\n', 'DEBG (action-Test/action-Other) said\n']);
  const performed = daemon.asked.filter(([method]) => method === 'actions.perform');
  assert.deepEqual(performed.map(([, { follow }]) => follow), [true, undefined]);
});

test('the logger writes where it is told to', async () => {
  const { output, daemon } = await perform(async function log() {
    const { logger } = this;
    const buffered = logger.child('a').buffered();
    buffered.info({ b: 1 });
    buffered.parent().error('c');
    logger.silent().error('nobody hears it');
    logger.object('value', { d: 1 });
    logger.debug('fine');
    return [buffered.buffer, buffered.prefixString()];
  });
  const [lines, prefix] = output;
  assert.equal(prefix, '(action-Test/a)');
  assert.match(lines[0], /^\d{4}-\d\d-\d\dT[\d:.]+Z INFO \(action-Test\/a\) \{\n {2}"b": 1\n\}\n$/);
  assert.match(lines[1], / ERRO \(action-Test\) c\n$/);
  assert.deepEqual(daemon.logs.map(({ level, message }) => [level, message]), [['info', 'value: {\n  "d": 1\n}'], ['debug', 'fine']]);
});
