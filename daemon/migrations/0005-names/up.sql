-- What a publication is called by whoever published it: a second one of that name is recognised for as long as the first
-- is kept. `publisher` is a peer's issuer hash, or nothing for this instance itself, so that names of one cannot hide
-- what another publishes.
ALTER TABLE publications ADD COLUMN name TEXT;
ALTER TABLE publications ADD COLUMN publisher TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX publications_name ON publications (log, publisher, name) WHERE name IS NOT NULL;
