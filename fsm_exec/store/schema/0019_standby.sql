-- A sign of life of the engine, for a copy of this database to show how old it is. One row; none without a lease.
CREATE TABLE beats (
    id  INTEGER PRIMARY KEY CHECK (id = 1),
    at  TEXT NOT NULL
) STRICT;

-- Submissions that an engine on another host accepted and that this database, made of a copy of its, does not have.
-- `bought`: contracts that the exchange executed for it; NULL: not known.
CREATE TABLE lost_submissions (
    key           TEXT PRIMARY KEY,
    accepted_as   TEXT NOT NULL,  -- the execution's id in that database
    instance      TEXT NOT NULL,
    ticker        TEXT NOT NULL,
    outcome       TEXT NOT NULL,
    quantity      TEXT NOT NULL,
    noted_at      TEXT NOT NULL,
    bought        TEXT,
    reported_at   TEXT NOT NULL
) STRICT;
