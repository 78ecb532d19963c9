"""The lease record: one leader, whatever two hosts do at the same time."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from itertools import count
from pathlib import Path

import msgspec
import pytest
import structlog
import trio
from trio.testing import MockClock

from fsm_exec.core.errors import UserError
from fsm_exec.core.leadership_port import LeadershipUnknown
from fsm_exec.standby.follower import Follower
from fsm_exec.standby.lease import RECORD, Lease, LeaseHeld
from fsm_exec.standby.lease_record import ExpiryWatch, LeaseHolder
from fsm_exec.standby.litestream import Litestream
from fsm_exec.standby.places.file_place import LOCK_NAME, FilePlace
from fsm_exec.standby.places.memory_place import MemoryPlace
from fsm_exec.standby.places.place import Place, PlaceChanged, PlaceUnreachable, Stored
from fsm_exec.standby.settings import open_place

LOG = structlog.wrap_logger(structlog.ReturnLogger(), processors=[])
OpenPlace = Callable[[], Place]


@pytest.fixture(params=["file", "memory", "s3"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> OpenPlace:
    """Opens the same place for one host after the other."""
    if request.param == "memory":
        place = MemoryPlace()
        return lambda: place
    if request.param == "s3":
        request.getfixturevalue("s3_environment")
        url = request.getfixturevalue("store").url(f"lease/{tmp_path.name}")
        return lambda: open_place(url)
    return lambda: FilePlace(tmp_path)


def lease(place: Place, name: str, instance: str = "", lease_s: int = 30) -> Lease:
    holder = LeaseHolder(name=name, host=f"host-{name}", pid=1, database="/d.sqlite", instance=instance)
    return Lease(place, holder, lambda: 1_700_000_000_000_000, LOG, lease_s=lease_s)


async def test_of_many_who_begin_at_once_one_leads(shared: OpenPlace) -> None:
    """Twenty acquire the same record at the same time: one has it, the others are refused by a line that names it."""
    leases = [lease(shared(), str(number)) for number in range(20)]
    refused: list[str] = []

    async def acquire(one: Lease) -> None:
        try:
            await one.acquire()
        except LeaseHeld as held:
            refused.append(str(held))

    async with trio.open_nursery() as nursery:
        for one in leases:
            nursery.start_soon(acquire, one)
    leading = [one for one in leases if one.term]
    assert (len(leading), leading[0].term, len(refused)) == (1, 1, 19)
    assert all(f"host-{leading[0].holder.name}" in line for line in refused)


async def test_every_takeover_has_a_term_of_its_own(shared: OpenPlace) -> None:
    """Ten take over at the same time: all lead for a moment, each in another term, and only the last still does."""
    leases = [lease(shared(), str(number)) for number in range(10)]

    async def take_over(one: Lease) -> None:
        while True:
            try:
                await one.acquire(take_over=True)
                return
            except PlaceUnreachable:  # it changed five times meanwhile
                continue

    async with trio.open_nursery() as nursery:
        for one in leases:
            nursery.start_soon(take_over, one)
    assert sorted(one.term for one in leases) == list(range(1, 11))
    last = max(leases, key=lambda one: one.term)
    for one in leases:
        leader = await one.who_leads()
        assert (leader is None) == (one is last)
        fenced_by = await one.renew()
        assert (fenced_by is None) == (one is last)


async def test_a_restart_on_the_same_database_leads_again(shared: OpenPlace) -> None:
    """The engine of the same database file may lead at once, in a new term; another database's may not."""
    first = lease(shared(), "first", instance="aaaaaaaaaa")
    await first.acquire()
    again = lease(shared(), "again", instance="aaaaaaaaaa")
    replaced = await again.acquire()
    assert replaced is not None
    assert (replaced.term, again.term) == (1, 2)
    with pytest.raises(LeaseHeld, match="--take-over"):
        await lease(shared(), "other", instance="bbbbbbbbbb").acquire()
    with pytest.raises(LeaseHeld, match="--take-over"):
        await lease(shared(), "standby").acquire()


async def test_who_was_replaced_is_stopped_by_its_next_renewal(autojump_clock: MockClock) -> None:
    """The loop of the replaced engine calls `stop` with the new leader within a third of the lease, and ends."""
    place = MemoryPlace()
    old, new = lease(place, "old"), lease(place, "new")
    await old.acquire()
    stopped: list[tuple[str, float]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(old.run, lambda leader: stopped.append((leader.holder, trio.current_time())))
        await trio.sleep(55)
        await new.acquire(take_over=True)
        began_s = trio.current_time()
    ((holder, at_s),) = stopped
    assert "host-new" in holder
    assert at_s - began_s <= 10


async def test_an_unreachable_record_is_said_and_stops_nobody(tmp_path: Path, autojump_clock: MockClock) -> None:
    """With the share gone the engine goes on, says since when, and makes no record of its own when it comes back
    empty; once the record is back it is renewed, and the trouble is over."""
    autojump_clock.autojump_threshold = float("inf")
    directory = tmp_path / "share"
    directory.mkdir()
    one = lease(FilePlace(directory), "one")
    await one.acquire()
    away = directory.rename(tmp_path / "away")
    with pytest.raises(PlaceUnreachable):
        await one.renew()
    with pytest.raises(LeadershipUnknown):
        await one.who_leads()
    said = one.trouble()
    assert said is not None
    assert "a standby may take over" in said
    directory.mkdir()
    with pytest.raises(PlaceUnreachable, match="gone"):
        await one.renew()
    directory.rmdir()
    away.rename(directory)
    assert await one.renew() is None
    assert one.trouble() is None


async def test_a_share_that_hangs_takes_no_thread_of_the_others(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Forty calls that hang each end with an error, and hold none of the threads that the rest of the process shares;
    when the share answers again, so does the place."""
    place = FilePlace(tmp_path)
    shared = trio.to_thread.current_default_thread_limiter()

    async def fail_to_save() -> None:
        with pytest.raises(PlaceUnreachable):
            await place.save("keys/one", b"1", None)

    with (tmp_path / LOCK_NAME).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(fail_to_save)
        assert shared.borrowed_tokens == 0
    autojump_clock.autojump_threshold = float("inf")
    autojump_clock.rate = 1.0
    while not await place.load_names("keys"):  # noqa: ASYNC110 - a thread makes it
        await trio.sleep(0.01)


async def test_what_a_share_keeps_among_the_notes_is_no_note(tmp_path: Path) -> None:
    """Files of the share's own, and ones of people, are no order groups and stop no takeover; a directory that is gone
    is not one without notes."""
    directory = tmp_path / "share"
    directory.mkdir()
    place = FilePlace(directory)
    one = lease(place, "one")
    await one.acquire()
    await one.note_group("g-1")
    (directory / "groups" / ".nfs0000000000c").write_bytes(b"")
    (directory / "groups" / "readme.txt").write_bytes(b"")
    two = lease(place, "two")
    await two.acquire(take_over=True)
    assert await two.load_groups() == ["g-1"]
    directory.rename(tmp_path / "away")
    with pytest.raises(LeadershipUnknown):
        await two.load_groups()


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A share that is not mounted is no place: a directory made in its stead would be shared with nobody."""
    with pytest.raises(PlaceUnreachable, match="mount the share"):
        FilePlace(tmp_path / "share")


async def test_what_is_no_record_is_refused_by_one_line(tmp_path: Path) -> None:
    """A foreign file, and a record of a later format, are refused with the place's name; neither is overwritten."""
    for text, words in ((b"hello", "no lease record"), (None, "format 2")):
        one = lease(FilePlace(tmp_path), "one")
        if text is None:
            (tmp_path / RECORD).unlink()
            await one.acquire()
            found = await one.load()
            assert found is not None
            text = msgspec.json.encode(msgspec.structs.replace(found[0], format=2))
        (tmp_path / RECORD).write_bytes(text)
        for act in (one.acquire, one.renew):
            with pytest.raises(UserError, match=words):
                await act()
        assert (tmp_path / RECORD).read_bytes() == text


async def test_a_write_over_another_state_is_refused(shared: OpenPlace) -> None:
    """A write names what it replaces: nothing, or one state; whoever comes second is refused, and what stands stays."""
    place = shared()
    tag = await place.save("keys/a", b"1", None)
    with pytest.raises(PlaceChanged):
        await place.save("keys/a", b"2", None)
    newer = await place.save("keys/a", b"3", tag)
    with pytest.raises(PlaceChanged):
        await place.save("keys/a", b"4", tag)
    stored = await place.load("keys/a")
    assert stored is not None
    assert (stored.content, stored.tag) == (b"3", newer)
    assert await place.load_names("keys") == ["keys/a"]
    await place.delete("keys/a")
    await place.delete("keys/a")
    assert (await place.load("keys/a"), await place.load_names("keys")) == (None, [])


async def test_a_successor_finds_the_groups_of_all_before(shared: OpenPlace) -> None:
    """Order groups are noted beside the record, by every term; a successor finds those of the terms before and none of
    its own, which it would end too; the newest are kept, and one is noted once."""
    first = lease(shared(), "first")
    await first.acquire()
    for group in ("a-1", "a-1", "b-2"):
        await first.note_group(group)
    second = lease(shared(), "second")
    await second.acquire(take_over=True)
    await second.note_group("c-3")
    assert await second.load_groups() == ["a-1", "b-2"]
    for number in range(80):
        await second.note_group(f"n{number:02d}")
    third = lease(shared(), "third")
    await third.acquire(take_over=True)
    kept = await third.load_groups()
    assert (len(kept), kept[-1]) == (65, "n79")


async def test_a_group_that_is_noted_after_a_takeover_is_not_used(shared: OpenPlace) -> None:
    """The successor has looked for groups already: an engine that slept through it must not place anything in one."""
    first, second = lease(shared(), "a"), lease(shared(), "b")
    await first.acquire()
    await second.acquire(take_over=True)
    with pytest.raises(LeadershipUnknown, match="host-b"):
        await first.note_group("late")


async def test_a_lease_runs_out_by_the_judges_own_clock() -> None:
    """It runs out 35 s after the judge has last seen the record change, whatever times are written in it; a renewal
    begins it anew."""
    place = MemoryPlace()
    leader, watch = lease(place, "leader"), ExpiryWatch()
    await leader.acquire()
    found = await leader.load()
    assert found is not None
    record, tag = found
    assert watch.left_s(tag, record, 1_000.0) == 35
    assert watch.left_s(tag, record, 1_034.0) == 1
    await leader.renew()
    renewed = await leader.load()
    assert renewed is not None
    assert watch.left_s(renewed[1], renewed[0], 1_034.5) == 35
    assert watch.left_s(renewed[1], renewed[0], 1_069.5) == 0
    watch.begin_anew()
    assert watch.left_s(renewed[1], renewed[0], 1_080.0) == 35


async def test_an_outage_of_the_share_is_no_end_of_a_lease(tmp_path: Path, mock_clock: MockClock) -> None:
    """The share is away from both hosts for longer than the lease: when a standby sees the same record again it waits
    a whole lease for the leader, which can renew again."""

    class Share(MemoryPlace):
        is_away = False

        async def load(self, name: str) -> Stored | None:
            if self.is_away:
                raise PlaceUnreachable("away")
            return await super().load(name)

    share = Share()
    await lease(share, "leader").acquire()
    follower = Follower(
        Litestream(tmp_path / "none"), "file:///none", tmp_path / "copy", lease(share, "s"), share, lambda: 0, LOG
    )
    assert (await follower.look()).lease_left_s == 35
    mock_clock.jump(20)
    share.is_away = True
    assert (await follower.look()).lease_left_s is None
    mock_clock.jump(20)
    share.is_away = False
    seen = await follower.look()
    assert (seen.lease_left_s, seen.has_run_out) == (35, False)
    mock_clock.jump(35)
    assert (await follower.look()).has_run_out


async def test_of_two_who_saw_a_lease_run_out_one_leads(shared: OpenPlace) -> None:
    """Both replace the record that they saw: the second finds another one and leads not; nor does who saw a record
    that its leader has renewed since."""
    times = count(1_700_000_000_000_000, 10_000_000)
    leader = Lease(shared(), lease(shared(), "leader").holder, lambda: next(times), LOG)
    await leader.acquire()
    first, second = lease(shared(), "first"), lease(shared(), "second")
    old = await leader.load()
    assert old is not None
    assert await leader.renew() is None
    with pytest.raises(LeaseHeld):
        await first.acquire(over=old[0])
    seen = await leader.load()
    assert seen is not None
    assert await first.acquire(over=seen[0]) == seen[0]
    with pytest.raises(LeaseHeld):
        await second.acquire(over=seen[0])
    assert (first.term, second.term) == (2, 0)
