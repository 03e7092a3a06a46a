// Leaves a process behind in a session of its own, which minds no signal.
const fs = require('fs');
const { spawn } = require('child_process');
const { action } = require('coattail');

module.exports = action(async (input) => {
  fs.writeFileSync(`${process.env.COATTAIL_ACTION}.began`, '');
  const script = 'trap "" TERM INT HUP; while :; do sleep 1; done';
  spawn('sh', ['-c', `(${script}) &`], { detached: true, stdio: 'ignore' }).unref();
  return input;
});
