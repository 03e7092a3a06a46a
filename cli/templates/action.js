// Performed with an input, returns a result; either is anything that JSON can hold.
module.exports = (Coattail) => class extends Coattail.Action {
    async perform(input) {
        return { ...input };
    }
};
