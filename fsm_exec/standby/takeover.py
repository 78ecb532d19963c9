"""The takeover: the lease first, then the newest copy there is becomes the database; the engine on it does the rest.

1. The lease record is taken, whoever has it: from then on the old engine, if it lives and can read the record, stops.
2. Everything that the replica has is copied and checked. Without an answer of the replica, or when nothing more comes
   of it for a while, the copy that was followed is taken, if it is sound.
3. What stands in the database's place is moved aside, never overwritten, and the copy is put there. Of what was moved
   aside the newest few are kept.

A crash at any point leaves the next takeover everything it needs: it begins at 1 again, in a term of its own. The
engine that opens the database then fences the old one at the exchange before it recovers.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import trio

from fsm_exec.core.errors import ExecError
from fsm_exec.standby.copy_reads import load_copy
from fsm_exec.standby.follower import remove_copy
from fsm_exec.standby.litestream import CopyFailed, Litestream

BESIDE: Final = ("-wal", "-shm", ".acknowledged")
ASIDE: Final = ".before-term-"
ASIDE_KEPT: Final = 3
PARTIAL: Final = ".taking-over"
RESTORE_WITHIN_S: Final = 600.0
STILL_S: Final = 20.0  # without a byte more of it a copy that is being made is given up
LOOK_S: Final = 0.25


class NothingToTakeOver(ExecError):
    """Neither the replica nor what was followed is a database that can be worked on."""


async def restore_newest(
    litestream: Litestream, source: str, followed: Path, database: Path, term: int, tell: Callable[[str], object]
) -> None:
    """Put the newest copy there is in the place of `database`; `tell` is told what is done. Raises NothingToTakeOver
    and OSError."""
    made = database.with_name(database.name + PARTIAL)
    remove_copy(made)
    try:
        await _restore(litestream, source, made)
    except CopyFailed as error:
        tell(f"{error}; taking what was followed of it")
        await trio.to_thread.run_sync(_take_followed, followed, made, str(error))
    await trio.to_thread.run_sync(_put_in_place, made, database, term, tell)


async def _restore(litestream: Litestream, source: str, made: Path) -> None:
    """Restore all that `source` has. A store that hangs does so for as long as it likes, while orders go without their
    engine: a copy that has stopped growing is given up. Raises CopyFailed."""
    failure: CopyFailed | None = CopyFailed(f"{source} does not answer: nothing more of it came for {STILL_S:g} s")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_when_still, made, nursery.cancel_scope)
        try:
            await litestream.restore(source, made)
            failure = None
        except CopyFailed as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _cancel_when_still(made: Path, scope: trio.CancelScope) -> None:
    """Cancel when the copy has not grown for STILL_S. One that is whole is being checked, which writes nothing."""
    size, grew_s = -1, trio.current_time()
    end_s = grew_s + RESTORE_WITHIN_S
    while trio.current_time() < min(grew_s + STILL_S, end_s):
        await trio.sleep(LOOK_S)
        is_whole, now = _progress(made)
        if is_whole or now != size:
            size, grew_s = now, trio.current_time()
    scope.cancel()


def _progress(made: Path) -> tuple[bool, int]:
    """Return whether a copy is whole, and its bytes, under its own name and under the one that it is made under."""
    total = 0
    for path in made.parent.glob(f"{made.name}*"):
        with suppress(FileNotFoundError):  # it has just got its name
            total += path.stat().st_size
    return made.exists(), total


def _take_followed(followed: Path, made: Path, why: str) -> None:
    remove_copy(made)
    if not followed.is_file():
        raise NothingToTakeOver(f"{why}; and nothing of it was followed")
    shutil.copyfile(followed, made)
    try:
        with closing(sqlite3.connect(f"{made.absolute().as_uri()}?mode=rw", uri=True)) as connection:
            (verdict,) = connection.execute("PRAGMA quick_check").fetchone()
    except sqlite3.Error as error:
        verdict = str(error)
    if verdict != "ok":
        remove_copy(made)
        raise NothingToTakeOver(f"{why}; and what was followed of it is not sound: {verdict}")


def _put_in_place(made: Path, database: Path, term: int, tell: Callable[[str], object]) -> None:
    if load_copy(made) is None:
        raise NothingToTakeOver(f"{made} is no fsm-exec database that was replicated beside an engine with a lease")
    if database.exists():
        aside = database.with_name(f"{database.name}{ASIDE}{term}")
        tell(f"{database} was there already; it is {aside} now")
        for suffix in BESIDE:
            beside = database.with_name(database.name + suffix)
            if beside.exists():
                os.replace(beside, aside.with_name(aside.name + suffix))
        os.replace(database, aside)
    for suffix in BESIDE:
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    os.replace(made, database)
    descriptor = os.open(database.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _remove_old(database, tell)


def _remove_old(database: Path, tell: Callable[[str], object]) -> None:
    """Remove what earlier takeovers moved aside, but for the newest. That one cannot be removed stops no takeover."""
    begin = database.name + ASIDE
    terms = [path.name.removeprefix(begin) for path in database.parent.iterdir() if path.name.startswith(begin)]
    for term in sorted({int(term) for term in terms if term.isdecimal()})[:-ASIDE_KEPT]:
        old = database.with_name(f"{begin}{term}")
        try:
            for suffix in (*BESIDE, ""):  # the database last: by its name the rest is found again
                old.with_name(old.name + suffix).unlink(missing_ok=True)
        except OSError as error:
            tell(f"{old}, of an earlier takeover, cannot be removed: {error.strerror}")
        else:
            tell(f"{old}, of an earlier takeover, is removed; the newest {ASIDE_KEPT} are kept")
