"""Closing through the API: what is held and no more, once under its key, and never refused for its size."""

from __future__ import annotations

from decimal import Decimal

import httpx
import msgspec
import pytest
import trio

from fsm_exec.control.account_schema import ClosedMarket, Closing
from fsm_exec.control.closing import key_of
from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.schema import Key
from fsm_exec.core.journal.snapshot import decode_stored
from tests.control.conftest import OTHER, TICKER, Desk, a_desk, error_of


async def close(desk: Desk, **given: object) -> httpx.Response:
    return await desk.http.post("/v1/close", content=msgspec.json.encode({"key": "c1", **given}))


async def closed(desk: Desk, **given: object) -> list[ClosedMarket]:
    answer = await close(desk, **given)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=Closing).markets


async def hold(desk: Desk, ticker: str = TICKER, quantity: str = "8", outcome: str = "yes") -> None:
    """Buy it at once, and wait until it is."""
    name = await desk.accepted(
        key=f"hold-{ticker}-{quantity}",
        ticker=ticker,
        quantity=quantity,
        outcome=outcome,
        method="market",
        target_price=None,
        limit="0.60",
    )
    await until_ended(desk, name)


async def until_ended(desk: Desk, execution_id: str) -> None:
    with trio.fail_after(10):
        while (await desk.control.show(execution_id, 0)).execution.state not in ("filled", "cancelled"):  # noqa: ASYNC110
            await trio.sleep(0.02)


async def test_a_part_then_all_of_it_and_then_there_is_nothing(desk: Desk) -> None:
    """The other outcome is bought, within two ticks of what the book asks; a limit is what is received at least. The
    same key again is the same execution although less is held by then; more than is held is cut to what is; without a
    position it is refused."""
    await hold(desk)
    (first,) = await closed(desk, ticker=TICKER, quantity="3")
    assert (first.outcome, first.quantity) == ("no", "3.00")
    assert first.accepted is not None
    assert (first.accepted.limit, first.accepted.is_new) == ("0.5700", True)
    assert (first.held, first.limit) == ("yes", "0.4300")
    assert first.accepted.cap is not None
    assert first.after_fee is not None
    assert Decimal(first.after_fee) == 1 - Decimal(first.accepted.cap)
    await until_ended(desk, first.accepted.execution_id)
    (again,) = await closed(desk, ticker=TICKER, quantity="3.0")
    assert again.accepted is not None
    assert (again.accepted.execution_id, again.accepted.is_new) == (first.accepted.execution_id, False)
    assert (await close(desk, ticker=TICKER, quantity="4")).status_code == 409
    (rest,) = await closed(desk, ticker=TICKER, quantity="500", key="c2", limit="0.44")
    assert (rest.quantity, rest.accepted is not None and rest.accepted.limit) == ("5.00", "0.5600")
    assert rest.accepted is not None
    await until_ended(desk, rest.accepted.execution_id)
    assert (await desk.control.show(rest.accepted.execution_id, 0)).execution.filled_quantity == "5.00"
    none = await close(desk, ticker=TICKER, key="c3")
    assert (none.status_code, "nothing is held" in error_of(none).message) == (422, True)
    made = [decode_stored(stored) for stored in await desk.store.load_executions()]
    assert [execution.reduce_only for execution in made] == [False, True, True]


async def test_all_of_an_event_is_closed_market_by_market(desk: Desk) -> None:
    """Whatever is held of it; twice under one key is once."""
    await hold(desk)
    event = (await desk.control.markets.load_facts(TICKER)).event  # type: ignore[union-attr]
    made = await closed(desk, event=event)
    assert [one.ticker for one in made] == [TICKER]
    again = await closed(desk, event=event)
    names = {one.accepted.execution_id for one in (*made, *again) if one.accepted is not None}
    assert len(names) == 1
    for name in names:
        await until_ended(desk, name)
    assert await closed(desk, event=event, key="c2") == []


async def test_what_is_too_large_can_shrink() -> None:
    """The limits of a submission are for what is bought, not for what is closed."""
    async with a_desk(ControlLimits(max_quantity_contracts=8, max_unfinished_executions=1)) as desk:
        await hold(desk, quantity="8")
        desk.control._limits = desk.control.estimator._limits = ControlLimits(max_quantity_contracts=1)
        (one,) = await closed(desk, ticker=TICKER)
        assert one.quantity == "8.00"


REFUSED: list[tuple[dict[str, object], int, str]] = [
    ({}, 422, "give ticker, or event"),
    ({"ticker": TICKER, "event": "KX"}, 422, "give ticker, or event"),
    ({"event": "KX", "quantity": "5"}, 422, "go with one ticker"),
    ({"ticker": OTHER}, 422, "nothing is held"),
    ({"ticker": TICKER, "quantity": "0"}, 422, "above 0"),
    ({"ticker": TICKER, "quantity": "nan"}, 422, "quantity: 'nan'"),
    ({"ticker": TICKER, "limit": "45"}, 422, "did you mean 0.45?"),
    ({"ticker": TICKER, "limit": "0.455"}, 422, "not on the market's grid"),
    ({"ticker": TICKER, "limit": "0"}, 422, "not on the market's grid"),
    ({"ticker": TICKER, "method": "passive_mid"}, 422, "lets orders rest"),
    ({"ticker": TICKER, "more": 1}, 400, "more"),
]


@pytest.mark.parametrize(("given", "status", "says"), REFUSED)
async def test_a_close_of_nonsense_is_one_line(desk: Desk, given: dict[str, object], status: int, says: str) -> None:
    """And nothing is set to work."""
    await hold(desk)
    answer = await close(desk, **given)
    assert (answer.status_code, says in error_of(answer).message) == (status, True), answer.text
    assert await desk.executions() == 1


def test_a_key_for_each_market_of_an_event() -> None:
    """It is a key whatever it is made of, and another one for each market."""
    made = [key_of(key, ticker) for key in ("k", "k" * 64) for ticker in ("A-1", "B" * 90, "C" * 90)]
    assert len(set(made)) == len(made)
    for key in made:
        msgspec.convert(key, Key)
