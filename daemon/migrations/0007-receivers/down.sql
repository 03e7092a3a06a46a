ALTER TABLE subscriptions DROP COLUMN paused;
DROP TABLE paused;
ALTER TABLE dead_letters RENAME TO dead_letters_after;
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
INSERT INTO dead_letters SELECT subscription, epoch, sequence, publication, attempts, reason, buried FROM dead_letters_after;
DROP TABLE dead_letters_after;
ALTER TABLE inbox DROP COLUMN first_attempt;
ALTER TABLE inbox DROP COLUMN stored;
