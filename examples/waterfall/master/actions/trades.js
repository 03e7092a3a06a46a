// Publishes what this account has traded: the rows of trades.csv in the folder of the instance, in their order.
const { readFile } = require('node:fs/promises');
const { action } = require('coattail');

module.exports = action(async (_, context) => {
  const [names, ...rows] = (await readFile('trades.csv', 'utf8')).trimEnd().split('\n').map((line) => line.split(','));
  for (const [at, row] of rows.entries()) {
    context.signal.throwIfAborted();
    const trade = Object.fromEntries(names.map((name, column) => [name, row[column]]));
    // A count is a number, a price a text: what is read as a float is not the same to the cent. A count that is none
    // becomes null, and whoever copies says what he thinks of it.
    await context.coattail.publish('trades', { ...trade, quantity: Number(trade.quantity) });
    context.progress((at + 1) / rows.length, trade.id);
  }
  return { published: rows.length };
});
