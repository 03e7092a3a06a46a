// What files in the manner of the original are given: `module.exports = (Coattail) => class extends Coattail.Action { … }`.

/** What an action's file exports: `@type {import('coattail').OriginalAction}` before it gives an editor the types. */
export type OriginalAction = (Coattail: Coattail) => new () => OriginalBase & { perform(input: any): unknown };

/** What a receiver's file exports. */
export type OriginalReceiver = (Coattail: Coattail) => new () => OriginalBase & { onReceived(input: any): unknown };

export interface Coattail {
  readonly Peer: OriginalPeerClass;
  readonly Receiver: new () => OriginalReceiverBase;
  readonly Action: new () => OriginalActionBase;
}

export interface OriginalBase {
  /** Set after construction. */
  name: string;
  /** Set after construction. */
  logger: Logger;
}

export interface OriginalActionBase extends OriginalBase {
  perform(input?: any): Promise<any>;
  /** Performs, and publishes the result if asked. */
  performWithInputValidation(input?: any, publish?: boolean): Promise<any>;
  /** Publishes for this action. */
  publishWithOutputValidation(output: any): Promise<void>;
}

export interface OriginalReceiverBase extends OriginalBase {
  onReceived(input?: any): Promise<any>;
  performWithInputValidation(input?: any): Promise<any>;
}

export interface OriginalPeerClass {
  new (of?: { jwt?: string; id?: string; isLocal?: boolean }): OriginalPeer;
  readonly idColumn: 'id';
  readonly table: string;
  readonly ignoreColumns: string[];
  local(): OriginalPeer;
  /** The local peer if `id` is the folder of the instance; `undefined` if there is none. */
  load(which: { id: string; database?: unknown }): Promise<OriginalPeer | undefined>;
  loadAll(which?: { where?: Record<string, unknown>; database?: unknown }): Promise<OriginalPeer[]>;
  loadAllMatching(which: { matches: (peer: OriginalPeer) => unknown; database?: unknown }): Promise<OriginalPeer[]>;
}

export interface OriginalPeer {
  id: string | undefined;
  /** The text of its token, a secret; empty for the local peer. */
  jwt: string;
  readonly token: Token;
  isLocal(): boolean;
  performAction(what: { name: string; data?: any; publish?: boolean; verbose?: boolean; logger?: Logger }): Promise<any>;
  publishActionResponse(what: { name: string; data?: any; verbose?: boolean }): Promise<void>;
  subscribeTo(what: { action: string; receiver: string; verbose?: boolean }): Promise<Token>;
  unsubscribe(what: { action: string; receiver: string; verbose?: boolean }): Promise<number>;
  getActions(options?: { verbose?: boolean }): Promise<any[]>;
  getReceivers(options?: { verbose?: boolean }): Promise<any[]>;
  revokeSubscription(which: { subscriptionId: string; verbose?: boolean }): Promise<void>;
  save(options?: { database?: unknown; newId?: string }): Promise<void>;
  delete(options?: { database?: unknown }): Promise<void>;
}

export interface Token {
  readonly id: string | undefined;
  /** Its text, a secret. */
  readonly jwt: string;
  isValid(): boolean;
  claims(): Record<string, any> | null;
  issuer(): string | undefined;
  use(): string;
  validBearers(): { type: string; value: string }[];
  subscribable(): string[];
  publishable(): string[];
  performable(): string[];
  subscribedTo(): string[];
  getClientConfig(): { tls?: boolean; cert?: string; host?: string; port?: number; auth: string };
  /** Resolves to the claims, or rejects; only for tokens that this instance has issued. */
  tryAuthenticate(database: unknown, address: string, signature?: string, extraVerifications?: object): Promise<Record<string, any>>;
  print(options?: { showId?: boolean; outputHandler?: (lines: string[]) => void; extras?: Record<string, unknown> }): void;
  save(options?: object): Promise<void>;
  delete(options?: object): Promise<void>;
}

/** Its lines go to the daemon unless other streams are put in. */
export interface Logger {
  prefixes: string[];
  stdOut: { write(line: string): unknown } | null;
  stdErr: { write(line: string): unknown } | null;
  color: boolean;
  /** The lines, if it is a `buffered()` one. */
  buffer: string[];
  info(message: unknown): void;
  debug(message: unknown): void;
  warning(message: unknown): void;
  error(message: unknown): void;
  object(prefix: string, value: unknown): void;
  incoming(packet: unknown): void;
  outgoing(packet: unknown): void;
  child(prefix: string | string[]): Logger;
  parent(): Logger;
  silent(): Logger;
  buffered(): Logger;
  format(level: string, message: unknown): string;
  prefixString(): string;
}
