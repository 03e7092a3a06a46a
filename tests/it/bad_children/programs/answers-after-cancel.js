// Does not mind that its call was cancelled, and returns then.
const fs = require('fs');
const { once } = require('events');
const { action } = require('coattail');

module.exports = action(async (input, { signal }) => {
  fs.writeFileSync(`${process.env.COATTAIL_ACTION}.began`, '');
  await once(signal, 'abort');
  return input;
});
