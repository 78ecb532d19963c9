-- What the exchange's programmes pay for resting orders and for volume: an estimate until it pays, and part of no books.

-- A programme of a market that was worked, as the exchange last listed it. NULL: it does not state that.
CREATE TABLE incentive_programs (
    program_id       TEXT PRIMARY KEY,
    ticker           TEXT NOT NULL,
    kind             TEXT NOT NULL,
    starts_at        TEXT NOT NULL,
    ends_at          TEXT NOT NULL,
    period_reward    TEXT NOT NULL,  -- dollars, for all accounts together
    max_reward       TEXT,           -- dollars, for one account
    target_size      TEXT,
    discount_factor  TEXT,           -- of a tick
    description      TEXT NOT NULL,
    listed_at        TEXT NOT NULL
) STRICT;

-- What an execution is estimated to have earned of one of them, in 10^-12 dollars; `seconds`: in so many it was scored.
CREATE TABLE execution_rewards (
    execution_id  TEXT NOT NULL REFERENCES execution_state (execution_id),
    program_id    TEXT NOT NULL REFERENCES incentive_programs (program_id),
    seconds       INTEGER NOT NULL CHECK (seconds >= 0),
    earned_e12    INTEGER NOT NULL CHECK (earned_e12 >= 0),
    updated_at    TEXT NOT NULL,
    PRIMARY KEY (execution_id, program_id)
) STRICT;

-- Parts of the cost beside the shortfall, which stays what was paid and billed; NULL is unknown.
ALTER TABLE execution_metrics ADD COLUMN liquidity_reward_e7 INTEGER CHECK (liquidity_reward_e7 <= 0);
ALTER TABLE execution_metrics ADD COLUMN volume_reward_e7 INTEGER CHECK (volume_reward_e7 <= 0);
