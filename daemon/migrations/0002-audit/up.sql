-- Who was let in or refused, and what the owner changed. What happens more than once within a minute is one row with a
-- count, so that a flood does not push out what matters; where there is no value, the text is empty, since NULLs are
-- never equal. `id` grows with time, and the oldest rows go first, so that the difference of two ids bounds the rows
-- between.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    minute INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    count INTEGER NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('allowed', 'refused')),
    what TEXT NOT NULL,
    token TEXT NOT NULL,
    peer TEXT NOT NULL,
    address TEXT NOT NULL,
    subject TEXT NOT NULL,
    reason TEXT NOT NULL,
    UNIQUE (minute, outcome, what, token, peer, address, subject, reason)
);
