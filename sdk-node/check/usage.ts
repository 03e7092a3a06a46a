// Checked by `npm run check`, never run: what a user in TypeScript writes has to compile, and what is wrong has to fail.
import { action, receiver, CoattailError, Reject, RetryLater, type Follow, type Job, type Plugin } from '../index.js';

interface Order { item: string; count: number }

export const order: Plugin<'action'> = action(async (input: Order, context) => {
  context.log.info('ordering %d of %s', input.count, input.item);
  context.progress(0.5, 'half');
  const stock = await context.coattail.perform<number>('Stock', input.item, { signal: context.signal, timeout: 500 });
  // @ts-expect-error An action handles no publication.
  context.publication;
  return { left: stock - input.count };
}, { description: 'orders', input: { type: 'object', required: ['item', 'count'] }, output: true });

export const keep: Plugin<'receiver'> = receiver((input: Order, { publication }) => {
  if (publication.attempt > 3) throw new Reject('tried often enough');
  if (input.count === 0) throw new RetryLater();
  if (input.count < 0) throw new RetryLater('not yet', { after: '5m' });
  // @ts-expect-error There is no such detail.
  throw new RetryLater('not yet', { before: '5m' });
});

export const long: Plugin<'action'> = action(async (_input: void, { coattail, log, progress, working }) => {
  const follow: Follow = {
    onLog: ({ level, message }) => log[level](message),
    onProgress: ({ fraction, message }) => progress(fraction, message),
  };
  await working();
  await coattail.perform('Slow', 1, { follow, startTimeout: 1000, key: 'once' });
  const started: Job = await coattail.jobs.start('Slow', 1, { peer: 'p', key: 'once', timeout: 60_000 });
  const ended = await coattail.jobs.wait(started.id, { timeout: 5000, follow });
  // @ts-expect-error A job is not followed when it is started.
  await coattail.jobs.start('Slow', 1, { follow });
  if (ended.state === 'failed') throw new Error(ended.error?.message);
  await coattail.jobs.cancel((await coattail.jobs.list())[0]?.id ?? started.id);
  const [line] = await coattail.jobs.logs(started.id);
  const [entry] = await coattail.actions({ schemas: true });
  return [ended.result, line?.time, entry?.input, (await coattail.jobs.show(started.id)).progress?.fraction];
});

export function describe(error: unknown): string {
  if (!(error instanceof CoattailError)) return 'unknown';
  // @ts-expect-error There is no such code.
  if (error.code === 'no-such-code') return 'never';
  if (error.retryAfterMs !== undefined) return `in ${error.retryAfterMs / 1000} s`;
  return error.hint ?? error.code;
}

export function wrong(): void {
  // @ts-expect-error An action is a function.
  action('not a function');
  // @ts-expect-error A schema is an object or a boolean.
  action(() => {}, { input: 'object' });
}
