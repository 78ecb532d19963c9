"""What an execution cost: every column by hand, and the decomposition that adds up to the last 10^-7 dollar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fsm_exec.core.costs.message_counts import MessageCounts, count_messages
from fsm_exec.core.costs.metrics import (
    DeadlineBook,
    completion_cost,
    compute_child_metrics,
    compute_metrics,
    unwind_value,
)
from fsm_exec.core.errors import CorruptSnapshot
from fsm_exec.core.execution.execution import ChildOrder, Execution, Fill
from fsm_exec.core.journal.rows import JournalRow
from fsm_exec.core.market.edge import Edge
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.values.units import CountE2, MoneyE6, PriceE4

if TYPE_CHECKING:
    from tests.core.conftest import World

NO_FEES = FeeTerms(0, 0)


def fill(n: int, count: int, price: int, *, at_s: int = 0, fee: int = 0, mid: int | None = 50_000) -> Fill:
    return Fill(
        fill_id=f"f{n}",
        order_id="o1",
        price_e4=PriceE4(price),
        count_e2=CountE2(count),
        fee_e6=MoneyE6(fee),
        is_taker=False,
        traded_at_us=at_s * 1_000_000,
        mid_e5=mid,
    )


def ended(
    world: World, fills: list[Fill], *, late: tuple[Fill, ...] = (), first_mid: int | None = 50_000, walks: int = 0
) -> Execution:
    """An execution for 10 contracts at 0.50, accepted at T0 with a mid of 0.50, that got these fills; times of fills
    are seconds after it."""
    t0_us = world.t0_us
    moved = [replace(f, traded_at_us=t0_us + f.traded_at_us) for f in fills]
    child = ChildOrder(
        client_order_id="c1",
        level=1,
        attempt=1,
        price_e4=PriceE4(5_000),
        count_e2=CountE2(1_000),
        time_in_force="good_till_canceled",
        post_only=False,
        expiration_s=None,
        sent_at_us=t0_us,
        state="cancelled",
        order_id="o1",
        fills=tuple(moved),
        late=tuple(replace(f, traded_at_us=t0_us + f.traded_at_us) for f in late),
        walks=walks,
    )
    never_sent = replace(child, client_order_id="c2", order_id=None, fills=(), late=(), state="rejected")
    start = world.drive().execution
    return replace(
        start,
        children=(child, never_sent),
        first_write_at_us=t0_us,
        first_write_mid_e5=first_mid,
        state="cancelled",
        reason="deadline",
        walks=walks,
    )


def book(
    world: World,
    asks: tuple[tuple[int, int], ...] = ((5_200, 1_000),),
    bids: tuple[tuple[int, int], ...] = ((4_800, 1_000),),
    *,
    fresh: bool = True,
) -> DeadlineBook:
    return DeadlineBook(bids=world.ladder(*bids), asks=world.ladder(*asks), mid_e5=50_000, fresh=fresh)


def test_every_column_by_hand(world: World) -> None:
    """Six of ten contracts bought in two fills, with a walk; the other four completed at 0.52 and its fee."""
    execution = ended(
        world,
        [fill(1, 200, 4_900, at_s=3, fee=5_000, mid=49_500), fill(2, 400, 5_000, at_s=31, fee=7_000, mid=51_000)],
        first_mid=50_500,
        walks=2,
    )
    row = compute_metrics(execution, book(world))
    assert (row.target_quantity, row.filled_quantity, row.fill_rate) == ("10.00", "6.00", "0.600000")
    assert (row.target_price, row.average_fill_price, row.slippage) == ("0.5000", "0.496667", "-0.006667")
    assert (row.time_to_first_fill, row.time_to_full_fill) == (3, None)
    assert (row.walks_executed, row.splits_used) == (2, 1)
    assert (row.arrival_mid, row.fees) == ("0.50000", "0.012000")
    # In dollars: delay 10 x 0.005; spread 2 x (0.49 - 0.495) + 4 x (0.50 - 0.51); drift 2 x (0.495 - 0.505) +
    # 4 x (0.51 - 0.505); completion 4 x 0.52 + 0.07 x 4 x 0.52 x 0.48 = 2.149888, less 4 x 0.505.
    assert row.delay_e7 == 500_000
    assert row.spread_e7 == -100_000 - 400_000
    assert row.drift_e7 == -200_000 + 200_000
    assert row.fees_e7 == 120_000
    assert row.opportunity_e7 == 21_498_880 - 20_200_000
    assert row.over_fill_e7 == 0
    # 2 x 0.49 + 4 x 0.50 + 0.012 + 2.149888 = 5.141888 for ten contracts, against ten times the mid at arrival.
    assert row.shortfall_e7 == 51_418_880 - 50_000_000
    assert row.shortfall == "0.014189"
    assert row.flags == ""


def test_a_full_fill_needs_no_book(world: World) -> None:
    """Nothing is left to complete; the last fill tells how long it took."""
    execution = ended(world, [fill(2, 700, 5_000, at_s=59), fill(1, 300, 5_000, at_s=7)])
    row = compute_metrics(execution, None)
    assert (row.fill_rate, row.time_to_first_fill, row.time_to_full_fill) == ("1.000000", 7, 59)
    assert (row.opportunity_e7, row.shortfall, row.flags) == (0, "0.000000", "")


def test_nothing_filled_is_unknown_and_not_zero(world: World) -> None:
    """No average, no slippage, no times; the shortfall is the whole completion."""
    row = compute_metrics(ended(world, []), book(world))
    assert (row.filled_quantity, row.fill_rate) == ("0.00", "0.000000")
    assert (row.average_fill_price, row.slippage) == (None, None)
    assert (row.time_to_first_fill, row.time_to_full_fill) == (None, None)
    assert row.shortfall_e7 == row.opportunity_e7 == 10 * (520_000 + 17_472) * 10 - 50_000_000


def test_a_missing_arrival_mid_leaves_the_shortfall_unknown(world: World) -> None:
    """A one-sided book, or a feed that was not live: named, never zero; the fees are still known."""
    for arrival in (world.view(asks=()), world.view(feed="stale")):
        execution = replace(ended(world, [fill(1, 1_000, 5_000, fee=9)]), arrival=arrival)
        row = compute_metrics(execution, book(world))
        assert (row.arrival_mid, row.shortfall, row.delay_e7, row.shortfall_e7) == (None, None, None, None)
        assert (row.fees, row.fees_e7, row.flags) == ("0.000009", 90, "no_arrival_mid")


def test_a_missing_book_at_the_deadline_leaves_the_shortfall_unknown(world: World) -> None:
    """An unfilled rest cannot be priced by nothing."""
    row = compute_metrics(ended(world, []), None)
    assert (row.shortfall, row.opportunity_e7, row.flags) == (None, None, "no_deadline_book")


def test_what_is_not_sure_is_flagged_once(world: World) -> None:
    """Mids that are missing are replaced by the first one; the identity still holds."""
    fills = [fill(1, 100, 4_900, mid=None), fill(2, 100, 4_900, mid=None)]
    row = compute_metrics(
        ended(world, fills, late=(fill(3, 100, 4_900, mid=None),)), book(world, ((5_200, 100),), fresh=False)
    )
    assert sorted(row.flags.split(",")) == ["beyond_depth", "fill_mid_missing", "late_fill", "not_the_deadline_book"]
    assert row.drift_e7 == 0


def test_a_late_fill_counts(world: World) -> None:
    """It was bought; beyond the target it is an over-fill, priced by selling it back."""
    execution = ended(world, [fill(1, 1_000, 5_000, at_s=5)], late=(fill(2, 200, 5_000, at_s=70),))
    row = compute_metrics(execution, book(world))
    assert (row.filled_quantity, row.fill_rate, row.flags) == ("12.00", "1.200000", "late_fill")
    unwound = 2 * 480_000 - 34_944  # two contracts at the bid of 0.48 less the taker's fee
    assert row.over_fill_e7 == 2 * 5_000_000 - unwound * 10
    assert row.time_to_full_fill == 5


def test_completion_beyond_the_visible_depth(world: World) -> None:
    """The rest costs two cents more than the last level, at most 99 cents; an empty side costs the maximum."""
    asks = world.ladder((5_000, 100), (5_100, 100))
    assert completion_cost(asks, CountE2(150), NO_FEES) == (500_000 + 255_000, False)
    assert completion_cost(asks, CountE2(300), NO_FEES) == (500_000 + 510_000 + 530_000, True)
    assert completion_cost(world.ladder((9_800, 100)), CountE2(200), NO_FEES) == (980_000 + 990_000, True)
    assert completion_cost((), CountE2(100), NO_FEES) == (990_000, True)
    assert completion_cost(asks, CountE2(0), NO_FEES) == (0, False)
    assert completion_cost(asks, CountE2(100), world.fees) == (500_000 + 17_500, False)


def test_what_cannot_be_sold_back_brings_nothing(world: World) -> None:
    """Beyond the visible bids."""
    bids = world.ladder((4_800, 100))
    assert unwind_value(bids, CountE2(50), NO_FEES) == 240_000
    assert unwind_value(bids, CountE2(500), world.fees) == 480_000 - 17_472
    assert unwind_value((), CountE2(500), NO_FEES) == 0


def test_a_no_execution_is_judged_in_its_own_outcome(world: World) -> None:
    """The same trade seen from NO: everything core holds is mirrored already, so the figures are those of a buyer."""
    submitted = world.submitted(
        outcome="no",
        target_e4=4_000,
        arrival=world.view(bids=world.ladder((3_900, 100)), asks=world.ladder((4_100, 100))),
    )
    driver = world.drive("simple_limit", submitted)
    driver.place()
    driver.accept()
    driver.fill("f1", 1_000, price_e4=4_000, mid_e5=40_500)
    row = compute_metrics(driver.execution, None)
    assert (row.target_price, row.average_fill_price, row.arrival_mid) == ("0.4000", "0.400000", "0.40000")
    # The first order was decided on a mid of 0.50: ten cents of delay, won back before the fill.
    assert (row.delay_e7, row.spread_e7, row.drift_e7) == (10_000_000, -500_000, -9_500_000)
    assert row.shortfall == "0.000000"


def test_an_execution_without_limits_has_metrics_too(world: World) -> None:
    """It ended at once for want of a book."""
    submitted = replace(world.submitted(arrival=world.view(bids=(), asks=())), limits=None)
    driver = world.drive("simple_limit", submitted)
    assert (driver.state, driver.execution.reason) == ("cancelled", "no_book")
    row = compute_metrics(driver.execution, None)
    assert (row.target_price, row.slippage, row.shortfall, row.splits_used) == (None, None, None, 0)


def test_the_arrival_and_what_was_paid_against_it(world: World) -> None:
    """The book at arrival with its sizes, depth and micro-price; slippage and half-spreads are costs, improvement a
    gain. Half a cent above the mid of a two-cent spread is half a half-spread."""
    arrival = world.view(
        bids=world.ladder((4_900, 300), (4_800, 500), (4_600, 700), (4_500, 50)),
        asks=world.ladder((5_100, 100), (5_300, 900)),
    )
    taken = replace(fill(2, 400, 5_100, fee=70), is_taker=True)
    execution = replace(ended(world, [fill(1, 400, 5_000, fee=30), taken]), arrival=arrival)
    row = compute_metrics(execution, book(world))
    assert (row.arrival_bid, row.arrival_ask) == ("0.4900", "0.5100")
    assert (row.arrival_bid_size, row.arrival_ask_size) == ("3.00", "1.00")
    assert (row.arrival_bid_depth_1c, row.arrival_bid_depth_3c, row.arrival_bid_depth_5c) == ("3.00", "8.00", "15.50")
    assert (row.arrival_ask_depth_1c, row.arrival_ask_depth_3c, row.arrival_ask_depth_5c) == ("1.00", "10.00", "10.00")
    assert row.arrival_micro_price == "0.50500"
    assert (row.arrival_slippage, row.half_spread_ratio) == ("0.005000", "0.500000")
    assert (row.price_improvement, row.maker_share) == ("0.005000", "0.500000")
    assert (row.maker_fees, row.taker_fees, row.fees) == ("0.000030", "0.000070", "0.000100")


def test_what_is_not_known_of_the_arrival_is_null(world: World) -> None:
    """No live feed: nothing; one side empty: no mid, no slippage; levels that may go on beyond those seen: no depth."""
    dead = compute_metrics(replace(ended(world, [fill(1, 1_000, 5_000)]), arrival=world.view(feed="stale")), None)
    assert (dead.arrival_bid, dead.arrival_ask_depth_1c, dead.price_improvement, dead.maker_share) == (
        None,
        None,
        None,
        "1.000000",
    )
    deep = world.ladder(*((4_900 - 10 * n, 100) for n in range(10)))
    one = replace(ended(world, [fill(1, 1_000, 5_000)]), arrival=world.view(bids=deep, asks=()))
    row = compute_metrics(one, None)
    assert (row.arrival_bid, row.arrival_ask, row.arrival_micro_price) == ("0.4900", None, None)
    assert (row.arrival_bid_depth_1c, row.arrival_bid_depth_3c, row.arrival_ask_depth_5c) == (None, None, "0.00")
    assert (row.arrival_slippage, row.half_spread_ratio, row.price_improvement) == (None, None, None)
    nothing = compute_metrics(ended(world, []), book(world))
    assert (nothing.arrival_slippage, nothing.price_improvement, nothing.maker_share) == (None, None, None)


def test_perold_prices_the_rest_at_the_mid_of_the_deadline(world: World) -> None:
    """Six bought a cent above the mid, four missed while it rose by two cents; without that mid it is not known."""
    execution = ended(world, [fill(1, 600, 5_100, fee=100)])
    late = replace(book(world), mid_e5=52_000)
    assert compute_metrics(execution, late).perold_e7 == 600 * 1_000 + 1_000 + 400 * 2_000
    assert compute_metrics(execution, replace(late, mid_e5=None)).perold_e7 is None
    assert compute_metrics(ended(world, [fill(1, 1_000, 5_100)]), None).perold_e7 == 1_000 * 1_000


def test_the_edge_form_does_not_chase_beyond_the_reservation_price(world: World) -> None:
    """The rest costs what completing it costs, at most the model probability, at least nothing."""
    start = ended(world, [fill(1, 600, 5_000)])
    assert compute_metrics(start, book(world)).edge_opportunity_e7 is None
    for probability_ppm, per_contract_e7 in ((900_000, 374_720), (510_000, 100_000), (400_000, 0)):
        edge = Edge(probability_ppm=probability_ppm, expected_value_e6=MoneyE6(0))
        row = compute_metrics(replace(start, edge=edge), book(world))
        assert row.edge_opportunity_e7 == 4 * per_contract_e7
    full = replace(ended(world, [fill(1, 1_000, 5_000)]), edge=Edge(probability_ppm=1, expected_value_e6=MoneyE6(0)))
    assert compute_metrics(full, None).edge_opportunity_e7 == 0


def test_writes_tokens_and_refusals(world: World) -> None:
    """Counted from the journal; per contract and per fill only where something was filled; none refused is ''."""
    done = MessageCounts(creates=2, amends=3, cancels=1, refused=(("post_only_cross", 2), ("invalid", 1)))
    row = compute_metrics(ended(world, [fill(1, 200, 5_000), fill(2, 200, 5_000)]), book(world), activity=done)
    assert (row.creates, row.amends, row.cancels, row.write_tokens) == (2, 3, 1, 52)
    assert (row.writes_per_contract, row.tokens_per_contract) == ("1.500000", "13.000000")
    assert (row.cancels_per_fill, row.rejected, row.unresolved) == ("0.500000", "post_only_cross:2,invalid:1", 0)
    none = compute_metrics(
        ended(world, []), book(world), activity=MessageCounts(creates=1, amends=0, cancels=1, refused=())
    )
    assert (none.writes_per_contract, none.cancels_per_fill, none.rejected) == (None, None, "")
    assert compute_metrics(ended(world, []), book(world)).creates is None


def test_the_journal_tells_what_was_asked(world: World) -> None:
    """Creates and amends by their intents; what else was written were cancels; refusals by code."""
    rows = [
        journal_row(1, "Submitted", b"{}", b"[]"),
        journal_row(2, "DecisionDue", b"{}", b'[{"type":"MakePlan","slices":[]},{"type":"Place","level":1}]'),
        journal_row(3, "OrderRefused", b'{"code":"invalid_order","at_us":1}', b"[]"),
        journal_row(4, "DecisionDue", b"{}", b'[{"type":"Place"}]'),
        journal_row(5, "DecisionDue", b"{}", b'[{"type":"Reprice"}]'),
        journal_row(6, "AmendRefused", b'{"code":"invalid_order"}', b"[]"),
        journal_row(7, "StopRequested", b"{}", b"[]"),
    ]
    done = count_messages(replace(ended(world, []), writes=4), rows)
    assert done == MessageCounts(creates=2, amends=1, cancels=1, refused=(("invalid_order", 2),))
    with pytest.raises(CorruptSnapshot):
        count_messages(ended(world, []), [journal_row(1, "Submitted", b"{}", b"no")])


def journal_row(seq: int, event_type: str, event: bytes, intents: bytes) -> JournalRow:
    return JournalRow(seq=seq, at_us=0, event_type=event_type, event=event, intents=intents, steps="", version=1)


def test_participation_needs_the_volume_of_the_market(world: World) -> None:
    """A volume below what we filled ourselves was not heard whole: it is not used, and flagged."""
    execution = ended(world, [fill(1, 1_000, 5_000)])
    row = compute_metrics(execution, None, market_volume=CountE2(4_000))
    assert (row.market_volume, row.participation, row.flags) == ("40.00", "0.250000", "")
    short = compute_metrics(execution, None, market_volume=CountE2(900))
    assert (short.market_volume, short.participation, short.flags) == (None, None, "volume_incomplete")
    assert compute_metrics(execution, None).participation is None


def test_each_order_has_its_own_row(world: World) -> None:
    """Late fills included; times count from when it was sent; one that never reached the exchange is there too."""
    first, second = compute_child_metrics(
        ended(world, [fill(1, 600, 5_000, at_s=3, mid=49_000)], late=(fill(2, 400, 4_900, at_s=9),), walks=2)
    )
    assert (first.client_order_id, first.quantity, first.filled_quantity, first.fill_rate) == (
        "c1",
        "10.00",
        "10.00",
        "1.000000",
    )
    assert (first.average_fill_price, first.arrival_slippage, first.walks) == ("0.496000", "-0.004000", 2)
    assert (first.time_to_first_fill, first.time_to_full_fill) == (3, 9)
    assert first.spread_e7 == 600 * 1_000 - 400 * 1_000
    assert (second.filled_quantity, second.average_fill_price, second.maker_share, second.spread_e7) == (
        "0.00",
        None,
        None,
        None,
    )


PRICES = st.integers(1, 9_999)
MIDS = st.one_of(st.none(), st.integers(5, 99_995))


@given(
    fills=st.lists(st.tuples(st.integers(1, 400), PRICES, st.integers(0, 10**6), MIDS), max_size=8),
    first_mid=MIDS,
    asks=st.dictionaries(PRICES, st.integers(1, 600), max_size=4),
    bids=st.dictionaries(PRICES, st.integers(1, 600), max_size=4),
)
def test_the_decomposition_adds_up_exactly(
    world: World,
    fills: list[tuple[int, int, int, int | None]],
    first_mid: int | None,
    asks: dict[int, int],
    bids: dict[int, int],
) -> None:
    """Delay + spread + drift + fees + opportunity + over-fill = cash paid + completion - unwound - ten arrival mids."""
    made = [fill(n, count, price, fee=fee, mid=mid) for n, (count, price, fee, mid) in enumerate(fills)]
    ladders = book(world, tuple(sorted(asks.items())), tuple(sorted(bids.items(), reverse=True)))
    row = compute_metrics(ended(world, made, first_mid=first_mid), ladders)
    parts = (row.delay_e7, row.spread_e7, row.drift_e7, row.fees_e7, row.opportunity_e7, row.over_fill_e7)
    assert None not in parts
    assert row.shortfall_e7 == sum(part for part in parts if part is not None)
    filled = sum(count for count, *_ in fills)
    completion, _ = completion_cost(ladders.asks, CountE2(max(0, 1_000 - filled)), world.fees)
    unwound = unwind_value(ladders.bids, CountE2(max(0, filled - 1_000)), world.fees)
    paid = sum(count * price + fee for count, price, fee, _ in fills)
    assert row.shortfall_e7 == (paid + completion - unwound) * 10 - 1_000 * 50_000
    assert row.fees_e7 == 10 * sum(fee for _, _, fee, _ in fills)


def test_fills_at_the_mid_cost_nothing_but_fees(world: World) -> None:
    """Whichever order they came in."""
    row = compute_metrics(ended(world, [fill(1, 500, 5_000, fee=10), fill(2, 500, 5_000, fee=20)]), None)
    assert (row.spread_e7, row.drift_e7, row.delay_e7) == (0, 0, 0)
    assert row.shortfall_e7 == row.fees_e7 == 300
    with pytest.raises(AttributeError):
        row.shortfall_e7 = 0  # type: ignore[misc]
