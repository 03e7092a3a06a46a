// @ts-check
'use strict';

const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const { once } = require('node:events');
const { CoattailError } = require('./errors');
const { LineReader, LineWriter } = require('./lines');
const { Session } = require('./session');

/** @typedef {(method: string, params: object) => Promise<any>} Order */

/**
 * Asks the service of an instance for what only its owner may do. The code of a plugin runs as the owner, and goes
 * through the owner's door, as `coattail` does inside a script.
 * @param {string} instance its folder
 * @returns {Order} each call is a connection of its own: there are few of them
 */
function control(instance) {
  return async (method, params) => {
    const socket = await connect(instance);
    const session = new Session(new LineWriter(socket), {}, () => {});
    const reader = new LineReader((line) => session.receive(line), () => socket.destroy());
    socket.on('data', (chunk) => reader.feed(chunk)).on('close', () => session.end());
    try {
      return await session.request(method, params);
    } finally {
      socket.destroy();
    }
  };
}

/** @param {string} instance */
async function connect(instance) {
  let folder;
  try {
    folder = fs.openSync(path.join(instance, FOLDER), fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
    // The address of a socket holds 108 bytes, however deep the instance lies.
    const socket = net.connect(path.join(`/proc/self/fd/${folder}`, SOCKET));
    await once(socket, 'connect');
    return socket.on('error', () => {});
  } catch (error) {
    throw new CoattailError('not-running', `the service of \`${instance}\` is not running`, {
      hint: `start it with \`coattail service start --instance ${instance}\``, cause: error,
    });
  } finally {
    if (folder !== undefined) fs.closeSync(folder);
  }
}

const FOLDER = '.coattail';
const SOCKET = 'control.sock';

module.exports = { control };
