-- Calls that outlive whoever asked for them: detached ones, and those that were given a key. `token` and `issuer` say
-- who asked, and are absent if it was this instance itself; what was asked for with a token goes with it. `detached`: it
-- is begun even if nobody waits. `digest` tells calls of one key apart. The input goes when the job has ended. `bytes`
-- is what the input takes, and then the outcome.
CREATE TABLE jobs (
    id TEXT PRIMARY KEY NOT NULL,
    issuer TEXT,
    token TEXT REFERENCES issued_tokens (id) ON DELETE CASCADE,
    peer TEXT,
    action TEXT NOT NULL,
    key TEXT,
    digest BLOB NOT NULL,
    input TEXT,
    publish INTEGER NOT NULL,
    timeout INTEGER,
    start_timeout INTEGER,
    detached INTEGER NOT NULL,
    cause TEXT,
    hops INTEGER NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'refused', 'timed-out', 'cancelled', 'lost')),
    created INTEGER NOT NULL,
    started INTEGER,
    finished INTEGER,
    result TEXT,
    error INTEGER,
    message TEXT,
    hint TEXT,
    thrown TEXT,
    publication TEXT,
    sequence INTEGER,
    publication_error TEXT,
    bytes INTEGER NOT NULL,
    CHECK ((issuer IS NULL) = (token IS NULL)),
    CHECK ((finished IS NULL) = (state IN ('queued', 'running')))
) WITHOUT ROWID;
CREATE UNIQUE INDEX jobs_key ON jobs (coalesce(token, ''), coalesce(issuer, ''), coalesce(peer, ''), action, key)
    WHERE key IS NOT NULL;
-- What is not done, and what may go, of each who asked.
CREATE INDEX jobs_unfinished ON jobs (token, bytes) WHERE finished IS NULL;
CREATE INDEX jobs_finished ON jobs (token, finished, bytes) WHERE finished IS NOT NULL;
