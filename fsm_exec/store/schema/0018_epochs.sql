-- An epoch is one opening of this database by an engine, each with order groups of its own at the exchange.
CREATE TABLE epochs (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    instance   TEXT NOT NULL,
    epoch      TEXT NOT NULL,  -- as in the names of its orders; '' for the first opening of an instance
    opened_at  TEXT NOT NULL,
    host       TEXT NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('start', 'takeover')),
    state      TEXT NOT NULL CHECK (state IN ('open', 'closed', 'fencing', 'fenced'))
) STRICT;

-- One group per epoch and shard. NULL: of an epoch that this database lost, or never heard of.
CREATE TABLE epoch_groups (
    group_id         TEXT PRIMARY KEY,
    epoch            INTEGER REFERENCES epochs (number) ON DELETE CASCADE,
    exchange_index   INTEGER NOT NULL,
    contracts_limit  TEXT NOT NULL,  -- contracts filled in any 15 s, after which the exchange ends all orders of it
    state            TEXT NOT NULL CHECK (state IN ('live', 'spent', 'triggered', 'deleted'))
) STRICT;
CREATE INDEX epoch_groups_by_epoch ON epoch_groups (epoch);

-- Executions are numbered above it: a copy leaves out what the database it was made of may have given since.
ALTER TABLE meta ADD COLUMN numbers_from INTEGER NOT NULL DEFAULT 0 CHECK (numbers_from >= 0);
