// Prints what is no text.
const fs = require('fs');
const { action } = require('coattail');

module.exports = action(async (input) => {
  fs.writeFileSync(`${process.env.COATTAIL_ACTION}.began`, '');
  fs.writeSync(1, Buffer.from(Array.from({ length: 25_600 }, (_, n) => n % 256)));
  return input;
});
