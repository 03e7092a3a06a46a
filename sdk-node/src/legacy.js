// @ts-check
'use strict';

const { Logger } = require('./logger');
const { peers } = require('./peer');

/**
 * @typedef {object} Host what the `Coattail` object of the original stands on
 * @property {import('./plugin').Kind} kind
 * @property {string} name
 * @property {string} instance also the id of the local peer
 * @property {string} issuer
 * @property {import('./api').Api} api
 * @property {import('./control').Order} control
 * @property {import('./logger').Sink} log
 */

/**
 * The `Coattail` object as actions and receivers of the original know it: exactly Peer, Receiver, Action.
 * @param {Host} host
 */
function coattail(host) {
  const { kind, name, api, log } = host;

  class Action {
    /** @type {string | undefined} */
    name;
    /** @type {Logger | undefined} */
    logger;

    /** @param {any} [_input] @returns {Promise<any>} */
    async perform(_input) {
      throw new Error(`action ${this.name} must implement perform(input)`);
    }

    /** @param {any} input @param {boolean} [publish] */
    async performWithInputValidation(input, publish = false) {
      const output = await this.perform(input);
      if (publish) {
        // The action has run: its result must not be lost because it could not be published.
        await this.publishWithOutputValidation(output).catch((error) => {
          log('error', `the result of ${this.name} was not published: ${error.message}`);
        });
      }
      return output;
    }

    /** @param {any} output @returns {Promise<void>} */
    async publishWithOutputValidation(output) {
      await api.publish(this.name ?? name, output);
    }
  }

  class Receiver {
    /** @type {string | undefined} */
    name;
    /** @type {Logger | undefined} */
    logger;

    /** @param {any} [_input] @returns {Promise<any>} */
    async onReceived(_input) {
      throw new Error(`receiver ${this.name} must implement onReceived(input)`);
    }

    /** @param {any} input */
    async performWithInputValidation(input) {
      return this.onReceived(input);
    }
  }

  const Coattail = Object.freeze({ Peer: peers(host, Action, Receiver), Receiver, Action });

  /**
   * As in the original the function is called and the class instantiated at every use, so that nothing
   * but the module's own variables is kept from one call to the next.
   * @param {Function} factory
   * @returns {import('./plugin').Definition}
   */
  function adopt(factory) {
    const [base, method] = kind === 'action' ? ['Action', 'perform'] : ['Receiver', 'onReceived'];
    const returned = factory(Coattail);
    if (typeof returned?.prototype?.[method] !== 'function') {
      throw new TypeError(`expected \`module.exports = (Coattail) => class extends Coattail.${base} { async ${method}(input) … }\``);
    }
    return {
      kind,
      run(input) {
        const instance = new (factory(Coattail))();
        instance.name = name;
        instance.logger = new Logger(log, [`${kind}-${name}`]);
        return instance[instance.performWithInputValidation ? 'performWithInputValidation' : method](input);
      },
    };
  }

  return { Coattail, adopt };
}

module.exports = { coattail };
