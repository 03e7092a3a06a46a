// Cannot be asked to end, and gives nobody else a turn.
const fs = require('fs');
const { action } = require('coattail');

module.exports = action(async (input) => {
  fs.writeFileSync(`${process.env.COATTAIL_ACTION}.began`, '');
  process.on('SIGTERM', () => {});
  for (;;);
});
