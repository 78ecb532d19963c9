-- How well executions were worked: the rest of the metrics, per execution and per order; what the market did after each
-- fill; forecasts beside what came; and the liquidity of each stored book.

-- Own outcome throughout. Positive = cost, but for the gains: price_improvement, and what the markouts views show.
-- Dollars a contract to 6 decimals, mids to 5; NULL is unknown, never 0.
ALTER TABLE execution_metrics ADD COLUMN arrival_bid TEXT;
ALTER TABLE execution_metrics ADD COLUMN arrival_ask TEXT;
ALTER TABLE execution_metrics ADD COLUMN arrival_bid_size TEXT;
ALTER TABLE execution_metrics ADD COLUMN arrival_ask_size TEXT;
ALTER TABLE execution_metrics ADD COLUMN arrival_bid_depth_1c TEXT;
ALTER TABLE execution_metrics ADD COLUMN arrival_bid_depth_3c TEXT;
ALTER TABLE execution_metrics ADD COLUMN arrival_bid_depth_5c TEXT;
ALTER TABLE execution_metrics ADD COLUMN arrival_ask_depth_1c TEXT;
ALTER TABLE execution_metrics ADD COLUMN arrival_ask_depth_3c TEXT;
ALTER TABLE execution_metrics ADD COLUMN arrival_ask_depth_5c TEXT;
ALTER TABLE execution_metrics ADD COLUMN arrival_micro_price TEXT;
ALTER TABLE execution_metrics ADD COLUMN arrival_slippage TEXT;     -- average fill - arrival mid; only of what was filled
ALTER TABLE execution_metrics ADD COLUMN half_spread_ratio TEXT;    -- the same / half the spread at arrival
ALTER TABLE execution_metrics ADD COLUMN price_improvement TEXT;    -- a gain: ask at arrival - average fill
ALTER TABLE execution_metrics ADD COLUMN maker_share TEXT;
ALTER TABLE execution_metrics ADD COLUMN maker_fees TEXT;
ALTER TABLE execution_metrics ADD COLUMN taker_fees TEXT;
ALTER TABLE execution_metrics ADD COLUMN market_volume TEXT;        -- contracts traded from acceptance to scoring
ALTER TABLE execution_metrics ADD COLUMN participation TEXT;        -- filled / market_volume
ALTER TABLE execution_metrics ADD COLUMN perold_e7 INTEGER;         -- Perold's shortfall: the rest at the deadline's mid
ALTER TABLE execution_metrics ADD COLUMN edge_opportunity_e7 INTEGER;  -- the rest at most at the reservation price
ALTER TABLE execution_metrics ADD COLUMN creates INTEGER CHECK (creates >= 0);
ALTER TABLE execution_metrics ADD COLUMN amends INTEGER CHECK (amends >= 0);
ALTER TABLE execution_metrics ADD COLUMN cancels INTEGER CHECK (cancels >= 0);
ALTER TABLE execution_metrics ADD COLUMN write_tokens INTEGER CHECK (write_tokens >= 0);
ALTER TABLE execution_metrics ADD COLUMN writes_per_contract TEXT;
ALTER TABLE execution_metrics ADD COLUMN tokens_per_contract TEXT;
ALTER TABLE execution_metrics ADD COLUMN cancels_per_fill TEXT;
ALTER TABLE execution_metrics ADD COLUMN unresolved INTEGER CHECK (unresolved >= 0);  -- writes of unknown outcome
ALTER TABLE execution_metrics ADD COLUMN rejected TEXT;             -- refusals as "code:times", '' for none

-- The same of each order, from when it was sent.
CREATE TABLE child_metrics (
    execution_id        TEXT NOT NULL,
    client_order_id     TEXT NOT NULL,
    quantity            TEXT NOT NULL,
    filled_quantity     TEXT NOT NULL,
    fill_rate           TEXT NOT NULL,
    average_fill_price  TEXT,
    arrival_slippage    TEXT,
    price_improvement   TEXT,
    fees                TEXT NOT NULL,
    maker_share         TEXT,
    spread_e7           INTEGER,  -- what its fills paid or earned against the mid just before each
    time_to_first_fill  INTEGER CHECK (time_to_first_fill >= 0),
    time_to_full_fill   INTEGER CHECK (time_to_full_fill >= time_to_first_fill),
    walks               INTEGER NOT NULL CHECK (walks >= 0),
    PRIMARY KEY (execution_id, client_order_id),
    FOREIGN KEY (execution_id, client_order_id) REFERENCES split_orders (execution_id, client_order_id)
) STRICT;

-- The mid so long after a fill, in the fill's outcome; `horizon_s` 0 is the settlement, whose "mid" is the payoff.
-- A mid of NULL was missed, `why` says how. No row: not due yet, or nobody was there.
CREATE TABLE markouts (
    order_id   TEXT NOT NULL,
    fill_id    TEXT NOT NULL,
    horizon_s  INTEGER NOT NULL CHECK (horizon_s >= 0),
    mid        TEXT,
    why        TEXT,
    taken_at   TEXT NOT NULL,
    PRIMARY KEY (order_id, fill_id, horizon_s),
    FOREIGN KEY (order_id, fill_id) REFERENCES fills (order_id, fill_id),
    CHECK ((mid IS NULL) = (why IS NOT NULL))
) STRICT;

-- Exact totals in 10^-7 dollars, positive = gain. `known` of `fills` have their mid; divide by `known_e2` for dollars a
-- contract (in 10^-5).
CREATE VIEW execution_markouts AS
    SELECT f.execution_id, m.horizon_s, count(*) AS fills, count(m.mid) AS known,
           sum(CASE WHEN m.mid IS NOT NULL THEN CAST(replace(f.quantity, '.', '') AS INTEGER) END) AS known_e2,
           sum(CAST(replace(f.quantity, '.', '') AS INTEGER) *
               (CAST(replace(m.mid, '.', '') AS INTEGER) - 10 * CAST(replace(f.price, '.', '') AS INTEGER)))
               AS markout_e7,
           sum(CASE WHEN f.is_taker = 0 THEN CAST(replace(f.quantity, '.', '') AS INTEGER) *
               (CAST(replace(m.mid, '.', '') AS INTEGER) - 10 * CAST(replace(f.price, '.', '') AS INTEGER)) END)
               AS maker_e7
    FROM fills f JOIN markouts m USING (order_id, fill_id)
    GROUP BY f.execution_id, m.horizon_s;

CREATE VIEW child_markouts AS
    SELECT f.execution_id, f.client_order_id, m.horizon_s, count(*) AS fills, count(m.mid) AS known,
           sum(CASE WHEN m.mid IS NOT NULL THEN CAST(replace(f.quantity, '.', '') AS INTEGER) END) AS known_e2,
           sum(CAST(replace(f.quantity, '.', '') AS INTEGER) *
               (CAST(replace(m.mid, '.', '') AS INTEGER) - 10 * CAST(replace(f.price, '.', '') AS INTEGER)))
               AS markout_e7
    FROM fills f JOIN markouts m USING (order_id, fill_id)
    GROUP BY f.execution_id, f.client_order_id, m.horizon_s;

CREATE INDEX fills_by_time ON fills (traded_at);

-- What was expected when a decision acted, what "the last value" would say, and what came. `happened` NULL with a
-- `completed_at` was missed. Dollars a contract, or chances, to 6 decimals.
CREATE TABLE forecasts (
    id            INTEGER PRIMARY KEY,
    execution_id  TEXT NOT NULL,
    ticker        TEXT NOT NULL,
    outcome       TEXT NOT NULL CHECK (outcome = 'yes' OR outcome = 'no'),
    kind          TEXT NOT NULL,
    subject       TEXT,  -- the client order id that a chance of filling is about
    quantity      TEXT,  -- what it was asked for
    made_at       TEXT NOT NULL,
    due_at        TEXT NOT NULL,
    forecast      TEXT NOT NULL,
    last_value    TEXT NOT NULL,
    happened      TEXT,
    completed_at  TEXT,
    CHECK (happened IS NULL OR completed_at IS NOT NULL)
) STRICT;
CREATE INDEX forecasts_open ON forecasts (due_at) WHERE completed_at IS NULL;

-- Own sizes removed. Concentration: the share of a side that stands at its best price. Volume: contracts traded since
-- the engine began to hear of them.
ALTER TABLE order_book_snapshots ADD COLUMN yes_total TEXT;
ALTER TABLE order_book_snapshots ADD COLUMN no_total TEXT;
ALTER TABLE order_book_snapshots ADD COLUMN yes_levels INTEGER;
ALTER TABLE order_book_snapshots ADD COLUMN no_levels INTEGER;
ALTER TABLE order_book_snapshots ADD COLUMN yes_concentration TEXT;
ALTER TABLE order_book_snapshots ADD COLUMN no_concentration TEXT;
ALTER TABLE order_book_snapshots ADD COLUMN spread TEXT;
ALTER TABLE order_book_snapshots ADD COLUMN volume TEXT;
ALTER TABLE order_book_snapshots ADD COLUMN category TEXT;
CREATE INDEX order_book_snapshots_by_market ON order_book_snapshots (ticker, taken_at);
