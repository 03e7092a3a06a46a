// Judges a machine by its figures: 100 is well, 0 is lost.
//   { "disk": { "used_percent": 91 }, "load": { "one": 3.5, "five": 2, "fifteen": 1 },
//     "memory": { "used_percent": 40 }, "cpus": 2 }
// Every part may be missing; what is missing is not judged.
const LIMITS = [
    { what: 'disk', unit: '% used', value: (input) => input.disk && input.disk.used_percent, warn: 80, critical: 95 },
    { what: 'memory', unit: '% used', value: (input) => input.memory && input.memory.used_percent, warn: 85, critical: 95 },
    { what: 'load', unit: ' per CPU', value: (input) => input.load && input.load.five / (input.cpus || 1), warn: 1, critical: 4 },
];

/** @type {import('coattail').OriginalAction} */
module.exports = (Coattail) => class extends Coattail.Action {
    async perform(input) {
        const judged = LIMITS.map((limit) => judge(limit, limit.value(input || {}))).filter((one) => one !== undefined);
        if (judged.length === 0) {
            throw new Error('nothing to judge: expected figures for disk, memory or load');
        }
        const score = Math.min(...judged.map((one) => one.score));
        const status = judged.some((one) => one.status === 'critical') ? 'critical'
            : judged.some((one) => one.status === 'warn') ? 'warn' : 'ok';
        const reasons = judged.filter((one) => one.status !== 'ok').map((one) => one.reason);
        this.logger[status === 'ok' ? 'info' : 'warning'](`${status}, score ${score}`);
        return { ...(input.host && { host: input.host }), status, reasons, score };
    }
};

function judge({ what, unit, warn, critical }, given) {
    const value = Number(given);
    if (given === undefined || given === null || !Number.isFinite(value)) return undefined;
    const status = value >= critical ? 'critical' : value >= warn ? 'warn' : 'ok';
    // 100 at nothing, 50 where it becomes a warning, 0 where it becomes critical.
    const score = value < warn ? 100 - 50 * (value / warn) : 50 - 50 * ((value - warn) / (critical - warn));
    return {
        status,
        score: Math.round(Math.min(100, Math.max(0, score))),
        reason: `${what}: ${Number(value.toFixed(2))}${unit} (${status} from ${status === 'critical' ? critical : warn})`,
    };
}
