-- What was moved into archives beside the database (store/archive), and what must be known of it here for ever.

-- The archives, by file name. `newest_row`, `newest_position` and `newest_ended`: nothing in it is newer, so a reader of
-- the newest need not open it.
CREATE TABLE archives (
    name             TEXT PRIMARY KEY,
    executions       INTEGER NOT NULL CHECK (executions >= 1),
    newest_row       INTEGER NOT NULL,
    newest_position  INTEGER NOT NULL,
    newest_ended     TEXT NOT NULL
) STRICT;

-- An execution that was moved: from the commit of this row on the archive is where it is. `key`: that of its request.
-- `is_cleared` 0: some of its rows still stand in these tables, and count for nothing.
CREATE TABLE archived_executions (
    execution_id  TEXT PRIMARY KEY,
    archive       TEXT NOT NULL REFERENCES archives (name),
    key           TEXT,
    is_cleared    INTEGER NOT NULL CHECK (is_cleared = 0 OR is_cleared = 1)
) STRICT;
CREATE UNIQUE INDEX archived_executions_by_key ON archived_executions (key) WHERE key IS NOT NULL;
CREATE INDEX archived_executions_uncleared ON archived_executions (execution_id) WHERE is_cleared = 0;

-- What the fills that were moved come to, all their markets being settled: exact totals. One row; none before the first.
CREATE TABLE archived_books (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    traded_e2    INTEGER NOT NULL,
    traded_e6    INTEGER NOT NULL,
    realized_e6  INTEGER NOT NULL,
    fees_e6      INTEGER NOT NULL
) STRICT;

-- Settlements of markets of which nothing is left here: a start reads all the others.
CREATE TABLE archived_settlements (
    ticker      TEXT PRIMARY KEY,
    event       TEXT NOT NULL,
    result      TEXT NOT NULL,
    value       TEXT,
    yes_count   TEXT NOT NULL,
    no_count    TEXT NOT NULL,
    yes_cost    TEXT NOT NULL,
    no_cost     TEXT NOT NULL,
    revenue     TEXT NOT NULL,
    fee         TEXT NOT NULL,
    settled_at  TEXT NOT NULL
) STRICT;

-- What is of an execution is found by it.
CREATE INDEX IF NOT EXISTS forecasts_by_execution ON forecasts (execution_id);
CREATE INDEX IF NOT EXISTS order_book_snapshots_by_execution ON order_book_snapshots (execution_id)
    WHERE execution_id IS NOT NULL;
