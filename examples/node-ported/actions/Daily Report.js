// Sums up the health reports that the receiver `Store Entry` has kept.
//   { "day": "2026-01-31" }    or { "last": "36h" }    or nothing for today
const fs = require('fs');
const path = require('path');
const ms = require('ms');

const ENTRIES = path.join(__dirname, '..', 'entries.jsonl');

/** @type {import('coattail').OriginalAction} */
module.exports = (Coattail) => class extends Coattail.Action {
    async perform(input) {
        const { title, isMeant } = period(input || {});
        const entries = readEntries().filter((entry) => isMeant(entry.received)).map((entry) => entry.data || {});
        const report = { ...title, count: entries.length, ok: 0, warn: 0, critical: 0, reasons: {} };
        for (const { status, reasons } of entries) {
            if (['ok', 'warn', 'critical'].includes(status)) report[status] += 1;
            for (const reason of reasons || []) {
                const what = String(reason).split(':', 1)[0];
                report.reasons[what] = (report.reasons[what] || 0) + 1;
            }
        }
        const samples = entries.map((entry) => entry.score).filter(Number.isFinite);
        // Another action of the same instance does the arithmetic.
        const sums = () => Coattail.Peer.local().performAction({ name: 'Load Average', data: { samples } });
        const scores = samples.length > 0 ? await sums() : undefined;
        this.logger.info(`${entries.length} entries of ${Object.values(title)}`);
        return { ...report, ...(scores && { scores }) };
    }
};

function period({ last, day = new Date().toISOString().slice(0, 10) }) {
    if (last === undefined) return { title: { day }, isMeant: (received) => received.startsWith(day) };
    const length = ms(String(last));
    if (!length || length < 0) throw new Error(`"${last}" is no length of time: try "36h" or "7 days"`);
    const since = Date.now() - length;
    return { title: { last }, isMeant: (received) => Date.parse(received) >= since };
}

function readEntries() {
    if (!fs.existsSync(ENTRIES)) return [];
    return fs.readFileSync(ENTRIES, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
}
