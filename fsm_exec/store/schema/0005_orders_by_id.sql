-- A fill of an order that nobody in memory has is looked up by the exchange's id of that order (store/recovery.py).
-- Without this the whole table is read for it, while every save waits. Orders without an id, which have no fill to be
-- looked up, cost nothing.
CREATE INDEX split_orders_by_order ON split_orders (order_id) WHERE order_id IS NOT NULL;
