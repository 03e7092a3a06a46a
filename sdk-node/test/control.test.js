'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');
const { control } = require('../src/control');
const { CoattailError } = require('../src/errors');
const { LineReader, LineWriter } = require('../src/lines');
const { Session } = require('../src/session');
const { instance } = require('./support');

/** Listens where the service of an instance does, and answers each line in this way. */
async function serve(t, root, take) {
  const folder = path.join(root, '.coattail');
  fs.mkdirSync(folder, { recursive: true });
  const server = net.createServer((socket) => {
    const reader = new LineReader((line) => take(socket, line), () => {});
    socket.on('data', (chunk) => reader.feed(chunk)).on('error', () => {});
  });
  // As long as the folder is the working directory, its path need not fit into the address.
  const before = process.cwd();
  process.chdir(folder);
  await new Promise((resolve) => server.listen('control.sock', resolve));
  process.chdir(before);
  t.after(() => server.close());
}

/** Answers as the service does. */
function answering(methods) {
  return (socket, line) => new Session(new LineWriter(socket), methods, () => {}).receive(line);
}

test('the owner is answered, however deep the instance lies', async (t) => {
  const root = path.join(instance(t, {}), 'a'.repeat(100), 'b'.repeat(100));
  await serve(t, root, answering({ echo: (params) => params, refuse: () => { throw new CoattailError('not-found', 'no peer', { hint: 'look' }); } }));
  const order = control(root);
  assert.deepEqual(await order('echo', { a: 1 }), { a: 1 });
  await assert.rejects(order('refuse', {}), { code: 'not-found', message: 'no peer', hint: 'look' });
  await assert.rejects(order('nothing', {}), { code: 'unknown-method' });
});

test('without a service the owner is told how to start it', async (t) => {
  const root = instance(t, {});
  const expected = { code: 'not-running', hint: `start it with \`coattail service start --instance ${root}\`` };
  await assert.rejects(control(root)('echo', {}), expected);
  // What a service that was killed leaves behind.
  fs.mkdirSync(path.join(root, '.coattail'));
  fs.writeFileSync(path.join(root, '.coattail/control.sock'), '');
  await assert.rejects(control(root)('echo', {}), expected);
});

test('a service that goes away is an answer', async (t) => {
  const root = instance(t, {});
  await serve(t, root, (socket) => socket.destroy());
  await assert.rejects(control(root)('echo', {}), { code: 'lost' });
});
