-- A fill has two names at the exchange, that of its trade and that of its row in the listing, which may differ. `fill_id`
-- is the name it was first counted by and stays; `trade_id` and `listed_id` are the others, NULL where they are not known
-- or, of the latter, no other than `fill_id`. A trade is counted once for an order. Of fills of before only one name is
-- known, and nobody knows which.
ALTER TABLE fills ADD COLUMN trade_id TEXT;
ALTER TABLE fills ADD COLUMN listed_id TEXT;
CREATE UNIQUE INDEX fills_by_trade ON fills (order_id, trade_id) WHERE trade_id IS NOT NULL;

-- A fill that the exchange's listings do not have is taken back, and what was measured of it with it.
CREATE TRIGGER fills_taken_back BEFORE DELETE ON fills
BEGIN
    DELETE FROM markouts WHERE order_id = OLD.order_id AND fill_id = OLD.fill_id;
END;

-- The exchange's own words at its last refusal; NULL: it has refused nothing.
ALTER TABLE execution_state ADD COLUMN refusal TEXT;
