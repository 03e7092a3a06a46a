'use strict';

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { inspect } = require('node:util');
const { CoattailError } = require('../src/errors');
const { Token } = require('../src/token');

const CLAIMS = {
  host: '192.0.2.1', port: 49365, tls: true, cert: 'PEM', validBearers: ['ipv4://10.0.0.0/8', 'ipv6://2001:db8::/32', 'vt://v-1'],
  performable: ['*'], publishable: [], subscribable: ['A', 'B'], use: 'Authentication',
  iat: 1_700_000_000, nbf: 1_700_000_000, exp: 32_000_000_000, aud: 'own', iss: 'own', jti: 'jti-1',
};

const written = (claims) => ['e30', Buffer.from(JSON.stringify(claims)).toString('base64url'), 'sig'].join('.');

/** A token with these claims beside the usual ones, and what was asked of the service about it. */
function token(claims = {}, rows = {}) {
  const jwt = written({ ...CLAIMS, ...claims });
  const asked = [];
  const control = async (method, params) => {
    asked.push([method, params]);
    if (!rows[params.token]) throw new CoattailError('not-found', 'no such token');
    return rows[params.token] === true ? { id: params.token, raw: jwt } : rows[params.token];
  };
  return { asked, jwt, read: new Token({ jwt }, { issuer: 'own', control }) };
}

test('a token tells what it says', () => {
  const { read, jwt } = token();
  assert.deepEqual(read.claims(), CLAIMS);
  assert.deepEqual([read.isValid(), read.issuer(), read.use(), read.id], [true, 'own', 'Authentication', 'jti-1']);
  assert.deepEqual([read.performable(), read.publishable(), read.subscribable(), read.subscribedTo()], [['*'], [], ['A', 'B'], []]);
  assert.deepEqual(read.validBearers(), [
    { type: 'ipv4', value: '10.0.0.0/8' }, { type: 'ipv6', value: '2001:db8::/32' }, { type: 'vt', value: 'v-1' },
  ]);
  assert.deepEqual(read.getClientConfig(), { tls: true, cert: 'PEM', host: '192.0.2.1', port: 49365, auth: jwt });
  assert.equal(token({ iss: 'other' }).read.id, undefined);
});

for (const jwt of ['', 'nonsense', 'a.b.c', 'e30.bnVsbA.x', 'e30.Nw.x']) {
  test(`${JSON.stringify(jwt)} is no token, and harms nobody`, () => {
    const read = new Token({ jwt }, { issuer: 'own', control: async () => ({}) });
    assert.deepEqual([read.isValid(), read.claims(), read.issuer(), read.performable()], [false, null, undefined, []]);
    read.print({ outputHandler: (lines) => assert.ok(lines.length > 10) });
  });
}

test('the text of a token does not slip out with the object', () => {
  const { read, jwt } = token();
  assert.equal(read.jwt, jwt);
  for (const shown of [JSON.stringify(read), inspect(read), JSON.stringify({ ...read })]) assert.ok(!shown.includes(jwt), shown);
});

test('only what is within its times is valid', () => {
  assert.equal(token({ exp: 1_700_000_001 }).read.isValid(), false);
  assert.equal(token({ nbf: 32_000_000_000 }).read.isValid(), false);
});

const TRIED = [
  ['an address in a range', {}, '10.1.2.3', undefined],
  ['an address as IPv6 has it', {}, '::ffff:10.1.2.3', undefined],
  ['an IPv6 address', {}, '2001:db8::1', undefined],
  ['an address outside', {}, '192.0.2.1', "Token is not valid for bearer '192.0.2.1'."],
  ['no address', {}, 'nonsense', "Token is not valid for bearer 'nonsense'."],
  ['an expired token', { exp: 1_700_000_001 }, '10.1.2.3', 'Invalid, expired or revoked token.'],
  ['a token of another', { iss: 'other' }, '10.1.2.3', 'Invalid, expired or revoked token.'],
  ['a revoked token', { jti: 'jti-2' }, '10.1.2.3', 'Invalid, expired or revoked token.'],
  ['a forged token', { jti: 'jti-3' }, '10.1.2.3', 'Invalid, expired or revoked token.'],
];

for (const [what, claims, address, message] of TRIED) {
  test(`${what} is ${message ? 'refused' : 'let in'}`, async () => {
    const { read } = token(claims, { 'jti-1': true, 'jti-3': { raw: 'another text' } });
    const tried = read.tryAuthenticate(undefined, address);
    if (message) await assert.rejects(tried, { message });
    else assert.deepEqual(await tried, CLAIMS);
  });
}

test('a token is printed for people', () => {
  const printed = (claims, options) => {
    let text;
    token(claims).read.print({ ...options, outputHandler: (lines) => (text = lines.join('\n')) });
    return text;
  };
  assert.equal(printed({}, { extras: { Peer: 'p' } }), [
    ' Token ID       jti-1', ' Peer           p', ' Use            Authentication', ' Issued At      2023-11-14T22:13:20.000Z',
    ' Effective At   now', ' Expires At     2984-01-15T08:53:20.000Z', ' Issuer Hash    own', ' Audience Hash  own',
    ' Host           192.0.2.1', ' Port           49365', ' Use TLS        Yes', ' Performable    Any', ' Publishable    None',
    ' Subscribable   A, B', ' Valid Bearers  ipv4://10.0.0.0/8, ipv6://2001:db8::/32, vt://v-1',
  ].join('\n'));
  const other = printed({ exp: undefined, nbf: 32_000_000_000, validBearers: ['ipv4://0.0.0.0/0'], subscribedTo: ['A'] }, { showId: false });
  assert.match(other, /^ Use .*\n.*\n Effective At   2984-.*\n Expires At     never/);
  assert.match(other, /Valid Bearers  Any\n Subscribed To  A$/);
});

test('saving and deleting a token are for what was issued here', async () => {
  const { read, asked } = token({}, { 'jti-1': true });
  await read.save();
  await read.delete();
  assert.deepEqual(asked, [['tokens.show', { token: 'jti-1' }], ['tokens.revoke', { token: 'jti-1' }]]);
  await assert.rejects(token().read.save(), /try `coattail token issue`/);
  await assert.rejects(token({ iss: 'other' }).read.delete(), /this instance has issued/);
});
