'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { CoattailError, RetryLater, failed, fromWire, toWire } = require('../src/errors');

const circular = {};
circular.self = circular;

const THROWN = [
  ['an error', new Error('no'), { message: 'no' }],
  ['an error with properties', Object.assign(new RangeError('no'), { errno: -2 }),
    { message: 'no', data: { thrown: { name: 'RangeError', message: 'no', errno: -2 } } }],
  ['an error that shows its stack', Object.defineProperty(new Error('no'), 'stack', { enumerable: true, value: '/secret' }),
    { message: 'no' }],
  ['an error without a message', new TypeError(), { message: 'TypeError' }],
  ['a text', 'no', { message: 'no', data: { thrown: 'no' } }],
  ['an empty text', '', { message: 'an empty string was thrown', data: { thrown: '' } }],
  ['undefined', undefined, { message: 'undefined' }],
  ['null', null, { message: 'null', data: { thrown: null } }],
  ['false', false, { message: 'false', data: { thrown: false } }],
  ['an object', { reason: 7 }, { message: '{"reason":7}', data: { thrown: { reason: 7 } } }],
  ['an object with a message', { message: 'no', n: 1 }, { message: 'no', data: { thrown: { message: 'no', n: 1 } } }],
  ['a circular object', circular, { message: 'an object was thrown that is no JSON' }],
  ['a function', () => 1, { message: '() => 1' }],
  ['a bigint', 1n, { message: '1' }],
];

for (const [what, thrown, wire] of THROWN) {
  test(`${what} is a failure`, () => {
    assert.deepEqual(JSON.parse(JSON.stringify(toWire(failed(thrown)))), { code: 1, ...wire });
  });
}

test('a failure survives the wire', () => {
  const sent = new CoattailError('not-found', 'there is no action `x`', { hint: 'list them', thrown: null });
  const got = fromWire(JSON.parse(JSON.stringify(toWire(sent))));
  assert.deepEqual([got.code, got.message, got.hint, got.thrown], [sent.code, sent.message, sent.hint, sent.thrown]);
});

for (const [after, ms] of [[1500, 1500], [0, 0], ['90s', 90_000], ['5 min', 300_000], ['1.5h', 5_400_000], ['2 Weeks', 1_209_600_000]]) {
  test(`trying again after ${after} is after ${ms} ms`, () => {
    const wire = toWire(new RetryLater('full', { after }));
    assert.deepEqual(wire, { code: 21, message: 'full', data: { retry_after_ms: ms } });
    assert.equal(fromWire(wire).retryAfterMs, ms);
  });
}

for (const after of ['5', 'soon', '1h30m', '-1s', -1, NaN, Infinity, null]) {
  test(`${after} is no length of time`, () => {
    assert.throws(() => new RetryLater('full', { after }), { name: 'TypeError', message: /is no length of time; write/ });
  });
}

test('a cause stays where it was made', () => {
  const cause = new Error('disk');
  assert.equal(new RetryLater('full', { cause }).cause, cause);
  assert.deepEqual(toWire(new RetryLater('full', { cause })), { code: 21, message: 'full' });
});

test('foreign error objects are taken', () => {
  assert.equal(fromWire({ code: -32601, message: 'Method not found', data: [1] }).code, 'unknown-method');
  assert.equal(fromWire({ code: 4711 }).code, 'internal');
  assert.equal(fromWire('nonsense').code, 'internal');
});

test('what is a fault of this package is internal, without a stack', () => {
  assert.deepEqual(toWire(new TypeError('oops')), { code: 16, message: 'oops' });
});

test('the codes are those of the daemon', () => {
  const source = fs.readFileSync(path.join(__dirname, '../../sdk-rust/src/wire/error.rs'), 'utf8');
  const codes = [...source.matchAll(/^ {4}\w+ = (\d+), "([a-z-]+)";$/gm)].map(([, number, name]) => [Number(number), name]);
  assert.ok(codes.length >= 25);
  for (const [number, name] of codes) {
    assert.equal(fromWire({ code: number }).code, name);
    assert.equal(toWire(new CoattailError(name, '')).code, number);
  }
});
