// Sums up the health reports of one day that the receiver `Store Entry` has kept.
//   { "day": "2026-01-31" }    or nothing for today
const fs = require('fs');
const path = require('path');

const ENTRIES = path.join(__dirname, '..', 'entries.jsonl');

module.exports = (Coattail) => class extends Coattail.Action {
    async perform(input) {
        const day = (input && input.day) || new Date().toISOString().slice(0, 10);
        const entries = readEntries().filter((entry) => entry.received.startsWith(day)).map((entry) => entry.data || {});
        const report = { day, count: entries.length, ok: 0, warn: 0, critical: 0, reasons: {} };
        for (const { status, reasons } of entries) {
            if (['ok', 'warn', 'critical'].includes(status)) report[status] += 1;
            for (const reason of reasons || []) {
                const what = String(reason).split(':', 1)[0];
                report.reasons[what] = (report.reasons[what] || 0) + 1;
            }
        }
        const samples = entries.map((entry) => entry.score).filter(Number.isFinite);
        if (samples.length > 0) {
            // Another action of the same instance does the arithmetic.
            report.scores = await Coattail.Peer.local().performAction({ name: 'Load Average', data: { samples } });
        }
        this.logger.info(`${entries.length} entries on ${day}`);
        return report;
    }
};

function readEntries() {
    if (!fs.existsSync(ENTRIES)) return [];
    return fs.readFileSync(ENTRIES, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
}
