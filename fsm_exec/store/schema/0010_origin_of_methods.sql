-- The package that a method's algorithm came with when the row was written, and its version, so that what is missing later
-- can be named. NULL: the algorithm ships with fsm-exec, as all did before this column.
ALTER TABLE methods ADD COLUMN distribution TEXT;
ALTER TABLE methods ADD COLUMN distribution_version TEXT;
