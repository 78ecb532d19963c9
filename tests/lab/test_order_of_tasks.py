"""A result does not depend on the order in which tasks run, nor on how many steps an answer takes at one instant, nor
on what carries frames.

The tape's times are multiples of 50 ms, as the latencies are: frames, answers and decisions fall on the same instants
all the time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import msgspec
import pytest
import trio

from fsm_exec.algorithms import SHIPPED
from fsm_exec.core.values.units import CountE2
from fsm_exec.lab.experiment import episode_runner
from fsm_exec.lab.experiment.episodes import Conditions, Order, find_starts
from fsm_exec.paper.server.direct_host import DirectTransport
from fsm_exec.paper.server.hosting import MemoryHost
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.tape import Tape
from fsm_exec.paper.timing.latency import Latency
from fsm_exec.paper_session import PaperExchange, Reachable
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.wire.answer import Answer

EPISODES = 8
STEP_US = 50_000
CONDITIONS = Conditions()
ORDER = Order(outcome="yes", quantity_e2=CountE2(10_000), horizon_us=60_000_000)


@pytest.fixture(scope="module")
def tape() -> Tape:
    drawn = generate(7, 1_200, profile="index", ticker="KXORDER-1")
    first_us = drawn.first_us
    events = tuple((first_us + (at_us - first_us) // STEP_US * STEP_US, change) for at_us, change in drawn.events)
    return msgspec.structs.replace(drawn, events=events)


def over_the_whole_wire(paper: PaperExchange, latency: Latency) -> AbstractAsyncContextManager[MemoryHost]:
    """Handshake, WebSocket frames and pings over streams in memory."""
    return paper.in_memory(latency=latency)


class CrumblingStream(trio.abc.Stream):
    """A stream that gives so few bytes at a time, and lets others run between them: or, with `waits`, comes so late
    that what was written apart arrives together."""

    def __init__(self, inner: trio.abc.Stream, most: int, waits: int) -> None:
        self._inner, self._most, self._waits = inner, most, waits

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        for start in range(0, len(data), self._most):
            await self._inner.send_all(data[start : start + self._most])

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        for _ in range(self._waits):
            await trio.lowlevel.checkpoint()
        return await self._inner.receive_some(self._most)

    async def aclose(self) -> None:
        await self._inner.aclose()


@asynccontextmanager
async def over_a_poor_wire(
    paper: PaperExchange, latency: Latency, *, most: int, waits: int
) -> AsyncIterator[Reachable]:
    """The whole wire, in crumbs or late."""
    async with paper.in_memory(latency=latency) as host:
        connect = host.connect
        host.connect = lambda: CrumblingStream(connect(), most, waits)  # type: ignore[method-assign]
        yield host


WIRES: dict[str, episode_runner.Serve] = {
    "whole": over_the_whole_wire,
    "crumbs": partial(over_a_poor_wire, most=11, waits=0),
    "late": partial(over_a_poor_wire, most=65_536, waits=9),
}


def runs_of(
    tape: Tape, method: str, serve: episode_runner.Serve = PaperExchange.directly
) -> list[episode_runner.EpisodeRun]:
    starts = [each for each in find_starts(tape, 60_000_000, CONDITIONS) if each.has_room(tape, ORDER.horizon_us)]
    assert len(starts) >= EPISODES
    return [
        episode_runner.run_episode(tape, start, ORDER, SHIPPED[method], CONDITIONS, serve)
        for start in starts[:EPISODES]
    ]


def other_seed(patch: pytest.MonkeyPatch, seed: int) -> None:
    """trio shuffles its tasks otherwise."""

    def run(main: Callable[[], object], *, seed: int, instead: int) -> object:
        return run_virtual(main, seed=instead)  # type: ignore[arg-type]

    patch.setattr(episode_runner, "run_virtual", partial(run, instead=seed))


def longer_answers(patch: pytest.MonkeyPatch, steps: int) -> None:
    """Each answer takes so many more steps of the scheduler, and no time."""
    call = DirectTransport.call

    async def slow(
        transport: DirectTransport,
        api_key_id: str,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]],
        body: bytes | None,
    ) -> Answer:
        answer = await call(transport, api_key_id, method, path, query, body)
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        return answer

    patch.setattr(DirectTransport, "call", slow)


@pytest.mark.parametrize("method", ["deadline_walker", "dynamic_depth_walker"])
def test_another_order_of_tasks_gives_the_same_runs(tape: Tape, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes, walks, fills and costs of every episode, under other seeds of the scheduler and with answers that arrive
    after frames of the same instant instead of before them."""
    before = runs_of(tape, method)
    with monkeypatch.context() as patch:
        other_seed(patch, 4_242)
        assert runs_of(tape, method) == before
    with monkeypatch.context() as patch:
        longer_answers(patch, 12)
        assert runs_of(tape, method) == before


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("method", ["passive_mid", "deadline_walker", "dynamic_depth_walker"])
def test_what_carries_frames_does_not_matter(tape: Tape, method: str, wire: str) -> None:
    """Without framing, over the whole wire, in crumbs of a few bytes, and late enough that writes arrive together."""
    runs = runs_of(tape, method)
    assert runs_of(tape, method, WIRES[wire]) == runs
    assert sum(run.writes for run in runs) > EPISODES
