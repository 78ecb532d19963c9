"""Listing, showing, watching and steering what the daemon does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx
import msgspec
import pytest
import trio

from fsm_exec.control.api_errors import Refusal
from fsm_exec.control.broadcast import Watchers
from fsm_exec.control.limits import WATCHERS_MAX
from fsm_exec.control.schema import Page, Status, Transition
from fsm_exec.core.errors import LocalError
from fsm_exec.runtime.actor import Actor
from fsm_exec.store.api_rows import ExecutionDetail
from tests.control.conftest import OTHER, START_US, TICKER, Desk, error_of


async def page(desk: Desk, **query: str) -> Page:
    answer = await desk.http.get("/v1/executions", params=query)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=Page)


async def show(desk: Desk, execution_id: str, **query: str) -> ExecutionDetail:
    answer = await desk.http.get(f"/v1/executions/{execution_id}", params=query)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=ExecutionDetail)


async def status(desk: Desk) -> Status:
    return msgspec.json.decode((await desk.http.get("/v1/status")).content, type=Status)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    with trio.fail_after(15):
        while not await holds():  # noqa: ASYNC110 - asked as a caller would, again and again
            await trio.sleep(0.02)


async def has_state(desk: Desk, execution_id: str, state: str) -> bool:
    return (await show(desk, execution_id)).execution.state == state


async def test_a_list_is_newest_first_in_pages_and_by_filter(desk: Desk) -> None:
    """`next_before` leads through all of it without a gap; the filters leave out all others."""
    names = [await desk.accepted(key=f"k{number}", quantity="1") for number in range(5)]
    names.append(await desk.accepted(key="other", ticker=OTHER, quantity="1"))
    seen: list[str] = []
    before: dict[str, str] = {}
    while True:
        found = await page(desk, limit="2", **before)
        seen += [execution.execution_id for execution in found.executions]
        if found.next_before is None:
            break
        before = {"before": found.next_before}
    assert seen == names[::-1]
    (other,) = (await page(desk, ticker=OTHER)).executions
    assert (other.key, other.ticker, other.outcome, other.method) == ("other", OTHER, "yes", "simple_limit@1")
    await desk.http.post(f"/v1/executions/{names[0]}/cancel")
    await until(lambda: has_state(desk, names[0], "cancelled"))
    assert [e.execution_id for e in (await page(desk, state="cancelled")).executions] == names[:1]
    assert len((await page(desk, unfinished="true")).executions) == 5
    assert (await page(desk, quarantined="true")).executions == []


async def test_one_in_detail(desk: Desk) -> None:
    """Orders, fills, cost and the last lines of the journal, as the database has them."""
    name = await desk.accepted(quantity="15", outcome="no", target_price="0.56", method="market")
    await until(lambda: has_state(desk, name, "filled"))
    await until(lambda: _measured(desk, name))
    detail = await show(desk, name, journal_lines="3")
    assert (detail.execution.state, detail.execution.reason, detail.execution.filled_quantity) == (
        "filled",
        "completed",
        "15.00",
    )
    assert sorted(fill.price for fill in detail.fills) == ["0.5500", "0.5600"]
    assert [order.state for order in detail.orders] == ["filled"]
    assert detail.metrics is not None
    assert [line.seq for line in detail.journal] == list(range(detail.execution.seq - 2, detail.execution.seq + 1))


async def _measured(desk: Desk, execution_id: str) -> bool:
    return (await show(desk, execution_id)).metrics is not None


async def test_the_steps_of_one_are_told_to_its_end(desk: Desk) -> None:
    """What is past comes first if asked for, then each step once it is durable, none twice and none missing."""
    name = await desk.accepted()
    await until(lambda: has_state(desk, name, "walking"))
    chunks: list[bytes] = []

    async def emit(chunk: bytes) -> None:
        chunks.append(chunk)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.control.journal_stream.stream_one, name, 0, emit)
        await trio.testing.wait_all_tasks_blocked(0.01)
        await desk.http.post(f"/v1/executions/{name}/cancel")
    steps = steps_in(chunks)
    assert [step.seq for step in steps] == list(range(1, len(steps) + 1))
    assert (steps[0].event_type, steps[-1].state, steps[-1].reason) == ("Submitted", "cancelled", "user")
    assert chunks[-1].startswith(b"event: end\n")
    again: list[bytes] = []

    async def emit_again(chunk: bytes) -> None:
        again.append(chunk)

    await desk.control.journal_stream.stream_one(name, None, emit_again)
    assert [step.seq for step in steps_in(again)] == [steps[-1].seq], (
        "of one that has ended: its last step, and the end"
    )


def steps_in(chunks: list[bytes]) -> list[Transition]:
    lines = [line for chunk in chunks for line in chunk.split(b"\n") if line.startswith(b"data: ")]
    return [msgspec.json.decode(line[6:], type=Transition) for line in lines if b'"seq"' in line]


async def test_no_more_watchers_than_allowed(desk: Desk) -> None:
    """One more is refused with 429, and the place of one who went is free."""
    watchers = Watchers(lambda: START_US)
    held = [watchers.watch(None) for _ in range(WATCHERS_MAX)]
    for one in held:
        one.__enter__()
    with pytest.raises(Refusal) as refused, watchers.watch(None):
        pass
    assert refused.value.status == 429
    held[0].__exit__(None, None, None)
    with watchers.watch(None):
        assert len(watchers) == WATCHERS_MAX


async def test_cancelling(desk: Desk) -> None:
    """202; the order is taken off, what was filled stays. A second time, and one that has ended: 409."""
    name = await desk.accepted()
    await until(lambda: has_state(desk, name, "walking"))
    assert (await desk.http.post(f"/v1/executions/{name}/cancel")).status_code == 202
    await until(lambda: has_state(desk, name, "cancelled"))
    answer = await desk.http.post(f"/v1/executions/{name}/cancel")
    assert (answer.status_code, error_of(answer).code) == (409, "conflict")


async def test_halting_ends_everything_and_is_kept(desk: Desk) -> None:
    """All executions end with `halt`, nothing rests at the exchange, and the database remembers until `resume`."""
    for number in range(3):
        await desk.accepted(key=f"k{number}", quantity="1")
    told = msgspec.json.decode((await desk.http.post("/v1/halt")).content, type=Status)
    assert (told.state, told.halt_within_s > 0) == ("halted", True)
    await until(lambda: _ended(desk))
    assert {e.reason for e in (await page(desk)).executions} == {"halt"}
    assert await desk.store.load_halted_at() is not None
    assert (await desk.http.post("/v1/resume")).status_code == 200
    assert (await desk.store.load_halted_at(), (await status(desk)).state) == (None, "running")
    answer = await desk.http.post("/v1/resume")
    assert (answer.status_code, error_of(answer).code) == (503, "not_running")


async def _ended(desk: Desk) -> bool:
    return (await status(desk)).unfinished == 0


async def test_a_quarantined_one_is_shown_and_taken_up_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reason stands in list, detail and status; `resume` takes it up, and only one that is quarantined. It goes on:
    another order takes the place of the one that was cancelled when it was given up."""
    name = await desk.accepted()
    await until(lambda: has_state(desk, name, "walking"))
    answer = await desk.http.post(f"/v1/executions/{name}/resume")
    assert (answer.status_code, error_of(answer).code) == (409, "conflict")

    async def contradict(_: Actor, __: object) -> None:
        raise LocalError("two truths")

    with monkeypatch.context() as patched:
        patched.setattr(Actor, "step", contradict)
        answer = await desk.http.post(f"/v1/executions/{name}/cancel")
        assert (answer.status_code, error_of(answer).code) == (503, "not_running"), "it is not confirmed"
        await until(lambda: _quarantined(desk))
    (shown,) = (await page(desk, quarantined="true")).executions
    assert "two truths" in (shown.quarantine or "")
    assert "two truths" in (await status(desk)).quarantined[name]
    assert (await desk.http.post(f"/v1/executions/{name}/resume")).status_code == 202
    await until(lambda: _rests_again(desk, name))
    assert (await page(desk, quarantined="true")).executions == [], "it was until it had taken in what was done"
    assert (await desk.http.post(f"/v1/executions/{name}/cancel")).status_code == 202
    await until(lambda: has_state(desk, name, "cancelled"))
    assert (await show(desk, name)).execution.reason == "user"


async def _rests_again(desk: Desk, name: str) -> bool:
    return [order.state for order in (await show(desk, name)).orders] == ["cancelled", "resting"]


async def _quarantined(desk: Desk) -> bool:
    return bool((await page(desk, quarantined="true")).executions)


async def test_a_market_nobody_works_is_watched_no_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that runs for months does not collect the markets of every day."""
    monkeypatch.setattr("fsm_exec.control.watched_markets.IDLE_S", 0.2)
    monkeypatch.setattr("fsm_exec.control.watched_markets.IDLE_LOOK_S", 0.05)
    worked = await desk.accepted()
    refused: httpx.Response = await desk.submit(key="k2", ticker=OTHER, target_price="0.305")
    assert refused.status_code == 422
    assert set(desk.engine.feeds) == {TICKER, OTHER}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.control.markets.close_idle)
        with trio.fail_after(5):
            while OTHER in desk.engine.feeds:  # noqa: ASYNC110 - nobody announces it
                await trio.sleep(0.05)
        assert set(desk.engine.feeds) == {TICKER}, f"{worked} works it"
        nursery.cancel_scope.cancel()
    assert (await desk.submit(key="k2", ticker=OTHER)).status_code == 201, "it is opened again"
