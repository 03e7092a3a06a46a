// Prints answers to every call that there may be.
const fs = require('fs');
const { spawnSync } = require('child_process');
const { action } = require('coattail');

module.exports = action(async (input) => {
  fs.writeFileSync(`${process.env.COATTAIL_ACTION}.began`, '');
  const forged = (id) => JSON.stringify({ jsonrpc: '2.0', id, result: { output: 'forged' } });
  const all = Array.from({ length: 100 }, (_, id) => forged(id)).join('\n');
  console.log(all);
  fs.writeSync(1, `${all}\n`);
  spawnSync('echo', [all], { stdio: 'inherit' });
  return input;
});
