// As an ES module.
import { action, CoattailError, type Api, type Context, type OriginalAction } from '../index.mjs';

export default action(async (input: string, { coattail }: Context): Promise<boolean> => {
  const api: Api = coattail;
  return (await api.perform<unknown>(input).catch((error: unknown) => error)) instanceof CoattailError;
});

export const old: OriginalAction = (Coattail) => class extends Coattail.Action {};
