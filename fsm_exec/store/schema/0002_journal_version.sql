-- Which version of `core.upcasting` wrote each row of the journal: an older row is raised to today's when it is read.
-- All that was written before this column was of version 1.
ALTER TABLE execution_events ADD COLUMN version INTEGER NOT NULL DEFAULT 1 CHECK (version >= 1);
