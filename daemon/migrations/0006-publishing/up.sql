-- What a publication is called by whoever published it: a second one of that name is recognised for as long as the first
-- is kept. `publisher` is a peer's issuer hash, or nothing for this instance itself, so that names of one cannot hide
-- what another publishes.
ALTER TABLE publications ADD COLUMN name TEXT;
ALTER TABLE publications ADD COLUMN publisher TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX publications_name ON publications (log, publisher, name) WHERE name IS NOT NULL;

-- What is to be published later, with the id that it will have. It gets its place in the log when its time comes.
CREATE TABLE scheduled (
    id TEXT NOT NULL UNIQUE,
    action TEXT NOT NULL,
    due INTEGER NOT NULL,
    payload TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    cause TEXT,
    hops INTEGER NOT NULL
);
CREATE INDEX scheduled_due ON scheduled (due, bytes);
