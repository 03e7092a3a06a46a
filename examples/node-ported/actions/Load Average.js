// The five-number summary of a list of samples, or of the load figures that a shell action reports.
//   { "samples": [3, 1, 2] }    or    { "load": { "one": 0.4, "five": 0.3, "fifteen": 0.2 } }
/** @type {import('coattail').OriginalAction} */
module.exports = (Coattail) => class extends Coattail.Action {
    async perform(input) {
        const given = input && (input.samples || Object.values(input.load || {}));
        const samples = (given || []).map(Number).filter(Number.isFinite).sort((a, b) => a - b);
        if (samples.length === 0) {
            throw new Error('no samples: expected { "samples": [numbers] }');
        }
        this.logger.info(`summing up ${samples.length} samples`);
        return {
            count: samples.length,
            min: samples[0],
            q1: quantile(samples, 0.25),
            median: quantile(samples, 0.5),
            q3: quantile(samples, 0.75),
            max: samples[samples.length - 1],
        };
    }
};

// Between two samples the value is interpolated.
function quantile(sorted, p) {
    const place = (sorted.length - 1) * p;
    const below = Math.floor(place);
    const above = Math.ceil(place);
    return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}
