-- No query of a running engine may read a table that grows for as long as the database is used. What is looked for in all
-- of history is kept as a set; what is looked for in a list has an index that holds no more than the list.

-- By IS NOT, so that a state that is damaged is still among the unfinished, as which it was saved.
DROP INDEX execution_state_unfinished;
CREATE INDEX execution_state_unfinished ON execution_state (state)
    WHERE state IS NOT 'filled' AND state IS NOT 'cancelled';
CREATE INDEX execution_state_ended_as ON execution_state (state) WHERE state IN ('filled', 'cancelled');
CREATE INDEX execution_state_quarantined ON execution_state (state) WHERE quarantine IS NOT NULL;
CREATE INDEX account_differences_standing ON account_differences (found_at) WHERE gone_at IS NULL;

-- Books that are deleted after a while, the oldest first.
CREATE INDEX order_book_snapshots_passing ON order_book_snapshots (taken_at) WHERE why = 'interval' OR why = 'decision';

-- The executions that have ended and whose cost is not reckoned yet.
CREATE TABLE unscored_executions (
    execution_id  TEXT PRIMARY KEY REFERENCES execution_state (execution_id) ON DELETE CASCADE
) STRICT;
INSERT INTO unscored_executions (execution_id)
    SELECT execution_id FROM execution_state e WHERE state IN ('filled', 'cancelled')
    AND NOT EXISTS (SELECT 1 FROM execution_metrics x WHERE x.execution_id = e.execution_id);
CREATE TRIGGER executions_ended AFTER UPDATE OF state ON execution_state
    WHEN NEW.state IN ('filled', 'cancelled') AND OLD.state NOT IN ('filled', 'cancelled')
BEGIN
    INSERT OR IGNORE INTO unscored_executions (execution_id) SELECT NEW.execution_id
        WHERE NOT EXISTS (SELECT 1 FROM execution_metrics WHERE execution_id = NEW.execution_id);
END;
CREATE TRIGGER executions_ended_at_once AFTER INSERT ON execution_state WHEN NEW.state IN ('filled', 'cancelled')
BEGIN
    INSERT OR IGNORE INTO unscored_executions (execution_id) SELECT NEW.execution_id
        WHERE NOT EXISTS (SELECT 1 FROM execution_metrics WHERE execution_id = NEW.execution_id);
END;
CREATE TRIGGER executions_scored AFTER INSERT ON execution_metrics
BEGIN
    DELETE FROM unscored_executions WHERE execution_id = NEW.execution_id;
END;

-- The markets with fills whose settlement (the markout of horizon 0) is not stored, and how many there are of each. A
-- number and not a mark: to look whether a fill was the last one would take the longer the more a market has.
CREATE TABLE unsettled_markets (
    ticker  TEXT PRIMARY KEY,
    fills   INTEGER NOT NULL CHECK (fills >= 0)
) STRICT;
INSERT INTO unsettled_markets (ticker, fills)
    SELECT e.ticker, count(*) FROM fills f JOIN execution_state e USING (execution_id) WHERE NOT EXISTS (
        SELECT 1 FROM markouts m WHERE m.order_id = f.order_id AND m.fill_id = f.fill_id AND m.horizon_s = 0)
    GROUP BY e.ticker;
CREATE TRIGGER fills_unsettled AFTER INSERT ON fills
BEGIN
    INSERT INTO unsettled_markets (ticker, fills)
        SELECT ticker, 1 FROM execution_state WHERE execution_id = NEW.execution_id
        ON CONFLICT (ticker) DO UPDATE SET fills = fills + 1;
END;
CREATE TRIGGER fills_gone AFTER DELETE ON fills
BEGIN
    UPDATE unsettled_markets SET fills = fills - 1
        WHERE ticker = (SELECT ticker FROM execution_state WHERE execution_id = OLD.execution_id);
    DELETE FROM unsettled_markets
        WHERE ticker = (SELECT ticker FROM execution_state WHERE execution_id = OLD.execution_id) AND fills = 0;
END;
CREATE TRIGGER fills_settled AFTER INSERT ON markouts WHEN NEW.horizon_s = 0
BEGIN
    UPDATE unsettled_markets SET fills = fills - 1 WHERE ticker = (
        SELECT e.ticker FROM fills f JOIN execution_state e USING (execution_id)
        WHERE f.order_id = NEW.order_id AND f.fill_id = NEW.fill_id);
    DELETE FROM unsettled_markets WHERE fills = 0 AND ticker = (
        SELECT e.ticker FROM fills f JOIN execution_state e USING (execution_id)
        WHERE f.order_id = NEW.order_id AND f.fill_id = NEW.fill_id);
END;
CREATE TRIGGER fills_not_settled_after_all AFTER DELETE ON markouts WHEN OLD.horizon_s = 0
BEGIN
    INSERT INTO unsettled_markets (ticker, fills)
        SELECT e.ticker, 1 FROM fills f JOIN execution_state e USING (execution_id)
        WHERE f.order_id = OLD.order_id AND f.fill_id = OLD.fill_id
        ON CONFLICT (ticker) DO UPDATE SET fills = fills + 1;
END;
