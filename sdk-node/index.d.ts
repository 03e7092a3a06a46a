export type * from './original.js';

/** Why something was not done. */
export type ErrorCode =
  | 'failed' | 'invalid-input' | 'unknown-method' | 'not-permitted' | 'not-found' | 'unreachable' | 'busy'
  | 'too-large' | 'lost' | 'cancelled' | 'timed-out' | 'storage-full' | 'unsupported-version' | 'already-exists'
  | 'shutting-down' | 'internal' | 'token-refused' | 'too-many-hops' | 'plugin-broken' | 'rejected' | 'retry-later'
  | 'wrong-peer' | 'not-running' | 'usage' | 'token-revoked' | 'storage-failed';

/** Something was not done. Programs decide by `code`, never by the message. */
export class CoattailError extends Error {
  constructor(
    code: ErrorCode,
    message: string,
    details?: { hint?: string; thrown?: unknown; retryAfterMs?: number; cause?: unknown },
  );
  readonly code: ErrorCode;
  /** What to try. */
  readonly hint: string | undefined;
  /** With code `failed`: what the action threw, if that is more than a message. */
  readonly thrown?: unknown;
  /** With `busy` and `retry-later`: after how many milliseconds to try again, if that is known. */
  readonly retryAfterMs?: number;
}

/** Thrown by a receiver that will never take this publication: it goes to the dead letters. */
export class Reject extends CoattailError {
  constructor(message?: string, details?: { cause?: unknown });
}

/** Thrown by a receiver that cannot take this publication now: it is called again later. */
export class RetryLater extends CoattailError {
  /** `after`: `'5m'`, or milliseconds; absent: at the next time of the schedule. */
  constructor(message?: string, details?: { after?: number | string; cause?: unknown });
}

/** An action. The file's `module.exports`, or its default export. */
export function action<Input = any, Output = any>(
  perform: (input: Input, context: Context) => Output | Promise<Output>,
  about?: About,
): Plugin<'action'>;

/** A receiver. The file's `module.exports`, or its default export. */
export function receiver<Input = any>(
  receive: (input: Input, context: ReceiverContext) => unknown,
  about?: About,
): Plugin<'receiver'>;

/** What `action` and `receiver` return. */
export interface Plugin<Kind extends 'action' | 'receiver' = 'action' | 'receiver'> {
  readonly kind: Kind;
  readonly description: string | undefined;
  readonly input: JsonSchema | undefined;
  readonly output: JsonSchema | undefined;
}

export interface About {
  /** What lists show. */
  description?: string;
  /** What it takes. The daemon checks it before every call. */
  input?: JsonSchema;
  /** What an action returns. The daemon checks it after every call. */
  output?: JsonSchema;
}

export type JsonSchema = boolean | { readonly [keyword: string]: unknown };

/** The circumstances of a call. */
export interface Context {
  /** The id of this call. */
  readonly call: string;
  /** The issuer hash of who asked for it; absent if this instance itself did. */
  readonly caller?: string;
  /** Aborts when the call is no longer wanted. */
  readonly signal: AbortSignal;
  readonly log: Log;
  /** Tells how far the call has got, from 0 to 1. */
  progress(fraction?: number, message?: string): void;
  /** Says that the call is still worked on: its deadline starts anew. Resolves when the daemon has heard it. */
  working(): Promise<void>;
  /** The Coattail API. What is asked for here counts as a consequence of this call. */
  readonly coattail: Api;
}

export interface ReceiverContext extends Context {
  readonly publication: Source;
}

/** Where a publication came from. */
export interface Source {
  /** The same at every attempt, so that what is done already can be recognised. */
  readonly id: string;
  readonly issuer: string;
  readonly action: string;
  /** Its place in the action's log, from 1. */
  readonly sequence: number;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly time: number;
  readonly hops: number;
  /** From 1. */
  readonly attempt: number;
}

/** Takes values as `console.log` does. */
export interface Log {
  debug(...values: unknown[]): void;
  info(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
}

/** What a plugin may ask of its instance. Everything rejects with a `CoattailError`. */
export interface Api {
  /** Performs an action and resolves to its result. */
  perform<Output = any>(action: string, input?: unknown, options?: PerformOptions): Promise<Output>;
  /** Publishes a value for an action without performing it. */
  publish(action: string, value: unknown, options?: PublishOptions): Promise<Published>;
  actions(options?: ListOptions): Promise<Entry[]>;
  receivers(options?: ListOptions): Promise<Entry[]>;
  /** Calls that the daemon keeps. */
  readonly jobs: Jobs;
  peers(): Promise<Peer[]>;
  peer(id: string): Promise<Peer>;
  /** Subscribes a receiver of this instance to an action of a peer, from what is published next on unless `from` says
   * otherwise; `where` is a condition such as `/kind == "disk"`. */
  subscribe(what: { peer: string; action: string; receiver: string; from?: Beginning; where?: string }): Promise<Subscription>;
  unsubscribe(what: { peer: string; action: string; receiver: string }): Promise<Unsubscribed>;
  subscribers(): Promise<Subscriber[]>;
  /** Ends a subscription that somebody holds here. */
  revoke(subscription: string): Promise<Unsubscribed>;
}

export interface PerformOptions {
  /** The id of a peer; absent for this instance. */
  peer?: string;
  /** Publishes the result, too. */
  publish?: boolean;
  /** Milliseconds. */
  timeout?: number;
  /** Milliseconds until a worker must have begun with it; then it fails as `timed-out`, and nothing was done. */
  startTimeout?: number;
  /** An idempotency key, of 1 to 255 printable characters: a second call with it gets the outcome of the first. */
  key?: string;
  /** Hears what the call says while it runs. */
  follow?: Follow;
  /** Cancels the action. It is cancelled with the call that asks for it, too. */
  signal?: AbortSignal;
}

export interface PublishOptions {
  /** The id of a peer; absent for this instance. */
  peer?: string;
  /** What you call it, of 1 to 255 printable characters: the same is stored once, however often it is published with it. */
  id?: string;
  /** For how many milliseconds somebody wants it: after that nobody gets it. Not at a peer. */
  ttl?: number;
  /** The subscribers that get it, as issuer hashes or ids of peers; absent for all of them. Not at a peer. */
  to?: string | string[];
}

/** Hears what a call says, in order, before its answer. */
export interface Follow {
  onLog?(line: LogLine): void;
  onProgress?(progress: Progress): void;
}

export type Level = 'debug' | 'info' | 'warn' | 'error';

export interface LogLine {
  level: Level;
  message: string;
}

export interface Progress {
  /** From 0 to 1. */
  fraction?: number;
  message?: string;
}

export interface ListOptions {
  /** The id of a peer; absent for this instance. */
  peer?: string;
  /** With `input` and `output`, for which workers may have to be started. */
  schemas?: boolean;
}

/** Calls that the daemon keeps: whoever started one need not wait for it, and finds its outcome later. */
export interface Jobs {
  /** Resolves when the job is on disk. */
  start(action: string, input?: unknown, options?: JobOptions): Promise<Job>;
  list(): Promise<Job[]>;
  show(job: string): Promise<Job>;
  /** Resolves when the job has ended, however it ended; or to what it is when the time is over. */
  wait(job: string, options?: WaitOptions): Promise<Job>;
  cancel(job: string): Promise<Job>;
  logs(job: string): Promise<JobLine[]>;
}

export type JobOptions = Pick<PerformOptions, 'peer' | 'publish' | 'timeout' | 'startTimeout' | 'key'>;

export interface WaitOptions {
  /** Milliseconds. */
  timeout?: number;
  /** Hears what the job says while it runs. */
  follow?: Follow;
}

export type JobState = 'queued' | 'running' | 'succeeded' | 'failed' | 'refused' | 'timed-out' | 'cancelled' | 'lost';

export interface Job {
  id: string;
  peer?: string;
  action: string;
  state: JobState;
  /** RFC 3339, as all times here. */
  created: string;
  started?: string;
  finished?: string;
  key?: string;
  result?: unknown;
  /** Why there is no result. */
  error?: CoattailError;
  publication?: Published;
  /** Why the result could not be published, although the action succeeded. */
  publication_error?: string;
  progress?: Progress;
}

export interface JobLine extends LogLine {
  time: string;
}

export interface Published {
  id: string;
  sequence: number;
  /** Whether it was published before with the same id: this is the answer of that time. */
  duplicate?: boolean;
}

export interface Entry {
  name: string;
  kind: 'action' | 'receiver';
  performable: boolean;
  publishable: boolean;
  subscribable: boolean;
  runtime?: string;
  description?: string;
  /** Why it cannot be run. */
  problem?: string;
  /** If schemas were asked for. */
  input?: JsonSchema;
  output?: JsonSchema;
  state?: 'cold' | 'starting' | 'ready' | 'backing-off' | 'broken';
  /** Why it is in that state. */
  reason?: string;
}

export interface Peer {
  id: string;
  issuer: string;
  addresses: string[];
  token: string;
  performable: string[];
  publishable: string[];
  subscribable: string[];
  expires?: string;
  connected: boolean;
}

/** Where to begin: with what is published next, with the first that is kept, with this one, or with the first since this
 * time (milliseconds since 1970-01-01 UTC). */
export type Beginning = 'now' | 'start' | { sequence: number } | { time: number };

export interface Subscription {
  id: string;
  peer: string;
  action: string;
  receiver: string;
  /** Which publications; absent: all. */
  filter?: string;
  cursor?: number;
  /** How many publications there are already after `cursor`; absent if the peer is too old to begin anywhere but now. */
  waiting?: number;
}

export interface Unsubscribed {
  id: string;
  /** Whether the other side knows already. */
  told: boolean;
}

export interface Subscriber {
  id: string;
  issuer: string;
  addresses: string[];
  action: string;
  receiver: string;
  /** Which publications; absent: all. */
  filter?: string;
  token: string;
  cursor: number;
  lag: number;
  attached: boolean;
  last_error?: string;
}
