// @ts-check
'use strict';

const Module = require('node:module');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { CoattailError, messageOf } = require('./errors');

/**
 * Loads a plugin's file: CommonJS as the original did, or an ES module.
 * @param {string} file absolute
 * @returns {Promise<unknown>} what it exports
 */
async function load(file) {
  try {
    return exported(await loadModule(file));
  } catch (error) {
    throw broken(file, error);
  }
}

/** Says which file cannot be used, and why. @param {string} file @param {unknown} error */
function broken(file, error) {
  return new CoattailError('plugin-broken', `${path.relative(process.cwd(), file)}: ${reason(error)}`, { cause: error });
}

/** @param {string} file */
async function loadModule(file) {
  lendRequire();
  if (path.extname(file) !== '.mjs') {
    try {
      return require(file);
    } catch (error) {
      if (!onlyImportable(error)) throw error;
    }
  }
  lendImport();
  return import(pathToFileURL(file).href);
}

/**
 * Whether `require` failed where `import` can do: at an ES module, or at one that imports this SDK.
 * @param {unknown} error
 */
function onlyImportable(error) {
  const code = codeOf(error);
  return ES_MODULE.has(String(code)) || (code === 'ERR_MODULE_NOT_FOUND' && messageOf(error).includes("'coattail'"));
}

/** @param {any} module */
function exported(module) {
  const isNamespace = module !== null && typeof module === 'object' && 'default' in module;
  const isEsModule = isNamespace && (module.__esModule || module[Symbol.toStringTag] === 'Module');
  return isEsModule ? module.default : module;
}

/** One line, without the stack. @param {unknown} error */
function reason(error) {
  const message = messageOf(error).split('\n', 1)[0] ?? '';
  if (!(error instanceof SyntaxError)) return message;
  // V8 puts the place before the message, and nowhere else.
  const place = /^(.+):(\d+)\r?\n/.exec(error.stack ?? '');
  return place ? `${message} (${path.relative(process.cwd(), place[1] ?? '')}, line ${place[2]})` : message;
}

/** Lets `require('coattail')` find this SDK where nothing else is installed. */
function lendRequire() {
  if (lent.require) return;
  lent.require = true;
  const modules = /** @type {any} */ (Module);
  const original = modules._resolveFilename;
  /** @this {unknown} @param {string} request @param {...unknown} rest */
  modules._resolveFilename = function resolveFilename(request, ...rest) {
    if (request !== 'coattail') return original.call(this, request, ...rest);
    try {
      return original.call(this, request, ...rest);
    } catch (error) {
      if (codeOf(error) !== 'MODULE_NOT_FOUND') throw error;
      return path.join(__dirname, '..', 'index.js');
    }
  };
}

/** The same for `import`. Starts a thread, so only plugins that are ES modules pay for it. */
function lendImport() {
  if (lent.import) return;
  lent.import = true;
  Module.register(pathToFileURL(path.join(__dirname, 'resolve.mjs')).href);
}

/** @param {unknown} error */
function codeOf(error) {
  return /** @type {NodeJS.ErrnoException | undefined} */ (error)?.code;
}

/** What is arranged in this process already. */
const lent = { require: false, import: false };

/** How `require` says that a file is an ES module that only `import` can load. */
const ES_MODULE = new Set(['ERR_REQUIRE_ESM', 'ERR_REQUIRE_ASYNC_MODULE']);

module.exports = { load, broken };
