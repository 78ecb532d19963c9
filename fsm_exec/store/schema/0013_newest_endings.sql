-- What ended last, and how many have not: neither may read every execution there ever was.
CREATE INDEX execution_state_ended ON execution_state (updated_at) WHERE state IN ('filled', 'cancelled');
CREATE INDEX execution_state_unfinished ON execution_state (execution_id) WHERE state NOT IN ('filled', 'cancelled');
