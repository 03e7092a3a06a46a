// Complains for 1 GiB, and does as it should.
const fs = require('fs');
const { spawnSync } = require('child_process');
const { action } = require('coattail');

module.exports = action(async (input) => {
  fs.writeFileSync(`${process.env.COATTAIL_ACTION}.began`, '');
  spawnSync('head', ['-c', '1073741824', '/dev/zero'], { stdio: ['ignore', 2, 2] });
  return input;
});
