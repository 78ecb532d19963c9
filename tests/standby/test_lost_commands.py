"""What a person orders is noted beside the lease record, and what a database does not have of it is done."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
import structlog
import trio
from trio.testing import MockClock

from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.schema import Acknowledged, Status
from fsm_exec.core.errors import LocalError
from fsm_exec.core.values.times import from_iso, to_iso
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.standby.command_notes import (
    HALT,
    NOTED_WITHIN_S,
    CommandKeeper,
    load_execution_notes,
    load_halt_note,
    save_halt_without_engine,
)
from fsm_exec.standby.follower import Follower
from fsm_exec.standby.lease import Lease
from fsm_exec.standby.lease_record import LeaseHolder
from fsm_exec.standby.litestream import Litestream
from fsm_exec.standby.lost_commands import LostCommands
from fsm_exec.standby.places.memory_place import MemoryPlace
from fsm_exec.standby.places.place import PlaceUnreachable, Stored
from fsm_exec.store import open_live_store
from fsm_exec.store.reads.api_queries import Filter
from tests.control.conftest import Desk, a_desk, error_of
from tests.standby.hosts import LITESTREAM
from tests.store.conftest import T0_US, Samples

LOG = structlog.wrap_logger(structlog.ReturnLogger(), processors=[])
THEIRS = "jihgfedcba"
DAY_US = 86_400 * US_PER_S


class RoughPlace(MemoryPlace):
    """It answers, does not for a long time, or refuses."""

    hangs = False
    is_away = False

    async def load(self, name: str) -> Stored | None:
        if self.hangs:
            await trio.sleep(3)
        if self.is_away:
            raise PlaceUnreachable("away")
        return await super().load(name)


@dataclass
class Pair:
    """A desk, the place of its pair, its own keeper, and the one of the other engine."""

    desk: Desk
    place: RoughPlace
    keeper: CommandKeeper
    other: CommandKeeper

    def lost(self) -> LostCommands:
        return LostCommands(self.place, self.desk.store, self.keeper, self.desk.wall, LOG)

    async def accept(self, key: str) -> tuple[str, int]:
        """A resting execution: its id, and when it was accepted."""
        name = await self.desk.accepted(key=key, quantity="1")
        return name, self.desk.engine.actors[name].execution.accepted_at_us

    def is_at_work(self, name: str) -> bool:
        actor = self.desk.engine.actors.get(name)
        return actor is not None and actor.execution.ending is None


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with a_desk(ControlLimits()) as desk:
        place = RoughPlace()
        keeper = CommandKeeper(place, desk.store.instance, LOG)
        desk.engine.commands = keeper
        yield Pair(desk, place, keeper, CommandKeeper(place, THEIRS, LOG))


async def wait_ended(pair: Pair, *names: str) -> None:
    with trio.fail_after(30):
        while any(pair.is_at_work(name) for name in names):  # noqa: ASYNC110 - no event marks it
            await trio.sleep(0.01)


async def test_what_is_ordered_is_noted_before_it_is_acknowledged(pair: Pair, autojump_clock: MockClock) -> None:
    """A cancel, a halt and a resume are beside the record when their answers come, and the answers complain of
    nothing."""
    name, accepted_us = await pair.accept("k1")
    answer = await pair.desk.http.post(f"/v1/executions/{name}/cancel")
    assert msgspec.json.decode(answer.content, type=Acknowledged).not_noted == []
    (note,) = (await load_execution_notes(pair.place)).values()
    assert (note.command, note.execution_id, note.accepted_at) == ("cancel", name, to_iso(accepted_us))
    await pair.desk.http.post("/v1/halt")
    halt = await load_halt_note(pair.place)
    assert halt is not None
    assert (halt.halted, halt.why, halt.instance) == (True, "asked to", pair.desk.store.instance)
    assert (await pair.desk.http.post("/v1/resume")).status_code == 200
    lifted = await load_halt_note(pair.place)
    assert lifted is not None
    assert (lifted.halted, lifted.halted_at) == (False, halt.at)


@pytest.mark.parametrize("trouble", ["hangs", "is_away"])
async def test_no_stop_waits_for_a_note(pair: Pair, autojump_clock: MockClock, trouble: str) -> None:
    """The place hangs, or refuses: cancel and halt are done, are answered within a second, and say that a takeover may
    not know of them; both are noted once the place answers. A resume is refused until then."""
    name, _ = await pair.accept("k1")
    setattr(pair.place, trouble, True)
    began_s = trio.current_time()
    cancelled = msgspec.json.decode(
        (await pair.desk.http.post(f"/v1/executions/{name}/cancel")).content, type=Acknowledged
    )
    assert name in cancelled.not_noted[0]
    assert not pair.is_at_work(name)
    halted = msgspec.json.decode((await pair.desk.http.post("/v1/halt")).content, type=Status)
    assert (halted.state, len(halted.not_noted)) == ("halted", 2)
    assert trio.current_time() - began_s <= 2 * NOTED_WITHIN_S + 0.5
    if trouble == "is_away":
        answer = await pair.desk.http.post("/v1/resume")
        assert (answer.status_code, error_of(answer).code) == (503, "degraded")
        assert pair.desk.engine.state == "halted"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pair.keeper.run)
        setattr(pair.place, trouble, False)
        await trio.sleep(6)
        nursery.cancel_scope.cancel()
    assert pair.keeper.unnoted() == []
    halt = await load_halt_note(pair.place)
    assert halt is not None
    assert halt.halted
    assert len(await load_execution_notes(pair.place)) == 1
    assert (await pair.desk.http.post("/v1/resume")).status_code == 200


async def test_a_halt_while_a_resume_is_being_noted_wins(pair: Pair, autojump_clock: MockClock) -> None:
    """The resume is refused, and the note that stays says halted."""
    await pair.desk.control.halt()
    pair.place.hangs = True

    async def halt_meanwhile() -> None:
        await trio.sleep(0.1)
        await pair.desk.control.halt()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pair.keeper.run)
        nursery.start_soon(halt_meanwhile)
        answer = await pair.desk.http.post("/v1/resume")
        pair.place.hangs = False
        await trio.sleep(6)
        nursery.cancel_scope.cancel()
    assert (answer.status_code, error_of(answer).code) == (409, "conflict")
    halt = await load_halt_note(pair.place)
    assert halt is not None
    assert (halt.halted, pair.desk.engine.state) == (True, "halted")


async def test_a_halt_that_the_copy_does_not_have_stands_at_the_start(pair: Pair, autojump_clock: MockClock) -> None:
    """The database is halted before an engine is there, and it is said once; a note that cannot be read counts as a
    halt."""
    await pair.other.note_halt("too fast", pair.desk.wall.now_us())
    (line,) = await pair.lost().load()
    assert "too fast" in line
    assert await pair.desk.store.load_halted_at() is not None
    assert await pair.lost().load() == []
    await pair.desk.store.save_halt(pair.desk.wall.now_us(), None)
    there = await pair.place.load(HALT)
    assert there is not None
    await pair.place.save(HALT, b"{", there.tag)
    (line,) = await pair.lost().load()
    assert "is no note of a halt" in line
    assert await pair.desk.store.load_halted_at() is not None


async def test_a_resume_that_the_copy_does_not_have_is_done_unless_a_halt_is_newer(
    pair: Pair, autojump_clock: MockClock
) -> None:
    """The copy is halted from before the resume: work is accepted. Halted after it: that halt stands. And the engine
    whose own note it is leaves its database as it is."""
    now_us, store = pair.desk.wall.now_us(), pair.desk.store
    await pair.other.note_resume(now_us)
    await store.save_halt(now_us + US_PER_S, "later")
    assert await pair.lost().load() == []
    assert await store.load_halted_at() is not None
    await store.save_halt(now_us - US_PER_S, "earlier")
    (line,) = await pair.lost().load()
    assert "work is accepted again" in line
    assert await store.load_halted_at() is None
    await pair.keeper.note_resume(now_us)
    await store.save_halt(now_us - US_PER_S, "earlier")
    assert await pair.lost().load() == []


async def test_a_cancel_that_the_copy_does_not_have_is_done_at_the_start(pair: Pair, autojump_clock: MockClock) -> None:
    """Of two executions the one that was cancelled is told to end; a note about another execution of the same id, of a
    database that was there before, ends nobody."""
    ended, accepted_us = await pair.accept("k1")
    stays, other_us = await pair.accept("k2")
    await pair.other.note_cancel(ended, accepted_us, pair.desk.wall.now_us())
    await pair.other.note_cancel(stays, other_us - DAY_US, pair.desk.wall.now_us())
    lost = pair.lost()
    assert await lost.load() == []
    (line,) = lost.apply(pair.desk.engine)
    assert ended in line
    await wait_ended(pair, ended)
    assert pair.is_at_work(stays)
    assert lost.apply(pair.desk.engine) == []


async def test_what_a_lifted_halt_ended_does_not_come_to_life_again(pair: Pair, autojump_clock: MockClock) -> None:
    """Halt and resume both fell into the lag: what was accepted before the halt is ended, what was accepted after it or
    taken up again since goes on; if the copy is newer than the halt by more than a minute, it has it all."""
    now_us = pair.desk.wall.now_us
    (old, _), (taken_up, taken_us) = await pair.accept("k1"), await pair.accept("k2")
    await trio.sleep(1)
    await pair.other.note_halt("a mistake", now_us())
    await trio.sleep(1)
    await pair.other.note_taking_up(taken_up, taken_us, now_us())
    await pair.other.note_resume(now_us())
    new, _ = await pair.accept("k3")
    await pair.desk.store.save_beat(to_iso(now_us() + 120 * US_PER_S))
    late = pair.lost()
    assert await late.load() == []
    assert late.apply(pair.desk.engine) == []
    await pair.desk.store.save_beat(to_iso(now_us() - US_PER_S))
    lost = pair.lost()
    assert await lost.load() == []
    (line,) = lost.apply(pair.desk.engine)
    assert old in line
    await wait_ended(pair, old)
    assert (pair.is_at_work(taken_up), pair.is_at_work(new)) == (True, True)


async def test_what_is_ordered_elsewhere_is_done_by_who_leads(pair: Pair, autojump_clock: MockClock) -> None:
    """A cancel of an engine that was replaced and does not know it, then a halt where no engine runs: each is found by
    the next look, once; a resume is refused while there is a halt that this engine has not heard of."""
    name, accepted_us = await pair.accept("k1")
    lost = pair.lost()
    assert await lost.load() == []
    await pair.keeper.note_cancel("e000009", accepted_us, pair.desk.wall.now_us())
    await pair.other.note_cancel(name, accepted_us, pair.desk.wall.now_us())
    (line,) = await lost.look(pair.desk.engine)
    assert name in line
    assert not pair.is_at_work(name)
    assert await lost.look(pair.desk.engine) == []
    await save_halt_without_engine(pair.place, "from afar", pair.desk.wall.now_us())
    (line,) = await lost.look(pair.desk.engine)
    assert "from afar" in line
    assert pair.desk.engine.state == "halted"
    assert await lost.look(pair.desk.engine) == []
    await save_halt_without_engine(pair.place, "and again", pair.desk.wall.now_us() + 1)
    refused = error_of(await pair.desk.http.post("/v1/resume"))
    assert "and again" in refused.message
    assert (await pair.desk.http.post("/v1/resume")).status_code == 200
    assert await lost.look(pair.desk.engine) == []


async def test_quarantined_ones_are_ended_and_never_taken_up(pair: Pair, autojump_clock: MockClock) -> None:
    """Of two quarantined executions the one that was cancelled ends; the one that was taken up elsewhere is named and
    stays."""
    (ended, ended_us), (stays, stays_us) = await pair.accept("k1"), await pair.accept("k2")
    with trio.fail_after(600):
        while len(pair.desk.engine.quarantined()) < 2 or pair.desk.engine.actors:
            for name in (ended, stays):
                if (actor := pair.desk.engine.actors.get(name)) is not None:
                    actor.inbox.stop(LocalError("broken"))
            await trio.sleep(0.1)
    await pair.other.note_cancel(ended, ended_us, pair.desk.wall.now_us())
    await pair.other.note_taking_up(stays, stays_us, pair.desk.wall.now_us())
    lost = pair.lost()
    await lost.load()
    assert lost.apply(pair.desk.engine) == []
    lines = await lost.apply_to_quarantined(pair.desk.engine)
    assert ["resume it again" in line for line in sorted(lines)] == [True, False]
    assert list(pair.desk.engine.quarantined()) == [stays]
    assert await pair.lost().load() == []
    assert await lost.apply_to_quarantined(pair.desk.engine) != lines


async def test_notes_do_not_pile_up_without_a_standby(pair: Pair, autojump_clock: MockClock) -> None:
    """What is a week old is deleted by the engine, at a start and later; what is newer stays for a copy to come."""
    await pair.other.note_cancel("e000007", 1, pair.desk.wall.now_us() - 8 * DAY_US)
    await pair.other.note_cancel("e000008", 2, pair.desk.wall.now_us() - 6 * DAY_US)
    lost = pair.lost()
    await lost.load()
    assert [note.execution_id for note in (await load_execution_notes(pair.place)).values()] == ["e000008"]


async def test_a_standby_deletes_the_notes_of_what_has_ended_by_its_copy(tmp_path: Path) -> None:
    """The note of an execution that the copy has ended is not needed any more; one that goes on by the copy, that it
    does not know, or that had the same id in another database keeps its note."""
    path, place = tmp_path / "copy.sqlite", MemoryPlace()
    keeper = CommandKeeper(place, THEIRS, LOG)
    async with open_live_store(path, draw_instance=lambda: THEIRS, at_us=T0_US) as store:
        await store.save(Samples().save("e000001", state="cancelled", reason="user"))
        await store.save(Samples().save("e000002"))
        accepted_us = {row.execution_id: row.accepted_at for row in await store.load_listing(Filter(limit=9))}
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    ended_us = from_iso(accepted_us["e000001"])
    for name, at_us in (("e000001", ended_us), ("e000001", 1), ("e000002", ended_us), ("e000003", ended_us)):
        await keeper.note_cancel(name, at_us, T0_US)
    follower = Follower(
        Litestream.find(Path(LITESTREAM)),
        "file:///x",
        path,
        Lease(place, LeaseHolder(name="s", host="h", pid=1, database="/d"), lambda: T0_US, LOG),
        place,
        lambda: T0_US,
        LOG,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(follower.clean_notes)
        with trio.fail_after(60):
            while len(await load_execution_notes(place)) == 4:  # noqa: ASYNC110 - no event marks it
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    left = (await load_execution_notes(place)).values()
    assert {(note.execution_id, note.accepted_at != to_iso(1)) for note in left} == {
        ("e000001", False),
        ("e000002", True),
        ("e000003", True),
    }
