-- Each opening of the database begins an epoch, so that what is published after it was put back to an earlier state is
-- never taken for what was published before. `epoch` is that of the last opening, `restored` when the database was last
-- known to have been put back.
CREATE TABLE openings (
    only INTEGER PRIMARY KEY CHECK (only = 0),
    epoch INTEGER NOT NULL,
    restored INTEGER
);
INSERT INTO openings (only, epoch) VALUES (0, 0);

-- From which sequence on a log is of which epoch. 0 is what was published, and signed, before there were any.
CREATE TABLE epochs (
    log INTEGER NOT NULL REFERENCES logs (id),
    first INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    PRIMARY KEY (log, first)
) WITHOUT ROWID;
INSERT INTO epochs (log, first, epoch) SELECT id, 1, 0 FROM logs;
ALTER TABLE logs DROP COLUMN epoch;

-- How many publications the subscriber has that are not in the log any more.
ALTER TABLE subscriptions ADD COLUMN ahead INTEGER NOT NULL DEFAULT 0;

-- `restored`: the publisher's last restoration that we were told of.
ALTER TABLE inbox_cursors ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE inbox_cursors ADD COLUMN restored INTEGER;
ALTER TABLE inbox_publications ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;

-- The same sequence can wait in two epochs.
ALTER TABLE inbox RENAME TO inbox_before;
CREATE TABLE inbox (
    subscription TEXT NOT NULL REFERENCES inbox_cursors (subscription),
    epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    publication INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    PRIMARY KEY (subscription, epoch, sequence)
) WITHOUT ROWID;
INSERT INTO inbox SELECT subscription, 0, sequence, publication, attempts, next_attempt, reason FROM inbox_before;
DROP TABLE inbox_before;

ALTER TABLE dead_letters RENAME TO dead_letters_before;
CREATE TABLE dead_letters (
    subscription TEXT NOT NULL REFERENCES inbox_cursors (subscription),
    epoch INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    publication INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    reason TEXT NOT NULL,
    buried INTEGER NOT NULL,
    PRIMARY KEY (subscription, epoch, sequence)
) WITHOUT ROWID;
INSERT INTO dead_letters SELECT subscription, 0, sequence, publication, attempts, reason, buried FROM dead_letters_before;
DROP TABLE dead_letters_before;

ALTER TABLE counts ADD COLUMN missed INTEGER NOT NULL DEFAULT 0;
