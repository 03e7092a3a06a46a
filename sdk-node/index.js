// @ts-check
'use strict';

const { CoattailError, Reject, RetryLater } = require('./src/errors');
const { action, receiver } = require('./src/plugin');

/** @type {typeof import('./index')} */
module.exports = { action, receiver, CoattailError, Reject, RetryLater };
