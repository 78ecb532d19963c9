"""Order groups with their rolling limit, reduce-only, decrease, cancel-all."""

from __future__ import annotations

from typing import Any

import pytest

from fsm_exec.core.values.units import MoneyE6
from fsm_exec.paper.errors import ApiError
from fsm_exec.paper.venue import order_group_requests
from fsm_exec.wire.rest import CreateOrderAnswer
from fsm_exec.wire.writes import CreateGroup, DecreaseOrder, DecreaseOrderAnswer, GroupLimit
from tests.paper.support import Floor, count, delta, snapshot, trade


@pytest.fixture
def floor() -> Floor:
    floor = Floor()
    floor.play(snapshot([("0.40", "100")], [("0.55", "80")]))  # 0.40 bid, 0.45 asked
    return floor


def refusal(code: str, status: int) -> pytest.RaisesExc[ApiError]:
    return pytest.raises(ApiError, check=lambda error: (error.code, error.status) == (code, status))


def group(floor: Floor, limit: int = 10) -> str:
    return order_group_requests.create_group(
        floor.exchange, floor.account, CreateGroup(contracts_limit=limit)
    ).order_group_id


def status(floor: Floor, answer: CreateOrderAnswer) -> tuple[str, str | None]:
    order = floor.exchange.orders[answer.order_id]
    return order.status, order.reason


def decrease(floor: Floor, answer: CreateOrderAnswer, **how: str) -> DecreaseOrderAnswer:
    fields: dict[str, Any] = dict(how)
    return floor.exchange.decrease_order(floor.account, answer.order_id, DecreaseOrder(**fields))


def test_a_group_is_cancelled_when_its_limit_is_hit(floor: Floor) -> None:
    """What has traded stands; all its orders end, others live on, new ones are refused until a reset."""
    g = group(floor)
    near, far = floor.bid("0.44", "12", order_group_id=g), floor.bid("0.30", "5", order_group_id=g)
    outside = floor.bid("0.30", "5")
    floor.play(trade("no", "0.44", "9"))
    assert status(floor, far)[0] == "resting"
    floor.play(trade("no", "0.44", "1"))
    assert floor.filled(near) == count("10")
    assert status(floor, near)[0] == status(floor, far)[0] == "canceled"
    assert status(floor, outside)[0] == "resting"
    with refusal("exceeded_order_group_risk_limit", 400):
        floor.bid("0.30", "1", order_group_id=g)
    order_group_requests.reset(floor.exchange, floor.account, g)
    assert floor.bid("0.30", "1", order_group_id=g).remaining_count == "1.00"


def test_the_window_of_a_group_rolls(floor: Floor) -> None:
    """Nine contracts now and nine 15 s later never are ten within 15 s; nine and one 14 s later are."""
    g = group(floor)
    order = floor.bid("0.44", "40", order_group_id=g)
    floor.play(trade("no", "0.44", "9"))
    floor.later(15)
    floor.play(trade("no", "0.44", "9"))
    assert status(floor, order)[0] == "resting"
    floor.later(14)
    floor.play(trade("no", "0.44", "1"))
    assert status(floor, order)[0] == "canceled"


def test_a_taker_of_a_group_trades_whole_and_its_rest_is_cancelled(floor: Floor) -> None:
    """The limit is looked at when the matches of one order are booked."""
    g = group(floor)
    answer = floor.bid("0.45", "100", order_group_id=g)
    assert (answer.fill_count, answer.remaining_count) == ("80.00", "0.00")
    assert status(floor, answer)[0] == "canceled"
    assert floor.shown("yes") == {4_000: count("100")}


def test_a_lower_limit_can_trigger_at_once(floor: Floor) -> None:
    """As the official text says of the update."""
    g = group(floor)
    order = floor.bid("0.44", "20", order_group_id=g)
    floor.play(trade("no", "0.44", "5"))
    order_group_requests.change_limit(floor.exchange, floor.account, g, GroupLimit(contracts_limit_fp="5.00"))
    assert status(floor, order)[0] == "canceled"


def test_a_deleted_group_takes_its_orders_with_it(floor: Floor) -> None:
    """And is unknown afterwards; another member's group is unknown always."""
    g = group(floor)
    order = floor.bid("0.30", "1", order_group_id=g)
    other = floor.exchange.add_account(MoneyE6(10**9))
    with refusal("order_group_not_found", 404):
        order_group_requests.delete(floor.exchange, other, g)
    order_group_requests.delete(floor.exchange, floor.account, g)
    assert status(floor, order)[0] == "canceled"
    with refusal("order_group_not_found", 404):
        floor.bid("0.30", "1", order_group_id=g)


@pytest.mark.parametrize(
    "limit",
    [
        GroupLimit(),
        GroupLimit(contracts_limit=0),
        GroupLimit(contracts_limit=1_000_001),
        GroupLimit(contracts_limit_fp="0.50"),
        GroupLimit(contracts_limit_fp="x"),
        GroupLimit(contracts_limit=2, contracts_limit_fp="3.00"),
    ],
)
def test_a_limit_is_between_one_and_a_million(floor: Floor, limit: GroupLimit) -> None:
    """Both forms must agree, and one must be given."""
    with refusal("invalid_parameters", 400):
        order_group_requests.change_limit(floor.exchange, floor.account, group(floor), limit)


def test_reduce_only_takes_no_more_than_the_position(floor: Floor) -> None:
    """5 held: 5 sold of 8, the rest cancelled for its reason; with nothing held nothing is sold."""
    floor.bid("0.45", "5", time_in_force="immediate_or_cancel")
    answer = floor.ask("0.40", "8", time_in_force="immediate_or_cancel", reduce_only=True)
    assert (answer.fill_count, answer.remaining_count) == ("5.00", "0.00")
    assert status(floor, answer) == ("canceled", "ReduceOnlyCancel")
    assert floor.account.position("KXTEST-26OCT01-A").count_e2 == 0
    again = floor.ask("0.40", "8", time_in_force="immediate_or_cancel", reduce_only=True)
    assert (again.fill_count, status(floor, again)) == ("0.00", ("canceled", "ReduceOnlyCancel"))


@pytest.mark.parametrize(("how", "left"), [({"reduce_by": "5"}, "15.00"), ({"reduce_to": "2.5"}, "2.50")])
def test_a_decrease_keeps_the_place(floor: Floor, how: dict[str, str], left: str) -> None:
    """By a count or to a count; those who come later stay behind."""
    order = floor.bid("0.40", "20")
    floor.play(delta("yes", "0.40", "300"))
    assert decrease(floor, order, **how).remaining_count == left
    assert floor.exchange.orders[order.order_id].ahead_e2 == count("100")
    assert status(floor, order) == ("resting", "Decrease")


@pytest.mark.parametrize("how", [{"reduce_by": "20"}, {"reduce_by": "21"}, {"reduce_to": "0"}])
def test_a_decrease_to_nothing_cancels(floor: Floor, how: dict[str, str]) -> None:
    """With the reason Decrease; the book loses it."""
    order = floor.bid("0.41", "20")
    assert decrease(floor, order, **how).remaining_count == "0.00"
    assert status(floor, order) == ("canceled", "Decrease")
    assert 4_100 not in floor.shown("yes")


@pytest.mark.parametrize("how", [{}, {"reduce_by": "1", "reduce_to": "1"}, {"reduce_by": "0"}, {"reduce_to": "21"}])
def test_a_decrease_says_one_thing(floor: Floor, how: dict[str, str]) -> None:
    """Exactly one of both, more than nothing, never an increase."""
    order = floor.bid("0.41", "20")
    with refusal("invalid_parameters", 400):
        decrease(floor, order, **how)


def test_a_decreased_order_is_executed_when_the_rest_fills(floor: Floor) -> None:
    """20 bid, 5 filled, decreased by 10, 5 more filled: done."""
    order = floor.bid("0.41", "20")
    floor.play(trade("no", "0.41", "5"))
    decrease(floor, order, reduce_by="10")
    floor.play(trade("no", "0.41", "5"))
    assert status(floor, order) == ("executed", "Trade")


def test_cancel_all_leaves_other_members_alone(floor: Floor) -> None:
    """Every resting order of the one, none of the other."""
    other = floor.exchange.add_account(MoneyE6(10**9))
    mine, theirs = floor.bid("0.30", "1"), floor.bid("0.30", "1", account=other)
    floor.exchange.cancel_all(floor.account)
    assert status(floor, mine)[0] == "canceled"
    assert status(floor, theirs)[0] == "resting"
