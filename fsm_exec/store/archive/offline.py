"""Moves executions of a database that no engine has open."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Final

import msgspec

from fsm_exec.store.archive.archive_files import archive_directory, archive_name, create_archive
from fsm_exec.store.archive.copying import CopyResult, copy_error, copy_executions, open_copier
from fsm_exec.store.archive.moving import (
    Candidate,
    Cursor,
    bounded_before,
    clear_moved,
    load_candidates,
    move_executions,
)
from fsm_exec.store.damaged_rows import DATABASE_ERRORS, decode_damaged_text
from fsm_exec.store.files.held_file import HeldFile
from fsm_exec.store.files.migrations import migrate
from fsm_exec.store.files.open_database import BUSY_TIMEOUT_MS, unusable_error
from fsm_exec.store.maintenance.read_only import check_exists, check_version

AT_ONCE: Final = 200  # executions that are copied in one transaction of their archive
ROWS_AT_ONCE: Final = 2_000  # deleted in one transaction


class ArchiveReport(msgspec.Struct, kw_only=True):
    """`moved` executions by archive; `stayed`: how many did not, by the reason; `refused`: which cannot move, and why.
    `before`: the time asked for, or the earlier one that listings may still reach back to."""

    before: str
    moved: dict[str, int]
    stayed: dict[str, int]
    refused: dict[str, str]


def archive_database(path: Path, before_us: int, at: str, say_progress: Callable[[int], None]) -> ArchiveReport:
    """Move every execution that ended before then and may move; `say_progress` is called with how many have, now and
    then. The caller holds the database's lock. What a killed run left is finished first. Raises UserError."""
    path = path.absolute()
    check_exists(path)
    try:
        with (
            closing(HeldFile(path)),
            closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None)) as connection,
        ):
            decode_damaged_text(connection).execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            check_version(connection, path)
            migrate(connection, path)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            return _archive(connection, path, before_us, at, say_progress)
    except (*DATABASE_ERRORS, OSError) as error:
        raise unusable_error(path, error) from error


def _archive(
    connection: sqlite3.Connection, path: Path, before_us: int, at: str, say_progress: Callable[[int], None]
) -> ArchiveReport:
    while clear_moved(connection, ROWS_AT_ONCE):
        pass
    (instance,) = connection.execute("SELECT instance FROM meta").fetchone()
    moved: Counter[str] = Counter()
    stayed: Counter[str] = Counter()
    refused: dict[str, str] = {}
    before = bounded_before(connection, before_us)
    after = Cursor()
    while found := load_candidates(connection, before, after, AT_ONCE):
        after = Cursor(found[-1].updated_at, found[-1].row)
        stayed.update(one.why_not for one in found if one.why_not is not None)
        for name, group in groupby(sorted(filter(_may_move, found), key=_archive_of), key=_archive_of):
            result = _copy(path, name, instance, at, [one.execution_id for one in group])
            refused |= result.refused
            moved[name] += _move(connection, result)
            say_progress(moved.total())
    return ArchiveReport(before=before, moved=dict(sorted(moved.items())), stayed=dict(stayed), refused=refused)


def _may_move(candidate: Candidate) -> bool:
    return candidate.why_not is None


def _archive_of(candidate: Candidate) -> str:
    return archive_name(candidate.accepted_at)


def _copy(path: Path, name: str, instance: str, at: str, execution_ids: list[str]) -> CopyResult:
    try:
        archive = create_archive(path, name, instance, at)
    except DATABASE_ERRORS as error:
        raise copy_error(path, archive_directory(path) / name, error) from error
    with open_copier(path, archive) as copier:
        return copy_executions(copier, name, execution_ids)


def _move(connection: sqlite3.Connection, result: CopyResult) -> int:
    """Move all that was copied; return how many were."""
    left, count = list(result.copied), 0
    while left:
        done = move_executions(connection, left, ROWS_AT_ONCE)
        count += len(done.moved)
        left = left[len(done.moved) + len(done.changed) :]
        while clear_moved(connection, ROWS_AT_ONCE):
            pass
    return count
