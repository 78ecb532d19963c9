-- What somebody is to hear of. A row is written in the transaction of the fact that causes it, so no crash comes between
-- the two. Of one kind and subject one alert stands at a time: what is said again is counted in `times`.
CREATE TABLE alerts (
    id           INTEGER PRIMARY KEY,
    at           TEXT NOT NULL,
    kind         TEXT NOT NULL,
    subject      TEXT NOT NULL,     -- an execution, a market, an order; empty: the engine
    text         TEXT NOT NULL,
    urgent       INTEGER NOT NULL CHECK (urgent = 0 OR urgent = 1),      -- it is told in quiet hours too
    recovery     INTEGER NOT NULL CHECK (recovery = 0 OR recovery = 1),  -- it says that an earlier one is over
    times        INTEGER NOT NULL CHECK (times >= 1),
    last_at      TEXT NOT NULL,     -- when it was last said
    over_at      TEXT,              -- NULL: it stands
    state        TEXT NOT NULL CHECK (state = 'pending' OR state = 'delivered' OR state = 'no_channel'),
    settled_at   TEXT,              -- since when it is not pending
    CHECK (recovery = 0 OR over_at IS NOT NULL),
    CHECK ((state = 'pending') = (settled_at IS NULL))
) STRICT;
CREATE UNIQUE INDEX alerts_standing ON alerts (kind, subject) WHERE over_at IS NULL;
CREATE INDEX alerts_pending ON alerts (id) WHERE state = 'pending';
CREATE INDEX alerts_settled ON alerts (settled_at) WHERE state != 'pending';

-- How an alert fared with each channel. No row: it was not tried yet.
CREATE TABLE alert_deliveries (
    alert_id      INTEGER NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
    channel       TEXT NOT NULL,
    attempts      INTEGER NOT NULL CHECK (attempts >= 1),
    tried_at      TEXT NOT NULL,
    next_at       TEXT,             -- when it is tried again
    delivered_at  TEXT,
    why           TEXT,             -- what went wrong the last time; never a channel's address
    PRIMARY KEY (alert_id, channel),
    CHECK ((delivered_at IS NULL) = (next_at IS NOT NULL))
) STRICT;
