"""The physical limit by hand, against the real engine, and the static price beside it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fsm_exec.algorithms import method
from fsm_exec.core.market.fees import FeeTerms, fee_terms
from fsm_exec.core.values.units import LINEAR_CENT, US_PER_S, CountE2, Outcome, PriceE4
from fsm_exec.lab.experiment.cost_bound import bound_e7
from fsm_exec.lab.experiment.episode_runner import run_episode
from fsm_exec.lab.experiment.episodes import Conditions, EpisodeStart, Order, find_starts, limits_at
from fsm_exec.lab.experiment.static_price import limit_e7, static_e7
from fsm_exec.lab.experiment.tape_index import TapeIndex
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Change, Tape, Trade, tape_header

FEES = fee_terms("quadratic", Decimal(1))
MAKER_FEES = fee_terms("quadratic_with_maker_fees", Decimal(1))
AT_US = 1_000 * US_PER_S
HORIZON_US = 60 * US_PER_S
MID_E5 = 42_000  # between the 40 c bid and the 44 c ask
CONDITIONS = Conditions()


def count(contracts: int) -> CountE2:
    return CountE2(contracts * 100)


def cents(price: int) -> PriceE4:
    return PriceE4(price * 100)


def order(contracts: int, outcome: Outcome = "yes") -> Order:
    return Order(outcome=outcome, quantity_e2=count(contracts), horizon_us=HORIZON_US)


def episode(*changes: tuple[int, Change]) -> tuple[Tape, EpisodeStart]:
    """YES bid 40 c for 50, NO bids 56 c for 10 (a YES ask at 44 c) and 55 c for 30 (at 45 c); then the changes, at
    seconds after the start."""
    book = BookSnapshot(((cents(40), count(50)),), ((cents(56), count(10)), (cents(55), count(30))))
    opened_us = AT_US - 10 * US_PER_S
    events = ((opened_us, book), *((AT_US + at_s * US_PER_S, change) for at_s, change in changes))
    tape = Tape(tape_header("KXLAB-A-1", "linear_cent", category="Test"), events)
    return tape, EpisodeStart(number=0, at_us=AT_US, opening=book, first=1, book=book)


def least(wanted: Order, *changes: tuple[int, Change], fees: FeeTerms = FEES) -> Decimal:
    """The bound in cents for the whole order."""
    tape, start = episode(*changes)
    return Decimal(bound_e7(TapeIndex(tape), start, wanted, fees, MID_E5, CONDITIONS)) / 10**5


def taker_cents(price: int, contracts: int) -> Decimal:
    return Decimal(7 * contracts * price * (100 - price)) / 10**4


def test_nothing_happens_so_the_standing_asks_must_be_taken() -> None:
    """10 at 44 c and 5 at 45 c, each with its taker fee, less 15 times the mid."""
    paid = 10 * 44 + 5 * 45 + taker_cents(44, 10) + taker_cents(45, 5)
    assert least(order(15)) == pytest.approx(paid - 15 * 42, abs=Decimal("0.0001"))


def test_an_ask_that_arrives_could_have_met_a_bid_of_ours() -> None:
    """5 offered at 43 c later cost 43 c and the maker fee."""
    arrives: Change = BookDelta("no", cents(57), count(5))
    assert least(order(5), (10, arrives)) == 5 * 43 - 5 * 42
    maker = Decimal(175 * 5 * 43 * 57) / 10**6
    least_with_fee = least(order(5), (10, arrives), fees=MAKER_FEES)
    assert least_with_fee == pytest.approx(5 * 43 - 5 * 42 + maker, abs=Decimal("0.00001"))


def test_a_taker_who_sells_could_have_sold_to_us() -> None:
    """8 sold into the 40 c bid: 5 of them at 40 c, without a fee."""
    assert least(order(5), (10, Trade("no", cents(40), count(8)))) == 5 * 40 - 5 * 42


def test_a_taker_who_buys_sells_us_nothing() -> None:
    """He takes the asks that we would have had to take; they stand in the book as they did."""
    assert least(order(5), (10, Trade("yes", cents(44), count(8)))) == least(order(5))


def test_the_other_outcome_is_the_mirror() -> None:
    """Who buys NO is sold to by takers of YES, at a dollar less their price."""
    tape, start = episode((10, Trade("yes", cents(44), count(8))))
    assert bound_e7(TapeIndex(tape), start, order(5, "no"), FEES, 58_000, CONDITIONS) == (5 * 56 - 5 * 58) * 10**5


def test_what_comes_after_the_deadline_comes_too_late() -> None:
    """An order withdrawn at the deadline stands until the exchange hears of it, and not a moment longer."""
    sells = Trade("no", cents(40), count(8))
    assert least(order(5), (60, sells)) == 5 * 40 - 5 * 42
    assert least(order(5), (61, sells)) == least(order(5))


def test_a_snapshot_states_every_ask_anew() -> None:
    """An ask of it may be one that stood before or a new one: the bound must allow for the new one."""
    book = BookSnapshot(((cents(40), count(50)),), ((cents(56), count(10)),))
    assert least(order(5), (10, book)) == 5 * 44 - 5 * 42


def test_what_never_came_is_priced_as_completion_prices_it() -> None:
    """40 are offered; the 41st costs two cents more than the cheapest of them, at least, with the taker fee."""
    forty = least(order(40))
    assert least(order(41)) - forty == pytest.approx(46 + taker_cents(46, 1) - 42, abs=Decimal("0.0001"))


def test_the_static_price_waits_in_its_own_queue() -> None:
    """50 stand before us at 40 c. 8 sold there reach nobody at 40 c behind them, but whoever bids 41 c: so 41 c is the
    best price, above the bound of 40 c, which forgets about the queue."""
    changes = ((10, Trade("no", cents(40), count(8))), (10, BookDelta("yes", cents(40), CountE2(-count(8)))))
    tape, start = episode(*changes, (200, BookDelta("yes", cents(10), count(1))))
    grid = LINEAR_CENT
    best = static_e7(TapeIndex(tape), start, order(5), FEES, grid, MID_E5, cents(48), CONDITIONS)
    assert best == (5 * 41 - 5 * 42) * 10**5
    assert least(order(5), *changes) == 5 * 40 - 5 * 42
    at_bid = limit_e7(TapeIndex(tape), start, order(5), FEES, MID_E5, cents(40), CONDITIONS)
    assert at_bid == pytest.approx(int((5 * 44 + taker_cents(44, 5) - 5 * 42) * 10**5), abs=100)


def test_a_limit_order_costs_the_same_with_and_without_the_engine() -> None:
    """The static price's own arithmetic is that of the real engine: on an hour of generated flow, simple_limit at the
    floored mid costs to the last digit what one limit order there costs, but for the rounding of taker fees; and no
    cost is below the bound, nor is the static price's."""
    seed = 3
    tape = generate(seed, 3_600, profile="index", start_us=AT_US)
    starts = find_starts(tape, 400 * US_PER_S, CONDITIONS)
    assert len(starts) >= 5
    filled = 0
    for start in starts:
        for outcome in ("yes", "no"):
            wanted = Order(outcome=outcome, quantity_e2=count(20), horizon_us=45 * US_PER_S)
            run = run_episode(tape, start, wanted, method("simple_limit"), CONDITIONS)
            grid = tape.header.grid.seen_from(outcome)
            limits = limits_at(run.mid_e5, grid, FEES)
            alone = limit_e7(TapeIndex(tape), start, wanted, FEES, run.mid_e5, limits.target_e4, CONDITIONS)
            assert alone == run.shortfall_e7 if not run.fees_e7 else abs(alone - run.shortfall_e7) <= 10_000
            best = static_e7(TapeIndex(tape), start, wanted, FEES, grid, run.mid_e5, limits.worst_e4, CONDITIONS)
            bound = bound_e7(TapeIndex(tape), start, wanted, FEES, run.mid_e5, CONDITIONS)
            assert bound <= best <= alone, f"seed {seed}"
            filled += bool(run.filled_e2)
    assert filled, "no order ever filled: nothing was compared"
