// Leaves failures behind of which nobody takes care.
const fs = require('fs');
const { action } = require('coattail');

module.exports = action(async (input) => {
  fs.writeFileSync(`${process.env.COATTAIL_ACTION}.began`, '');
  void Promise.reject(new Error('nobody waits'));
  void Promise.reject(undefined);
  return input;
});
