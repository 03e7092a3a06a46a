'use strict';

const { execFileSync, spawn } = require('node:child_process');
const { EventEmitter, once } = require('node:events');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { LineReader, LineWriter } = require('../src/lines');
const { Session } = require('../src/session');
const { Worker } = require('../src/worker');

const RUNNER = path.join(__dirname, '..', 'runner.js');
const DEADLINE_MS = 20_000;

/** A temporary instance with these files. */
function instance(t, files) {
  const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'coattail-node-')));
  t.after(() => fs.rmSync(root, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(root, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
  }
  return root;
}

/** What the daemon is to a worker: calls it, answers it, and notes what it says. */
class Daemon extends EventEmitter {
  logs = [];
  progress = [];
  /** What the worker asked for, as [method, params]. */
  asked = [];
  /** Lines that are no JSON-RPC. */
  stray = [];

  /** `answers` maps a method of the host to a function of its parameters. */
  constructor(writer, answers = {}) {
    super();
    const note = (list) => (params) => {
      list.push(params);
      this.emit('change');
    };
    const methods = { log: note(this.logs), progress: note(this.progress) };
    for (const [method, answer] of Object.entries(answers)) {
      methods[method] = (params) => {
        this.asked.push([method, params]);
        this.emit('change');
        return answer(params);
      };
    }
    this.session = new Session(writer, methods, () => {});
  }

  /** Takes a line of the worker. */
  receive(line) {
    if (line.startsWith('{"jsonrpc"')) this.session.receive(line);
    else this.stray.push(line);
    this.emit('line', line);
    this.emit('change');
  }

  initialize(root, kind, name, protocol = 1) {
    return this.session.request('initialize', {
      protocol, software: 'test', kind, name, instance: root, issuer: 'RWaDaTtkvm1tmdYpmhyyU9YMyNhm2Dv1KqhW4D30eUo=',
    });
  }

  async perform(input, call = `call-${Math.random()}`) {
    return (await this.session.request('perform', { call, input, context: {} })).output;
  }

  receivePublication(input, publication = { id: 'p', issuer: 'i', action: 'a', sequence: 1, time: 0, hops: 0, attempt: 1 }) {
    return this.session.request('receive', { call: `call-${Math.random()}`, input, publication, context: {} });
  }

  cancel(call) {
    this.session.notify('cancel', { call });
  }

  /** Resolves when `holds` does. */
  async until(what, holds) {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    while (!holds()) {
      await once(this, 'change', { signal }).catch(() => {
        throw new Error(`waited in vain for ${what}`);
      });
    }
  }
}

/** A worker and a daemon joined in memory. `exported` is what the plugin's file exports. */
async function memory(kind, exported, answers, protocol) {
  const ends = {};
  const stderr = [];
  const to = (end) => ({ backlog: 0, write: async (line) => void setImmediate(() => ends[end].receive(line)) });
  const worker = new Worker(to('daemon'), '/instance/actions/Test.js', async () => exported, (text) => stderr.push(text));
  const daemon = new Daemon(to('worker'), answers);
  Object.assign(ends, { worker: worker.session, daemon });
  const initialized = await daemon.initialize('/instance', kind, 'Test', protocol);
  return { worker, daemon, stderr, initialized };
}

/** Starts the runner as the daemon does, over pipes; `sockets` are what the runner cannot reopen. */
function start(t, root, file, { answers, sockets = false } = {}) {
  const ends = sockets ? { stdio: ['pipe', 'pipe', 'pipe'] } : pipes(root);
  const child = spawn(process.execPath, [RUNNER, path.join(root, file)], { cwd: root, stdio: ends.stdio });
  ends.close?.();
  const stdin = ends.stdin ?? child.stdin;
  const stdout = ends.stdout ?? child.stdout;
  const stderr = ends.stderr ?? child.stderr;
  const writer = new LineWriter(stdin);
  const daemon = new Daemon(writer, answers);
  const reader = new LineReader((line) => daemon.receive(line), () => {}, 1 << 26);
  stdout.on('data', (chunk) => reader.feed(chunk)).on('end', () => daemon.session.end());
  stdin.on('error', () => {});
  daemon.stderr = '';
  stderr.on('data', (chunk) => {
    daemon.stderr += chunk;
    daemon.emit('change');
  });
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const exit = Promise.all([once(child, 'exit', { signal }), once(stderr, 'close', { signal })]).then(([[code, signal]]) => ({ code, signal }));
  // A test that does not care how the worker ends does not wait for it.
  exit.catch(() => {});
  t.after(() => {
    child.kill('SIGKILL');
    stdin.destroy();
  });
  return { child, daemon, stdin, writer, exit };
}

/** Named pipes: Node itself gives a child sockets. */
function pipes(root) {
  const folder = fs.mkdtempSync(path.join(root, '.pipes-'));
  const [input, output, error] = ['in', 'out', 'err'].map((name) => path.join(folder, name));
  execFileSync('mkfifo', [input, output, error]);
  const { O_RDONLY, O_WRONLY, O_NONBLOCK } = fs.constants;
  const reading = (file) => fs.openSync(file, O_RDONLY | O_NONBLOCK);
  const writing = (file) => fs.openSync(file, O_WRONLY);
  // A pipe can be opened for writing once there is a reader.
  const childIn = reading(input);
  const stdin = new net.Socket({ fd: writing(input), readable: false, writable: true });
  const stdout = new net.Socket({ fd: reading(output), readable: true, writable: false });
  const stderr = new net.Socket({ fd: reading(error), readable: true, writable: false });
  const [childOut, childErr] = [writing(output), writing(error)];
  return {
    stdin, stdout, stderr,
    stdio: [childIn, childOut, childErr],
    close: () => [childIn, childOut, childErr].forEach((fd) => fs.closeSync(fd)),
  };
}

module.exports = { instance, memory, start, Daemon, RUNNER };
