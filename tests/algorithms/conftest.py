"""What the tests of single algorithms share: a goal, a view and a progress, changed where a test says so."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from fsm_exec.algorithms import SHIPPED_FAMILIES, Method
from fsm_exec.core.algorithm.algorithm import Action, Goal, Progress, SliceProgress, Working
from fsm_exec.core.algorithm.market_view import MarketView, mid_of
from fsm_exec.core.market.book import Ladder
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.values.units import LINEAR_CENT, CountE2, PriceE4, PriceGrid

S = 1_000_000
HORIZON_S = 100


def ladder(*levels: tuple[int, int]) -> Ladder:
    """Prices in ten-thousandths of a dollar, counts in contracts."""
    return tuple((PriceE4(price), CountE2(count * 100)) for price, count in levels)


class Desk:
    """One method under test, and what it is asked about: 10 contracts, bid 0.40, ask 0.50, horizon 100 s."""

    def __init__(self, name: str, settings: Mapping[str, object] | None = None) -> None:
        self.method: Method = SHIPPED_FAMILIES[name].method(name, 1, settings or {})
        self.view = self.book(ladder((4_000, 20)), ladder((5_000, 20)))
        self.goal = self.goal_of()

    def book(self, bids: Ladder, asks: Ladder, **changes: object) -> MarketView:
        two_sided = bool(bids and asks)
        view = MarketView(
            at_us=0,
            book_seq=1,
            feed="live",
            feed_age_us=0,
            status="open",
            grid=LINEAR_CENT,
            bids=bids,
            asks=asks,
            mid_e5=mid_of(bids[0][0], asks[0][0]) if two_sided else None,
            spread_e4=asks[0][0] - bids[0][0] if two_sided else None,
        )
        return replace(view, **changes)

    def goal_of(
        self, *, contracts: int = 10, target: int = 4_500, worst: int = 6_000, grid: PriceGrid = LINEAR_CENT,
        arrival: MarketView | None = None,
    ) -> Goal:  # fmt: skip
        fees = FeeTerms(700_000_000, 0)
        return Goal(
            target_e2=CountE2(contracts * 100),
            limits=resolve_limits(PriceE4(target), grid, fees, worst=PriceE4(worst)),
            accepted_at_us=0,
            deadline_us=HORIZON_S * S,
            grid=grid,
            fees=fees,
            arrival=self.view if arrival is None else arrival,
        )

    def progress(self, *parts: SliceProgress, at_s: float = 0, walks: int = 0, writes: int = 0) -> Progress:
        """Nothing done yet, unless told."""
        slices = parts or tuple(
            fresh(part.level, part.count_e2) for part in self.method.plan(self.goal, self.goal.arrival)
        )
        return Progress(goal=self.goal, at_us=round(at_s * S), walks=walks, writes=writes, slices=slices)

    def wishes(self, *parts: SliceProgress, at_s: float = 0, walks: int = 0, writes: int = 0) -> tuple[Action, ...]:
        return self.method.replan(self.progress(*parts, at_s=at_s, walks=walks, writes=writes), self.view)


def fresh(level: int, count_e2: int) -> SliceProgress:
    count = CountE2(count_e2)
    return SliceProgress(
        level=level,
        count_e2=count,
        filled_e2=CountE2(0),
        free_e2=count,
        sent=0,
        last_placed_at_us=None,
        working=None,
    )


def resting(
    price: int, *, contracts: int = 10, since_s: float = 0, walks: int = 0, busy: bool = False
) -> SliceProgress:
    """Slice 1 with all of it in one order."""
    count, since_us = CountE2(contracts * 100), round(since_s * S)
    order = Working(
        price_e4=PriceE4(price),
        count_e2=count,
        filled_e2=CountE2(0),
        busy=busy,
        post_only=True,
        placed_at_us=since_us,
        moved_at_us=since_us,
        walks=walks,
    )
    return replace(fresh(1, count), free_e2=CountE2(0), sent=1, last_placed_at_us=since_us, working=order)


class Maker:
    desk = staticmethod(Desk)
    fresh = staticmethod(fresh)
    resting = staticmethod(resting)
    ladder = staticmethod(ladder)


@pytest.fixture(scope="session")
def make() -> Maker:
    return Maker()
