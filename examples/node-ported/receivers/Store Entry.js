// Keeps what was published in a file beside the instance's folders, one JSON object a line.
const fs = require('fs');
const path = require('path');

/** @type {import('coattail').OriginalReceiver} */
module.exports = (Coattail) => class extends Coattail.Receiver {
    async onReceived(input) {
        const line = JSON.stringify({ received: new Date().toISOString(), data: input });
        await fs.promises.appendFile(path.join(__dirname, '..', 'entries.jsonl'), `${line}\n`);
        this.logger.info('stored an entry');
    }
};
