"""A hundred executions on twenty markets under the Basic tier's budget: the whole engine on the paper exchange."""

from __future__ import annotations

import pytest

from tests.benchmarks.many import WALKERS, Crowd, work

GRACE_US = 5_000_000
EXECUTIONS, MARKETS = 100, 20
PATIENCE_US = 2_000_000  # of a cancel: a round trip, and the tokens of a hundred others


@pytest.mark.parametrize("submitted_within_s", [10, 1], ids=["spread out", "all at once"])
def test_the_budget_is_kept_and_so_is_every_deadline(submitted_within_s: int) -> None:
    """Nothing is answered with 429, every execution ends within the grace of its deadline with nothing left at the
    exchange, and no cancel waits behind new orders; also when all deadlines come at the same moment."""
    crowd = Crowd(EXECUTIONS, MARKETS, WALKERS, horizon_s=60, submitted_within_s=submitted_within_s)
    result = work(crowd)
    assert len(result.executions) == EXECUTIONS
    assert (result.refused_429, result.quarantined, result.orders_left) == (0, 0, 0)
    assert all(execution.is_ended for execution in result.executions)
    assert max(result.late_us) <= GRACE_US
    assert result.cancel_us <= PATIENCE_US
    assert result.reasons["deadline"] > 0, "no deadline came: the test says nothing about them"
    assert sum(execution.filled_e2 for execution in result.executions) > 0
