// Takes every descriptor that it can get, and keeps it.
const fs = require('fs');
const { action } = require('coattail');

module.exports = action(async (input) => {
  fs.writeFileSync(`${process.env.COATTAIL_ACTION}.began`, '');
  try {
    for (let n = 0; n < 10_000; n += 1) fs.openSync('/dev/null');
  } catch (error) {
    if (error.code !== 'EMFILE') throw error;
  }
  return input;
});
