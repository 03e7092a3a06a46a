// @ts-check
'use strict';

/**
 * @typedef {'action' | 'receiver'} Kind
 * @typedef {import('../index').Context} Context
 * @typedef {import('../index').About} About
 * @typedef {About & { kind: Kind, run(input: any, context: any): unknown }} Definition
 */

/**
 * An action: `module.exports = action(async (input, context) => …)`.
 * @param {(input: any, context: Context) => unknown} perform
 * @param {About} [about]
 */
function action(perform, about) {
  return define('action', perform, about);
}

/**
 * A receiver: `module.exports = receiver(async (input, context) => …)`.
 * @param {(input: any, context: any) => unknown} receive
 * @param {About} [about]
 */
function receiver(receive, about) {
  return define('receiver', receive, about);
}

/**
 * @template {Kind} K
 * @param {K} kind
 * @param {(input: any, context: any) => unknown} run
 * @param {About} [about]
 * @returns {import('../index').Plugin<K>}
 */
function define(kind, run, { description, input, output } = {}) {
  if (typeof run !== 'function') throw new TypeError(`${kind}() takes a function`);
  checkSchema(kind, 'input', input);
  checkSchema(kind, 'output', output);
  return Object.freeze(/** @type {any} */ ({ [DEFINITION]: true, kind, description, input, output, run }));
}

/** Only its form: the daemon is who understands it. @param {Kind} kind @param {string} field @param {unknown} schema */
function checkSchema(kind, field, schema) {
  const isSchema = typeof schema === 'boolean' || (typeof schema === 'object' && schema !== null && !Array.isArray(schema));
  if (schema !== undefined && !isSchema) throw new TypeError(`${kind}(): \`${field}\` takes a JSON Schema, an object or a boolean`);
}

/**
 * What a file exports, as something to run: a definition, or a function in the manner of the original.
 * @param {any} exported
 * @param {Kind} kind what it has to be
 * @param {(factory: Function) => Definition} adopt takes a function in the manner of the original
 * @returns {Definition}
 */
function understand(exported, kind, adopt) {
  if (exported?.[DEFINITION]) {
    if (exported.kind === kind) return exported;
    throw new TypeError(`is a ${exported.kind}, but lies among the ${kind}s`);
  }
  if (typeof exported !== 'function') {
    throw new TypeError(`exports ${nameOf(exported)}; expected \`module.exports = ${kind}(async (input, context) => …)\``);
  }
  // Neither of them may be called to find out: the one cannot be, the other would do its work.
  if (/^class\b/.test(Function.prototype.toString.call(exported))) {
    throw new TypeError('exports a class; expected a function that returns it: `(Coattail) => class extends …`');
  }
  if (exported.constructor?.name === 'AsyncFunction') {
    throw new TypeError(`exports an async function; wrap it: \`module.exports = ${kind}(…)\``);
  }
  return adopt(exported);
}

/** @param {any} value */
function nameOf(value) {
  if (value === null || value === undefined) return 'nothing';
  const isEmpty = typeof value === 'object' && Object.keys(value).length === 0;
  return isEmpty ? 'nothing' : `a value of type ${Array.isArray(value) ? 'array' : typeof value}`;
}

/** Registered, so that a definition made by another copy of this package counts, too. */
const DEFINITION = Symbol.for('coattail.definition');

module.exports = { action, receiver, understand };
