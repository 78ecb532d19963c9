"""What was acknowledged can be proved: a database that went back says so, and names nothing a second time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from fsm_exec.core.market.client_order_id import (
    EPOCH_CHARS,
    client_order_id,
    execution_id_of,
    number_of,
    parse_order_name,
)
from fsm_exec.store import SqliteStore, open_virtual_store
from fsm_exec.store.files.acknowledged import SUFFIX, Counts, Lost, Mark, load_mark, lost_since
from fsm_exec.store.maintenance.backups import copy_database
from tests.store.conftest import OpenStore, Samples

ROOT = Path(__file__).parents[2]


def logged(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


async def test_the_mark_says_what_was_acknowledged_at_every_moment(
    open_file_store: OpenStore, samples: Samples, database: Path
) -> None:
    """After each save that returned, in both lanes; nothing is marked before there is anything to lose."""
    async with open_file_store() as store:
        assert load_mark(database) is None
        for number in (1, 2, 3):
            await store.save(samples.save(execution_id_of(number)))
            await store.save(samples.save(execution_id_of(number), 2))
            assert load_mark(database) == Mark(store.instance, Counts(number, 2 * number, number))
        assert (store.lost, (await store.load_start()).number) == (None, 3)
    async with open_file_store() as store:
        assert (store.lost, (await store.load_start()).number) == (None, 3)


async def test_a_log_cut_at_any_commit_is_noticed_and_counted(
    tmp_path: Path, samples: Samples, draw_instance: Callable[[], str]
) -> None:
    """By exactly as much as is gone; numbers of executions go on where they were; and it is said again until something
    new is acknowledged, which then is the mark."""

    database = tmp_path / "engine.sqlite"
    images: list[bytes] = []
    async with open_virtual_store(database, draw_instance=draw_instance, at_us=samples.at_us) as store:
        instance = store.instance
        for number in range(1, 6):
            images.append(logged(database).read_bytes())
            await store.save(samples.save(execution_id_of(number)))
        inode = database.stat().st_ino
        shutil.copy(database, tmp_path / "kept")
        shutil.copy(database.with_name(database.name + SUFFIX), tmp_path / "mark")
    for kept, image in enumerate(images):
        database.write_bytes((tmp_path / "kept").read_bytes())  # the same file, as after SIGKILL
        logged(database).write_bytes(image)
        shutil.copy(tmp_path / "mark", database.with_name(database.name + SUFFIX))
        assert database.stat().st_ino == inode
        for _ in range(2):
            async with open_virtual_store(database, draw_instance=draw_instance, at_us=samples.at_us) as store:
                assert store.instance == instance
                assert store.lost == str(Lost(5 - kept, 5 - kept))
                assert (await store.load_start()).number == 5
        async with open_virtual_store(database, draw_instance=draw_instance, at_us=samples.at_us) as store:
            await store.save(samples.save(execution_id_of(6)))
        async with open_virtual_store(database, draw_instance=draw_instance, at_us=samples.at_us) as store:
            assert (store.lost, (await store.load_start()).number) == (None, 6)


async def test_every_opening_is_an_epoch_of_its_own(open_file_store: OpenStore, samples: Samples) -> None:
    """The instance stays, the epoch is another each time; the first has none. So the same execution, slice and attempt
    are never named twice."""
    names = []
    for _ in range(4):
        async with open_file_store() as store:
            names.append((store.instance, store.epoch))
    assert len({instance for instance, _ in names}) == 1
    assert len(set(names)) == 4
    assert [len(epoch) for _, epoch in names] == [0, EPOCH_CHARS, EPOCH_CHARS, EPOCH_CHARS]
    orders = [client_order_id(instance + epoch, "e000007", 2, 3) for instance, epoch in names]
    assert len(set(orders)) == 4
    for order, (instance, epoch) in zip(orders, names, strict=True):
        named = parse_order_name(order)
        assert named is not None
        assert (named.instance, named.execution_id, named.level, named.attempt) == (instance, "e000007", 2, 3)
        assert named.epoch == epoch


async def test_two_copies_that_both_lost_their_tails_share_no_name(
    tmp_path: Path, samples: Samples, draw_instance: Callable[[], str]
) -> None:
    """Each has its own instance, and an epoch."""
    database = tmp_path / "engine.sqlite"
    async with open_virtual_store(database, draw_instance=draw_instance, at_us=samples.at_us) as store:
        await store.save(samples.save(execution_id_of(1)))
        log = logged(database).read_bytes()
        await store.save(samples.save(execution_id_of(2)))
        shutil.copy(database, tmp_path / "kept")
    seen = set()
    for name in ("one", "two"):
        shutil.copy(tmp_path / "kept", tmp_path / name)
        logged(tmp_path / name).write_bytes(log)
        for _ in range(2):
            async with open_virtual_store(tmp_path / name, draw_instance=draw_instance, at_us=samples.at_us) as store:
                seen.add(store.instance + store.epoch)
    assert len(seen) == 4


async def test_an_older_file_put_back_and_another_file_are_said(
    tmp_path: Path, samples: Samples, draw_instance: Callable[[], str]
) -> None:
    """A backup of before under the same path; then a new database where one was worked."""
    database = tmp_path / "engine.sqlite"

    async with open_virtual_store(database, draw_instance=draw_instance, at_us=samples.at_us) as store:
        instance = store.instance
        await store.save(samples.save(execution_id_of(1)))
    copy_database(database, tmp_path / "backup")
    async with open_virtual_store(database, draw_instance=draw_instance, at_us=samples.at_us) as store:
        await store.save(samples.save(execution_id_of(2)))
    (tmp_path / "backup").replace(database)
    async with open_virtual_store(database, draw_instance=draw_instance, at_us=samples.at_us) as store:
        assert store.lost == str(Lost(1, 1))
        assert store.instance != instance
    database.unlink()
    async with open_virtual_store(database, draw_instance=draw_instance, at_us=samples.at_us) as store:
        assert store.lost == str(Lost(2, 2, instance))
        assert (await store.load_start()).number == 0


@pytest.mark.parametrize("content", [b"", b"\0" * 200, b"{} 00000000", b"\xff" * 50, b"x" * 10_000])
async def test_a_mark_that_cannot_be_read_proves_nothing_and_stops_nobody(
    open_file_store: OpenStore, samples: Samples, database: Path, content: bytes
) -> None:
    """The next save writes a good one."""
    mark = database.with_name(database.name + SUFFIX)
    mark.write_bytes(content)
    async with open_file_store() as store:
        assert (load_mark(database), store.lost) == (None, None)
        await store.save(samples.save(execution_id_of(1)))
        assert load_mark(database) == Mark(store.instance, Counts(1, 1, 1))


async def test_a_mark_that_cannot_be_written_stops_nobody(
    open_file_store: OpenStore, samples: Samples, database: Path
) -> None:
    """A directory of that name: nothing is proved, everything is saved."""
    database.with_name(database.name + SUFFIX).mkdir()
    async with open_file_store() as store:
        await store.save(samples.save(execution_id_of(1)))
        assert len(await store.load_journal(execution_id_of(1))) == 1


KILLED = """
import pathlib, sys, trio
sys.path.insert(0, sys.argv[2])
from fsm_exec.store import open_live_store
from fsm_exec.core.market.client_order_id import execution_id_of
from tests.store.conftest import Samples

async def main():
    samples, number = Samples(), 0
    async with open_live_store(pathlib.Path(sys.argv[1]), draw_instance=lambda: "a" * 10, at_us=0) as store:
        while True:
            number += 1
            await store.save(samples.save(execution_id_of(number)))
            print(number, flush=True)

trio.run(main)
"""


def test_after_sigkill_the_mark_has_every_save_that_was_told(tmp_path: Path, draw_instance: Callable[[], str]) -> None:
    """Killed in the middle of saving, with its log cut back to nothing: all that it had said is counted as lost."""
    database = tmp_path / "engine.sqlite"
    command = [sys.executable, "-c", KILLED, str(database), str(ROOT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(50)]
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout.read().splitlines()]
    os.truncate(logged(database), 0)

    async def main() -> SqliteStore:
        async with open_virtual_store(database, draw_instance=draw_instance, at_us=0) as store:
            return store

    store = trio.run(main)
    mark = load_mark(database)
    assert mark is not None
    assert mark.counts.number in (told[-1], told[-1] + 1)
    assert store.lost == str(Lost(mark.counts.executions, mark.counts.rows))


def test_a_mark_is_held_against_this_database_alone() -> None:
    """Behind it, level with it and ahead of it; of an instance it had before, and of one it never had."""
    mine = frozenset({"a" * 10, "b" * 10})
    for executions, rows, expected in ((1, 9, None), (2, 10, None), (3, 10, Lost(1, 0)), (2, 11, Lost(0, 1))):
        found = lost_since(Mark("b" * 10, Counts(executions, rows, 3)), Counts(2, 10, 2), mine)
        assert found == expected
    assert lost_since(Mark("c" * 10, Counts(0, 0, 0)), Counts(2, 10, 2), mine) is None
    assert lost_since(Mark("c" * 10, Counts(1, 4, 1)), Counts(2, 10, 2), mine) == Lost(1, 4, "c" * 10)
    assert lost_since(None, Counts(0, 0, 0), mine) is None
    assert [number_of(text) for text in ("e000012", "e1000000", "e", "x7", "e-1", "e٣")] == [12, 1_000_000, 0, 0, 0, 0]
