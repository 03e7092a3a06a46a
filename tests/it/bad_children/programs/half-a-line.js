// Prints what begins like an answer, and never ends.
const fs = require('fs');
const { action } = require('coattail');

module.exports = action(async (input) => {
  fs.writeFileSync(`${process.env.COATTAIL_ACTION}.began`, '');
  process.stdout.write('{"jsonrpc":"2.0","id":');
  await new Promise(() => setInterval(() => {}, 1000));
});
