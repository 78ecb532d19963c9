"""Power lost at any moment: the write-ahead log cut at every frame, and inside frames.

Whatever part of the log has reached the disk, the database is what some commit left, and every execution is the fold of
its journal.
"""

from __future__ import annotations

import itertools
import shutil
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import trio

from fsm_exec.store import open_virtual_store
from fsm_exec.store.files.open_database import OpenRequest, open_database
from fsm_exec.store.maintenance.integrity import check_database
from tests.store.histories import AT_US, INSTANCE, saves_of

NAMES = ("filled", "walking", "cancelled_late")
HEADER_BYTES, FRAME_HEADER_BYTES = 32, 24
TORN_EVERY = 7  # frames: cut inside, and a byte of it flipped
OPENED_EVERY = 11  # frames: opened as an engine does, and written to


class Moment(msgspec.Struct):
    """How long the log was when a save had returned, and how far each execution was."""

    log_bytes: int
    seqs: dict[str, int]


def size(path: Path) -> int:
    return path.stat().st_size


def write(path: Path, copy: Path) -> list[Moment]:
    """Save the histories in turn, a commit each, and copy the database as it is then, with all of it in the log."""
    moments = [Moment(0, {})]

    async def main() -> None:
        async with open_virtual_store(path, draw_instance=lambda: INSTANCE, at_us=AT_US) as store:
            log = Path(f"{path}-wal")
            moments.append(Moment(size(log), {}))
            histories = [saves_of(name, f"e{number}")[0] for number, name in enumerate(NAMES, start=1)]
            for saves in itertools.zip_longest(*histories):
                for save in filter(None, saves):
                    await store.save(save)
                    seqs = {**moments[-1].seqs, save.execution_id: save.journal.seq}
                    moments.append(Moment(size(log), seqs))
            for suffix in ("", "-wal"):
                shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")

    trio.run(main)
    return moments


def seqs(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as connection:
        return dict(connection.execute("SELECT execution_id, seq FROM execution_state").fetchall())


def test_the_log_cut_anywhere_leaves_what_some_commit_left(tmp_path: Path, draw_instance: Callable[[], str]) -> None:
    """Cut at every frame, torn in the middle of many, or with a byte of the last frame flipped: it opens, it is sound,
    every execution is where the last whole commit put it, and an engine goes on from there."""
    whole = tmp_path / "whole.db"
    moments = write(tmp_path / "engine.db", whole)
    log = Path(f"{whole}-wal").read_bytes()
    (page_bytes,) = struct.unpack(">I", log[8:12])
    frame_bytes = FRAME_HEADER_BYTES + page_bytes
    ends = range(HEADER_BYTES, moments[-1].log_bytes + 1, frame_bytes)
    assert ends[-1] == moments[-1].log_bytes, "the scenario outgrew the log: it was checkpointed in between"
    assert len(ends) > 100
    images = [(end, log[:end]) for end in (0, *ends)]
    for end in ends[1::TORN_EVERY]:
        images.append((end, log[: end + frame_bytes // 2]))
        flipped = log[: end + frame_bytes - 1] + bytes([log[min(end + frame_bytes, len(log)) - 1] ^ 1])
        images.append((end, flipped))
    for number, (end, image) in enumerate(images):
        directory = tmp_path / "cut"
        directory.mkdir()
        path = directory / "engine.db"
        shutil.copy(whole, path)
        Path(f"{path}-wal").write_bytes(image)
        expected = [moment for moment in moments if moment.log_bytes <= end][-1].seqs
        report = check_database(path, every=True)
        assert report.findings == [], f"cut at byte {end}"
        assert report.folded == len(expected)
        if number % OPENED_EVERY == 0:
            open_database(OpenRequest(path=path, draw_instance=draw_instance, at_us=AT_US)).connection.close()
            assert check_database(path, every=True).findings == []
        assert seqs(path) == expected, f"cut at byte {end}"
        shutil.rmtree(directory)
