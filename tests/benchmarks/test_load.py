"""Each algorithm with a hundred executions at once under the Basic tier: what it writes, and whether it is in time."""

from __future__ import annotations

import statistics

import pytest

from tests.benchmarks.many import Crowd, work

GRACE_US = 5_000_000
METHODS = (
    "simple_limit",
    "market",
    "basic",
    "adaptive_limit",
    "twap",
    "volume_weighted",
    "dynamic_depth_walker",
    "deadline_walker",
)


@pytest.mark.parametrize("name", METHODS)
def test_a_hundred_of_one_algorithm(name: str, figures: list[str]) -> None:
    """No 429, no deadline missed; what could not be written in time was not written, and is counted."""
    result = work(Crowd(100, 20, (name,), horizon_s=60))
    writes = result.writes(name)
    figures.append(
        f"100 x {name}: {statistics.mean(writes):.1f} writes each (most {max(writes)}), "
        f"{result.tokens_given_up} not sent for want of tokens, longest cancel {result.cancel_us / 1_000:.0f} ms, "
        f"{result.rows / result.seconds:,.0f} durable steps/s, {result.virtual_s / result.seconds:.0f} virtual s/s"
    )
    assert (result.refused_429, result.quarantined, result.orders_left) == (0, 0, 0)
    assert max(result.late_us) <= GRACE_US
