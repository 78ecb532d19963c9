"""Submitting: accepted once under its key and only when durable, and every mistake refused in one line."""

from __future__ import annotations

import httpx
import msgspec
import pytest
import trio

from fsm_exec.algorithms import Method
from fsm_exec.control.admission import check_submission
from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.schema import Accepted, Failed, Submission
from fsm_exec.core.errors import AlgorithmMissing, UserError
from fsm_exec.core.journal.snapshot import decode_stored
from fsm_exec.core.values.units import MoneyE6, PriceE4, format_price
from tests.control.conftest import OTHER, TICKER, Desk, a_desk, error_of


async def test_what_is_answered_is_durable(desk: Desk) -> None:
    """201 with the id; the execution, its key and the request are then in the database, and the market is watched."""
    answer = await desk.submit(edge={"model_probability": "0.62", "expected_value": "0.03"})
    assert answer.status_code == 201
    accepted = msgspec.json.decode(answer.content, type=Accepted)
    assert accepted == Accepted(
        execution_id="e000001", key="k1", is_new=True, quantity="10.00", limit="0.3000", cap="0.314700"
    )
    (stored,) = await desk.store.load_executions()
    execution = decode_stored(stored)
    assert execution.limits is not None
    assert execution.edge is not None
    assert (format_price(execution.limits.target_e4), format_price(execution.limits.worst_e4)) == ("0.3000", "0.3000")
    assert (execution.edge.probability_ppm, execution.edge.expected_value_e6) == (620_000, 30_000)
    assert execution.arrival.feed == "live", "the arrival book was waited for"
    submission = await desk.store.load_submission("k1")
    assert submission is not None
    assert submission.execution_id == "e000001"


async def test_the_same_key_is_accepted_once(desk: Desk) -> None:
    """The same request again, numbers written otherwise, gives the same id and 200; even when its time has passed or
    its market has closed. Another request under the key is a conflict."""
    deadline = "2026-10-01T12:00:05Z"  # the desk's clock began at noon; a busy machine may take seconds to submit
    first = await desk.accepted(horizon_s=None, deadline=deadline)
    await trio.sleep(5.1)
    desk.exchange.close_market(TICKER)
    again = await desk.submit(
        horizon_s=None, deadline="2026-10-01T14:00:05.000000+02:00", quantity="10.00", target_price="0.3000"
    )
    assert (again.status_code, msgspec.json.decode(again.content, type=Accepted).execution_id) == (200, first)
    other = await desk.submit(horizon_s=None, deadline=deadline, quantity="11")
    assert (other.status_code, error_of(other).code) == (409, "conflict")
    assert "e000001" in error_of(other).message
    assert await desk.executions() == 1


async def test_two_at_once_with_one_key_are_one(desk: Desk) -> None:
    """The second waits for the first and finds what it did."""
    answers: list[Accepted] = []

    async def ask() -> None:
        answer = await desk.submit()
        answers.append(msgspec.json.decode(answer.content, type=Accepted))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    assert {accepted.execution_id for accepted in answers} == {"e000001"}
    assert [accepted.is_new for accepted in answers].count(True) == 1
    assert await desk.executions() == 1


async def test_a_limit_is_what_a_worst_price_was(desk: Desk) -> None:
    """The two names are one request under a key, so what an older client was promised holds; the answer to a repeat
    says the same limit and cap as the first. The method is the flagship unless another is named."""
    older = {"target_price": None, "worst_price": "0.30"}
    first = await desk.submit(**older)
    again = await desk.submit(target_price=None, limit="0.3")
    assert (first.status_code, again.status_code) == (201, 200)
    told = [msgspec.json.decode(answer.content, type=Accepted) for answer in (first, again)]
    assert [(each.execution_id, each.limit, each.cap) for each in told] == [("e000001", "0.3000", "0.314700")] * 2
    submission = await desk.store.load_submission("k1")
    assert submission is not None
    assert b'"worst_price":"0.3000"' in submission.request
    assert b'"limit"' not in submission.request, "a name that what was stored before does not have"
    assert (await desk.submit(key="k2", method=None)).status_code == 201
    assert (await desk.control.show("e000002", 0)).execution.method == "deadline_walker@1"


MISSING: list[tuple[tuple[str, ...], int, str]] = [
    (("target_price", "horizon_s"), 422, "missing: limit or cap or target_price, horizon_s or deadline"),
    (
        ("outcome", "quantity", "target_price", "horizon_s"),
        400,
        "missing: outcome, quantity, limit or cap or target_price, horizon_s or deadline",
    ),
]


@pytest.mark.parametrize(("left_out", "status", "says"), MISSING)
async def test_all_that_is_missing_is_named_at_once(
    desk: Desk, left_out: tuple[str, ...], status: int, says: str
) -> None:
    """By the names of the API, and as one line."""
    answer = await desk.submit(**dict.fromkeys(left_out))
    assert (answer.status_code, error_of(answer).message.removeprefix("the body is not what this takes: ")) == (
        status,
        says,
    )


PRICES = [
    ({"target_price": "0.50"}, ("0.5000", "0.5100", 527_493)),
    ({"target_price": "0.05"}, ("0.0500", "0.0500", 53_325)),
    ({"target_price": "0.50", "max_slippage": "0.1"}, ("0.5000", "0.5500", 567_325)),
    ({"target_price": "0.50", "worst_price": "0.52"}, ("0.5000", "0.5200", 537_472)),
    ({"target_price": None, "limit": "0.51"}, ("0.5100", "0.5100", 527_493)),
    ({"target_price": "0.50", "limit": "0.52"}, ("0.5000", "0.5200", 537_472)),
    ({"target_price": None, "worst_price": "0.51"}, ("0.5100", "0.5100", 527_493)),
    ({"target_price": None, "cap": "0.53"}, ("0.5100", "0.5100", 530_000)),
]


@pytest.mark.parametrize(("given", "expected"), PRICES)
async def test_prices(desk: Desk, given: dict[str, object], expected: tuple[str, str, MoneyE6]) -> None:
    """Target, worst price and cap of what was given; without a target the highest price allowed is the target."""
    await desk.accepted(**given)
    (stored,) = await desk.store.load_executions()
    limits = decode_stored(stored).limits
    assert limits is not None
    assert (format_price(limits.target_e4), format_price(PriceE4(limits.worst_e4)), limits.cap_e6) == expected


REFUSED = [
    ({"key": None}, 400, "key"),
    ({"key": ""}, 400, "key"),
    ({"key": "with space"}, 400, "key"),
    ({"key": "k\n"}, 400, "key"),
    ({"key": "k" * 65}, 400, "key"),
    ({"quantity": 10}, 400, "quantity"),
    ({"quantity": "ten"}, 422, "quantity: 'ten'"),
    ({"cap": "0.5.5", "target_price": None}, 422, "cap: '0.5.5'"),
    ({"quantity": "0"}, 422, "above 0"),
    ({"quantity": "-1"}, 422, "-1"),
    ({"quantity": "1.005"}, 422, "decimals"),
    ({"quantity": "9" * 25}, 400, "length"),
    ({"outcome": "maybe"}, 400, "maybe"),
    ({"method": "no_such"}, 422, "no_such"),
    ({"method": "simple_limit@99"}, 422, "simple_limit@99"),
    ({"method": "seed_walker"}, 422, "method 'seed_walker' is for the lab only; choose another one"),
    ({"target_price": None}, 422, "target_price"),
    ({"target_price": "0.305"}, 422, "grid"),
    ({"target_price": "1.5"}, 422, "1.5"),
    ({"target_price": "0.50", "worst_price": "0.40"}, 422, "above the worst price"),
    ({"worst_price": "0.40", "cap": "0.50"}, 422, "not both"),
    ({"cap": "0.001", "target_price": None}, 422, "no price"),
    ({"cap": "1.000001", "target_price": None}, 422, "above 1 dollar"),
    ({"cap": "70"}, 422, "dollars per contract; did you mean 0.70?"),
    ({"limit": "55", "target_price": None}, 422, "limit: price '55' is not between 0 and 1 dollar; did you mean 0.55?"),
    ({"limit": ".55", "target_price": None}, 422, "did you mean 0.55?"),
    ({"limit": "0.305", "target_price": None}, 422, "limit 0.3050 is not on the market's grid; the nearest prices are"),
    ({"limit": "0.40", "cap": "0.50"}, 422, "not both"),
    ({"limit": "0.40", "worst_price": "0.40"}, 422, "older name of limit"),
    ({"max_slippage": "0.01", "limit": "0.40"}, 422, "max_slippage"),
    ({"max_slippage": "2"}, 422, "max_slippage"),
    ({"max_slippage": "0.01", "worst_price": "0.40"}, 422, "max_slippage"),
    ({"horizon_s": None}, 422, "deadline"),
    ({"horizon_s": 0}, 400, "horizon_s"),
    ({"horizon_s": 60, "deadline": "2026-10-01T12:01:00Z"}, 422, "one of them"),
    ({"horizon_s": None, "deadline": "2026-10-01T12:01:00"}, 422, "zone"),
    ({"horizon_s": None, "deadline": "soon"}, 422, "zone"),
    ({"horizon_s": None, "deadline": "2026-10-01T11:59:59Z"}, 422, "has passed"),
    ({"horizon_s": None, "deadline": "2036-10-01T11:59:59Z"}, 422, "max_horizon_s"),
    # Times whose zone leads out of the years there are, and those that are none.
    ({"horizon_s": None, "deadline": "9999-12-31T23:59:59-23:59"}, 422, "after 9999"),
    ({"horizon_s": None, "deadline": "0001-01-01T00:00:00+23:59"}, 422, "before the year 1"),
    ({"horizon_s": None, "deadline": "9999-12-31T23:59:59Z"}, 422, "max_horizon_s"),
    ({"horizon_s": None, "deadline": "0001-01-01T00:00:00Z"}, 422, "has passed"),
    ({"horizon_s": None, "deadline": "10000-01-01T00:00:00Z"}, 422, "no time"),
    ({"horizon_s": None, "deadline": "0000-01-01T00:00:00Z"}, 422, "no time"),
    ({"horizon_s": None, "deadline": "2026-10-01T12:00:00+99:00"}, 422, "no time"),
    ({"horizon_s": None, "deadline": "NaN"}, 422, "no time"),
    ({"horizon_s": 10**30}, 400, "horizon_s"),
    ({"horizon_s": 7 * 86_400 + 1}, 422, "max_horizon_s"),
    ({"ticker": "KXNONE-1"}, 422, "KXNONE-1"),
    ({"ticker": "../portfolio/balance"}, 422, "../portfolio/balance"),
    ({"quantity": "10001"}, 422, "max_quantity_contracts"),
    ({"quantity": "5000"}, 422, "max_notional_dollars"),
    ({"edge": {"model_probability": "1.2", "expected_value": "0"}}, 422, "probability"),
    ({"edge": {"model_probability": "0.5"}}, 422, "missing: expected_value"),
    ({"worst_prize": "0.40"}, 400, "worst_prize"),
]


@pytest.mark.parametrize(("changes", "status", "says"), REFUSED)
async def test_a_mistake_is_one_line_and_changes_nothing(
    desk: Desk, changes: dict[str, object], status: int, says: str
) -> None:
    """The message names what is wrong; nothing is stored, so the key is free."""
    answer = await desk.submit(**changes)
    assert (answer.status_code, says in error_of(answer).message) == (status, True), answer.text
    assert await desk.executions() == 0
    assert await desk.store.load_submission("k1") is None


async def test_a_closed_market_is_refused_and_a_paused_one_waits(desk: Desk) -> None:
    """What cannot trade any more takes no execution."""
    desk.exchange.close_market(OTHER)
    answer = await desk.submit(ticker=OTHER)
    assert (answer.status_code, "closed" in error_of(answer).message) == (422, True)
    desk.exchange.deactivate_market(TICKER)
    assert (await desk.submit()).status_code == 201


async def test_no_more_unfinished_executions_than_allowed() -> None:
    """Those being accepted at the same moment count too; one that has ended makes room."""
    async with a_desk(ControlLimits(max_unfinished_executions=2)) as desk:
        answers: list[httpx.Response] = []

        async def ask(key: str) -> None:
            answers.append(await desk.submit(key=key))

        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(ask, f"k{number}")
        assert {answer.status_code for answer in answers} <= {201, 422}
        assert await desk.executions() <= 2
        for number in range(6):
            await ask(f"again{number}")
        assert await desk.executions() == 2
        assert "max_unfinished_executions = 2" in error_of(answers[-1]).message
        await desk.http.post("/v1/executions/e000001/cancel")
        await until_ended(desk, "e000001")
        assert (await desk.submit(key="another")).status_code == 201


async def test_what_is_being_accepted_when_the_end_comes_is_there_or_refused(desk: Desk) -> None:
    """After `close` every accepted execution is at work, so that coming to rest finds it; the others are told no."""
    await desk.engine.open_market(TICKER)
    answers: list[int] = []

    async def ask(number: int) -> None:
        for _ in range(3 * number):  # so that each is at another point of its way when the end comes
            await trio.lowlevel.checkpoint()
        answers.append((await desk.submit(key=f"k{number}", quantity="1")).status_code)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(ask, number)
        with trio.fail_after(5):
            while not desk.engine.actors:
                await trio.lowlevel.checkpoint()
        await desk.control.close()
        at_work = set(desk.engine.actors)
    assert set(answers) == {201, 503}
    assert len(at_work) == answers.count(201) == await desk.executions()
    answer = await desk.submit(key="late")
    assert (answer.status_code, "stopping" in error_of(answer).message) == (503, True)


async def test_a_market_asked_for_by_many_at_once_has_one_feed(desk: Desk) -> None:
    """A second feed would take the book from the first, and whoever works by the first would wait for ever."""

    async def ask(number: int) -> None:
        assert (await desk.submit(key=f"k{number}", quantity="1")).status_code == 201

    with trio.fail_after(4):  # sooner than a submission gives up waiting for a book
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(ask, number)
    executions = [decode_stored(stored) for stored in await desk.store.load_executions()]
    assert [execution.arrival.feed for execution in executions] == ["live"] * 5


async def until_ended(desk: Desk, execution_id: str) -> None:
    with trio.fail_after(10):
        while execution_id in desk.engine.actors:  # noqa: ASYNC110 - nobody announces the end of one
            await trio.sleep(0.02)


async def test_a_halted_engine_takes_nothing(desk: Desk) -> None:
    """503 until it is resumed; what was refused may come again under the same key."""
    assert (await desk.http.post("/v1/halt")).status_code == 202
    answer = await desk.submit()
    assert (answer.status_code, error_of(answer).code) == (503, "not_running")
    assert "fsm-exec resume" in error_of(answer).message
    assert (await desk.http.post("/v1/resume")).status_code == 200
    assert (await desk.submit()).status_code == 201


async def test_the_answer_to_a_failed_save_says_so(desk: Desk) -> None:
    """The database has failed: 500, and nothing was accepted."""
    await desk.engine.open_market(TICKER)
    await desk.store._writer.read(lambda connection: connection.execute("PRAGMA query_only = ON"))
    answer = await desk.submit()
    assert (answer.status_code, error_of(answer).code) == (500, "store_failed")
    with pytest.raises(Exception, match="readonly"):
        await desk.engine.wait_idle()
    assert msgspec.json.decode((await desk.submit()).content, type=Failed).error.code == "store_failed"


def test_a_method_whose_algorithm_is_gone_is_refused_and_says_what_to_install() -> None:
    """As a mistake of the caller's, not as a daemon that will be better soon: asked again it would be the same."""

    def find(name: str) -> Method:
        raise AlgorithmMissing(f"method {name} is of a package that is not installed; pip install that==1.0")

    given = Submission(ticker=TICKER, outcome="yes", quantity="1", method="gone", key="k", cap="0.5", horizon_s=60)
    with pytest.raises(UserError, match=r"method 'gone' cannot be used: .*pip install that==1\.0"):
        check_submission(given, find)
