-- Publications that are not for ever, and not for everyone: when their time is over, in milliseconds, and the issuer
-- hashes of those who get them, separated by spaces. The index finds them all, of which there are few.
ALTER TABLE publications ADD COLUMN expires INTEGER;
ALTER TABLE publications ADD COLUMN audience TEXT;
CREATE INDEX publications_limited ON publications (log, sequence) WHERE expires IS NOT NULL OR audience IS NOT NULL;

-- What waits for its time lives so long from then on, in milliseconds.
ALTER TABLE scheduled ADD COLUMN ttl INTEGER;
ALTER TABLE scheduled ADD COLUMN audience TEXT;

-- Which publications a subscription is for: of others here, and ours at others.
ALTER TABLE subscriptions ADD COLUMN filter TEXT;
ALTER TABLE issued_tokens ADD COLUMN filter TEXT;

-- What came too late for its receiver: how many of each subscription of ours, and of everything.
ALTER TABLE inbox_publications ADD COLUMN expires INTEGER;
ALTER TABLE inbox_cursors ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;
ALTER TABLE counts ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;

-- What its owner has put back is for its receiver, even if its time is over.
ALTER TABLE inbox ADD COLUMN replayed INTEGER NOT NULL DEFAULT 0;
