"""What was asked for is remembered: accepted or refused, once under its key, with the market's volume of the moment."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
import trio

from fsm_exec.control.schema import Accepted
from fsm_exec.core.errors import StoreFailed
from fsm_exec.core.journal.rows import RefusedRow
from fsm_exec.core.values.units import parse_count, parse_price
from fsm_exec.paper.tapes.tape import Trade
from tests.control.conftest import OTHER, START_US, TICKER, Desk, error_of

EDGE = {"model_probability": "0.62", "expected_value": "0.03"}


async def edges(desk: Desk, *columns: str) -> list[tuple[object, ...]]:
    query = f"SELECT {', '.join(columns)} FROM edges ORDER BY edge_id"
    return await desk.store._writer.read(lambda connection: connection.execute(query).fetchall())


async def test_an_accepted_edge_is_stored_with_its_volume(desk: Desk) -> None:
    """The exchange's figure of 24 hours, read when the market was opened: no request of its own."""
    desk.exchange.apply(TICKER, Trade("yes", parse_price("0.53"), parse_count("7")))
    answer = await desk.submit(edge=EDGE)
    assert msgspec.json.decode(answer.content, type=Accepted).is_new
    await desk.submit(edge=EDGE)
    assert await edges(desk, "key", "execution_id", "refusal", "model_probability", "expected_value", "volume_24h") == [
        ("k1", "e000001", None, "0.620000", "0.030000", "7.00")
    ]
    (method, quantity, target) = (await edges(desk, "method", "quantity", "target_price"))[0]
    assert (method, quantity, target) == ("simple_limit@1", "10.00", "0.3000")


REFUSED: Sequence[tuple[dict[str, object], str]] = [
    ({"quantity": "10001"}, "over_limit"),
    ({"horizon_s": 7 * 86_400 + 1}, "over_limit"),
    ({"target_price": "0.305"}, "invalid"),
    ({"ticker": OTHER}, "invalid"),
    ({"ticker": "KXNONE-1"}, "invalid"),
]


@pytest.mark.parametrize(("changes", "word"), REFUSED)
async def test_a_refused_one_is_stored_under_the_word_the_caller_was_told(
    desk: Desk, changes: dict[str, object], word: str
) -> None:
    """When it is answered it is there, however often it is asked; a market that was not read has no known volume."""
    desk.exchange.close_market(OTHER)
    for _ in range(3):
        answer = await desk.submit(edge=EDGE, **changes)
        assert error_of(answer).code == word
    ((key, execution_id, refusal, ticker, probability, volume),) = await edges(
        desk, "key", "execution_id", "refusal", "ticker", "model_probability", "volume_24h"
    )
    assert (key, execution_id, refusal, probability) == ("k1", None, word, "0.620000")
    assert ticker == changes.get("ticker", TICKER)
    is_read = "horizon_s" not in changes and ticker != "KXNONE-1"
    assert volume == ("0.00" if is_read else None)


async def test_refused_then_accepted_is_one_opportunity(desk: Desk) -> None:
    """Under one key; while the engine is halted it is refused, and afterwards taken."""
    desk.engine.halt()
    assert error_of(await desk.submit()).code == "not_running"
    assert await edges(desk, "key", "execution_id", "refusal") == [("k1", None, "not_running")]
    desk.engine.resume()
    await desk.accepted()
    assert await edges(desk, "key", "execution_id", "refusal") == [("k1", "e000001", None)]


@pytest.mark.parametrize("changes", [{"quantity": "ten"}, {"method": "no_such"}, {"horizon_s": None}, {"key": "k\n"}])
async def test_what_cannot_be_read_is_no_opportunity(desk: Desk, changes: dict[str, object]) -> None:
    """A mistake of the caller's says nothing about the market."""
    assert (await desk.submit(**changes)).status_code in (400, 422)
    assert await edges(desk, "key") == []


async def test_another_request_under_a_used_key_is_none_either(desk: Desk) -> None:
    """The conflict is refused, and the row is the accepted one's."""
    await desk.accepted()
    assert error_of(await desk.submit(quantity="11")).code == "conflict"
    assert await edges(desk, "execution_id", "quantity") == [("e000001", "10.00")]


async def test_the_caller_is_refused_for_his_reason_when_the_note_cannot_be_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that fails is not what he asked about."""

    async def fails(_: RefusedRow) -> None:
        raise StoreFailed("the disk is full")

    monkeypatch.setattr(desk.store, "save_refused", fails)
    assert error_of(await desk.submit(quantity="10001")).code == "over_limit"


async def test_the_volume_is_that_of_the_last_look(desk: Desk, autojump_clock: trio.testing.MockClock) -> None:
    """Watched markets are read every minute anyway: a minute later the figure has moved on."""
    await desk.accepted()
    desk.exchange.apply(TICKER, Trade("yes", parse_price("0.53"), parse_count("150")))
    await trio.sleep(70)
    await desk.accepted(key="k2")
    assert await edges(desk, "volume_24h") == [("0.00",), ("150.00",)]
    assert desk.wall.now_us() > START_US
