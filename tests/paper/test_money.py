"""Cash, positions, fees and collateral: exact, and conserved."""

from __future__ import annotations

import pytest

from fsm_exec.core.values.units import MoneyE6
from fsm_exec.paper.errors import ApiError
from fsm_exec.paper.venue import member_reads
from tests.paper.support import TICKER, Floor, count, snapshot, trade

DOLLAR = 1_000_000


def playing(fee_type: str = "quadratic", cash: int = 10_000 * DOLLAR) -> Floor:
    floor = Floor(fee_type, MoneyE6(cash))
    floor.play(snapshot([("0.37", "1000")], [("0.48", "1000")]))  # 0.37 bid, 0.52 asked
    return floor


def worth(floor: Floor) -> int:
    """Cash of everybody, a dollar for each pair of contracts, and the fees: a constant."""
    accounts = [floor.exchange.settlement.crowd, *floor.exchange.accounts.values()]
    held = [account.position(TICKER).count_e2 for account in accounts]
    assert sum(held) == 0
    pairs = sum(each for each in held if each > 0)
    return sum(account.cash_e6 for account in accounts) + pairs * 10_000 + floor.exchange.settlement.fees_e6


@pytest.mark.parametrize(
    ("size", "fee"), [("1", 17_500), ("100", 1_747_200)], ids=["recorded on the wire", "a hundred"]
)
def test_a_taker_pays_the_published_fee(size: str, fee: int) -> None:
    """1 at 0.52 costs 0.0175 (a recorded fill); 100 cost 1.7472."""
    floor = playing()
    answer = floor.bid("0.52", size)
    order = floor.exchange.orders[answer.order_id]
    assert order.taker_fees_e6 == fee
    assert floor.account.cash_e6 == 10_000 * DOLLAR - order.taker_cost_e6 - fee


def test_four_fills_of_one_order_share_an_accumulator() -> None:
    """A vector of wire/README.md 9: 4 fills of 1 at 0.37 in one taker order."""
    floor = playing()
    floor.play(snapshot([], []))
    other = floor.exchange.add_account(MoneyE6(500 * DOLLAR))
    for _ in range(4):
        floor.ask("0.37", "1", account=other)
    answer = floor.bid("0.37", "4")
    assert [fill.fee_e6 for fill in floor.account.fills] == [16_400, 16_300, 16_300, 16_300]
    assert floor.exchange.orders[answer.order_id].taker_fees_e6 == 65_300


def test_the_accumulator_spans_maker_and_taker_fills() -> None:
    """Taking one contract costs 0.016317, rounded to 0.0164: 83 millionths collected. Resting for another costs
    0.00408, rounded to 0.0041: 20 more make a whole step, given back."""
    floor = playing("quadratic_with_maker_fees")
    floor.play(snapshot([], [("0.63", "1")]))
    answer = floor.bid("0.37", "2")
    floor.play(trade("no", "0.37", "1"))
    taken, rested = floor.account.fills
    assert (taken.is_taker, taken.fee_e6) == (True, 16_400)
    assert (rested.is_taker, rested.fee_e6) == (False, 4_000)
    assert floor.exchange.orders[answer.order_id].accumulator_e6 == 3


def test_maker_fills_of_a_quadratic_series_are_free() -> None:
    """Only takers pay."""
    floor = playing()
    floor.bid("0.40", "4")
    floor.play(trade("no", "0.40", "4"))
    assert floor.account.fills[0].fee_e6 == 0


def test_average_fee_is_per_contract() -> None:
    """As a recorded taker answer: 0.0175 for one contract at 0.52."""
    answer = playing().bid("0.52", "1")
    assert (answer.average_fill_price, answer.average_fee_paid) == ("0.5200", "0.0175")


def test_buying_the_other_outcome_closes_first() -> None:
    """10 YES bought at 0.52, 15 sold at 0.37: 10 pay back 0.37 each, 5 open NO at 0.63."""
    floor = playing()
    floor.bid("0.52", "10")
    before = floor.account.cash_e6
    answer = floor.ask("0.37", "15")
    order = floor.exchange.orders[answer.order_id]
    position = floor.account.position(TICKER)
    assert position.count_e2 == -count("5")
    assert floor.account.cash_e6 - before == 10 * 370_000 - 5 * 630_000 - order.taker_fees_e6
    assert position.realized_e6 == 10 * (370_000 - 520_000)
    assert position.cost_e6 == 5 * 630_000


def test_worth_is_conserved() -> None:
    """Every trade, whoever its sides are, moves cash and contracts without making or losing any."""
    floor = playing("quadratic_with_maker_fees")
    other = floor.exchange.add_account(MoneyE6(500 * DOLLAR))
    before = worth(floor)
    floor.bid("0.52", "3.33")
    floor.ask("0.45", "7", account=other)
    floor.bid("0.45", "5")
    floor.play(trade("yes", "0.45", "9"), trade("no", "0.37", "20"))
    floor.ask("0.37", "20.5")
    assert worth(floor) == before
    assert floor.exchange.settlement.fees_e6 > 0


def refused() -> pytest.RaisesExc[ApiError]:
    return pytest.raises(ApiError, check=lambda error: error.code == "insufficient_balance")


def test_an_order_needs_its_price_and_fee() -> None:
    """10 dollars buy 18 at 0.52 with the fee of 0.3145, not 19."""
    floor = playing(cash=10 * DOLLAR)
    with refused():
        floor.bid("0.52", "19")
    assert floor.bid("0.52", "18").fill_count == "18.00"


def test_resting_orders_reserve_and_cancelling_releases() -> None:
    """Two bids of 5 dollars each leave nothing for a third."""
    floor = playing(cash=10 * DOLLAR)
    first = floor.bid("0.25", "19")
    floor.bid("0.25", "19")
    with refused():
        floor.bid("0.25", "19")
    balance = member_reads.balance(floor.exchange, floor.account)
    assert (balance.balance, balance.balance_dollars) == (50, "0.5000")
    floor.exchange.cancel_order(floor.account, first.order_id)
    floor.bid("0.25", "19")


def test_an_ask_reserves_the_price_of_no() -> None:
    """Offering YES at 0.60 is buying NO at 0.40."""
    floor = playing(cash=5_100_000)
    with refused():
        floor.ask("0.60", "13")
    floor.ask("0.60", "12")


def test_closing_a_position_needs_no_funds() -> None:
    """All cash is in YES contracts: they can be offered, each once."""
    floor = playing(cash=10_800_000)
    floor.bid("0.52", "20")
    floor.ask("0.90", "12")
    floor.ask("0.80", "8")
    with refused():
        floor.ask("0.80", "8")


def test_positions_are_listed_with_their_figures() -> None:
    """Signed contracts, exposure, realized result and fees, as decimal strings."""
    floor = playing()
    floor.bid("0.52", "10")
    page = member_reads.positions_page(floor.exchange, floor.account, member_reads.Page())
    assert page.market_positions[0].position_fp == "10.00"
    assert page.market_positions[0].market_exposure_dollars == "5.200000"
    assert page.event_positions[0].event_ticker == "KXTEST-26OCT01"
