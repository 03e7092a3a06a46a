ALTER TABLE counts DROP COLUMN missed;

-- Of two that have one sequence, the later stays.
ALTER TABLE dead_letters RENAME TO dead_letters_after;
CREATE TABLE dead_letters (
    subscription TEXT NOT NULL REFERENCES inbox_cursors (subscription),
    sequence INTEGER NOT NULL,
    publication INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    reason TEXT NOT NULL,
    buried INTEGER NOT NULL,
    PRIMARY KEY (subscription, sequence)
) WITHOUT ROWID;
INSERT OR REPLACE INTO dead_letters
    SELECT subscription, sequence, publication, attempts, reason, buried FROM dead_letters_after ORDER BY epoch;
DROP TABLE dead_letters_after;

ALTER TABLE inbox RENAME TO inbox_after;
CREATE TABLE inbox (
    subscription TEXT NOT NULL REFERENCES inbox_cursors (subscription),
    sequence INTEGER NOT NULL,
    publication INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    PRIMARY KEY (subscription, sequence)
) WITHOUT ROWID;
INSERT OR REPLACE INTO inbox
    SELECT subscription, sequence, publication, attempts, next_attempt, reason FROM inbox_after ORDER BY epoch;
DROP TABLE inbox_after;

ALTER TABLE inbox_publications DROP COLUMN epoch;
ALTER TABLE inbox_cursors DROP COLUMN restored;
ALTER TABLE inbox_cursors DROP COLUMN epoch;
ALTER TABLE subscriptions DROP COLUMN ahead;
ALTER TABLE logs ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
DROP TABLE epochs;
DROP TABLE openings;
