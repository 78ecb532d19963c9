"""What the listings show later is the truth of what answers and frames said: corrected, said, and never frozen."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from fsm_exec.core.costs.metrics import compute_metrics
from fsm_exec.core.errors import IllegalEvent
from fsm_exec.core.execution.events import CancelAnswered, OrderDisputed, OrderProven, WriteUnconfirmed
from fsm_exec.core.execution.execution import Fill
from fsm_exec.core.execution.fills import is_same_fill
from fsm_exec.core.execution.timing import PROOF_US
from fsm_exec.core.journal.to_rows import fill_changes, fill_rows
from fsm_exec.core.market.orders import FillListing, FillReport, OrderListing, OrderReport
from fsm_exec.core.recovery.order_lookup import needs_lookup
from fsm_exec.core.recovery.proof import CONTRADICTS_US, LISTED_FOR_US, is_too_old, prove
from fsm_exec.core.values.units import CountE2, MoneyE6, PriceE4

if TYPE_CHECKING:
    from tests.core.conftest import Driver, World


def fills_of(driver: Driver) -> dict[str, int]:
    return {fill.fill_id: fill.count_e2 for fill in driver.execution.fills}


# Names.


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("T", "T", None), ("T", "T", "F"), True),  # the stream, then a listing with another name for it
        (("T", "T", "F"), ("U", "U", "F"), False),  # two trades, whatever the listing calls them
        (("F", None, "F"), ("F", "F", None), True),  # a listing that names no trade, and calls it by its trade
        (("F", None, "F"), ("T", "T", "F"), True),  # the same, and later the trade
        (("X", None, None), ("T", "T", "X"), True),  # counted by an older version by the listing's name
        (("X", None, None), ("X", "X", "F"), True),  # or by the stream's
        (("X", None, None), ("T", "T", "F"), False),
    ],
)
def test_a_fill_is_one_if_its_trade_is_the_same(
    one: tuple[str, str | None, str | None], other: tuple[str, str | None, str | None], same: bool
) -> None:
    """Where one statement names no trade, a shared name joins them."""
    fills = [
        Fill(
            fill_id=fill_id,
            trade_id=trade_id,
            listed_id=listed_id,
            order_id="o",
            price_e4=PriceE4(1),
            count_e2=CountE2(1),
            fee_e6=MoneyE6(0),
            is_taker=False,
            traded_at_us=0,
            mid_e5=None,
        )
        for fill_id, trade_id, listed_id in (one, other)
    ]
    assert is_same_fill(*fills) is is_same_fill(*reversed(fills)) is same


@pytest.mark.parametrize("stream_first", [True, False])
def test_a_fill_with_two_names_is_counted_once_and_both_are_kept(working: Driver, stream_first: bool) -> None:
    """Whichever channel tells of it first; the name it is counted by stays."""
    tellers: list[Callable[[], object]] = [
        lambda: working.frame("T", 400),
        lambda: working.listed("T", 400, listed_id="F", undated=True),
    ]
    for tell in tellers if stream_first else tellers[::-1]:
        tell()
    (fill,) = working.execution.fills
    assert (fill.fill_id, fill.trade_id, fill.listed_id, fill.count_e2) == ("T", "T", "F", 400)
    assert working.execution.filled_e2 == 400
    (row,) = fill_rows(working.child)
    assert (row.fill_id, row.trade_id, row.listed_id) == ("T", "T", "F")


def test_two_fills_of_one_price_and_size_are_two(working: Driver) -> None:
    """Nothing but their names tells them apart."""
    working.frame("T", 100)
    working.frame("U", 100)
    working.listed("V", 100)
    assert fills_of(working) == {"T": 100, "U": 100, "V": 100}


def test_a_fill_that_was_counted_under_both_of_its_names_is_counted_once_when_they_are_known(working: Driver) -> None:
    """A listing without trades, then the stream, then a listing with both names."""
    working.fill("F", 100, listed_id="F")
    working.frame("T", 100)
    assert working.execution.filled_e2 == 200
    working.listed("T", 100, listed_id="F", undated=True)
    assert fills_of(working) == {"F": 100}
    assert working.child.suspicion is not None  # what was stated beside it may be wrong, too


# Frames.


@pytest.mark.parametrize(
    "fields",
    [
        {"count": 50_000},
        {"count": 1_001},
        {"count": 0},
        {"price_e4": PriceE4(5_100)},
        {"price_e4": PriceE4(0)},
        {"price_e4": PriceE4(10_000)},
        {"outcome": "no"},
        {"fee_e6": MoneyE6(-1)},
        {"fee_e6": MoneyE6(10_000_000)},
        {"order_id": "another"},
    ],
    ids=str,
)
def test_a_frame_that_cannot_be_true_is_said_and_not_counted(working: Driver, fields: dict[str, object]) -> None:
    """Nothing of it is believed until a listing confirms it."""
    said = {"outcome": "yes", **fields}
    count = int(str(said.pop("count", 100)))
    step = working.fill("T", count, trade_id="T", **said)
    assert step is not None
    assert [note.is_alarm for note in step.notes] == [True]
    assert "ALARM" in step.steps
    assert (working.execution.filled_e2, working.child.reported_e2, working.child.state) == (0, 0, "resting")
    assert needs_lookup(working.child)


def test_what_cannot_be_true_and_is_listed_is_counted_and_said(working: Driver) -> None:
    """The listing is the truth, also where it is bad news."""
    step = working.listed("T", 100, price_e4=PriceE4(6_000), outcome="no")
    assert step is not None
    assert [note.is_alarm for note in step.notes] == [True]
    assert [(fill.price_e4, fill.count_e2) for fill in working.execution.fills] == [(6_000, 100)]


def test_a_frame_of_500_for_an_order_of_10_is_ten_when_the_listing_has_ten(working: Driver) -> None:
    """It neither freezes the execution nor is it counted; the doubt ends when listings are late enough."""
    working.frame("T", 50_000)
    working.listed("T", 1_000)
    assert (working.child.state, working.state, fills_of(working)) == ("filled", "partial", {"T": 1_000})
    working.prove("executed", ("T", 1_000))
    assert (working.state, working.execution.reason, fills_of(working)) == ("filled", "completed", {"T": 1_000})


def test_a_fill_of_a_frame_is_what_the_listing_says_of_it_and_so_is_its_cost(working: Driver) -> None:
    """Price, count, fee, role and time; the journal has what was corrected, the row is written again."""
    working.frame("T", 400, fee_e6=MoneyE6(17), is_taker=True)
    before = working.child
    step = working.listed(
        "T", 300, price_e4=PriceE4(4_900), fee_e6=MoneyE6(5), is_taker=False, traded_at_us=working.now_us - 5_000_000
    )
    assert step is not None
    assert [note.is_alarm for note in step.notes] == [True]
    (fill,) = working.execution.fills
    assert (fill.price_e4, fill.count_e2, fill.fee_e6, fill.is_taker) == (4_900, 300, 5, False)
    assert [(row.price, row.quantity) for row in fill_changes(before, working.child).corrected] == [("0.4900", "3.00")]
    assert working.child.counted_e2 == 300
    working.stop()
    working.fact(CancelAnswered, reduced_by_e2=CountE2(600))
    assert working.child.state == "settling"  # 4.00 were stated, 3.00 are listed
    working.prove("canceled", ("T", 300), price_e4=PriceE4(4_900), fee_e6=MoneyE6(5))
    assert (working.state, working.execution.filled_e2) == ("cancelled", 300)
    row = compute_metrics(working.execution, None)
    assert (row.filled_quantity, row.average_fill_price, row.fees, row.maker_fees) == (
        "3.00",
        "0.490000",
        "0.000005",
        "0.000005",
    )


def test_a_fill_that_no_listing_has_is_taken_back_and_the_rest_is_worked_again(working: Driver) -> None:
    """A frame told of it; the order's row and its fills agree that it never was."""
    working.frame("T", 400)
    working.frame("U", 100)
    working.fact(OrderDisputed, why="it was said to be filled 5.00, and is listed with 1.00")
    before = working.child
    step = working.prove("resting", ("U", 100))
    assert step is not None
    assert (fills_of(working), working.child.reported_e2, working.child.state) == ({"U": 100}, 100, "partial")
    gone = fill_changes(before, working.child).gone
    assert [(row.order_id, row.fill_id) for row in gone] == [(before.order_id, "T")]
    assert any("taken back" in note.what for note in step.notes)
    assert working.child.suspicion is None


def test_a_fill_after_the_end_that_never_was_is_taken_back(working: Driver) -> None:
    """Of an execution that has ended; its state stays."""
    working.frame("T", 1_000)
    assert working.state == "filled"
    working.prove("canceled", ("U", 300))
    assert (working.state, fills_of(working)) == ("filled", {"U": 300})


# Answers.


def test_an_answer_that_says_all_is_filled_while_the_order_rests(world: World) -> None:
    """It goes on where the listings show it, and ends when its expiration does."""
    driver = world.drive(world.scripted())
    driver.place()
    driver.accept(filled=1_000, remaining=0)
    assert driver.child.state == "settling"
    driver.prove("resting")
    assert (driver.child.state, driver.child.reported_e2, driver.execution.free_e2) == ("resting", 0, 0)
    driver.now_us = driver.execution.deadline_us
    driver.stop()
    driver.fact(CancelAnswered, reduced_by_e2=CountE2(1_000))
    assert (driver.state, driver.execution.filled_e2) == ("cancelled", 0)


def test_an_answer_that_says_all_is_filled_and_the_order_expires_empty(world: World) -> None:
    """The wait for its fills ends with the proof that there are none."""
    driver = world.drive(world.scripted())
    driver.place()
    driver.accept(filled=1_000, remaining=0)
    driver.stop()
    driver.prove("canceled")
    assert (driver.child.state, driver.state, driver.execution.filled_e2) == ("cancelled", "cancelled", 0)


def test_an_amend_that_stated_fills_which_never_were_does_not_keep_the_order_from_ending(working: Driver) -> None:
    """Its end is not believed first, for it is with fewer than were stated; the listings settle it."""
    working.report("resting", 400)
    working.stop()
    working.fact(CancelAnswered, reduced_by_e2=CountE2(1_000))
    assert (working.child.state, working.child.suspicion is not None) == ("cancelling", True)
    working.prove("canceled")
    assert (working.child.state, working.state) == ("cancelled", "cancelled")


def test_an_order_that_was_answered_under_an_id_that_no_listing_knows(working: Driver) -> None:
    """The listing's id is the truth, and fills of either are the order's."""
    working.frame("T", 100)
    working.prove("resting", ("T", 100), ("U", 200), order_id="real")
    assert (working.child.order_id, fills_of(working)) == ("real", {"T": 100, "U": 200})
    assert {fill.order_id for fill in working.execution.fills} == {"real"}


def test_an_order_that_was_accepted_and_is_nowhere(working: Driver) -> None:
    """At work that is a contradiction for a person; one that is to end, ends."""
    with pytest.raises(IllegalEvent, match="no listing has it"):
        working.prove(None)
    working.stop()
    working.fact(WriteUnconfirmed, effect_id=working.last_effect(), why="404")
    working.prove(None)
    assert (working.child.state, working.state) == ("cancelled", "cancelled")


# Proof.


def listings(driver: Driver, as_of_us: int, filled: int, *fills: int) -> tuple[OrderListing, list[FillListing]]:
    child = driver.child
    order = OrderReport(
        order_id=child.order_id or "",
        client_order_id=child.client_order_id,
        ticker=driver.execution.terms.ticker,
        outcome=driver.execution.outcome,
        status="canceled",
        price_e4=child.price_e4,
        count_e2=child.count_e2,
        filled_e2=CountE2(filled),
        remaining_e2=CountE2(0),
        at_us=as_of_us,
    )
    rows = [
        FillReport(
            fill_id=f"T{number}",
            trade_id=f"T{number}",
            listed_id=f"T{number}",
            order_id=order.order_id,
            client_order_id=None,
            ticker=order.ticker,
            outcome=order.outcome,
            price_e4=child.price_e4,
            count_e2=CountE2(count),
            fee_e6=MoneyE6(0),
            is_taker=False,
            at_us=as_of_us,
        )
        for number, count in enumerate(fills)
    ]
    return OrderListing(as_of_us=as_of_us, orders=(order,)), [FillListing(as_of_us=as_of_us, fills=tuple(rows))]


def test_listings_prove_only_what_they_agree_about_and_are_late_enough_for(working: Driver) -> None:
    """Too early, or with fills that do not add up to the row, there is no proof; for long, that is a contradiction."""
    since_us = working.now_us

    def found(later_us: int, *listed: int, give_up: bool = False) -> object:
        orders, fills = listings(working, since_us + later_us, *listed)
        return prove(
            working.execution, working.child, orders, fills, since_us, since_us + later_us, lambda _: None,
            give_up=give_up,
        )  # fmt: skip

    assert found(PROOF_US, 300, 300) is None
    agreed = found(PROOF_US + 1, 300, 300)
    assert agreed is not None
    assert not isinstance(agreed, str)
    assert found(CONTRADICTS_US, 300, 200) is None
    assert "add up to 2.00" in str(found(CONTRADICTS_US + 1, 300, 200))
    given = found(CONTRADICTS_US + 1, 300, 200, give_up=True)
    working.tell(given)  # type: ignore[arg-type]
    assert (working.child.state, working.execution.filled_e2) == ("cancelled", 200)


def test_a_fill_that_was_just_heard_of_may_not_be_listed_yet(working: Driver) -> None:
    """Nothing is taken back before the listing is later than it by window and lag."""
    since_us = working.now_us
    working.now_us += PROOF_US
    working.frame("U", 100)
    orders, fills = listings(working, working.now_us + 1_000, 0)
    seen = prove(working.execution, working.child, orders, fills, since_us, working.now_us, lambda _: None)
    assert seen is None
    later = working.now_us + PROOF_US + 1
    orders, fills = listings(working, later, 0)
    assert prove(working.execution, working.child, orders, fills, since_us, later, lambda _: None) is not None


def test_listings_that_are_empty_take_no_fill_back_that_one_of_them_had(working: Driver) -> None:
    """An exchange that shows nothing has forgotten more than we have: what was bought is not bought again."""
    working.listed("T", 400)
    working.fact(CancelAnswered, reduced_by_e2=CountE2(600))
    since_us = working.now_us
    working.frame("U", 50_000)

    def found(later_us: int) -> object:
        as_of_us = since_us + later_us
        orders, fills = OrderListing(as_of_us=as_of_us, orders=()), [FillListing(as_of_us=as_of_us, fills=())]
        return prove(working.execution, working.child, orders, fills, since_us, as_of_us, lambda _: None)

    assert found(PROOF_US + 1) is None
    assert "no listing has the order any more" in str(found(CONTRADICTS_US + 1))


def test_what_the_exchange_has_put_away_is_not_taken_back(working: Driver) -> None:
    """An engine that was down for months finds neither the order nor its fill in the listings: that proves nothing."""
    since_us = working.now_us
    working.frame("U", 100)

    def found(later_us: int) -> object:
        as_of_us = since_us + later_us
        orders, fills = OrderListing(as_of_us=as_of_us, orders=()), [FillListing(as_of_us=as_of_us, fills=())]
        return prove(working.execution, working.child, orders, fills, since_us, as_of_us, lambda _: None)

    assert isinstance(found(CONTRADICTS_US + 1), OrderProven)
    assert "no listing has the order any more" in str(found(LISTED_FOR_US + CONTRADICTS_US))


def test_a_fill_that_was_heard_before_the_clock_was_put_back_is_not_new_for_an_hour(working: Driver) -> None:
    """It was heard in the future, and so before now: the listings that do not have it are late enough."""
    hour_us = 3_600_000_000
    working.now_us += hour_us
    working.frame("U", 100)
    now_us = working.now_us - hour_us
    orders, fills = listings(working, now_us, 0)
    found = prove(working.execution, working.child, orders, fills, now_us - PROOF_US - 1, now_us, lambda _: None)
    assert isinstance(found, OrderProven)


def test_a_proof_is_too_old_for_what_was_heard_after_it(working: Driver) -> None:
    """Of an execution that has ended: a frame came while the proof was on its way, and no listing need have it yet."""
    since_us = working.now_us
    working.now_us += PROOF_US + 1
    orders, fills = listings(working, working.now_us, 0)
    found = prove(working.execution, working.child, orders, fills, since_us, working.now_us, lambda _: None)
    assert isinstance(found, OrderProven)
    assert not is_too_old(found, working.execution)
    working.frame("U", 1_000)
    assert is_too_old(found, working.execution)


def test_an_execution_with_a_suspicion_does_not_end_before_it_is_settled(working: Driver) -> None:
    """Nor does it place anew what an order may still buy."""
    working.frame("T", 50_000)
    working.stop()
    working.fact(CancelAnswered, reduced_by_e2=CountE2(1_000))
    assert (working.child.state, working.state, working.execution.free_e2) == ("cancelled", "walking", 0)
    working.prove("canceled")
    assert (working.state, working.child.suspicion) == ("cancelled", None)


def test_a_step_without_news_is_none(working: Driver) -> None:
    """What a listing repeats is not journaled, and a suspicion that stands is not said again."""
    working.frame("T", 100)
    fill = working.execution.fills[0]
    assert working.listed("T", 100, traded_at_us=fill.traded_at_us + 999) is None
    assert working.prove("resting", ("T", 100)) is None
    working.frame("U", 50_000)
    assert working.frame("V", 50_000) is None
    assert replace(working.child, suspicion=None) == replace(working.child, suspicion=None)
