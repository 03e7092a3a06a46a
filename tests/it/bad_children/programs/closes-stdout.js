// Closes what it believes to be the protocol.
const fs = require('fs');
const { action } = require('coattail');

module.exports = action(async (input) => {
  fs.writeFileSync(`${process.env.COATTAIL_ACTION}.began`, '');
  fs.closeSync(1);
  return input;
});
