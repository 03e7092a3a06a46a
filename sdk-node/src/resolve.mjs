// @ts-check
// Runs in Node's loader thread: lets `import 'coattail'` find this SDK where nothing else is installed.

const SDK = new URL('../index.mjs', import.meta.url).href;

/** @type {import('node:module').ResolveHook} */
export async function resolve(specifier, context, next) {
  if (specifier !== 'coattail') return next(specifier, context);
  try {
    return await next(specifier, context);
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    return { url: SDK, format: 'module', shortCircuit: true };
  }
}
