// Ends, with success, instead of answering.
const fs = require('fs');
const { action } = require('coattail');

module.exports = action(async (input) => {
  fs.writeFileSync(`${process.env.COATTAIL_ACTION}.began`, '');
  console.error('the reason');
  process.exit(0);
});
