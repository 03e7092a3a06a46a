// Returns more than anybody takes.
const fs = require('fs');
const { action } = require('coattail');

module.exports = action(async (input) => {
  fs.writeFileSync(`${process.env.COATTAIL_ACTION}.began`, '');
  return 'x'.repeat(100 * 1024 * 1024);
});
