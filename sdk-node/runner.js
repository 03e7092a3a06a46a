#!/usr/bin/env node
// @ts-check
'use strict';

// Started by the daemon as `node runner.js <plugin file>`, with the instance as working directory.

const { claim } = require('./src/stdio');

// Before anything of the user's is loaded: from here on, what is printed goes to stderr.
const wire = claim();

require('./src/run').run(wire, process.argv[2]);
