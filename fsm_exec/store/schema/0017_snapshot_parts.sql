-- What is over in a long execution, each written once: its snapshot in execution_state is the head, these are its parts.
-- An order's number is its place among the execution's orders, from 0: "17" is the order, "17.fills.0" the oldest of its
-- fills. An execution of the usual size has none.
CREATE TABLE snapshot_parts (
    execution_id  TEXT NOT NULL REFERENCES execution_state (execution_id),
    name          TEXT NOT NULL,
    body          TEXT NOT NULL,  -- JSON
    checksum      TEXT NOT NULL CHECK (length(checksum) = 16),
    PRIMARY KEY (execution_id, name)
) STRICT;
