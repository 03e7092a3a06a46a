-- What waits says since when, and when its receiver was first called for it.
ALTER TABLE inbox ADD COLUMN stored INTEGER NOT NULL DEFAULT 0;
ALTER TABLE inbox ADD COLUMN first_attempt INTEGER;
UPDATE inbox SET stored = CAST(unixepoch('subsec') * 1000 AS INTEGER);

-- Dead letters have numbers, which are never given out twice: whoever names one names no other. `output` is what the
-- receiver printed at the last attempt.
ALTER TABLE dead_letters RENAME TO dead_letters_before;
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subscription TEXT NOT NULL REFERENCES inbox_cursors (subscription),
    epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    publication INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    first_attempt INTEGER NOT NULL,
    buried INTEGER NOT NULL,
    reason TEXT NOT NULL,
    output TEXT NOT NULL,
    UNIQUE (subscription, epoch, sequence)
);
INSERT INTO dead_letters (subscription, epoch, sequence, publication, attempts, first_attempt, buried, reason, output)
    SELECT subscription, epoch, sequence, publication, attempts, buried, buried, reason, ''
    FROM dead_letters_before ORDER BY buried, subscription, epoch, sequence;
DROP TABLE dead_letters_before;

-- Subscriptions of ours whose receiver is not called for now. Goes with the cursor of the subscription, or with its
-- token if there is no cursor.
CREATE TABLE paused (subscription TEXT PRIMARY KEY NOT NULL) WITHOUT ROWID;

-- Subscribers to whom nothing is delivered for now.
ALTER TABLE subscriptions ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
