"""No algorithm is restless: with the market standing still, it soon has nothing left to wish for."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsm_exec.algorithms import SHIPPED_FAMILIES, Method
from fsm_exec.core.edge import Edge
from fsm_exec.core.orders import AmendOrder, CancelOrder, PlaceOrder
from fsm_exec.core.units import LINEAR_CENT, CountE2, MoneyE6, PriceE4
from fsm_exec.lab.algorithm_checks.stage import Frame, Stage, submitted

S = 1_000_000
HORIZON_S = 60
WRITES_MAX = 16


@pytest.mark.parametrize("name", sorted(set(SHIPPED_FAMILIES) - {"seed_walker"}))
@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    bid=st.integers(5, 80),
    spread=st.integers(1, 12),
    target=st.integers(-8, 8),
    room=st.integers(0, 10),
    contracts=st.sampled_from([1, 3, 7, 20, 100]),
)
def test_in_a_book_that_stands_still_no_two_states_alternate(
    name: str, seed: int, bid: int, spread: int, target: int, room: int, contracts: int
) -> None:
    """Few writes in a minute; an order's price never turns back, and none is cancelled only to come again."""
    frame = Frame(
        bids=((PriceE4(bid * 100), CountE2(5_000)), (PriceE4(bid * 100 - 100), CountE2(7_000))),
        asks=((PriceE4((bid + spread) * 100), CountE2(200)),),
    )
    target_e4 = min(max(bid + target, 1), 95) * 100
    first = submitted(
        contracts * 100,
        frame,
        horizon_us=HORIZON_S * S,
        target_e4=target_e4,
        worst_e4=min(target_e4 + room * 100, 9_900),
        grid=LINEAR_CENT,
        edge=Edge(probability_ppm=600_000, expected_value_e6=MoneyE6(200_000)),
    )

    def fresh() -> Method:
        return SHIPPED_FAMILIES[name].method(name, 1, {})

    stage = Stage(first=first, frame_at=lambda step: frame, fresh=fresh, dice=Random(seed))
    stage.run()
    taking = sum(isinstance(w, PlaceOrder) and w.time_in_force == "immediate_or_cancel" for w in stage.sent)
    assert len(stage.sent) - taking <= WRITES_MAX
    for level in {part.level for part in stage.execution.slices}:
        prices = [w.price_e4 for w in stage.sent if _resting_price(w) and f"-{level}-" in w.client_order_id]  # type: ignore[union-attr]
        assert all(later > earlier for earlier, later in pairwise(prices)), prices
    closing = stage.execution.closing
    early = [w for w in stage.sent if isinstance(w, CancelOrder)]
    assert closing is not None or len(early) <= len(stage.execution.slices)


def _resting_price(write: PlaceOrder | AmendOrder | CancelOrder) -> bool:
    return isinstance(write, AmendOrder) or (
        isinstance(write, PlaceOrder) and write.time_in_force == "good_till_canceled"
    )
