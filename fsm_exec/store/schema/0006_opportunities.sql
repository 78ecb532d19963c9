-- `edges` becomes the list of opportunities: each edge or order that was accepted, or refused before anything was sent.
-- It was never written to until now, so it is made anew: an order needs no model, and an edge may not be accepted.
DROP TABLE edges;

-- One row an opportunity. Accepted: written with the first save of the execution it became. Refused: `refusal` is the
-- word the caller was told. A request that is made again under its key is the same opportunity, and its last word counts.
-- `volume_24h`: what the exchange last said was traded in 24 hours, in contracts; NULL is unknown, never nothing.
CREATE TABLE edges (
    edge_id            INTEGER PRIMARY KEY,  -- counts up: the newest is never deleted
    created_at         TEXT NOT NULL,
    ticker             TEXT NOT NULL,
    outcome            TEXT NOT NULL CHECK (outcome = 'yes' OR outcome = 'no'),
    method             TEXT NOT NULL,
    quantity           TEXT NOT NULL,
    target_price       TEXT,
    model_probability  TEXT,
    expected_value     TEXT,                    -- dollars per contract after the taker fee
    volume_24h         TEXT,
    key                TEXT UNIQUE,             -- the caller's own; NULL: there was none
    execution_id       TEXT UNIQUE REFERENCES execution_state (execution_id),
    refusal            TEXT,
    CHECK ((execution_id IS NULL) = (refusal IS NOT NULL)),
    CHECK ((model_probability IS NULL) = (expected_value IS NULL))
) STRICT;

-- Whoever is refused may ask without end, so of the refused only those among the newest 100,000 opportunities are kept.
-- The index makes that one step, however many were accepted.
CREATE INDEX edges_refused ON edges (edge_id) WHERE execution_id IS NULL;
CREATE TRIGGER edges_bounded AFTER INSERT ON edges WHEN NEW.execution_id IS NULL
BEGIN
    DELETE FROM edges WHERE edge_id IN (
        SELECT edge_id FROM edges INDEXED BY edges_refused
        WHERE execution_id IS NULL AND edge_id <= NEW.edge_id - 100000
    );
END;

-- What was accepted before. Its edge stands in the request, if it had one; the volume of then is not known any more.
INSERT INTO edges (created_at, ticker, outcome, method, quantity, target_price, model_probability, expected_value,
                   key, execution_id)
    SELECT e.accepted_at, e.ticker, e.outcome, e.method, e.target_quantity, e.target_price,
           CASE WHEN json_valid(s.request) THEN json_extract(s.request, '$.edge.model_probability') END,
           CASE WHEN json_valid(s.request) THEN json_extract(s.request, '$.edge.expected_value') END,
           s.key, e.execution_id
    FROM execution_state e LEFT JOIN submissions s USING (execution_id)
    ORDER BY e.rowid;
