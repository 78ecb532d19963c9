-- Prices, counts and dollars are decimal strings; times are ISO 8601 UTC text with microseconds and Z, so both can be
-- read, and times sorted, as they stand. JSON is kept as text, byte for byte as it was handed in.
--
-- Words are checked with OR, not IN: for a list of three or more SQLite builds a temporary B-tree at every statement,
-- which made the writing of a child order 5 times slower, and 100 times when the allocator gave its pages back.

PRAGMA application_id = 1718840696;  -- the letters fsmx: how a database of fsm_exec is told from any other

-- One row: who this database is. Path and inode are those of the file when the instance was drawn; they are NULL in
-- memory. A file whose path or inode differs is a copy and gets a new instance.
CREATE TABLE meta (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    instance        TEXT NOT NULL CHECK (length(instance) = 10 AND instance NOT GLOB '*[^a-z2-7]*'),
    created_at      TEXT NOT NULL,
    created_schema  INTEGER NOT NULL,
    path            TEXT,
    inode           INTEGER,
    opened_at       TEXT NOT NULL
) STRICT;

-- The instances this database's rows were written under before it was copied or restored.
CREATE TABLE meta_history (
    instance     TEXT PRIMARY KEY,
    path         TEXT,
    inode        INTEGER,
    created_at   TEXT NOT NULL,
    replaced_at  TEXT NOT NULL
) STRICT;

CREATE TABLE markets (
    ticker          TEXT PRIMARY KEY,
    series          TEXT NOT NULL,
    event           TEXT NOT NULL,
    category        TEXT NOT NULL,
    status          TEXT NOT NULL
                      CHECK (status = 'unopened' OR status = 'open' OR status = 'paused' OR status = 'closed'),
    price_ranges    TEXT NOT NULL,  -- JSON, YES prices: [{"start", "end", "step"}]
    taker_fee_rate  TEXT NOT NULL,  -- fee per contract = rate x price x (1 - price)
    maker_fee_rate  TEXT NOT NULL,
    updated_at      TEXT NOT NULL
) STRICT;

CREATE TABLE methods (
    name        TEXT NOT NULL,
    version     INTEGER NOT NULL CHECK (version >= 1),
    algorithm   TEXT NOT NULL,
    config      TEXT NOT NULL,  -- JSON
    created_at  TEXT NOT NULL,
    PRIMARY KEY (name, version)
) STRICT;

CREATE TABLE edges (
    edge_id            TEXT PRIMARY KEY,
    ticker             TEXT NOT NULL,
    outcome            TEXT NOT NULL CHECK (outcome IN ('yes', 'no')),
    model_probability  TEXT NOT NULL,
    expected_value     TEXT NOT NULL,  -- dollars per contract after the taker fee
    target_price       TEXT NOT NULL,
    created_at         TEXT NOT NULL
) STRICT;

-- What the last save of each execution said. `seq` is the number of its last journal row.
CREATE TABLE execution_state (
    execution_id      TEXT PRIMARY KEY,
    ticker            TEXT NOT NULL,
    outcome           TEXT NOT NULL CHECK (outcome IN ('yes', 'no')),
    method            TEXT NOT NULL,
    state             TEXT NOT NULL
                      CHECK (state = 'pending' OR state = 'split' OR state = 'walking' OR state = 'partial' OR
                             state = 'filled' OR state = 'cancelled'),
    reason            TEXT
                      CHECK (reason = 'completed' OR reason = 'deadline' OR reason = 'user' OR
                             reason = 'market_closed' OR reason = 'market_paused' OR reason = 'risk' OR
                             reason = 'rejected' OR reason = 'cap' OR reason = 'no_liquidity' OR reason = 'no_book' OR
                             reason = 'self_trade' OR reason = 'insufficient_balance' OR reason = 'external' OR
                             reason = 'halt'),
    quarantine        TEXT,  -- why the engine no longer acts for it; NULL: it does
    target_quantity   TEXT NOT NULL,
    target_price      TEXT,
    accepted_at       TEXT NOT NULL,
    deadline          TEXT NOT NULL,
    snapshot          TEXT NOT NULL,  -- JSON
    snapshot_version  INTEGER NOT NULL CHECK (snapshot_version >= 1),
    seq               INTEGER NOT NULL CHECK (seq >= 1),
    updated_at        TEXT NOT NULL,
    CHECK (state NOT IN ('filled', 'cancelled') OR reason IS NOT NULL)
) STRICT;

-- The journal. Its uniqueness is the fence: of two writers of one execution the second is refused.
CREATE TABLE execution_events (
    execution_id  TEXT NOT NULL REFERENCES execution_state (execution_id),
    seq           INTEGER NOT NULL CHECK (seq >= 1),
    at            TEXT NOT NULL,
    event_type    TEXT NOT NULL,
    event         TEXT NOT NULL,    -- JSON
    intents       TEXT NOT NULL,    -- JSON
    steps         TEXT NOT NULL,    -- the state changes on one line, for people
    UNIQUE (execution_id, seq)
) STRICT;

-- Child orders. `status` is the coarse word, `state` that of the child order's table.
CREATE TABLE split_orders (
    execution_id     TEXT NOT NULL REFERENCES execution_state (execution_id),
    client_order_id  TEXT NOT NULL,  -- holds the execution's id, so it is unique without another index
    level            INTEGER NOT NULL CHECK (level >= 1),
    attempt          INTEGER NOT NULL CHECK (attempt >= 1),
    state            TEXT NOT NULL
                      CHECK (state = 'intended' OR state = 'unknown' OR state = 'resting' OR state = 'partial' OR
                             state = 'cancelling' OR state = 'settling' OR state = 'filled' OR state = 'cancelled' OR
                             state = 'rejected'),
    status           TEXT NOT NULL
                      CHECK (status = 'pending' OR status = 'partial' OR status = 'filled' OR status = 'cancelled'),
    order_id         TEXT,
    price            TEXT NOT NULL,
    quantity         TEXT NOT NULL,
    filled_quantity  TEXT NOT NULL,
    time_in_force    TEXT NOT NULL
                      CHECK (time_in_force = 'good_till_canceled' OR time_in_force = 'immediate_or_cancel' OR
                             time_in_force = 'fill_or_kill'),
    walks            INTEGER NOT NULL CHECK (walks >= 0),
    updated_at       TEXT NOT NULL,
    PRIMARY KEY (execution_id, client_order_id)
) STRICT;

-- Fills are counted once, whichever way they were heard of.
CREATE TABLE fills (
    execution_id     TEXT NOT NULL,
    order_id         TEXT NOT NULL,
    fill_id          TEXT NOT NULL,
    client_order_id  TEXT NOT NULL,
    price            TEXT NOT NULL,
    quantity         TEXT NOT NULL,
    fee              TEXT NOT NULL,
    is_taker         INTEGER NOT NULL CHECK (is_taker IN (0, 1)),
    late             INTEGER NOT NULL CHECK (late IN (0, 1)),  -- came after its order's end
    traded_at        TEXT NOT NULL,
    UNIQUE (order_id, fill_id),
    FOREIGN KEY (execution_id, client_order_id) REFERENCES split_orders (execution_id, client_order_id)
) STRICT;

-- Own sizes removed, in YES terms. No reference to the execution: its arrival book may be there before it is.
CREATE TABLE order_book_snapshots (
    id            INTEGER PRIMARY KEY,
    ticker        TEXT NOT NULL,
    execution_id  TEXT,
    taken_at      TEXT NOT NULL,
    why           TEXT NOT NULL,
    yes_depth     TEXT NOT NULL,  -- JSON: [["price", "count"], ...], best first
    no_depth      TEXT NOT NULL
) STRICT;

-- Times in whole seconds; NULL is unknown. The `_e7` columns are exact totals in 10^-7 dollars, positive = cost.
CREATE TABLE execution_metrics (
    execution_id        TEXT PRIMARY KEY REFERENCES execution_state (execution_id),
    target_quantity     TEXT NOT NULL,
    filled_quantity     TEXT NOT NULL,
    fill_rate           TEXT NOT NULL,
    target_price        TEXT,
    average_fill_price  TEXT,
    slippage            TEXT,
    time_to_first_fill  INTEGER CHECK (time_to_first_fill >= 0),
    time_to_full_fill   INTEGER CHECK (time_to_full_fill >= time_to_first_fill),
    walks_executed      INTEGER NOT NULL CHECK (walks_executed >= 0),
    splits_used         INTEGER NOT NULL CHECK (splits_used >= 0),
    arrival_mid         TEXT,
    fees                TEXT NOT NULL,
    shortfall           TEXT,
    delay_e7            INTEGER,
    spread_e7           INTEGER,
    drift_e7            INTEGER,
    fees_e7             INTEGER NOT NULL,
    opportunity_e7      INTEGER,
    over_fill_e7        INTEGER,
    shortfall_e7        INTEGER,
    flags               TEXT NOT NULL,
    computed_at         TEXT NOT NULL,
    -- COALESCE: a sum with an unknown part is NULL, which a CHECK would let pass.
    CHECK (shortfall_e7 IS NULL OR COALESCE(
        shortfall_e7 = delay_e7 + spread_e7 + drift_e7 + fees_e7 + opportunity_e7 + over_fill_e7, 0))
) STRICT;
