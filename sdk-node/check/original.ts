// The manner of the original, in TypeScript: every call, with what it takes and what it gives.
import type { Logger, OriginalAction, OriginalPeer, OriginalReceiver, Token } from '../index.js';

export const perform: OriginalAction = ({ Peer, Action }) => class extends Action {
  async perform(input: { id: string }): Promise<unknown> {
    const local: OriginalPeer = Peer.local();
    const peer = await Peer.load({ id: input.id });
    // @ts-expect-error There may be no such peer.
    peer.isLocal();
    if (!peer) throw new Error(`${this.name}: no peer ${input.id}`);
    const some: OriginalPeer[] = [
      ...(await Peer.loadAll()), ...(await Peer.loadAll({ where: { id: 'x' } })),
      ...(await Peer.loadAllMatching({ matches: (one) => one.token.performable().includes('*') })),
    ];
    const logger: Logger = this.logger.child('deep').buffered();
    await local.performAction({ name: 'Other', data: 1, publish: true, verbose: false, logger });
    await local.publishActionResponse({ name: 'Other', data: 1 });
    const token: Token = await peer.subscribeTo({ action: 'Other', receiver: 'keep' });
    const none: number = await peer.unsubscribe({ action: 'Other', receiver: 'keep' });
    await local.revokeSubscription({ subscriptionId: token.id ?? '' });
    // @ts-expect-error A name is needed.
    await local.performAction({ data: 1 });
    const added = new Peer({ jwt: 'jwt' });
    await added.save();
    await added.delete();
    await token.tryAuthenticate(undefined, '127.0.0.1', 'signature');
    token.print({ showId: false, extras: { a: 1 }, outputHandler: (lines) => logger.info(lines.join('\n')) });
    logger.stdOut = null;
    const { tls, cert, host, port, auth } = token.getClientConfig();
    await this.publishWithOutputValidation({ tls, cert, host, port, secret: auth.length });
    return [none, some.length, (await local.getActions()).length, (await peer.getReceivers()).length, logger.buffer];
  }
};

export const receive: OriginalReceiver = (Coattail) => class extends Coattail.Receiver {
  async onReceived(input: unknown) {
    this.logger.object('got', input);
  }
};

// @ts-expect-error An action performs.
export const wrong: OriginalAction = (Coattail) => class extends Coattail.Receiver {};
