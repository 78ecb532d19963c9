-- For how long, of its time, an execution could not act at the exchange, and why; NULL: it could, as far as is known.
ALTER TABLE execution_state ADD COLUMN note TEXT;
