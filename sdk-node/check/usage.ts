// Checked by `npm run check`, never run: what a user in TypeScript writes has to compile, and what is wrong has to fail.
import { action, receiver, CoattailError, Reject, RetryLater, type Plugin } from '../index.js';

interface Order { item: string; count: number }

export const order: Plugin<'action'> = action(async (input: Order, context) => {
  context.log.info('ordering %d of %s', input.count, input.item);
  context.progress(0.5, 'half');
  const stock = await context.coattail.perform<number>('Stock', input.item, { signal: context.signal, timeout: 500 });
  // @ts-expect-error An action handles no publication.
  context.publication;
  return { left: stock - input.count };
}, { description: 'orders' });

export const keep: Plugin<'receiver'> = receiver((input: Order, { publication }) => {
  if (publication.attempt > 3) throw new Reject('tried often enough');
  if (input.count === 0) throw new RetryLater();
});

export function describe(error: unknown): string {
  if (!(error instanceof CoattailError)) return 'unknown';
  // @ts-expect-error There is no such code.
  if (error.code === 'no-such-code') return 'never';
  return error.hint ?? error.code;
}

export function wrong(): void {
  // @ts-expect-error An action is a function.
  action('not a function');
}
