"""What members may ask, and what it does: matching, kinds of orders, amending, refusals, expiry, close."""

from __future__ import annotations

from typing import Any

import pytest

from fsm_exec.core.values.units import MoneyE6
from fsm_exec.paper.errors import ApiError
from fsm_exec.wire.rest import AmendOrder, AmendOrderAnswer, CreateOrder, CreateOrderAnswer
from tests.paper.support import START_US, TICKER, Floor, count, delta, snapshot, trade


@pytest.fixture
def floor() -> Floor:
    floor = Floor()
    floor.play(snapshot([("0.40", "100")], [("0.55", "80"), ("0.54", "200")]))  # 0.40 bid, 0.45 and 0.46 asked
    return floor


def amend(
    floor: Floor, order: CreateOrderAnswer, at: str, total: str, expiration_time: int | None = None
) -> AmendOrderAnswer:
    side = floor.exchange.orders[order.order_id].book_side
    request = AmendOrder(ticker=TICKER, side=side, price=at, count=total, expiration_time=expiration_time)
    return floor.exchange.amend_order(floor.account, order.order_id, request)


def refusal(code: str, status: int) -> pytest.RaisesExc[ApiError]:
    return pytest.raises(ApiError, check=lambda error: (error.code, error.status) == (code, status))


def state(floor: Floor, order: CreateOrderAnswer) -> tuple[str, str | None]:
    found = floor.exchange.orders[order.order_id]
    return found.status, found.reason


def test_a_taker_sweeps_at_the_makers_prices(floor: Floor) -> None:
    """100 bought up to 0.46: 80 at 0.45, 20 at 0.46, averaged to four decimals."""
    answer = floor.bid("0.46", "100")
    assert (answer.fill_count, answer.remaining_count) == ("100.00", "0.00")
    assert answer.average_fill_price == "0.4520"
    assert state(floor, answer) == ("executed", "Trade")


def test_what_a_good_till_cancelled_order_does_not_take_rests(floor: Floor) -> None:
    """The rest is displayed at its limit, first at that price."""
    answer = floor.bid("0.45", "100")
    assert (answer.fill_count, answer.remaining_count) == ("80.00", "20.00")
    assert floor.shown("yes")[4_500] == count("20")


def test_immediate_or_cancel_never_rests(floor: Floor) -> None:
    """Nothing to hit: accepted, nothing filled, nothing remains, the order is cancelled."""
    answer = floor.bid("0.44", "5", time_in_force="immediate_or_cancel")
    assert (answer.fill_count, answer.remaining_count, answer.average_fill_price) == ("0.00", "0.00", None)
    assert state(floor, answer) == ("canceled", None)


def test_fill_or_kill_burns_its_client_order_id(floor: Floor) -> None:
    """Too little: 409, nothing traded, and the id cannot be used again."""
    with refusal("fill_or_kill_insufficient_resting_volume", 409):
        floor.bid("0.46", "281", time_in_force="fill_or_kill", client_order_id="fok")
    assert floor.account.fills == []
    with refusal("order_already_exists", 409):
        floor.bid("0.46", "1", client_order_id="fok")
    assert floor.bid("0.46", "280", time_in_force="fill_or_kill").fill_count == "280.00"


def test_post_only_refuses_to_take(floor: Floor) -> None:
    """It rests a tick below the ask and is refused at the ask."""
    with refusal("invalid_order", 400):
        floor.bid("0.45", "1", post_only=True)
    assert floor.bid("0.44", "1", post_only=True).remaining_count == "1.00"


def test_a_client_order_id_is_unique_for_ever(floor: Floor) -> None:
    """Also after the order has ended."""
    order = floor.bid("0.30", "1", client_order_id="once")
    floor.exchange.cancel_order(floor.account, order.order_id)
    with refusal("order_already_exists", 409):
        floor.bid("0.30", "1", client_order_id="once")


@pytest.mark.parametrize("bad", ["a.b", "x" * 65, "ü"])
def test_a_client_order_id_has_an_alphabet(floor: Floor, bad: str) -> None:
    """Letters, digits and _ - : + = /, up to 64."""
    with refusal("invalid_parameters", 400):
        floor.bid("0.30", "1", client_order_id=bad)


@pytest.mark.parametrize("bad", ["0.455", "0.00", "1.00", "1.5", "-0.10", "half", "0.45001"])
def test_a_price_lies_on_the_grid(floor: Floor, bad: str) -> None:
    """Off the grid, at 0 or 1, or no number at all: invalid_price."""
    with refusal("invalid_price", 400):
        floor.bid(bad, "1")


@pytest.mark.parametrize("bad", ["0", "0.00", "-1", "1.005", "many"])
def test_a_count_is_positive_with_two_decimals(floor: Floor, bad: str) -> None:
    """Anything else is an invalid parameter."""
    with refusal("invalid_parameters", 400):
        floor.bid("0.30", bad)


def test_an_unknown_market_is_named(floor: Floor) -> None:
    """404 market_not_found."""
    request = CreateOrder(
        ticker="NONE",
        side="bid",
        price="0.10",
        count="1",
        time_in_force="good_till_canceled",
        self_trade_prevention_type="taker_at_cross",
    )
    with refusal("market_not_found", 404):
        floor.exchange.create_order(floor.account, request)


def test_a_smaller_size_keeps_the_place(floor: Floor) -> None:
    """Amending 20 to 10 in all leaves the queue ahead as it was."""
    order = floor.bid("0.40", "20")
    floor.play(delta("yes", "0.40", "300"))
    answer = amend(floor, order, "0.40", "10")
    assert answer.remaining_count == "10.00"
    assert floor.exchange.orders[order.order_id].ahead_e2 == count("100")


@pytest.mark.parametrize(("at", "total"), [("0.40", "30"), ("0.39", "20"), ("0.41", "20")])
def test_a_larger_size_or_another_price_goes_to_the_back(floor: Floor, at: str, total: str) -> None:
    """The order joins its level anew."""
    order = floor.bid("0.40", "20")
    floor.play(delta("yes", "0.40", "300"), delta("yes", "0.39", "7"))
    amend(floor, order, at, total)
    behind = {"0.40": "400", "0.39": "7", "0.41": "0"}[at]
    assert floor.exchange.orders[order.order_id].ahead_e2 == count(behind)


def test_an_amended_total_counts_what_is_filled(floor: Floor) -> None:
    """total = filled + remaining; a total that leaves nothing is refused."""
    order = floor.bid("0.41", "20")
    floor.play(trade("no", "0.41", "5"))
    with refusal("invalid_amend_qty_for_order", 400):
        amend(floor, order, "0.41", "5")
    assert amend(floor, order, "0.41", "12").remaining_count == "7.00"


def test_an_amend_may_cross_and_trade(floor: Floor) -> None:
    """Moving the price to the ask takes what is offered there, as a taker."""
    order = floor.bid("0.40", "100")
    answer = amend(floor, order, "0.45", "100")
    assert (answer.fill_count, answer.remaining_count, answer.average_fill_price) == ("80.00", "20.00", "0.4500")
    assert floor.account.fills[0].is_taker


def test_an_amend_of_an_ended_order_finds_nothing(floor: Floor) -> None:
    """404 not_found."""
    order = floor.bid("0.40", "1")
    floor.exchange.cancel_order(floor.account, order.order_id)
    with refusal("not_found", 404):
        amend(floor, order, "0.40", "2")


def test_taker_at_cross_cancels_the_incoming_order_at_our_own(floor: Floor) -> None:
    """It trades what stands before our own order, then ends; the resting one is untouched."""
    resting = floor.ask("0.45", "10")  # behind 80 of the crowd
    incoming = floor.bid("0.46", "100")
    assert (incoming.fill_count, incoming.remaining_count) == ("80.00", "0.00")
    assert state(floor, incoming) == ("canceled", "SelfTradeCancel")
    assert state(floor, resting) == ("resting", None)


def test_maker_prevention_cancels_the_resting_order(floor: Floor) -> None:
    """The incoming order goes on past it."""
    resting = floor.ask("0.45", "10")
    incoming = floor.bid("0.46", "100", self_trade_prevention_type="maker")
    assert incoming.fill_count == "100.00"
    assert state(floor, resting) == ("canceled", "SelfTradeCancel")


def test_two_members_trade_with_each_other(floor: Floor) -> None:
    """A member's resting order is the other's liquidity, in its place in the queue."""
    other = floor.exchange.add_account(MoneyE6(1_000_000_000))
    resting = floor.ask("0.44", "10", account=other)
    taken = floor.bid("0.45", "15")
    assert taken.average_fill_price == "0.4433"
    assert floor.filled(resting) == count("10")
    assert floor.account.fills[0].trade_id == other.fills[0].trade_id


def test_what_a_member_takes_brings_those_behind_forward(floor: Floor) -> None:
    """Another member waits behind 80; after 30 of them are taken, 50 are ahead."""
    other = floor.exchange.add_account(MoneyE6(1_000_000_000))
    waiting = floor.ask("0.45", "10", account=other)
    floor.bid("0.45", "30")
    assert floor.exchange.orders[waiting.order_id].ahead_e2 == count("50")
    floor.bid("0.45", "55")
    assert floor.filled(waiting) == count("5")


def test_an_order_expires(floor: Floor) -> None:
    """At its second, with the reason of the wire."""
    order = floor.bid("0.30", "1", expiration_time=START_US // 1_000_000 + 10)
    floor.later(9)
    assert state(floor, order) == ("resting", None)
    floor.later(1)
    assert state(floor, order) == ("canceled", "ExpiryCancel")


def test_an_amended_expiration_replaces_the_old_one(floor: Floor) -> None:
    """The old second passes without effect."""
    start_s = START_US // 1_000_000
    order = floor.bid("0.30", "1", expiration_time=start_s + 10)
    amend(floor, order, "0.30", "1", expiration_time=start_s + 20)
    floor.later(15)
    assert state(floor, order)[0] == "resting"
    floor.later(5)
    assert state(floor, order) == ("canceled", "ExpiryCancel")


def test_an_expiration_belongs_to_good_till_cancelled_and_the_future(floor: Floor) -> None:
    """Both other cases are invalid parameters."""
    start_s = START_US // 1_000_000
    with refusal("invalid_parameters", 400):
        floor.bid("0.30", "1", expiration_time=start_s + 5, time_in_force="immediate_or_cancel")
    with refusal("invalid_parameters", 400):
        floor.bid("0.30", "1", expiration_time=start_s)


def test_close_cancels_what_rests_and_refuses_what_comes(floor: Floor) -> None:
    """CloseCancel, then market_inactive; a cancel finds nothing."""
    order = floor.bid("0.30", "1")
    floor.exchange.close_market(TICKER)
    assert state(floor, order) == ("canceled", "CloseCancel")
    with refusal("market_inactive", 400):
        floor.bid("0.30", "1")
    with refusal("not_found", 404):
        floor.exchange.cancel_order(floor.account, order.order_id)


@pytest.mark.parametrize(
    ("field", "value", "code", "status"),
    [
        ("subaccount", 3, "invalid_parameters", 400),
        ("reduce_only", True, "invalid_parameters", 400),
        ("order_group_id", "g", "order_group_not_found", 404),
        ("exchange_index", 2, "user_not_found", 404),
    ],
)
def test_what_is_not_offered_is_refused(floor: Floor, field: str, value: object, code: str, status: int) -> None:
    """Never accepted and ignored: another subaccount, reduce-only that rests, an unknown group, another shard."""
    more: dict[str, Any] = {field: value}
    with refusal(code, status):
        floor.bid("0.30", "1", **more)


def test_an_empty_name_is_none(floor: Floor) -> None:
    """`""` for a client order id or a group counts as left out, however often."""
    for _ in range(2):
        order = floor.bid("0.30", "1", client_order_id="", order_group_id="")
        assert order.client_order_id is None
        assert floor.exchange.orders[order.order_id].group_id is None
    fields: dict[str, Any] = {"ticker": TICKER, "side": "bid", "price": "0.31", "count": "1"}
    request = AmendOrder(**fields, client_order_id="", updated_client_order_id="")
    assert floor.exchange.amend_order(floor.account, order.order_id, request).client_order_id is None
    assert floor.exchange.cancel_order(floor.account, order.order_id, "").reduced_by == "1.00"


@pytest.mark.parametrize("price", ["0.3", ".30", "0.300000", "0.30000", "1", "0", "", "0,30", "3e-1", "0.3 0"])
def test_a_price_has_two_to_four_decimals(floor: Floor, price: str) -> None:
    """Neither fewer nor more, whatever they are."""
    with refusal("invalid_price", 400):
        floor.bid(price, "1")


@pytest.mark.parametrize("count", ["1.000", "1.", "1.00000", "", "0", "0.00", "-1"])
def test_a_count_has_at_most_two_decimals(floor: Floor, count: str) -> None:
    """And is more than nothing."""
    with refusal("invalid_parameters", 400):
        floor.bid("0.30", count)


@pytest.mark.parametrize(("price", "count"), [("0.30", "1"), ("0.300", "1.0"), ("0.3000", "1.00")])
def test_a_number_may_be_written_shorter(floor: Floor, price: str, count: str) -> None:
    """All of these are one contract at 30 cents."""
    assert floor.bid(price, count).remaining_count == "1.00"
