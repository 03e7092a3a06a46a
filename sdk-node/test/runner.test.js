'use strict';

const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { MAX_LINE } = require('../src/lines');
const { instance, start, RUNNER } = require('./support');

const OLD = (body) => `module.exports = (Coattail) => class extends Coattail.Action { async perform(input) { ${body} } };`;
const NEW = (body) => `const { action } = require('coattail'); module.exports = action(async (input, context) => { ${body} });`;

/** Starts an action in an instance of its own, and initializes it. */
async function begin(t, source, { file = 'actions/My Action.js', files = {}, ...options } = {}) {
  const root = instance(t, { 'package.json': '{"name":"coattail-instance"}', ...files, [file]: source });
  const started = start(t, root, file, options);
  const kind = file.startsWith('actions/') ? 'action' : 'receiver';
  const initialized = await started.daemon.initialize(root, kind, path.parse(file).name);
  return { root, initialized, ...started };
}

test('the golden file: every worker answers the same', async (t) => {
  const golden = fs.readFileSync(path.join(__dirname, '../../tests/golden/plugin-wire.jsonl'), 'utf8');
  const root = instance(t, { 'actions/echo.js': NEW('return input;') });
  const { daemon, writer, exit } = start(t, root, 'actions/echo.js');
  const lines = [];
  daemon.on('line', (line) => lines.push(JSON.parse(line)));
  let expected = 0;
  for (const { name, send, expect } of golden.trim().split('\n').map((line) => JSON.parse(line))) {
    await writer.write(JSON.stringify(send));
    if (expect === null) continue;
    expected += 1;
    await daemon.until(`the answer to ${name}`, () => lines.length === expected);
    assert.deepEqual(cutTo(lines.at(-1), expect), expect, name);
    if (name === 'perform without input') assert.ok(!('output' in lines.at(-1).result));
  }
  assert.deepEqual(await exit, { code: 0, signal: null });
  assert.equal(lines.length, expected);
});

/** The members of `value` that `like` has, at every depth. */
function cutTo(value, like) {
  if (typeof like !== 'object' || like === null || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(like)) return value;
  return Object.fromEntries(Object.keys(like).filter((key) => key in value).map((key) => [key, cutTo(value[key], like[key])]));
}

test('an unchanged action of the original runs', async (t) => {
  const source = `
    const { twice } = require('../lib/twice'); const plus = require('plus-one');
    let calls = 0;
    ${OLD('calls += 1; return { ...input, n: plus(twice(input.n)), calls, cwd: process.cwd(), dir: __dirname };')}`;
  const { daemon, root, initialized } = await begin(t, source, { files: {
    'lib/twice.js': 'exports.twice = (n) => 2 * n;',
    'node_modules/plus-one/index.js': 'module.exports = (n) => n + 1;',
  } });
  assert.equal(initialized.protocol, 1);
  assert.match(initialized.software, /^coattail-node\//);
  await daemon.perform({ n: 1 });
  assert.deepEqual(await daemon.perform({ n: 4, keep: null }),
    { n: 9, keep: null, calls: 2, cwd: root, dir: path.join(root, 'actions') });
});

const PRINTS = `
  const fs = require('fs'); const { spawnSync, execSync } = require('child_process');
  console.log('loaded');
  ${NEW(`
    console.log('logged');
    process.stdout.write('written');
    fs.writeSync(1, 'direct');
    spawnSync('echo', ['of a child'], { stdio: 'inherit' });
    execSync('cat; echo of a shell >&1', { stdio: 'inherit' });
    return { stdin: fs.readFileSync(0, 'utf8') };`)}`;

test('what user code and its children print goes to stderr, and they cannot read the protocol', async (t) => {
  const { daemon } = await begin(t, PRINTS);
  assert.deepEqual(await Promise.all([daemon.perform(1), daemon.perform(2)]), [{ stdin: '' }, { stdin: '' }]);
  assert.deepEqual(daemon.stray, []);
  const printed = ['loaded', 'logged', 'written', 'direct', 'of a child', 'of a shell'];
  await daemon.until('the prints', () => printed.every((text) => daemon.stderr.includes(text)));
});

test('where stdout cannot be reopened, prints go to stderr all the same', async (t) => {
  const { daemon } = await begin(t, NEW(`console.log('logged'); process.stdout.write('written\\n'); return 1;`), { sockets: true });
  assert.equal(await daemon.perform(), 1);
  await daemon.until('the prints', () => daemon.stderr.includes('logged\nwritten\n'));
  assert.deepEqual(daemon.stray, []);
});

test('errors reach the caller, stacks reach stderr', async (t) => {
  const { daemon } = await begin(t, OLD(`
    if (input === 'null') throw null;
    if (input === 'object') throw { reason: 7 };
    return require('fs').promises.readFile('/no/such/file');`));
  await assert.rejects(daemon.perform('null'), (error) => error.code === 'failed' && error.thrown === null);
  await assert.rejects(daemon.perform('object'), (error) => error.code === 'failed' && error.thrown.reason === 7);
  await assert.rejects(daemon.perform('file'), (error) => {
    assert.match(error.message, /^ENOENT/);
    assert.equal(error.thrown.code, 'ENOENT');
    return !('stack' in error.thrown);
  });
  await daemon.until('the stack', () => daemon.stderr.includes('ENOENT'));
});

test('many calls run at once, and one can be cancelled', async (t) => {
  const { daemon } = await begin(t, `const { setTimeout: sleep } = require('timers/promises');
    ${NEW(`context.progress(0); await sleep(input, null, { signal: context.signal }); return input;`)}`);
  const slow = daemon.perform(1e8, 'slow');
  const quick = Array.from({ length: 50 }, (_, n) => daemon.perform(n % 7));
  assert.deepEqual(await Promise.all(quick), quick.map((_, n) => n % 7));
  daemon.cancel('slow');
  await assert.rejects(slow, { code: 'cancelled' });
});

test('an action performs another through the daemon', async (t) => {
  const { daemon } = await begin(t, OLD(`
    await new Promise(setImmediate);
    return Coattail.Peer.local().performAction({ name: 'Other', data: { from: this.name } });`), { answers: {
    'actions.perform': ({ input, parent }) => ({ call: 'x', result: { input, parent } }),
  } });
  const answers = await Promise.all([daemon.perform(1, 'a'), daemon.perform(2, 'b')]);
  assert.deepEqual(answers, [{ input: { from: 'My Action' }, parent: 'a' }, { input: { from: 'My Action' }, parent: 'b' }]);
});

test('receivers of both styles run', async (t) => {
  const keep = (text) => `require('fs').writeFileSync('kept.txt', ${text});`;
  const old = `module.exports = (Coattail) => class extends Coattail.Receiver { async onReceived(input) { ${keep('input.text')} } };`;
  const one = await begin(t, old, { file: 'receivers/keep.js' });
  await one.daemon.receivePublication({ text: 'old' });
  assert.equal(fs.readFileSync(path.join(one.root, 'kept.txt'), 'utf8'), 'old');
  const neu = `const { receiver, Reject } = require('coattail');
    module.exports = receiver((input, { publication }) => { if (input === null) throw new Reject('empty'); ${keep('publication.id')} });`;
  const two = await begin(t, neu, { file: 'receivers/keep.cjs' });
  await two.daemon.receivePublication({});
  await assert.rejects(two.daemon.receivePublication(null), { code: 'rejected', message: 'empty' });
  assert.equal(fs.readFileSync(path.join(two.root, 'kept.txt'), 'utf8'), 'p');
});

const MODULES = [
  ['new style', 'actions/a.mjs', `import { action } from 'coattail'; await 0; export default action(async (input) => input + 1);`],
  ['old style', 'actions/a.mjs', `export default (Coattail) => class extends Coattail.Action { perform(input) { return input + 1; } };`],
  ['a .js file in a module package', 'actions/a.js', `import { action } from 'coattail'; export default action((input) => input + 1);`],
];

for (const [what, file, source] of MODULES) {
  test(`ES modules run: ${what}`, async (t) => {
    const { daemon } = await begin(t, source, { file, files: { 'package.json': '{"type":"module"}' } });
    assert.equal(await daemon.perform(1), 2);
  });
}

test('a coattail package of the instance itself comes first', async (t) => {
  const own = 'exports.own = true;';
  const { daemon } = await begin(t, `const { own } = require('coattail'); ${OLD('return own;')}`, { files: { 'node_modules/coattail/index.js': own } });
  assert.equal(await daemon.perform(), true);
});

const BROKEN = [
  ['that throws', `throw new Error('no database\\nand more');`, /^actions\/My Action\.js: no database$/],
  ['that requires what is missing', `require('not-there');`, /^actions\/My Action\.js: Cannot find module 'not-there'$/],
  ['with a syntax error', `\nreturn {;`, /^actions\/My Action\.js: Unexpected token ';' \(actions\/My Action\.js, line 2\)$/],
  ['that throws nothing', `throw undefined;`, /^actions\/My Action\.js: undefined$/],
];

for (const [what, source, message] of BROKEN) {
  test(`a file ${what} is a broken plugin, and says where`, async (t) => {
    await assert.rejects(begin(t, source), (error) => {
      assert.equal(error.code, 'plugin-broken');
      assert.match(error.message, message);
      return true;
    });
  });
}

test('a file that is missing is a broken plugin', async (t) => {
  const root = instance(t, {});
  const { daemon } = start(t, root, 'actions/gone.js');
  await assert.rejects(daemon.initialize(root, 'action', 'gone'), { code: 'plugin-broken' });
});

for (const how of ['shutdown', 'the end of stdin']) {
  test(`${how} lets calls finish and then ends the process`, async (t) => {
    const source = `setInterval(() => {}, 1000); ${NEW(`context.progress(0); while (!require('fs').existsSync('go')) await new Promise(setImmediate); return 'finished';`)}`;
    const { daemon, root, stdin, exit } = await begin(t, source);
    const call = daemon.perform();
    await daemon.until('the call', () => daemon.progress.length === 1);
    if (how === 'shutdown') assert.deepEqual(await daemon.session.request('shutdown', {}), {});
    else stdin.end();
    fs.writeFileSync(path.join(root, 'go'), '');
    assert.equal(await call, 'finished');
    assert.deepEqual(await exit, { code: 0, signal: null });
  });
}

test('an exception that nobody catches ends the worker, a rejection does not', async (t) => {
  const { daemon, exit } = await begin(t, NEW(`
    if (input === 'reject') return void Promise.reject(new Error('nobody waits'));
    setImmediate(() => { throw new Error('nobody catches'); });
    await new Promise(() => {});`));
  await daemon.perform('reject');
  await daemon.until('the rejection', () => daemon.stderr.includes('unhandled rejection: Error: nobody waits'));
  await assert.rejects(daemon.perform('throw'), { code: 'lost' });
  assert.deepEqual(await exit, { code: 70, signal: null });
  assert.match(daemon.stderr, /uncaught exception: Error: nobody catches/);
});

test('large answers arrive whole, larger ones are refused', async (t) => {
  const { daemon } = await begin(t, NEW(`return 'x'.repeat(input);`));
  const answers = await Promise.all([5e6, 6e6, 7e6].map((size) => daemon.perform(size)));
  assert.deepEqual(answers.map((answer) => answer.length), [5e6, 6e6, 7e6]);
  await assert.rejects(daemon.perform(9 * 1024 * 1024), { code: 'too-large' });
});

test('lines that are no frames, or too long, are left out', async (t) => {
  const { daemon, stdin } = await begin(t, NEW('return 1;'));
  stdin.write(`printed by somebody\n"${'x'.repeat(MAX_LINE)}"\n`);
  assert.equal(await daemon.perform(), 1);
  await daemon.until('the complaints', () => /no JSON\nleft out a line of more than/.test(daemon.stderr));
});

test('a flood of log lines is cut, counted, and harms no call', async (t) => {
  const { daemon } = await begin(t, NEW(`for (let n = 0; n < 20000; n += 1) context.log.info('x'.repeat(1000)); await context.coattail.peers(); context.log.info('end'); return 1;`),
    { answers: { 'peers.list': () => [] } });
  assert.equal(await daemon.perform(), 1);
  await daemon.until('the report', () => daemon.logs.some(({ message }) => /log lines were left out/.test(message)));
});

test('without a file the runner explains itself', () => {
  const { status, stderr } = spawnSync(process.execPath, [RUNNER], { encoding: 'utf8' });
  assert.equal(status, 2);
  assert.match(stderr, /^usage:/);
});
