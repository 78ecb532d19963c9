"""Pauses, deactivation, close, result and settlement, another grid; all grids by name."""

from __future__ import annotations

import pytest

from fsm_exec.core.market.price_structures import grid_of
from fsm_exec.core.values.units import MoneyE6, PriceE4
from fsm_exec.paper.errors import ApiError
from fsm_exec.paper.venue import member_reads
from fsm_exec.wire.rest import CreateOrderAnswer
from tests.paper.support import TICKER, Floor, count, delta, snapshot, trade
from tests.paper.test_money import worth


@pytest.fixture
def floor() -> Floor:
    floor = Floor("quadratic_with_maker_fees")
    floor.play(snapshot([("0.40", "100")], [("0.55", "80")]))  # 0.40 bid, 0.45 asked
    return floor


def refusal(code: str, status: int) -> pytest.RaisesExc[ApiError]:
    return pytest.raises(ApiError, check=lambda error: (error.code, error.status) == (code, status))


def status(floor: Floor, answer: CreateOrderAnswer) -> tuple[str, str | None]:
    order = floor.exchange.orders[answer.order_id]
    return order.status, order.reason


def test_in_a_trading_pause_only_cancels_work(floor: Floor) -> None:
    """Orders that asked for it go at once; the others stay and can be cancelled."""
    stays, goes = floor.bid("0.30", "1"), floor.bid("0.30", "1", cancel_order_on_pause=True)
    floor.exchange.pause_trading()
    assert status(floor, goes) == ("canceled", "HaltCancel")
    with refusal("trading_is_paused", 409):
        floor.bid("0.30", "1")
    floor.exchange.cancel_order(floor.account, stays.order_id)
    floor.exchange.resume_trading()
    assert floor.bid("0.30", "1").remaining_count == "1.00"


def test_in_an_exchange_pause_nothing_works(floor: Floor) -> None:
    """Not even a cancel."""
    order = floor.bid("0.30", "1")
    floor.exchange.pause_exchange()
    for ask in (
        lambda: floor.bid("0.30", "1"),
        lambda: floor.exchange.cancel_order(floor.account, order.order_id),
        lambda: floor.exchange.cancel_all(floor.account),
    ):
        with refusal("exchange_is_paused", 409):
            ask()
    floor.exchange.resume_exchange()
    floor.exchange.cancel_order(floor.account, order.order_id)


def test_nothing_trades_in_a_pause_and_the_tape_goes_on_unseen(floor: Floor) -> None:
    """Trades and changes meanwhile touch no order; then the book is the tape's, and what it crosses is filled."""
    order = floor.bid("0.44", "10")
    shown = floor.shown("yes"), floor.shown("no")
    floor.exchange.pause_trading()
    floor.play(trade("no", "0.44", "50"), delta("yes", "0.40", "-30"), delta("no", "0.55", "-80"))
    floor.play(delta("no", "0.57", "7"))
    assert (floor.shown("yes"), floor.shown("no")) == shown
    assert floor.filled(order) == 0
    floor.exchange.resume_trading()
    assert floor.filled(order) == count("7")
    assert floor.shown("yes") == {4_000: count("70"), 4_400: count("3")}
    assert floor.shown("no") == {}


def test_a_pause_within_a_pause_ends_with_both(floor: Floor) -> None:
    """Trading goes on when neither the exchange nor trading is paused, and the market is active."""
    floor.exchange.pause_trading()
    floor.exchange.pause_exchange()
    floor.exchange.resume_exchange()
    assert floor.market.paused_book is not None
    floor.exchange.resume_trading()
    assert floor.market.paused_book is None


def test_a_deactivated_market_cancels_what_rests_when_it_comes_back(floor: Floor) -> None:
    """Until then orders stay, are refused, can be cancelled."""
    first, second = floor.bid("0.30", "1"), floor.bid("0.30", "1")
    floor.exchange.deactivate_market(TICKER)
    with refusal("market_inactive", 400):
        floor.bid("0.30", "1")
    floor.exchange.cancel_order(floor.account, first.order_id)
    assert status(floor, second)[0] == "resting"
    floor.exchange.activate_market(TICKER)
    assert status(floor, second)[0] == "canceled"
    assert floor.bid("0.30", "1").remaining_count == "1.00"


@pytest.mark.parametrize(("result", "payout"), [("yes", 6_000_000), ("no", 0)])
def test_settlement_pays_a_dollar_for_each_winning_contract(floor: Floor, result: str, payout: int) -> None:
    """Free of fees; the position ends, the settlement is listed, nothing is made or lost."""
    other = floor.exchange.add_account(MoneyE6(10**9))
    floor.bid("0.45", "6")
    floor.ask("0.40", "2.50", account=other)
    before, cash, theirs = worth(floor), floor.account.cash_e6, other.cash_e6
    fees = floor.exchange.settlement.fees_e6
    floor.exchange.close_market(TICKER)
    floor.exchange.determine_market(TICKER, "yes" if result == "yes" else "no")
    assert floor.market.status == "finalized"
    assert floor.account.cash_e6 - cash == payout
    assert other.cash_e6 - theirs == (0 if result == "yes" else 2_500_000)
    assert worth(floor) == before
    assert floor.exchange.settlement.fees_e6 == fees
    position = floor.account.position(TICKER)
    assert (position.count_e2, position.cost_e6) == (0, 0)
    assert position.realized_e6 == payout - 6 * 450_000
    listed = member_reads.settlements_page(floor.exchange, floor.account, member_reads.Page())["settlements"]
    assert isinstance(listed, list)
    assert (listed[0]["revenue"], listed[0]["yes_count_fp"]) == (payout // 10_000, "6.00")
    assert listed[0]["yes_total_cost_dollars"] == "2.700000"


def test_settlement_may_come_later(floor: Floor) -> None:
    """Determined at once, paid when its timer ends."""
    floor.bid("0.45", "1")
    floor.exchange.close_market(TICKER)
    floor.exchange.determine_market(TICKER, "yes", settle_after_s=30)
    assert floor.market.status == "determined"
    assert member_reads.balance(floor.exchange, floor.account).portfolio_value == 100
    floor.later(30)
    assert floor.market.status == "finalized"
    assert member_reads.balance(floor.exchange, floor.account).portfolio_value == 0


def test_a_finer_grid_leaves_resting_orders_where_they_are(floor: Floor) -> None:
    """New prices are held against the new one."""
    order = floor.bid("0.30", "1")
    with refusal("invalid_price", 400):
        floor.bid("0.305", "1")
    floor.exchange.change_grid(TICKER, "deci_cent")
    assert floor.bid("0.305", "1").remaining_count == "1.00"
    assert status(floor, order)[0] == "resting"


@pytest.mark.parametrize(
    ("structure", "inside", "outside"),
    [
        ("linear_cent", ["0.05", "0.50"], ["0.055", "0.505"]),
        ("deci_cent", ["0.051", "0.501"], ["0.0505"]),
        ("tapered_deci_cent", ["0.051", "0.50", "0.901"], ["0.501", "0.0505"]),
        ("center_whole_edge_half_cent", ["0.055", "0.50", "0.905"], ["0.505", "0.051"]),
        ("center_whole_edge_quint_cent", ["0.052", "0.50", "0.908"], ["0.502", "0.051"]),
        ("center_half_edge_half_cent", ["0.055", "0.505"], ["0.501"]),
        ("center_half_edge_quint_cent", ["0.052", "0.505"], ["0.502", "0.051"]),
        ("center_half_edge_deci_cent", ["0.051", "0.505"], ["0.501"]),
        ("center_quint_edge_quint_cent", ["0.052", "0.502"], ["0.501"]),
        ("center_quint_edge_deci_cent", ["0.051", "0.502"], ["0.501"]),
        ("center_centi_edge_centi_cent", ["0.0501", "0.5001"], []),
        ("center_deci_edge_centi_cent", ["0.0001", "0.051", "0.9901"], ["0.0501", "0.5001"]),
    ],
)
def test_every_grid_has_the_steps_of_its_name(structure: str, inside: list[str], outside: list[str]) -> None:
    """Also 0 and 1 are prices in none, and whole cents in all."""
    grid = grid_of(structure)

    def has(text: str) -> bool:
        return grid.contains(PriceE4(int(text.split(".")[1].ljust(4, "0"))))

    assert all(has(text) for text in inside)
    assert not any(has(text) for text in outside)
    assert all(grid.contains(PriceE4(cents * 100)) for cents in range(1, 100))
    assert not grid.contains(PriceE4(0))
    assert not grid.contains(PriceE4(10_000))
