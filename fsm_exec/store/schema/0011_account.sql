-- The account: what is held that no execution bought, what markets paid, where the exchange says something else than we
-- do, and the brake.

-- What the execution may still cost: its open quantity at its cap, in dollars. NULL: last saved by an older version.
ALTER TABLE execution_state ADD COLUMN reserved TEXT;

-- Fills of the account whose order no execution has: made by hand, or by another program. Own outcome, as in `fills`.
CREATE TABLE account_fills (
    order_id   TEXT NOT NULL,
    fill_id    TEXT NOT NULL,
    ticker     TEXT NOT NULL,
    outcome    TEXT NOT NULL CHECK (outcome = 'yes' OR outcome = 'no'),
    price      TEXT NOT NULL,
    quantity   TEXT NOT NULL,
    fee        TEXT NOT NULL,
    is_taker   INTEGER NOT NULL CHECK (is_taker = 0 OR is_taker = 1),
    traded_at  TEXT NOT NULL,
    PRIMARY KEY (order_id, fill_id)
) STRICT;
CREATE INDEX account_fills_by_market ON account_fills (ticker);

-- What the exchange paid for what was held of a market at its end. `value` is that of one YES contract, 0 to 1 dollar;
-- NULL: it did not say, and `revenue` is what it paid. `fee` is what all trades of the market cost: nothing more is
-- taken at the settlement.
CREATE TABLE settlements (
    ticker      TEXT PRIMARY KEY,
    event       TEXT NOT NULL,
    result      TEXT NOT NULL,  -- yes, no, scalar, or a word of the exchange's that is not known here
    value       TEXT,
    yes_count   TEXT NOT NULL,
    no_count    TEXT NOT NULL,
    yes_cost    TEXT NOT NULL,
    no_cost     TEXT NOT NULL,
    revenue     TEXT NOT NULL,
    fee         TEXT NOT NULL,
    settled_at  TEXT NOT NULL
) STRICT;
CREATE INDEX settlements_by_time ON settlements (settled_at);

-- What the exchange held of a market at the first look beyond what fills explain. `quantity` is signed, + YES, - NO;
-- `cost` what it counts as its cost. `realized` and `fees` are the exchange's own of that moment, NULL: not stated.
CREATE TABLE account_openings (
    ticker     TEXT PRIMARY KEY,
    quantity   TEXT NOT NULL,
    cost       TEXT NOT NULL,
    realized   TEXT,
    fees       TEXT,
    opened_at  TEXT NOT NULL
) STRICT;

-- What nobody explains, taken over from the exchange all the same, so that the risk is that of what is held. Signed
-- changes of quantity and cost.
CREATE TABLE account_adjustments (
    ticker       TEXT NOT NULL,
    adjusted_at  TEXT NOT NULL,
    quantity     TEXT NOT NULL,
    cost         TEXT NOT NULL,
    why          TEXT NOT NULL,
    PRIMARY KEY (ticker, adjusted_at)
) STRICT;

-- Where two looks in a row showed that the exchange says something else than we do. Never deleted. `ticker` is empty for
-- what is of no market; `gone_at` NULL: it stands.
CREATE TABLE account_differences (
    kind      TEXT NOT NULL CHECK (kind = 'position' OR kind = 'settlement' OR kind = 'balance'),
    ticker    TEXT NOT NULL,
    found_at  TEXT NOT NULL,
    ours      TEXT NOT NULL,
    theirs    TEXT NOT NULL,
    cause     TEXT NOT NULL
                CHECK (cause = 'by_hand' OR cause = 'settlement' OR cause = 'frames_under_way' OR
                       cause = 'unexplained' OR cause = 'unexplained_or_deposit'),
    gone_at   TEXT,
    PRIMARY KEY (kind, ticker, found_at)
) STRICT;

-- The last look at the balance, and what the fills and settlements of then explain of it: a deposit is seen as what
-- changed beyond them, also over a restart. One row; none before the first look.
CREATE TABLE account_look (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    looked_at   TEXT NOT NULL,
    first_at    TEXT NOT NULL,
    balance     TEXT,
    explained   TEXT
) STRICT;

-- The brake. One row; none before it was ever set. Dollars; NULL: there has been no equity yet.
CREATE TABLE risk_state (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    state      TEXT NOT NULL CHECK (state = 'active' OR state = 'reducing' OR state = 'halted'),
    why        TEXT NOT NULL,
    since_at   TEXT NOT NULL,
    day        TEXT,             -- YYYY-MM-DD in the configured time zone
    day_start  TEXT,             -- equity when the day began
    peak       TEXT,
    equity     TEXT
) STRICT;

CREATE TABLE risk_log (
    id          INTEGER PRIMARY KEY,
    at          TEXT NOT NULL,
    moved_from  TEXT NOT NULL,
    moved_by    TEXT NOT NULL,  -- the trigger of the table of states
    moved_to    TEXT NOT NULL,
    who         TEXT NOT NULL,
    why         TEXT NOT NULL,
    figures     TEXT NOT NULL   -- JSON
) STRICT;

-- What an event said of its markets when it was last read.
CREATE TABLE event_shapes (
    event               TEXT PRIMARY KEY,
    series              TEXT NOT NULL,
    mutually_exclusive  INTEGER NOT NULL CHECK (mutually_exclusive = 0 OR mutually_exclusive = 1),
    tickers             TEXT NOT NULL,  -- JSON
    read_at             TEXT NOT NULL
) STRICT;

-- Profit is asked for by market and by execution.
CREATE INDEX fills_by_execution ON fills (execution_id);
CREATE INDEX execution_state_by_market ON execution_state (ticker);
