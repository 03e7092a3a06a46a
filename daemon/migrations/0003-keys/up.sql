-- Our own keys that were replaced. `public` is the public half, or the certificate, as its file was; the private half of
-- an identity or a token key is not kept. `statement` says that the next identity replaces this one, signed by both.
CREATE TABLE retired_keys (
    id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('auth', 'identity', 'tls')),
    public TEXT NOT NULL,
    replaced INTEGER NOT NULL,
    until INTEGER NOT NULL,
    statement TEXT,
    PRIMARY KEY (kind, id)
) WITHOUT ROWID;

-- Identities of other instances that were replaced, and by which: what the old one had signed before still counts.
CREATE TABLE followed (
    old TEXT PRIMARY KEY NOT NULL,
    new TEXT NOT NULL,
    old_key TEXT NOT NULL
) WITHOUT ROWID;

-- What other instances have said of themselves since they issued their tokens, what our owner has said of them, and
-- whether we have something to tell them: that we have moved, or have new keys. Addresses are separated by spaces.
CREATE TABLE remotes (
    issuer TEXT PRIMARY KEY NOT NULL,
    by_hand TEXT,
    addresses TEXT,
    certificate TEXT,
    untold INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- Where we have told others that we are.
CREATE TABLE advertised (
    only INTEGER PRIMARY KEY CHECK (only = 0),
    whereabouts TEXT NOT NULL
);

-- Who signed a group. Groups from before this column are by whoever signs until the first time that is replaced.
ALTER TABLE signed_groups ADD COLUMN issuer TEXT;
