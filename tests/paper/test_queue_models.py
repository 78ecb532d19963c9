"""What a decrease of the tape does to our place: nothing (conservative) or its share (proportional)."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm_exec.core.values.units import CountE2
from fsm_exec.paper.matching_engine.orders import Order
from fsm_exec.paper.matching_engine.price_level import PriceLevel, QueueModel
from tests.paper.support import Floor, count, delta, snapshot, trade


class ModelFloor(Floor):
    """A floor with one queue model, its book open: 100 bid at 0.40."""

    def __init__(self, queue_model: QueueModel) -> None:
        super().__init__(queue_model=queue_model)
        self.play(snapshot([("0.40", "100"), ("0.38", "50")], [("0.55", "80")]))

    def ahead(self, order_id: str) -> int:
        return self.exchange.orders[order_id].ahead_e2


def test_a_market_is_conservative_unless_told_otherwise() -> None:
    """Half of a level cancelled, and still all of what is left stands before us."""
    floor = Floor()
    floor.play(snapshot([("0.40", "100")], [("0.55", "80")]))
    ours = floor.bid("0.40", "10")
    floor.play(delta("yes", "0.40", "100"), delta("yes", "0.40", "-100"))
    assert floor.exchange.orders[ours.order_id].ahead_e2 == count("100")


@pytest.mark.parametrize(("queue_model", "ahead"), [("conservative", "100"), ("proportional", "70")])
def test_a_cancel_falls_on_both_parts_in_proportion(queue_model: QueueModel, ahead: str) -> None:
    """100 ahead of us and 300 behind: of 120 cancelled, 30 were ahead. A taker of 75 then shows the difference."""
    floor = ModelFloor(queue_model)
    ours = floor.bid("0.40", "10")
    floor.play(delta("yes", "0.40", "300"), delta("yes", "0.40", "-120"))
    assert floor.ahead(ours.order_id) == count(ahead)
    floor.play(trade("no", "0.40", "75"))
    assert floor.filled(ours) == (count("5") if queue_model == "proportional" else 0)


@pytest.mark.parametrize("queue_model", get_args(QueueModel))
def test_a_trade_moves_us_once(queue_model: QueueModel) -> None:
    """The decrease that follows a trade is explained by it."""
    floor = ModelFloor(queue_model)
    ours = floor.bid("0.40", "10")
    floor.play(delta("yes", "0.40", "100"), trade("no", "0.40", "40"), delta("yes", "0.40", "-40"))
    assert floor.ahead(ours.order_id) == count("60")


def test_only_what_trades_do_not_explain_is_shared() -> None:
    """A trade of 40, then 100 less in two steps: 60 were cancelled, of the 60 ahead and the 100 behind."""
    floor = ModelFloor("proportional")
    ours = floor.bid("0.40", "10")
    floor.play(delta("yes", "0.40", "100"), trade("no", "0.40", "40"))
    floor.play(delta("yes", "0.40", "-30"))
    assert floor.ahead(ours.order_id) == count("60")
    floor.play(delta("yes", "0.40", "-70"))
    assert floor.ahead(ours.order_id) == 6_000 - 6_000 * 6_000 // 16_000


def test_each_of_our_orders_has_its_own_share() -> None:
    """The later order had more ahead of it, so more of the cancelled came from there; their order stays."""
    floor = ModelFloor("proportional")
    first = floor.bid("0.40", "10")
    floor.play(delta("yes", "0.40", "100"))
    second = floor.bid("0.40", "10")
    floor.play(delta("yes", "0.40", "-50"))
    assert (floor.ahead(first.order_id), floor.ahead(second.order_id)) == (count("75"), count("150"))


def test_a_fraction_of_a_hundredth_stays_ahead() -> None:
    """One of three hundredths cancelled, two of them ahead of us: two thirds, so none, is taken from our queue, and
    what then would be too much is cut to what is there."""
    floor = ModelFloor("proportional")
    floor.play(delta("yes", "0.40", "-99.98"))
    ours = floor.bid("0.40", "10")
    floor.play(delta("yes", "0.40", "0.01"), delta("yes", "0.40", "-0.01"))
    assert floor.ahead(ours.order_id) == 2


def test_a_snapshot_forgets_trades_without_their_decrease() -> None:
    """A cancel after it is a cancel."""
    floor = ModelFloor("proportional")
    ours = floor.bid("0.40", "10")
    floor.play(trade("no", "0.40", "20"), snapshot([("0.40", "160")], [("0.55", "80")]))
    floor.play(delta("yes", "0.40", "-80"))
    assert floor.ahead(ours.order_id) == count("40")


STEPS = st.lists(st.tuples(st.sampled_from(["grow", "shrink", "trade", "join"]), st.integers(1, 500)), max_size=40)


@given(STEPS)
def test_proportional_is_never_worse_and_never_out_of_order(steps: list[tuple[str, int]]) -> None:
    """Whatever happens: at least 0 and at most the background ahead, earlier orders before later ones, and every
    order at least as far forward as under the conservative model."""
    careful, sharing = PriceLevel("conservative"), PriceLevel("proportional")
    for kind, size in steps:
        for level in (careful, sharing):
            _STEPS[kind](level, size)
        assert (careful.recorded_e2, careful.background_e2) == (sharing.recorded_e2, sharing.background_e2)
        ahead = [order.ahead_e2 for order in sharing.orders]
        assert ahead == sorted(ahead)
        assert all(0 <= each <= sharing.background_e2 for each in ahead)
        assert all(mine <= other.ahead_e2 for mine, other in zip(ahead, careful.orders, strict=True))


def _trade(level: PriceLevel, size: int) -> None:
    """As far as the background goes, followed by its decrease, as on a tape."""
    part = min(size, level.background_e2)
    level.record_trade(part)
    level.advance(part)
    level.remove(part)


_STEPS: dict[str, Callable[[PriceLevel, int], None]] = {
    "grow": PriceLevel.add,
    "shrink": lambda level, size: level.remove(min(size, level.recorded_e2)),
    "trade": _trade,
    "join": lambda level, size: level.join(_order(size)),
}


def _order(size: int) -> Order:
    floor = Floor()
    floor.play(snapshot([("0.40", "100")], [("0.55", "80")]))
    order = floor.exchange.orders[floor.bid("0.40", "1").order_id]
    order.remaining_e2 = CountE2(size)
    return order
