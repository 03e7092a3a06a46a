// Answers, and ends soon after.
const fs = require('fs');
const { action } = require('coattail');

module.exports = action(async (input) => {
  fs.writeFileSync(`${process.env.COATTAIL_ACTION}.began`, '');
  setTimeout(() => process.exit(0), 20);
  return input;
});
