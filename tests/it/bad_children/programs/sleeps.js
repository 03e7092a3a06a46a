// Waits for what does not come.
const fs = require('fs');
const { action } = require('coattail');

module.exports = action(async (input) => {
  fs.writeFileSync(`${process.env.COATTAIL_ACTION}.began`, '');
  await new Promise(() => setInterval(() => {}, 1000));
});
