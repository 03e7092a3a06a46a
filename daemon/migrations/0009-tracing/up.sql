-- What receivers did with what came, for as long as retention says; written with the end of the row in the inbox. It
-- refers to nothing, since it outlives the subscription. Rows are numbered as they end; one that is handled after it was
-- given up replaces what was there.
CREATE TABLE outcomes (
    row INTEGER PRIMARY KEY,
    publication TEXT NOT NULL,
    subscription TEXT NOT NULL,
    publisher TEXT NOT NULL,
    action TEXT NOT NULL,
    receiver TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    time INTEGER NOT NULL,
    cause TEXT,
    hops INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('handled', 'dead', 'expired')),
    attempts INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    UNIQUE (publication, subscription)
);

-- What was made while another publication was handled.
CREATE INDEX publications_cause ON publications (cause) WHERE cause IS NOT NULL;

-- What was not published since it had come through too many hops: the newest, one row for what was being handled and
-- the action, however often it was tried.
CREATE TABLE loops (
    row INTEGER PRIMARY KEY,
    cause TEXT NOT NULL,
    action TEXT NOT NULL,
    hops INTEGER NOT NULL,
    time INTEGER NOT NULL,
    UNIQUE (cause, action)
);
ALTER TABLE counts ADD COLUMN looped INTEGER NOT NULL DEFAULT 0;
