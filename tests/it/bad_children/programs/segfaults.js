// Dies as if it had touched memory that is not its own.
const fs = require('fs');
const { action } = require('coattail');

module.exports = action(async (input) => {
  fs.writeFileSync(`${process.env.COATTAIL_ACTION}.began`, '');
  process.kill(process.pid, 'SIGSEGV');
  for (;;);
});
