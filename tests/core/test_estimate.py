"""An estimate is a weighing of what the market shows, by a fitted table; outside of what was fitted it says why not."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest
from msgspec.structs import replace

from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.costs.estimate import MethodEstimate, ProposedOrder, estimate, taking_cost
from fsm_exec.core.costs.estimate_table import (
    EstimateCell,
    EstimateTable,
    MethodTable,
    Range,
    Weights,
    decode_table,
    encode_table,
)
from fsm_exec.core.costs.market_features import FEATURES, MarketFeatures, market_features
from fsm_exec.core.errors import UserError
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.signals.signals import Signals
from fsm_exec.core.values.units import LINEAR_CENT, PPM, CountE2, PriceE4

FEES = FeeTerms(taker_e10=700_000_000, maker_e10=0)
S = 1_000_000

VIEW = MarketView(
    at_us=0,
    book_seq=1,
    feed="live",
    feed_age_us=0,
    status="open",
    grid=LINEAR_CENT,
    bids=((PriceE4(4_800), CountE2(10_000)),),
    asks=((PriceE4(5_000), CountE2(1_000)), (PriceE4(5_100), CountE2(3_000))),
    mid_e5=49_000,
    spread_e4=200,
    signals=Signals(at_us=0, observed_us=100 * S, book_events=200, mid_deviation_e5=1_500),
)
ASKED = ProposedOrder(quantity_e2=CountE2(2_000), horizon_us=90 * S, worst_e4=PriceE4(5_500))


def constant(value: int) -> Weights:
    return Weights(value, (0,) * len(FEATURES))


def cell(horizon_s: int, cost: int) -> EstimateCell:
    """Its interval reaches half a cent down, and up by as much as the mid is unquiet."""
    return EstimateCell(
        horizon_us=horizon_s * S,
        executions=horizon_s,
        cost=constant(cost),
        low=constant(cost - 500),
        high=Weights(cost, (0, 0, PPM, 0, 0, 0)),
        filled=constant(1_000_000),
        complete=constant(0),
        resting=constant(-1_000_000),
    )


TABLE = EstimateTable(
    version=1,
    fitted_on=date(2026, 11, 30),
    features=FEATURES,
    conditions={},
    sources=(),
    methods={
        "walker@1": MethodTable(
            settings="",
            quantity_e2=Range(1_000, 5_000),
            spread_e4=Range(100, 800),
            mid_e5=Range(10_000, 90_000),
            room_e4=Range(550, 600),
            cells=(cell(60, 1_000), cell(120, 3_000)),
        )
    },
)


def one(view: MarketView = VIEW, asked: ProposedOrder = ASKED, method: str = "walker@1") -> MethodEstimate:
    return estimate(view, FEES, asked, [method], TABLE)[0]


def test_the_features_are_as_they_are_said_to_be() -> None:
    """Twenty contracts at 50 and 51 cents with fees, half the spread, the unrest, ln 2, ln 3, ln 6: by hand."""
    found = market_features(VIEW, FEES, CountE2(2_000), PriceE4(5_500))
    fee_e6 = 10 * 17_500 + 10 * 17_493
    assert found == MarketFeatures(
        taking_e5=(10 * 500_000 + 10 * 510_000 + fee_e6) * 10 // 2_000 - 49_000,
        half_e5=1_000,
        unrest_e5=1_500,
        size_ppm=693_147,
        pace_ppm=1_098_612,
        room_ppm=1_791_759,
    )


def test_between_two_horizons_both_are_weighed() -> None:
    """Half way from 60 to 120 seconds, half of each; chances come from the normal distribution."""
    found = one()
    assert (found.cost_e5, found.low_e5, found.high_e5) == (2_000, 1_500, 3_500)
    assert found.complete_ppm == pytest.approx(500_000, abs=5)
    assert found.filled_ppm == pytest.approx(841_345, abs=5)
    assert found.resting_ppm == pytest.approx(158_655, abs=5)
    assert found.executions == 60
    for horizon_s, cost in ((60, 1_000), (120, 3_000)):
        assert one(asked=replace(ASKED, horizon_us=horizon_s * S)).cost_e5 == cost


@pytest.mark.parametrize(
    ("view", "asked", "word"),
    [
        (VIEW, replace(ASKED, horizon_us=60 * S - 1), "horizon"),
        (VIEW, replace(ASKED, horizon_us=120 * S + 1), "horizon"),
        (VIEW, replace(ASKED, quantity_e2=CountE2(999)), "quantity"),
        (VIEW, replace(ASKED, quantity_e2=CountE2(5_001)), "quantity"),
        (VIEW, replace(ASKED, quantity_e2=CountE2(0)), "quantity"),
        (VIEW, replace(ASKED, worst_e4=PriceE4(5_449)), "limit"),
        (VIEW, replace(ASKED, worst_e4=PriceE4(5_501)), "limit"),
        (VIEW, replace(ASKED, worst_e4=PriceE4(4_900)), "limit"),
        (replace(VIEW, feed="stale"), ASKED, "book"),
        (replace(VIEW, asks=()), ASKED, "book"),
        (replace(VIEW, signals=None), ASKED, "observation"),
        (replace(VIEW, signals=Signals(at_us=0, observed_us=59 * S)), ASKED, "observation"),
        (replace(VIEW, bids=((PriceE4(4_100), CountE2(100)),)), ASKED, "spread"),
        (
            replace(VIEW, bids=((PriceE4(9_500), CountE2(1)),), asks=((PriceE4(9_700), CountE2(1)),)),
            replace(ASKED, worst_e4=PriceE4(9_900)),
            "price",
        ),
    ],
)
def test_outside_of_the_fit_there_is_no_basis(view: MarketView, asked: ProposedOrder, word: str) -> None:
    """One step beyond each range, and what is missing, each has its word and no figure beside it."""
    assert one(view, asked) == MethodEstimate(method="walker@1", no_basis=word)  # type: ignore[arg-type]


def test_each_end_of_a_range_is_inside() -> None:
    """The smallest and the largest that were fitted have an answer."""
    for asked in (
        replace(ASKED, quantity_e2=CountE2(1_000)),
        replace(ASKED, quantity_e2=CountE2(5_000)),
        replace(ASKED, worst_e4=PriceE4(5_450)),
        replace(ASKED, horizon_us=120 * S),
    ):
        assert one(asked=asked).no_basis is None


def test_a_method_that_was_not_fitted_has_no_basis() -> None:
    """Every method asked about gets an answer, in its place."""
    found = estimate(VIEW, FEES, ASKED, ["walker@2", "walker@1"], TABLE)
    assert [(each.method, each.no_basis) for each in found] == [("walker@2", "method"), ("walker@1", None)]


def test_taking_stops_at_the_limit() -> None:
    """What is dearer than the worst price is not on offer; nothing is on a book that is not live."""
    found = taking_cost(VIEW, FEES, CountE2(2_000), PriceE4(5_050))
    assert (found.count_e2, found.cost_e6, found.fee_e6) == (1_000, 5_175_000, 175_000)
    assert found.above_mid_e5 == 2_750
    deeper = taking_cost(VIEW, FEES, CountE2(2_000), PriceE4(5_100))
    assert deeper.count_e2 == 2_000
    assert deeper.above_mid_e5 is not None
    assert deeper.above_mid_e5 > found.above_mid_e5
    stale = taking_cost(replace(VIEW, feed="stale"), FEES, CountE2(2_000), PriceE4(5_100))
    assert (stale.count_e2, stale.cost_e6, stale.above_mid_e5) == (0, 0, None)


def test_a_table_is_what_it_was_after_writing_and_reading() -> None:
    """The same table gives the same bytes."""
    text = encode_table(TABLE)
    assert decode_table(text, "here") == TABLE
    assert encode_table(decode_table(text, "here")) == text


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": 2}, "it is of version 2, not 1"),
        ({"features": ("half",)}, "it weighs half, not taking, half, unrest, size, pace, room"),
        ({"methods": {"a@1": replace(TABLE.methods["walker@1"], cells=())}}, "method a@1 has no horizon"),
        (
            {"methods": {"a@1": replace(TABLE.methods["walker@1"], cells=(cell(120, 1), cell(60, 1)))}},
            "the horizons of method a@1 do not ascend",
        ),
        (
            {"methods": {"a@1": replace(TABLE.methods["walker@1"], cells=(replace(cell(1, 1), low=Weights(1, ())),))}},
            "method a@1 has 0 weights, not 6",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(change: dict[str, object], why: str) -> None:
    """One line names the file, what is wrong and what to do."""
    text = msgspec.json.encode(replace(TABLE, **change))
    with pytest.raises(UserError, match=f"^here: {why}; fit it again$"):
        decode_table(text, "here")


@pytest.mark.parametrize("text", [b"", b"[]", b'{"version": 1}', b'{"version": NaN}', b"\xff"])
def test_what_is_no_table_is_refused(text: bytes) -> None:
    """Nothing is let through because it cannot be read."""
    with pytest.raises(UserError, match="here is no table of estimates"):
        decode_table(text, "here")
