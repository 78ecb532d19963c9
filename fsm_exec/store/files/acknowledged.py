"""What a database has acknowledged, kept beside it: a high-water mark that says when the database went back.

A write-ahead log can lose commits that were acknowledged: cut, deleted or damaged in the middle, a file put back
from a snapshot, a disk that lies about its flushes. SQLite then opens what is left, and nothing in it says that there
was more. So after each commit, and before its callers return, the numbers of executions and journal rows are written
to `NAME.acknowledged`. The newest rows never move into an archive, and none is deleted otherwise, so a database whose
newest are older is older than what it acknowledged.

What it proves: the mark is written after the commit, so it is never ahead of an honest database, and what it says was
acknowledged was. It is not flushed (that would double the cost of a commit): after the death of the process it is
exact, after a power loss it may be behind, and then it proves less. Without it nothing is proved, and nothing depends
on it: names of orders do not repeat whatever is lost, since every opening is an epoch of its own (store.opening).
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from fsm_exec.core.market.client_order_id import number_of
from fsm_exec.owner_only import OWNER_ONLY

SUFFIX: Final = ".acknowledged"
BYTES: Final = 200  # of the whole file, always: it is written over in place, within one sector of a disk

_NEWEST: Final = (
    "SELECT (SELECT max(rowid) FROM execution_state), (SELECT max(rowid) FROM execution_events), "
    "(SELECT execution_id FROM execution_state WHERE rowid = (SELECT max(rowid) FROM execution_state))"
)


class Counts(msgspec.Struct, frozen=True):
    """`number` is the highest that an execution's id has."""

    executions: int
    rows: int
    number: int


class Mark(msgspec.Struct, frozen=True):
    instance: str
    counts: Counts


class Lost(msgspec.Struct, frozen=True):
    """What the mark counts and the database has not. `instance` is that of the mark, if it is not one of this
    database's."""

    executions: int
    rows: int
    instance: str | None = None

    def __str__(self) -> str:
        gone = f"{self.executions} executions and {self.rows} journal rows"
        if self.instance is not None:
            return (
                f"this is not the database that was worked here: that one (instance {self.instance}) had acknowledged "
                f"{gone}; if it should be here, stop and put it back with its -wal file"
            )
        return (
            f"the database is older than what it acknowledged: {gone} are lost (its -wal file was cut, or an older "
            "file was put back); their orders are cancelled where the exchange shows them, no name is used again"
        )


def load_counts(connection: sqlite3.Connection) -> Counts:
    """Load the counts of the database. It takes few steps however large it is: rows are numbered as they come, and
    stay."""
    executions, rows, newest = connection.execute(_NEWEST).fetchone()
    return Counts(executions or 0, rows or 0, 0 if newest is None else number_of(str(newest)))


def lost_since(mark: Mark | None, counts: Counts, instances: frozenset[str]) -> Lost | None:
    """`instances` are those that this database has and had."""
    if mark is None:
        return None
    was = mark.counts
    if mark.instance not in instances:
        return Lost(was.executions, was.rows, mark.instance) if was.rows else None
    if was.executions <= counts.executions and was.rows <= counts.rows:
        return None
    return Lost(max(0, was.executions - counts.executions), max(0, was.rows - counts.rows))


def load_mark(database: Path) -> Mark | None:
    """Load the mark of what was last acknowledged; None if there is none that can be read."""
    try:
        line, _, checksum = _mark_path(database).read_bytes()[:BYTES].rstrip().rpartition(b" ")
        if checksum != b"%08x" % zlib.crc32(line):
            return None
        return msgspec.json.decode(line, type=Mark)
    except (OSError, ValueError, msgspec.DecodeError):
        return None


class MarkFile:
    """The mark of a database that is open. `counts`: what it has. Where it cannot be written nothing is proved, which
    is no reason to stop."""

    def __init__(self, database: Path, instance: str, counts: Counts) -> None:
        self._database, self._instance, self._counts = database, instance, counts
        self._descriptor: int | None = None

    def update(self, connection: sqlite3.Connection) -> None:
        """Update the mark after a commit, before any caller returns."""
        counts = load_counts(connection)
        if counts != self._counts:
            self._counts = counts
            self.write()

    def write(self) -> None:
        line = msgspec.json.encode(Mark(self._instance, self._counts))
        text = b"%s %08x" % (line, zlib.crc32(line))
        with suppress(OSError):
            if self._descriptor is None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self._descriptor = os.open(_mark_path(self._database), flags, OWNER_ONLY)
            os.pwrite(self._descriptor, text.ljust(BYTES - 1) + b"\n", 0)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


def _mark_path(database: Path) -> Path:
    return database.with_name(database.name + SUFFIX)
