-- What a row of the journal tells to whoever watches is kept with it, and its place among the rows of all executions:
-- so it tells the same whenever it is asked, and a reader goes on after any row without a hole or a repeat.
--
-- `position` counts up in the order of the commits; rows are never deleted. The rowid that the table had until now
-- could have been changed by a VACUUM. `state` and `reason` are those after the step, NULL in rows from before this
-- column; `fills` is JSON: "fills" that the step counted, "corrected" ones that were counted already and say this now,
-- "gone" ones that were taken back. NULL: none of all.
CREATE TABLE journal (
    position      INTEGER PRIMARY KEY,
    execution_id  TEXT NOT NULL REFERENCES execution_state (execution_id),
    seq           INTEGER NOT NULL CHECK (seq >= 1),
    at            TEXT NOT NULL,
    event_type    TEXT NOT NULL,
    event         TEXT NOT NULL,    -- JSON
    intents       TEXT NOT NULL,    -- JSON
    steps         TEXT NOT NULL,    -- the state changes on one line, for people
    version       INTEGER NOT NULL CHECK (version >= 1),
    state         TEXT,
    reason        TEXT,
    fills         TEXT,
    UNIQUE (execution_id, seq)
) STRICT;

INSERT INTO journal (position, execution_id, seq, at, event_type, event, intents, steps, version)
    SELECT rowid, execution_id, seq, at, event_type, event, intents, steps, version
    FROM execution_events ORDER BY rowid;

-- The fills of the rows that were there: each with the first row that speaks of it.
WITH spoken AS (
    SELECT position, json_extract(event, '$.order_id') AS order_id, json_extract(event, '$.fill_id') AS fill_id
    FROM journal WHERE event_type = 'FillReported' AND json_valid(event)
    UNION ALL
    SELECT position, json_extract(one.value, '$.order_id'), json_extract(one.value, '$.fill_id')
    FROM journal, json_each(event, '$.fills') one WHERE event_type = 'Restored' AND json_valid(event)
), counted AS (
    SELECT min(position) AS position, order_id, fill_id FROM spoken GROUP BY order_id, fill_id
), told AS (
    SELECT c.position, json_object('fills', json_group_array(json_object(
               'order_id', f.order_id, 'fill_id', f.fill_id, 'price', f.price, 'quantity', f.quantity, 'fee', f.fee,
               'is_taker', json(CASE f.is_taker WHEN 1 THEN 'true' ELSE 'false' END)))) AS fills
    FROM counted c JOIN fills f USING (order_id, fill_id) GROUP BY c.position
)
UPDATE journal SET fills = told.fills FROM told WHERE journal.position = told.position;

DROP TABLE execution_events;
ALTER TABLE journal RENAME TO execution_events;
