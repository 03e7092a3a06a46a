// Leaves a process behind that holds what it has inherited.
const fs = require('fs');
const { spawn } = require('child_process');
const { action } = require('coattail');

module.exports = action(async (input) => {
  fs.writeFileSync(`${process.env.COATTAIL_ACTION}.began`, '');
  spawn('sleep', ['1000'], { stdio: 'inherit' }).unref();
  return input;
});
