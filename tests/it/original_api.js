// Every call that the original gave to user code, made in an action of the original's style: what it takes, what it
// gives. A row is: the call, how it is made, and what must come of it (a value, or a function that judges).
const { isDeepStrictEqual: same, inspect } = require('util');

/** For a row that must reject: with what. */
const rejects = (judge) => ({ rejects: judge });
const anError = (pattern) => rejects((error) => error instanceof Error && pattern.test(error.message));
const nothing = undefined;
const isText = (value) => typeof value === 'string' && value !== '';
const isList = (value) => Array.isArray(value) && value.length > 0;

module.exports = (Coattail) => class extends Coattail.Action {
  constructor(...given) {
    super();
    this.inConstructor = [given.length, this.name, this.logger];
  }

  async perform(input) {
    const wrong = [];
    const rows = await table(Coattail, this, input);
    for (const [call, make, expected] of rows) {
      const what = await judge(make, expected);
      if (what) wrong.push(`${call}: ${what}`);
    }
    return { count: rows.length, wrong };
  }
};

async function table({ Peer, Action, Receiver }, self, { instance, peer: id, spare, issued, revocable, subscription }) {
  const peer = await Peer.load({ id });
  const local = Peer.local();
  const own = new Peer({ jwt: issued });
  const added = new Peer({ jwt: spare });
  const what = { action: 'Echo', receiver: 'keep' };
  let made;
  const [echo] = (await local.getActions()).filter(({ name }) => name === 'Echo');
  const logger = self.logger;
  const buffered = logger.child('deep').buffered();
  const lines = [];
  return [
    // 7.1 modules
    ['new Action()', () => self.inConstructor, [0, nothing, nothing]],
    ['this.name', () => self.name, 'Every Call'],
    ['process.cwd()', () => process.cwd(), instance],
    ['perform(input), not implemented', () => new Action().perform(), anError(/must implement perform/)],
    ['performWithInputValidation(input)', () => echo.performWithInputValidation({ a: 1 }), { a: 1 }],
    ['performWithInputValidation(input, publish)', () => echo.performWithInputValidation(2, true), 2],
    ['publishWithOutputValidation(output)', () => self.publishWithOutputValidation({ a: 1 }), nothing],
    ['onReceived(input), not implemented', () => new Receiver().onReceived(), anError(/must implement onReceived/)],
    ['Receiver.performWithInputValidation(input)', () => new (class extends Receiver {
      async onReceived(given) { return ['got', given]; }
    })().performWithInputValidation(1), ['got', 1]],

    // 7.2 Peer, static
    ['Coattail', () => [typeof Peer, typeof Receiver, typeof Action], ['function', 'function', 'function']],
    ['Peer.local()', () => [local.id, local.jwt, local.isLocal()], [instance, '', true]],
    ['Peer.load({id})', () => [peer instanceof Peer, peer.id, peer.isLocal()], [true, id, false]],
    ['Peer.load({id, database})', async () => (await Peer.load({ id, database: {} })).id, id],
    ['Peer.load({id: paths.root})', async () => (await Peer.load({ id: instance })).isLocal(), true],
    ['Peer.load({id}), unknown', () => Peer.load({ id: '01a1f817-062b-7047-b363-0b060496bd0e' }), nothing],
    ['Peer.load({id}), no id', () => Peer.load({ id: 'nonsense' }), nothing],
    ['Peer.loadAll({})', async () => (await Peer.loadAll({})).map((one) => one.id), [id]],
    ['Peer.loadAll({where})', async () => (await Peer.loadAll({ where: { id } })).length, 1],
    ['Peer.loadAll({where}), none', () => Peer.loadAll({ where: { id: 'other' } }), []],
    ['Peer.loadAllMatching({matches})', async () => (await Peer.loadAllMatching({ matches: (one) => one.id === id })).length, 1],
    ['Peer.loadAllMatching({matches}), none', () => Peer.loadAllMatching({ matches: () => false }), []],
    ['new Peer({jwt, id, isLocal})', () => {
      const one = new Peer({ jwt: issued, id: 'x', isLocal: true });
      return [one.id, one.jwt, one.isLocal()];
    }, ['x', issued, true]],
    ['Peer.idColumn, table, ignoreColumns', () => [Peer.idColumn, Peer.table, Array.isArray(Peer.ignoreColumns)], ['id', 'coattail_peers', true]],

    // 7.2 Peer, instance: the local one
    ['local.performAction({name, data})', () => local.performAction({ name: 'Echo', data: [1, null] }), [1, null]],
    ['local.performAction({name}), no data', () => local.performAction({ name: 'Echo' }), nothing],
    ['local.performAction({…, publish, verbose})', () => local.performAction({ name: 'Echo', data: 3, publish: true, verbose: true }), 3],
    ['local.performAction, throws an error', () => local.performAction({ name: 'Throws', data: 'error' }), anError(/^the reason$/)],
    ['local.performAction, throws its own', () => local.performAction({ name: 'Throws', data: 'system' }), rejects((error) => error instanceof Error && error.code === 'ENOENT')],
    ['local.performAction, throws a text', () => local.performAction({ name: 'Throws', data: 'text' }), rejects((error) => error === 'a text')],
    ['local.performAction, throws an object', () => local.performAction({ name: 'Throws', data: 'object' }), rejects((error) => same(error, { reason: 7 }))],
    ['local.performAction, throws null', () => local.performAction({ name: 'Throws', data: 'null' }), rejects((error) => error === null)],
    ['local.performAction, throws undefined', () => local.performAction({ name: 'Throws', data: 'undefined' }), anError(/undefined/)],
    ['local.performAction, unknown', () => local.performAction({ name: 'Nothing' }), anError(/there is no action `Nothing`/)],
    ['local.publishActionResponse({name, data})', () => local.publishActionResponse({ name: 'Echo', data: 4 }), nothing],
    ['local.subscribeTo({action, receiver})', () => local.subscribeTo(what), anError(/same instance/)],
    ['local.unsubscribe({action, receiver})', () => local.unsubscribe(what), anError(/same instance/)],
    ['local.getActions({})', async () => {
      const all = await local.getActions({ verbose: true });
      return all.every((one) => one instanceof Action && one.performable && one.publishable && one.subscribable) && all.map((one) => one.name).sort();
    }, ['Echo', 'Every Call', 'Throws']],
    ['local.getReceivers()', async () => (await local.getReceivers()).map((one) => [one instanceof Receiver, one.name]), [[true, 'keep']]],
    ['local.revokeSubscription({subscriptionId})', () => local.revokeSubscription({ subscriptionId: subscription }), nothing],
    ['local.revokeSubscription, again', () => local.revokeSubscription({ subscriptionId: subscription }), anError(/./)],
    ['local.save(), local.delete()', async () => [await local.save(), await local.delete({})], [nothing, nothing]],

    // 7.2 Peer, instance: another one
    ['peer.performAction({name, data})', () => peer.performAction({ name: 'Echo', data: { a: 1 } }), { a: 1 }],
    ['peer.performAction, throws an error', () => peer.performAction({ name: 'Throws', data: 'error' }), rejects((error) => error === 'the reason')],
    ['peer.performAction, throws its own', () => peer.performAction({ name: 'Throws', data: 'system' }), rejects((error) => !(error instanceof Error) && error.code === 'ENOENT' && !error.stack)],
    ['peer.performAction, throws a text', () => peer.performAction({ name: 'Throws', data: 'text' }), rejects((error) => error === 'a text')],
    ['peer.performAction, throws an object', () => peer.performAction({ name: 'Throws', data: 'object' }), rejects((error) => same(error, { reason: 7 }))],
    ['peer.performAction, unknown', () => peer.performAction({ name: 'Nothing' }), anError(/Nothing/)],
    ['peer.publishActionResponse({name, data})', () => peer.publishActionResponse({ name: 'Echo', data: 1 }), nothing],
    ['peer.getActions()', async () => (await peer.getActions()).find(({ name }) => name === 'Echo'), (one) => !(one instanceof Action) && one.performable === true && one.publishable === true && one.subscribable === true],
    ['peer.getReceivers()', () => peer.getReceivers(), (list) => Array.isArray(list)],
    ['peer.subscribeTo({action, receiver})', async () => (made = await peer.subscribeTo(what)).subscribedTo(), ['Echo']],
    ['the new token', () => [made.use(), made.claims().receiver, made.issuer() === made.claims().aud, made.isValid()], ['Publisher Authentication', 'keep', true, true]],
    ['the new token: lists', () => [made.performable(), made.publishable(), made.subscribable()], [[], [], []]],
    ['the new token: validBearers()', () => made.validBearers(), (bearers) => bearers.length === 1 && bearers[0].type === 'vt'],
    ['the new token: tryAuthenticate(…)', () => made.tryAuthenticate(nothing, '127.0.0.1'), anError(/^Token is not valid for bearer '127.0.0.1'\.$/)],
    ['peer.subscribeTo, again', () => peer.subscribeTo(what), anError(/./)],
    ['peer.unsubscribe({action, receiver})', () => peer.unsubscribe({ ...what, verbose: true }), 0],
    ['peer.unsubscribe, again', () => peer.unsubscribe(what), anError(/./)],
    ['peer.revokeSubscription({subscriptionId})', () => peer.revokeSubscription({ subscriptionId: subscription }), anError(/only/)],
    ['peer.save(), known', () => peer.save({ database: {} }), nothing],
    ['new Peer({jwt}).save({newId})', async () => [await added.save({ newId: 'x' }), isText(added.id), (await Peer.loadAll()).length], [nothing, true, 2]],
    ['the saved one', async () => (await Peer.load({ id: added.id })).jwt === spare, true],
    ['the saved one: performAction', () => added.performAction({ name: 'Echo', data: 5 }), anError(/does not allow to perform `Echo`/)],
    ['peer.delete({})', async () => [await added.delete({}), await Peer.load({ id: added.id })], [nothing, nothing]],
    ['peer.delete(), again', () => added.delete(), nothing],

    // 7.2 peer.token
    ['peer.jwt', () => peer.jwt.split('.').length, 3],
    ['peer.token.isValid()', () => peer.token.isValid(), true],
    ['peer.token.claims()', () => peer.token.claims(), (claims) => isText(claims.jti) && isText(claims.iss) && claims.aud === claims.iss && claims.iat > 0 && claims.use === 'Authentication'],
    ['peer.token.issuer()', () => peer.token.issuer(), (issuer) => issuer.length === 44],
    ['peer.token.use()', () => peer.token.use(), 'Authentication'],
    ['peer.token.validBearers()', () => peer.token.validBearers(), (bearers) => isList(bearers) && bearers.every(({ type, value }) => isText(type) && isText(value))],
    ['peer.token: lists', () => [peer.token.performable(), peer.token.publishable(), peer.token.subscribable()], [['*'], ['*'], ['*']]],
    ['peer.token.subscribedTo()', () => peer.token.subscribedTo(), []],
    ['peer.token.getClientConfig()', () => peer.token.getClientConfig(), ({ tls, cert, host, port, auth }) => tls === true && isText(cert) && isText(host) && port > 0 && auth === peer.jwt],
    ['peer.token.tryAuthenticate(…), of another', () => peer.token.tryAuthenticate(nothing, '127.0.0.1'), anError(/^Invalid, expired or revoked token\.$/)],
    ['token.tryAuthenticate(…), issued here', async () => (await own.token.tryAuthenticate(nothing, '127.0.0.1')).jti, own.token.claims().jti],
    ['token.print({outputHandler})', () => { peer.token.print({ outputHandler: (printed) => lines.push(...printed) }); return lines.some((line) => line.includes(peer.token.claims().jti)); }, true],
    ['token.print()', () => peer.token.print(), nothing],
    ['token.save()', () => own.token.save(), nothing],
    ['token.delete()', () => new Peer({ jwt: revocable }).token.delete(), nothing],
    ['the deleted token', () => new Peer({ jwt: revocable }).token.tryAuthenticate(nothing, '127.0.0.1'), anError(/^Invalid, expired or revoked token\.$/)],
    ['local.token', () => [local.token.isValid(), local.token.claims()], [false, null]],

    // 7.3 logger
    ['logger.info, debug, warning, error', () => [logger.info('an info'), logger.debug('a detail'), logger.warning('a warning'), logger.error(new Error('an error'))], [nothing, nothing, nothing, nothing]],
    ['logger.object, incoming, outgoing', () => [logger.object('value', { a: 1 }), logger.incoming({ b: 1 }), logger.outgoing({ c: 1 })], [nothing, nothing, nothing]],
    ['logger: fields', () => [logger.prefixes, typeof logger.stdOut.write, typeof logger.stdErr.write, typeof logger.color, logger.buffer], [['action-Every Call'], 'function', 'function', 'boolean', []]],
    ['logger.prefixString()', () => buffered.prefixString(), '(action-Every Call/deep)'],
    ['logger.child(prefix)', () => logger.child('a').child('b').prefixes, ['action-Every Call', 'a', 'b']],
    ['logger.parent()', () => buffered.parent().prefixes, ['action-Every Call']],
    ['logger.format(level, msg)', () => logger.format('INFO', 'x'), (line) => /^\d{4}-\d\d-\d\dT[\d:.]+Z INFO \(action-Every Call\) x$/.test(line)],
    ['logger.buffered(), buffer', () => {
      buffered.info({ a: 1 });
      buffered.error('e');
      buffered.outgoing(1);
      return buffered.buffer.map((line) => line.slice(25));
    }, ['INFO (action-Every Call/deep) {\n  "a": 1\n}\n', 'ERRO (action-Every Call/deep) e\n', 'INFO (action-Every Call/deep) OUTGOING: 1\n']],
    ['logger.silent()', () => { const silent = logger.silent(); silent.error('never heard'); return [silent.stdOut, silent.stdErr]; }, [null, null]],
    ['logger.stdOut = …', () => {
      const other = logger.child('other');
      other.stdOut = { write: (line) => lines.push(line) };
      other.info('caught');
      return lines.at(-1).slice(25);
    }, 'INFO (action-Every Call/other) caught\n'],
  ];
}

async function judge(make, expected) {
  try {
    const got = await make();
    if (expected?.rejects) return `resolved to ${inspect(got)}`;
    const holds = typeof expected === 'function' ? expected(got) : same(got, expected);
    return holds ? undefined : `resolved to ${inspect(got)}, not to ${inspect(expected)}`;
  } catch (error) {
    return expected?.rejects?.(error) ? undefined : `rejected with ${inspect(error)}`;
  }
}
