// Prints a line of 100 MiB, and does as it should.
const fs = require('fs');
const { action } = require('coattail');

module.exports = action(async (input) => {
  fs.writeFileSync(`${process.env.COATTAIL_ACTION}.began`, '');
  console.log('x'.repeat(100 * 1024 * 1024));
  return input;
});
