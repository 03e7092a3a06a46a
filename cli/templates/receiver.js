// Handles what a peer has published. Throwing an error asks for another try later.
module.exports = (Coattail) => class extends Coattail.Receiver {
    async onReceived(input) {
        this.logger.info(`received ${JSON.stringify(input)}`);
    }
};
