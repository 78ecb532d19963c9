"""A submission that is sized by its edge: what is bought, what it may cost, how that is said, and what zero means."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from fsm_exec.control.market_schema import Estimate
from fsm_exec.control.schema import Accepted
from fsm_exec.core.journal.snapshot import decode_stored
from fsm_exec.core.values.units import parse_money
from tests.control.conftest import TICKER, Desk, error_of

UNSIZED = {"quantity": None, "target_price": None}


async def submit(desk: Desk, key: str = "k1", **edge: str) -> httpx.Response:
    return await desk.submit(key=key, **UNSIZED, edge={"model_probability": "0.62", "bankroll": "100", **edge})


async def accepted(desk: Desk, key: str = "k1", **edge: str) -> Accepted:
    answer = await submit(desk, key, **edge)
    assert answer.status_code in (200, 201), answer.text
    return msgspec.json.decode(answer.content, type=Accepted)


async def edges(desk: Desk) -> list[tuple[str, str, str | None, str | None]]:
    query = "SELECT key, quantity, refusal, model_probability FROM edges ORDER BY edge_id"
    return await desk.store._writer.read(lambda connection: connection.execute(query).fetchall())


async def test_the_edge_gives_quantity_cap_and_limit_and_says_how(desk: Desk) -> None:
    """By what is offered (10 at 0.53); what is executed obeys the cap; again under its key it is the same one, although
    something is held by then."""
    told = await accepted(desk)
    assert (told.quantity, told.limit, told.is_new) == ("7.00", "0.5300", True)
    assert told.sized is not None
    assert "probability 0.620000" in told.sized
    assert "bankroll of 100.000000 dollars" in told.sized
    execution = decode_stored((await desk.store.load_executions())[0])
    assert execution.limits is not None
    assert (execution.target_e2, execution.limits.target_e4) == (700, execution.limits.worst_e4)
    assert execution.edge is not None
    assert execution.edge.expected_value_e6 > 0
    again = await accepted(desk)
    assert (again.execution_id, again.is_new, again.quantity) == (told.execution_id, False, "7.00")
    assert (await submit(desk, fraction="0.5")).status_code == 409
    assert await edges(desk) == [("k1", "7.00", None, "0.620000")]


async def test_what_is_at_work_counts_as_held(desk: Desk) -> None:
    """A second submission at once does not buy the whole of it again, and is stored as refused."""
    await accepted(desk)
    second = await submit(desk, "k2")
    assert (second.status_code, error_of(second).code) == (422, "no_edge")
    assert "nothing is worth buying" in error_of(second).message
    assert (await edges(desk))[1:] == [("k2", "0.00", "no_edge", "0.620000")]


async def test_without_an_edge_nothing_is_bought_and_it_is_an_opportunity(desk: Desk) -> None:
    """Refused with its reason; the key is free, and the opportunity is stored."""
    refused = await submit(desk, model_probability="0.50")
    assert (refused.status_code, error_of(refused).code) == (422, "no_edge")
    assert "no edge" in error_of(refused).message
    assert await desk.executions() == 0
    assert await edges(desk) == [("k1", "0.00", "no_edge", "0.500000")]
    assert (await accepted(desk)).is_new


async def test_the_bankroll_is_what_is_available_unless_given(desk: Desk) -> None:
    """The account of this desk has 1,000 dollars; less trust or a smaller fraction buys less."""
    answer = await desk.submit(**UNSIZED, edge={"model_probability": "0.62"})
    told = msgspec.json.decode(answer.content, type=Accepted)
    assert told.sized is not None
    assert "bankroll of 1000.000000 dollars" in told.sized
    assert told.quantity == "10.00", "all that is offered"


async def test_an_estimate_sizes_as_a_submission_and_sends_nothing(desk: Desk) -> None:
    """Quantity, cap, limit and the reasons are those that a submission then has; nothing is stored, not as an
    opportunity either, and zero is refused with its reason."""
    wanted = {"ticker": TICKER, "outcome": "yes", "horizon_s": 60, "methods": ["simple_limit", "market"]}

    async def ask(**edge: str) -> httpx.Response:
        given = {"model_probability": "0.62", "bankroll": "100", **edge}
        return await desk.http.post("/v1/estimate", content=msgspec.json.encode({**wanted, "edge": given}))

    answer = await ask()
    assert answer.status_code == 200, answer.text
    told = msgspec.json.decode(answer.content, type=Estimate)
    nothing = await ask(model_probability="0.50")
    assert (nothing.status_code, error_of(nothing).code) == (422, "no_edge")
    assert "no edge" in error_of(nothing).message
    assert (await desk.executions(), await edges(desk), list(desk.exchange.orders.values())) == (0, [], [])
    assert (told.quantity, told.limit_from, len(told.methods), told.refusals) == ("7.00", "edge", 2, [])
    then = await accepted(desk)
    assert (told.quantity, told.limit, told.cap, told.sized) == (then.quantity, then.limit, then.cap, then.sized)


async def test_a_minimum_edge_lowers_cap_and_quantity(desk: Desk) -> None:
    """The offer of 0.53 costs 0.547437 all in: worth 0.0726 more at 0.62; 0.05 is left for fewer, 0.08 for none, and it
    is said."""
    few = await accepted(desk, min_edge="0.05")
    assert few.quantity == "2.00"
    assert few.sized is not None
    assert "(at least 0.050000 is asked for): 2.00 contracts" in few.sized
    assert parse_money(few.cap or "0") < 620_000 - 50_000
    none = await submit(desk, "k2", min_edge="0.08")
    assert (none.status_code, error_of(none).code) == (422, "no_edge")
    assert "(at least 0.080000 is asked for): too little edge" in error_of(none).message


def with_each(name: str, values: str, says: str) -> list[tuple[dict[str, object], int, str]]:
    """A mistake for each of the values."""
    return [({"edge": {"model_probability": "0.6", name: value}}, 422, says) for value in values.split()]


MISTAKES: list[tuple[dict[str, object], int, str]] = [
    *with_each("model_probability", "0 1 1.5 -0.1", "above 0 and below 1"),
    *with_each("model_probability", "nan inf 62%", "model_probability: "),
    *with_each("bankroll", "0 -5 nan 1e3", "bankroll"),
    *with_each("fraction", "0 1.1 nan", "fraction"),
    *with_each("shrink", "0 2 x", "shrink"),
    *with_each("min_edge", "1 -0.01 nan 2c", "min_edge"),
    ({"edge": {"model_probability": "0.6"}, "limit": "0.5"}, 422, "leave limit, cap and target_price out"),
    ({"edge": {"model_probability": "0.6", "expected_value": "0.1"}}, 422, "expected_value goes with a quantity"),
    ({"edge": {"model_probability": "0.6"}, "horizon_s": None}, 422, "missing: horizon_s or deadline"),
    ({"edge": None}, 422, "missing: quantity, limit or cap or target_price"),
    (
        {"edge": {"model_probability": "0.6", "expected_value": "0.1", "shrink": "0.5"}, "quantity": "1", "cap": "0.5"},
        422,
        "find a quantity",
    ),
]


@pytest.mark.parametrize(("changes", "status", "says"), MISTAKES)
async def test_a_mistake_is_one_line(desk: Desk, changes: dict[str, object], status: int, says: str) -> None:
    """What cannot be compared lets nothing through; nothing is stored."""
    answer = await desk.submit(**(UNSIZED | changes))
    assert (answer.status_code, says in error_of(answer).message) == (status, True), answer.text
    assert await desk.executions() == 0
    assert await edges(desk) == []
