"""The overview in one answer: what is at work against its market, how much of it is shown, and what ended last."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest
import trio

from fsm_exec.control.overview_schema import Overview
from fsm_exec.store.files.migrations import SCHEMA
from fsm_exec.store.reads import api_queries
from tests.control.conftest import Desk


async def seen(desk: Desk, **query: str) -> Overview:
    answer = await desk.http.get("/v1/overview", params=query)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=Overview)


async def test_the_overview_shows_what_is_at_work_against_its_market(desk: Desk) -> None:
    """Own price beside bid and ask of the others, time left, cost with its fees; the soonest to end stands first."""
    late = await desk.accepted(key="late", horizon_s=600)
    soon = await desk.accepted(key="soon", target_price=None, limit="0.53", method="market", quantity="15")
    with trio.fail_after(5):
        while (shown := await seen(desk)).working[0].filled_quantity != "10.00" or shown.working[1].ask is not None:  # noqa: ASYNC110
            await trio.sleep(0.02)
    first, second = shown.working
    assert (first.execution_id, second.execution_id) == (soon, late)
    assert (second.price, second.bid, second.ask) == ("0.3000", "0.4500", None)
    assert (first.target_quantity, first.limit, first.feed) == ("15.00", "0.5300", "live")
    assert first.cost == "0.574400"  # ten at 0.53 and the 0.1744 the exchange charged, above a mid of 0.49
    assert (second.cost, 0 < second.seconds_left <= 600, second.ending) == ("0.000000", True, None)
    assert (shown.status.at_work, shown.ended) == (2, [])
    assert 0 < shown.budget.left <= shown.budget.capacity
    assert [one.execution_id for one in (await seen(desk, working="1")).working] == [soon]


async def test_the_newest_endings_come_first_whenever_they_were_accepted(desk: Desk) -> None:
    """By the time they ended, not by their number; no more than are asked for; none stays among those at work."""
    names = [await desk.accepted(key=f"k{number}") for number in range(3)]
    for name in (names[2], names[0], names[1]):
        await desk.http.post(f"/v1/executions/{name}/cancel")
        with trio.fail_after(5):
            while any(one.execution_id == name for one in (await seen(desk)).working):  # noqa: ASYNC110
                await trio.sleep(0.05)
    shown = await seen(desk, ended="2")
    assert [one.execution_id for one in shown.ended] == [names[1], names[0]]
    assert (shown.working, (await seen(desk, ended="0")).ended) == ([], [])


@pytest.mark.parametrize("query", [{"working": "1001"}, {"ended": "-1"}, {"of": "1"}])
async def test_an_overview_of_nonsense_is_refused(desk: Desk, query: dict[str, str]) -> None:
    """Bounds hold, and an unknown parameter is none."""
    assert (await desk.http.get("/v1/overview", params=query)).status_code == 400


def test_neither_endings_nor_the_count_reads_every_execution(tmp_path: Path) -> None:
    """SQLite says that it goes by the indexes made for the two, so it is as fast after a hundred thousand."""
    connection = sqlite3.connect(tmp_path / "plan.sqlite", isolation_level=None)
    for migration in SCHEMA:
        connection.executescript(migration.sql)
    listing = (
        f"SELECT execution_id FROM execution_state e WHERE e.{api_queries.ENDED} ORDER BY e.updated_at DESC LIMIT 9"
    )
    counting = f"SELECT count(*) FROM execution_state WHERE {api_queries.UNFINISHED}"
    plans = [connection.execute(f"EXPLAIN QUERY PLAN {one}").fetchall() for one in (listing, counting)]
    connection.close()
    assert "execution_state_ended" in str(plans[0])
    assert "execution_state_unfinished" in str(plans[1])
