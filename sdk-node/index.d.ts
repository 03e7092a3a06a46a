/** Why something was not done. */
export type ErrorCode =
  | 'failed' | 'invalid-input' | 'unknown-method' | 'not-permitted' | 'not-found' | 'unreachable' | 'busy'
  | 'too-large' | 'lost' | 'cancelled' | 'timed-out' | 'storage-full' | 'unsupported-version' | 'already-exists'
  | 'shutting-down' | 'internal' | 'token-refused' | 'too-many-hops' | 'plugin-broken' | 'rejected' | 'retry-later'
  | 'wrong-peer' | 'not-running' | 'usage' | 'token-revoked';

/** Something was not done. Programs decide by `code`, never by the message. */
export class CoattailError extends Error {
  constructor(code: ErrorCode, message: string, details?: { hint?: string; thrown?: unknown; cause?: unknown });
  readonly code: ErrorCode;
  /** What to try. */
  readonly hint: string | undefined;
  /** With code `failed`: what the action threw, if that is more than a message. */
  readonly thrown?: unknown;
}

/** Thrown by a receiver that will never take this publication: it goes to the dead letters. */
export class Reject extends CoattailError {
  constructor(message?: string, details?: { cause?: unknown });
}

/** Thrown by a receiver that cannot take this publication now: it is called again later. */
export class RetryLater extends CoattailError {
  constructor(message?: string, details?: { cause?: unknown });
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
}

export interface About {
  /** What lists show. */
  description?: string;
}

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
  publish(action: string, value: unknown, options?: { peer?: string }): Promise<Published>;
  actions(options?: { peer?: string }): Promise<Entry[]>;
  receivers(options?: { peer?: string }): Promise<Entry[]>;
  peers(): Promise<Peer[]>;
  peer(id: string): Promise<Peer>;
  /** Subscribes a receiver of this instance to an action of a peer. */
  subscribe(what: { peer: string; action: string; receiver: string }): Promise<Subscription>;
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
  /** Cancels the action. It is cancelled with the call that asks for it, too. */
  signal?: AbortSignal;
}

export interface Published {
  id: string;
  sequence: number;
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

export interface Subscription {
  id: string;
  peer: string;
  action: string;
  receiver: string;
  cursor?: number;
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
  token: string;
  cursor: number;
  lag: number;
  attached: boolean;
  last_error?: string;
}
