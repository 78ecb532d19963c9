"""Every opening of a database is an epoch, durable before anything else; copies do not give the original's numbers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from fsm_exec.core.epochs import NUMBERS_A_BLOCK, EpochGroup, StoredEpochs, first_number_of_copy
from fsm_exec.core.values.units import CountE2
from fsm_exec.store import open_virtual_store
from fsm_exec.store.blocking_lane import BlockingLane
from fsm_exec.store.files.open_database import OpenRequest
from fsm_exec.store.sqlite_store import SqliteStore, run_store

AT_US = 1_790_000_000_000_000


def draw(*names: str) -> Callable[[], str]:
    """Return a source of these instances, one after the other."""
    left = list(names)
    return lambda: left.pop(0)


def group(group_id: str, epoch: int | None, state: str = "live") -> EpochGroup:
    """Return a group of an epoch."""
    return EpochGroup(group_id=group_id, epoch=epoch, exchange_index=0, limit_e2=CountE2(100), state=state)  # type: ignore[arg-type]


async def opened(path: Path, instance: str, *, takeover: bool = False) -> tuple[StoredEpochs, int]:
    """Open and close a database; return its epochs as they were then, and the number its executions begin above."""
    opening = OpenRequest(path=path, draw_instance=draw(instance), at_us=AT_US, takeover=takeover, host="here")
    async with run_store(BlockingLane(opening)) as store:
        return await store.load_epochs(), (await store.load_start()).number


async def test_each_opening_is_an_epoch_and_closes_the_one_before(tmp_path: Path) -> None:
    """The rows say when, where and how each opening was; the lock proves that the one before is over."""
    path = tmp_path / "x.sqlite"
    first, _ = await opened(path, "aaaaaaaaaa")
    second, number = await opened(path, "bbbbbbbbbb")
    assert [(one.number, one.kind, one.state, one.host) for one in first.epochs] == [(1, "start", "open", "here")]
    assert [(one.number, one.instance, one.state) for one in second.epochs] == [
        (1, "aaaaaaaaaa", "closed"),
        (2, "aaaaaaaaaa", "open"),
    ]
    assert second.epochs[1].epoch == "bbbbbb"
    assert number == 0


async def test_a_takeover_marks_all_epochs_before_it_in_the_opening_itself(tmp_path: Path) -> None:
    """A process that dies right after the opening leaves the next start knowing what is to be fenced."""
    path = tmp_path / "x.sqlite"
    await opened(path, "aaaaaaaaaa")
    found, _ = await opened(path, "bbbbbbbbbb", takeover=True)
    assert [(one.instance, one.kind, one.state) for one in found.epochs] == [
        ("aaaaaaaaaa", "start", "fencing"),
        ("bbbbbbbbbb", "takeover", "open"),
    ]
    assert found.former == ("aaaaaaaaaa",)
    again, _ = await opened(path, "cccccccccc")
    assert [one.state for one in again.epochs] == ["fencing", "closed", "open"]


async def test_groups_are_kept_by_id_and_deleted_ones_are_not_loaded(tmp_path: Path) -> None:
    """What is saved twice is there once, as it was saved last."""
    path = tmp_path / "x.sqlite"
    async with _store(path) as store:
        await store.save_groups([group("g1", 1), group("g2", None, "triggered"), group("g3", 1, "deleted")])
        await store.save_groups([group("g1", 1, "spent")])
        found = await store.load_epochs()
        assert {(one.group_id, one.epoch, one.state) for one in found.groups} == {
            ("g1", 1, "spent"),
            ("g2", None, "triggered"),
        }


async def test_fencing_ends_for_the_epochs_it_was_begun_for(tmp_path: Path) -> None:
    """This opening's own epoch is never fenced, and one that is fenced stays so."""
    path = tmp_path / "x.sqlite"
    await opened(path, "aaaaaaaaaa")
    async with _store(path) as store:
        await store.begin_fencing()
        await store.begin_fencing()
        assert [one.state for one in (await store.load_epochs()).epochs] == ["fencing", "open"]
        await store.end_fencing()
        await store.begin_fencing()
        assert [one.state for one in (await store.load_epochs()).epochs] == ["fenced", "open"]


async def test_copies_number_executions_apart_from_the_original_and_from_each_other(tmp_path: Path) -> None:
    """A copy skips what the original may have given since, durably: also if it died before it accepted anything."""
    path = tmp_path / "x.sqlite"
    await opened(path, "aaaaaaaaaa")
    numbers = []
    for name in ("bbbbbbbbbb", "cccccccccc"):
        copy = tmp_path / f"{name}.sqlite"
        shutil.copy(path, copy)
        _, number = await opened(copy, name)
        _, later = await opened(copy, "dddddddddd")
        assert number == later >= 2 * NUMBERS_A_BLOCK
        numbers.append(number)
    assert len(set(numbers)) == 2
    assert (await opened(path, "eeeeeeeeee"))[1] == 0


@pytest.mark.parametrize("known", [0, 1, 999_999, 1_000_000, 5_000_123])
def test_a_copy_leaves_a_million_numbers_to_the_original(known: int) -> None:
    """However few numbers are left in the block that the original was in."""
    assert first_number_of_copy(known, "aaaaaaaaaa") - known >= NUMBERS_A_BLOCK


def _store(path: Path) -> AbstractAsyncContextManager[SqliteStore]:
    return open_virtual_store(path, draw_instance=lambda: "abcdefghij", at_us=AT_US)
