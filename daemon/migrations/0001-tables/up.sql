-- A table that counts what refers to its rows (`remaining`, `wanted`) has no foreign key besides: to check one when a
-- row goes would take an index on every publication.

-- "COAT": tells our databases from those of other programs.
PRAGMA application_id = 0x434f4154;

-- Remote instances that gave us a token.
CREATE TABLE peers (
    id TEXT PRIMARY KEY NOT NULL,
    issuer TEXT NOT NULL UNIQUE,
    jwt TEXT NOT NULL,
    added INTEGER NOT NULL
) WITHOUT ROWID;

-- Public keys of other instances. Those learned while subscribing belong to the peer; those added by hand do not.
CREATE TABLE validation_tokens (
    id TEXT PRIMARY KEY NOT NULL,
    issuer TEXT NOT NULL,
    jwt TEXT NOT NULL,
    public_key TEXT NOT NULL,
    added INTEGER NOT NULL,
    peer TEXT REFERENCES peers (id)
) WITHOUT ROWID;
CREATE INDEX validation_tokens_public_key ON validation_tokens (public_key);
CREATE INDEX validation_tokens_peer ON validation_tokens (peer) WHERE peer IS NOT NULL;

-- Tokens that we issued. A subscription token says what we hold where: peer, action, receiver.
CREATE TABLE issued_tokens (
    id TEXT PRIMARY KEY NOT NULL,
    usage TEXT NOT NULL CHECK (usage IN ('Authentication', 'Publisher Authentication')),
    jwt TEXT NOT NULL,
    issued INTEGER NOT NULL,
    peer TEXT REFERENCES peers (id),
    validation TEXT REFERENCES validation_tokens (id),
    action TEXT,
    receiver TEXT,
    CHECK ((usage = 'Publisher Authentication')
        = (peer IS NOT NULL AND validation IS NOT NULL AND action IS NOT NULL AND receiver IS NOT NULL))
) WITHOUT ROWID;
CREATE UNIQUE INDEX issued_tokens_held ON issued_tokens (peer, action, receiver) WHERE peer IS NOT NULL;
CREATE INDEX issued_tokens_validation ON issued_tokens (validation) WHERE validation IS NOT NULL;

-- One log of publications per action. `head` is the last sequence given out and never goes back, `oldest` the first
-- that retention has left, `bytes` what the payloads take.
CREATE TABLE logs (
    id INTEGER PRIMARY KEY,
    action TEXT NOT NULL UNIQUE,
    head INTEGER NOT NULL,
    oldest INTEGER NOT NULL DEFAULT 1,
    bytes INTEGER NOT NULL,
    epoch INTEGER NOT NULL
);

-- What one transaction accepted is signed at once. `remaining` counts the publications that are still there.
CREATE TABLE signed_groups (
    id INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,
    remaining INTEGER NOT NULL,
    signature BLOB NOT NULL
);

CREATE TABLE publications (
    log INTEGER NOT NULL REFERENCES logs (id),
    sequence INTEGER NOT NULL,
    id TEXT NOT NULL UNIQUE,
    time INTEGER NOT NULL,
    payload TEXT NOT NULL,
    cause TEXT,
    hops INTEGER NOT NULL,
    signed_group INTEGER NOT NULL,
    leaf INTEGER NOT NULL,
    path BLOB NOT NULL,
    UNIQUE (log, sequence)
);

-- Remote instances that want an action's publications; `cursor` is the last one they have stored.
CREATE TABLE subscriptions (
    id TEXT PRIMARY KEY NOT NULL,
    issuer TEXT NOT NULL,
    jwt TEXT NOT NULL,
    action TEXT NOT NULL,
    receiver TEXT NOT NULL,
    authentication_token TEXT NOT NULL REFERENCES issued_tokens (id),
    cursor INTEGER NOT NULL,
    created INTEGER NOT NULL,
    last_error TEXT,
    UNIQUE (action, issuer, receiver)
) WITHOUT ROWID;
CREATE INDEX subscriptions_issuer ON subscriptions (issuer);
CREATE INDEX subscriptions_authentication_token ON subscriptions (authentication_token);

-- How far each subscription of ours has been stored, and who handles it. It outlives the subscription until what was
-- accepted is handled, so it refers to no token.
CREATE TABLE inbox_cursors (
    subscription TEXT PRIMARY KEY NOT NULL,
    publisher TEXT NOT NULL,
    action TEXT NOT NULL,
    receiver TEXT NOT NULL,
    sequence INTEGER NOT NULL
) WITHOUT ROWID;

-- What we received, once for all subscriptions that want it; `wanted` counts their rows below.
CREATE TABLE inbox_publications (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    issuer TEXT NOT NULL,
    action TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    time INTEGER NOT NULL,
    payload TEXT NOT NULL,
    cause TEXT,
    hops INTEGER NOT NULL,
    wanted INTEGER NOT NULL,
    UNIQUE (issuer, action, sequence, id)
);

-- What waits for its receiver. A row that was handled is gone; one that was given up is a dead letter.
CREATE TABLE inbox (
    subscription TEXT NOT NULL REFERENCES inbox_cursors (subscription),
    sequence INTEGER NOT NULL,
    publication INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_attempt INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    PRIMARY KEY (subscription, sequence)
) WITHOUT ROWID;

CREATE TABLE dead_letters (
    subscription TEXT NOT NULL REFERENCES inbox_cursors (subscription),
    sequence INTEGER NOT NULL,
    publication INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    reason TEXT NOT NULL,
    buried INTEGER NOT NULL,
    PRIMARY KEY (subscription, sequence)
) WITHOUT ROWID;

-- One row, changed in the transactions that it counts.
CREATE TABLE counts (
    only INTEGER PRIMARY KEY CHECK (only = 0),
    published INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0,
    stored INTEGER NOT NULL DEFAULT 0,
    handled INTEGER NOT NULL DEFAULT 0,
    waiting INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0
);
INSERT INTO counts (only) VALUES (0);
