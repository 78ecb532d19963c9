"""A copy by the real Litestream: followed, measured, put in a database's place; and the engine's store beside it."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path

import pytest
import structlog
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from fsm_exec.core.errors import UserError
from fsm_exec.core.journal.rows import ExecutionSave, SubmissionRow
from fsm_exec.core.values.times import to_iso
from fsm_exec.runtime.clock import system_us
from fsm_exec.standby.accepted_notes import AcceptedNote, load_notes, save_note
from fsm_exec.standby.copy_reads import find_known_keys, load_copy
from fsm_exec.standby.follower import Follower
from fsm_exec.standby.lease import Lease
from fsm_exec.standby.lease_record import LeaseHolder
from fsm_exec.standby.litestream import CopyFailed, Litestream
from fsm_exec.standby.places.memory_place import MemoryPlace
from fsm_exec.standby.settings import source_url
from fsm_exec.standby.takeover import RESTORE_WITHIN_S, NothingToTakeOver, restore_newest
from fsm_exec.store import open_live_store, read_threads, sqlite_store
from tests.standby.hosts import LITESTREAM
from tests.store.conftest import Samples

LOG = structlog.wrap_logger(structlog.ReturnLogger(), processors=[])
WAIT_S = 60.0
SAMPLES = Samples()


@asynccontextmanager
async def running(*arguments: str | Path) -> AsyncIterator[trio.Process]:
    """`litestream ARGUMENTS` runs as long as the block does."""
    process: trio.Process = await trio.lowlevel.open_process(
        [LITESTREAM, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True):
            if process.poll() is None:
                process.kill()
            await process.wait()


def replicated(database: Path, replica: Path) -> AbstractAsyncContextManager[trio.Process]:
    """Litestream copies the database as long as the block runs."""
    return running("replicate", database, replica.as_uri())


@asynccontextmanager
async def followed(replica: Path, copy: Path) -> AsyncIterator[tuple[Follower, MemoryPlace]]:
    place = MemoryPlace()
    lease = Lease(place, LeaseHolder(name="s", host="h", pid=1, database="d"), system_us, LOG)
    follower = Follower(Litestream(Path(LITESTREAM)), replica.as_uri(), copy, lease, place, system_us, LOG)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(follower.run)
        yield follower, place
        nursery.cancel_scope.cancel()


async def wait_copy(copy: Path, executions: int) -> None:
    with trio.fail_after(WAIT_S):
        while (seen := load_copy(copy)) is None or seen.executions < executions:  # noqa: ASYNC110
            await trio.sleep(0.05)


async def test_a_copy_follows_and_says_how_far_it_is_behind(tmp_path: Path) -> None:
    """Executions come into the copy as they are saved; the lag is known, also of an engine that only gives signs of
    life, and grows once Litestream is dead; a note whose key the copy has is deleted, another one stays."""
    database, replica, copy = tmp_path / "a.sqlite", tmp_path / "replica", tmp_path / "copy.sqlite"
    async with open_live_store(database, draw_instance=lambda: "abcdefghij", at_us=system_us()) as store:
        await store.save_beat(to_iso(system_us()))
        async with replicated(database, replica) as copier, followed(replica, copy) as (follower, place):
            for number in range(1, 4):
                await store.save(with_key(f"e{number:06d}", f"key-{number}"))
            await wait_copy(copy, 3)
            for key in ("key-1", "key-9"):
                await save_note(place, note_of(key))
            with trio.fail_after(WAIT_S):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(follower.clean_notes)
                    while len(notes := await load_notes(place)) > 1:  # noqa: ASYNC110
                        await trio.sleep(0.05)
                    nursery.cancel_scope.cancel()
            assert [note.key for note in notes] == ["key-9"]
            seen = await follower.look()
            assert seen.copy is not None
            assert (seen.copy.executions, seen.copy.instance) == (3, "abcdefghij")
            assert seen.lag_us is not None
            copier.kill()
            await copier.wait()
            beat = to_iso(system_us() + 60_000_000)  # what would come, did not: as of a minute later
            await store.save_beat(beat)
            follower._wall_us = lambda: system_us() + 120_000_000
            late = await follower.look()
            assert late.lag_us is not None
            assert late.lag_us > 60_000_000
    assert find_known_keys(copy, ["key-2", "key-9"]) == {"key-2"}


async def test_a_copy_goes_on_after_both_processes_died(tmp_path: Path) -> None:
    """Litestream on either side is killed and started again: the copy has everything in the end."""
    database, replica, copy = tmp_path / "a.sqlite", tmp_path / "replica", tmp_path / "copy.sqlite"
    async with open_live_store(database, draw_instance=lambda: "abcdefghij", at_us=system_us()) as store:
        for number in range(1, 4):
            async with replicated(database, replica), followed(replica, copy):
                await store.save(with_key(f"e{number:06d}", f"key-{number}"))
                await wait_copy(copy, number)


async def test_the_process_that_follows_dies_with_its_standby(tmp_path: Path) -> None:
    """A standby that is killed leaves no Litestream behind, which would write the file that the next one writes."""
    source = (
        "import sys, trio\nfrom pathlib import Path\nfrom fsm_exec.standby.litestream import Litestream\n"
        "async def main():\n"
        "    async with Litestream(Path(sys.argv[1])).follow(sys.argv[2], Path(sys.argv[3])) as process:\n"
        "        print(process._process.pid, flush=True)\n"
        "        await trio.sleep_forever()\n"
        "trio.run(main)\n"
    )
    database, replica = tmp_path / "a.sqlite", tmp_path / "replica"
    async with (
        open_live_store(database, draw_instance=lambda: "abcdefghij", at_us=system_us()),
        replicated(database, replica),
    ):
        await wait_for(lambda: any(replica.rglob("*.ltx")))
    standby = subprocess.Popen(  # noqa: ASYNC220 - as a person starts it
        [sys.executable, "-c", source, LITESTREAM, replica.as_uri(), str(tmp_path / "copy.sqlite")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert standby.stdout is not None
    child = int(standby.stdout.readline())
    os.kill(child, 0)
    await wait_for((tmp_path / "copy.sqlite-txid").exists)  # it follows, and has nothing more to say
    standby.send_signal(signal.SIGKILL)
    standby.wait()
    standby.stdout.close()
    await wait_for(lambda: not Path(f"/proc/{child}").exists())


async def test_the_newest_copy_takes_the_place_of_a_database(tmp_path: Path) -> None:
    """What stood there is moved aside with its log and is whole; the copy is worked on under an instance of its own."""
    database, replica, target = tmp_path / "a.sqlite", tmp_path / "replica", tmp_path / "b.sqlite"
    async with open_live_store(target, draw_instance=lambda: "oldoldoldo", at_us=system_us()) as old:
        await old.save(with_key("e000001", "old"))
    async with (
        open_live_store(database, draw_instance=lambda: "abcdefghij", at_us=system_us()) as store,
        replicated(database, replica),
        followed(replica, tmp_path / "probe.sqlite"),
    ):
        await store.save_beat(to_iso(system_us()))
        await store.save(with_key("e000001", "new"))
        await wait_copy(tmp_path / "probe.sqlite", 1)
    said: list[str] = []
    await restore_newest(Litestream(Path(LITESTREAM)), replica.as_uri(), tmp_path / "none", target, 7, said.append)
    assert "b.sqlite.before-term-7" in said[0]
    async with open_live_store(target, draw_instance=lambda: "bbbbbbbbbb", at_us=system_us(), takeover=True) as taken:
        assert taken.instance == "bbbbbbbbbb"
        assert (await taken.knows_key("new"), await taken.knows_key("old")) == (True, False)
    with closing(sqlite3.connect(tmp_path / "b.sqlite.before-term-7")) as aside:
        assert aside.execute("SELECT key FROM submissions").fetchall() == [("old",)]


async def test_a_file_of_litestreams_settings_names_what_is_followed_and_taken(tmp_path: Path) -> None:
    """What does not stand in a URL stands there: a copy follows by it, and a takeover restores by it."""
    database, replica, target = tmp_path / "a.sqlite", tmp_path / "replica", tmp_path / "b.sqlite"
    settings = tmp_path / "litestream.yml"
    settings.write_text(f"dbs: [{{path: {database}, replica: {{url: {replica.as_uri()}}}}}]")
    program, source = Litestream(Path(LITESTREAM), database), source_url(str(settings))
    async with (
        open_live_store(database, draw_instance=lambda: "abcdefghij", at_us=system_us()) as store,
        running("replicate", "-config", settings),
    ):
        await store.save_beat(to_iso(system_us()))
        await store.save(with_key("e000001", "one"))
        await wait_for(lambda: any(replica.rglob("*.ltx")))
        async with program.follow(source, tmp_path / "copy.sqlite"):
            await wait_copy(tmp_path / "copy.sqlite", 1)
    await restore_newest(program, source, tmp_path / "none", target, 2, lambda _: None)
    seen = load_copy(target)
    assert seen is not None
    assert seen.executions == 1


async def test_without_the_replica_what_was_followed_is_taken_if_it_is_sound(tmp_path: Path) -> None:
    """The replica is gone at the takeover: the followed copy takes the place; a torn one is refused, by one line, and
    the database that stood there stays."""
    database, target, copy = tmp_path / "a.sqlite", tmp_path / "b.sqlite", tmp_path / "copy.sqlite"
    async with open_live_store(database, draw_instance=lambda: "abcdefghij", at_us=system_us()) as store:
        await store.save_beat(to_iso(system_us()))
        await store.save(with_key("e000001", "followed"))
    copy.write_bytes(database.read_bytes())
    gone = (tmp_path / "gone").as_uri()
    program = Litestream(Path(LITESTREAM))
    said: list[str] = []
    await restore_newest(program, gone, copy, target, 2, said.append)
    assert "taking what was followed" in said[0]
    async with open_live_store(target, draw_instance=lambda: "bbbbbbbbbb", at_us=system_us(), takeover=True) as taken:
        assert await taken.knows_key("followed")
    before = target.read_bytes()
    copy.write_bytes(database.read_bytes()[:20_000] + b"\xff" * 8_192 + database.read_bytes()[28_192:])
    for followed_file in (copy, tmp_path / "none"):
        with pytest.raises(NothingToTakeOver):
            await restore_newest(program, gone, followed_file, target, 3, said.append)
    assert target.read_bytes() == before
    with pytest.raises(CopyFailed, match="litestream says"):
        await program.restore(gone, tmp_path / "no.sqlite")


async def test_a_replica_that_hangs_is_given_up(
    tmp_path: Path, s3_environment: None, autojump_clock: MockClock
) -> None:
    """Its store takes the connection and says nothing: what was followed is taken once nothing has come for a while,
    long before a copy that grows would be given up."""
    autojump_clock.autojump_threshold = float("inf")
    copy, target = tmp_path / "copy.sqlite", tmp_path / "b.sqlite"
    async with open_live_store(copy, draw_instance=lambda: "abcdefghij", at_us=system_us()) as store:
        await store.save_beat(to_iso(system_us()))
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = f"s3://pair/p?endpoint=http://127.0.0.1:{silent.getsockname()[1]}&forcePathStyle=true"
        began_s, autojump_clock.autojump_threshold = trio.current_time(), 0.05
        await restore_newest(Litestream(Path(LITESTREAM)), source, copy, target, 2, said.append)
    assert "does not answer" in said[0]
    assert trio.current_time() - began_s < RESTORE_WITHIN_S / 10
    assert load_copy(target) is not None


async def test_a_log_that_litestream_reads_holds_no_long_read_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside Litestream the log's file cannot be cut: once the log in it is short, the store leaves it alone, and tries
    again only when the file has grown."""
    most = 400_000
    monkeypatch.setattr(read_threads, "LOG_BYTES_MAX", most)
    monkeypatch.setattr(sqlite_store, "FILE_CHECK_INTERVAL_S", 0.05)
    database, replica = tmp_path / "a.sqlite", tmp_path / "replica"
    log = tmp_path / "a.sqlite-wal"
    settings = tmp_path / "litestream.yml"
    often = "checkpoint-interval: 1s, min-checkpoint-page-count: 20"
    settings.write_text(f"dbs: [{{path: {database}, {often}, replica: {{url: {replica.as_uri()}}}}}]")
    async with (
        open_live_store(database, draw_instance=lambda: "abcdefghij", at_us=system_us()) as store,
        running("replicate", "-config", settings),
        trio.open_nursery() as nursery,
    ):
        await wait_for(lambda: any(replica.rglob("*.ltx")))
        reader = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, isolation_level=None)
        reader.execute("BEGIN").execute("SELECT 1 FROM meta").fetchone()
        number = 0
        while log.stat().st_size <= 2 * most:
            number += 1
            await store.save(SAMPLES.save(f"e{number}", snapshot=b'{"n":"' + b"x" * 9_000 + b'"}'))
        reader.close()
        nursery.start_soon(store.watch)
        assert store._readers is not None
        with trio.fail_after(WAIT_S):
            while store._readers.is_log_long():
                await store.save_beat(to_iso(system_us()))
                await trio.sleep(0.05)
        assert log.stat().st_size > most
        nursery.cancel_scope.cancel()


async def test_a_program_that_is_no_litestream_is_refused(tmp_path: Path) -> None:
    """Not there, or something else: one line says so; the real one says its version."""
    with pytest.raises(UserError, match="is not there"):
        Litestream.find(tmp_path / "litestream")
    with pytest.raises(UserError, match="does not say a version"):
        await Litestream(Path("/bin/true")).load_version()
    with pytest.raises(UserError, match="cannot be run"):
        await Litestream(tmp_path).load_version()
    assert (await Litestream.find(None).load_version()).startswith("0.5.")


async def wait_for(holds: Callable[[], bool]) -> None:
    """Wait for other processes."""
    with trio.fail_after(WAIT_S):
        while not holds():  # noqa: ASYNC110
            await trio.sleep(0.02)


def with_key(execution_id: str, key: str) -> ExecutionSave:
    return replace(SAMPLES.save(execution_id), submission=SubmissionRow(key, b"{}"))


def note_of(key: str) -> AcceptedNote:
    return AcceptedNote(
        key=key,
        execution_id="e000009",
        instance="abcdefghij",
        ticker="KXTEST-1",
        outcome="yes",
        quantity="1.00",
        noted_at="2026-01-01T00:00:00.000000Z",
    )
