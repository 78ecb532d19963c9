"""Streams that resume: what a row tells does not depend on when it is asked, and no cut loses or repeats one."""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
import pytest
import trio

from fsm_exec.control.api_errors import Refusal
from fsm_exec.control.events import Emit
from fsm_exec.control.journal_stream import ROWS_AT_ONCE
from fsm_exec.control.schema import QuarantineSeen, Transition
from tests.control.conftest import OTHER, Desk, error_of

Tell = Callable[[int | None, Emit], Awaitable[None]]
STEP = re.compile(rb"id: (\d+)\nevent: step\ndata: (.*)\n\n")


class Cut(Exception):
    """The connection is gone."""


class Reader:
    """Reads a stream again and again, each time to a cut; what it has is as bytes, by the row's number."""

    def __init__(self, tell: Tell, place: int | None) -> None:
        self._tell, self.place = tell, place
        self.rows: list[tuple[int, bytes]] = []

    async def read(self, at_most: int | None = None) -> None:
        """To the end of the stream, or until `at_most` events have come."""
        left = at_most

        async def emit(chunk: bytes) -> None:
            nonlocal left
            if left == 0:
                raise Cut
            left = None if left is None else left - 1
            if found := STEP.fullmatch(chunk):
                self.rows.append((int(found[1]), found[2]))
            if told := re.search(rb"^id: (\d+)$", chunk, re.MULTILINE):
                self.place = int(told[1])

        await self._tell(self.place, emit)

    async def read_in_pieces(self, rng: random.Random) -> None:
        while True:
            try:
                with trio.move_on_after(rng.uniform(0.01, 0.4)):
                    return await self.read(rng.randrange(12) if rng.random() < 0.7 else None)
            except Cut:
                pass
            await trio.sleep(rng.uniform(0, 0.1))


async def work(desk: Desk, executions: int) -> list[str]:
    """Some that fill as takers, some that rest and are cancelled."""
    names = []
    for number in range(executions):
        crossing: dict[str, object] = {"outcome": "no", "target_price": "0.56", "method": "market", "quantity": "3"}
        changes = crossing if number % 2 else {"ticker": OTHER, "quantity": "2"}
        names.append(await desk.accepted(key=f"w{number}", **changes))
        await trio.sleep(0.01)
    for name in names[::2]:
        await desk.http.post(f"/v1/executions/{name}/cancel")
    with trio.fail_after(15):
        while desk.engine.actors:  # noqa: ASYNC110 - asked as a caller would, again and again
            await trio.sleep(0.01)
    return names


async def all_rows(desk: Desk) -> list[Transition]:
    return await desk.store.load_steps_of_all(0, 10_000)


async def test_a_row_tells_the_same_whenever_it_is_asked(desk: Desk) -> None:
    """Byte for byte: live, afterwards from the first row, and among the steps of all; its fills and state with it."""
    live: dict[str, Reader] = {}
    async with trio.open_nursery() as nursery:
        for number in range(4):
            crossing: dict[str, object] = {"outcome": "no", "target_price": "0.56", "method": "market"}
            name = await desk.accepted(key=f"k{number}", quantity="3", **(crossing if number % 2 else {}))
            live[name] = Reader(partial(desk.control.journal_stream.stream_one, name), 0)
            nursery.start_soon(live[name].read)
        await trio.sleep(0.2)
        for name in list(live)[::2]:
            await desk.http.post(f"/v1/executions/{name}/cancel")
    fills = 0
    by_position = {step.position: msgspec.json.encode(step) for step in await all_rows(desk)}
    for name, reader in live.items():
        answer = await desk.http.get(f"/v1/executions/{name}/events?after=0")
        past = [(int(place), data) for place, data in STEP.findall(answer.content)]
        assert past == reader.rows
        steps = [msgspec.json.decode(data, type=Transition) for _, data in past]
        assert [step.seq for step in steps] == list(range(1, len(steps) + 1))
        assert [by_position[step.position] for step in steps] == [data for _, data in past]
        assert steps[0].state == "pending"
        assert (steps[-1].state, steps[-1].reason) in {("filled", "completed"), ("cancelled", "user")}
        seen = [fill for step in steps for fill in step.fills]
        stored = await desk.store.load_detail(name, 0)
        assert stored is not None
        assert sorted((f.price, f.quantity, f.fee, f.is_taker) for f in seen) == sorted(
            (f.price, f.quantity, f.fee, f.is_taker) for f in stored.fills
        )
        fills += len(seen)
    assert fills >= 2


@pytest.mark.parametrize("seed", range(6))
async def test_no_cut_loses_or_repeats_a_row(desk: Desk, seed: int) -> None:
    """Readers that are cut anywhere, while the engine works and after, have what an uninterrupted one has."""
    rng = random.Random(seed)
    whole = Reader(desk.control.journal_stream.stream_all, 0)
    pieces = [Reader(desk.control.journal_stream.stream_all, 0) for _ in range(5)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(whole.read)
        for reader in pieces:
            nursery.start_soon(reader.read_in_pieces, random.Random(rng.random()))
        names = await work(desk, 8)
        ones = [Reader(partial(desk.control.journal_stream.stream_one, name), 0) for name in names]
        async with trio.open_nursery() as afterwards:
            for reader in ones:
                afterwards.start_soon(reader.read_in_pieces, random.Random(rng.random()))
        await trio.sleep(0.2)
        desk.watchers.close()
    expected = [(step.position, msgspec.json.encode(step)) for step in await all_rows(desk)]
    assert [place for place, _ in expected] == list(range(1, len(expected) + 1))
    assert whole.rows == expected
    for reader in pieces:
        assert reader.rows == expected
    for name, reader in zip(names, ones, strict=True):
        assert [data for _, data in reader.rows] == [
            data for _, data in expected if msgspec.json.decode(data, type=Transition).execution_id == name
        ]


async def test_more_rows_than_are_read_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader far behind gets all of them, in their order."""
    monkeypatch.setattr("fsm_exec.control.journal_stream.ROWS_AT_ONCE", 3)
    assert ROWS_AT_ONCE > 3
    (name, *_) = await work(desk, 4)
    desk.watchers.close()
    reader = Reader(desk.control.journal_stream.stream_all, 0)
    await reader.read()
    assert [place for place, _ in reader.rows] == list(range(1, len(await all_rows(desk)) + 1))
    one = Reader(partial(desk.control.journal_stream.stream_one, name), 0)
    await one.read()
    assert len(one.rows) > 3
    assert [place for place, _ in one.rows] == list(range(1, len(one.rows) + 1))


async def test_where_a_stream_begins(desk: Desk) -> None:
    """`Last-Event-ID` wins over `after`, empty it says nothing; the first event is the place alone. What is no row, or
    one that is not there, is refused."""
    (name,) = await work(desk, 1)
    last = len(await all_rows(desk))
    path = f"/v1/executions/{name}/events"

    async def places(query: str, header: str | None) -> list[int]:
        answer = await desk.http.get(path + query, headers={} if header is None else {"Last-Event-ID": header})
        assert answer.status_code == 200, answer.text
        assert answer.content.startswith(b": from here on\nid: ")
        return [int(place) for place in re.findall(r"^id: (\d+)$", answer.text, re.MULTILINE)]

    assert await places("?after=0", None) == list(range(last + 1))
    assert await places("?after=0", "2") == list(range(2, last + 1))
    assert await places(f"?after={last}", "1") == list(range(1, last + 1))
    assert await places("?after=1", "") == list(range(1, last + 1))
    assert await places("", None) == [last - 1, last], "its last row, to know how it stands"
    assert await places("", str(last)) == [last]
    for header in ("x", "-1", "1.5", str(2**60)):
        answer = await desk.http.get(path, headers={"Last-Event-ID": header})
        assert (answer.status_code, error_of(answer).code) == (400, "bad_request"), header
    twice = await desk.http.get(path, headers=[("Last-Event-ID", "1"), ("Last-Event-ID", "2")])
    assert (twice.status_code, error_of(twice).code) == (400, "duplicate")
    for ahead in (path, "/v1/events"):
        answer = await desk.http.get(f"{ahead}?after={last + 1}")
        assert (answer.status_code, error_of(answer).code) == (409, "ahead")


async def test_quarantines_are_told_as_they_stand(desk: Desk) -> None:
    """When a stream begins, and when one changes; they have no place, so nobody's place moves with them."""
    (name,) = await work(desk, 1)
    waiting = await desk.accepted(key="later")
    await desk.store.quarantine(name, "two truths", desk.wall.now_us())
    chunks: list[bytes] = []

    async def emit(chunk: bytes) -> None:
        chunks.append(chunk)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(desk.control.journal_stream.stream_one, name, None, emit)
        nursery.start_soon(desk.control.journal_stream.stream_all, None, emit)
        await trio.sleep(0.1)
        await desk.store.quarantine(waiting, "why not", desk.wall.now_us())
        await desk.store.quarantine(waiting, None, desk.wall.now_us())
        await trio.sleep(0.1)
        desk.watchers.close()
    told = [chunk for chunk in chunks if chunk.startswith(b"event: quarantine\ndata: ")]
    seen = [msgspec.json.decode(chunk.partition(b"data: ")[2], type=QuarantineSeen) for chunk in told]
    assert [(one.execution_id, one.why) for one in seen][:1] == [(name, "two truths")]
    assert (seen[-1].execution_id, seen[-1].why) == (waiting, None)


async def test_an_unknown_execution(desk: Desk) -> None:
    """It is refused with 404 before anything is told."""

    async def emit(_: bytes) -> None: ...

    with pytest.raises(Refusal) as refused:
        await desk.control.journal_stream.stream_one("e000099", None, emit)
    assert refused.value.status == 404
