// Judges what another machine has measured, and publishes the judgement: who subscribed to it comes next.
const { receiver } = require('coattail');

module.exports = receiver(async (figures, context) => {
  const judgement = await context.coattail.perform('Health Score', figures);
  // It is on disk when this returns. If it fails, so does this receiver, and it is called again.
  await context.coattail.publish('Health Score', judgement);
  context.log.info('%s is %s, score %d', judgement.host ?? 'somebody', judgement.status, judgement.score);
});
