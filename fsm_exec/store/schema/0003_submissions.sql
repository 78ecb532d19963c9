-- What was asked for by whom: `key` is the caller's own, and the row is written with the first save of the execution,
-- so a key that is not here was never accepted. `request` is JSON with numbers in their full form: the same key with
-- another request is a mistake, and refused.
CREATE TABLE submissions (
    key           TEXT PRIMARY KEY CHECK (length(key) BETWEEN 1 AND 64),
    execution_id  TEXT NOT NULL UNIQUE REFERENCES execution_state (execution_id),
    request       TEXT NOT NULL,
    submitted_at  TEXT NOT NULL
) STRICT;

-- Which exchange the executions here are of: those of a play exchange must never be taken up where there is money.
-- NULL: nobody said so yet.
ALTER TABLE meta ADD COLUMN environment TEXT;

-- Since when the engine is halted, NULL: it is not. A halt outlives the process: whoever pulls the brake does not want
-- a restart to let go of it.
ALTER TABLE meta ADD COLUMN halted_at TEXT;
