"""Lists that go on from the database into its archives: of executions, newest first, and of steps, oldest first.

An archive is opened only if something in it may stand among what is asked for: the database knows of each how new it
is. What stands in both is shown once, as the database has it; what did not move into an archive from this database (it
is another's, or an older backup of this one was put back) is not shown, as nobody could ask for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from msgspec.structs import replace

from fsm_exec.core.errors import UserError
from fsm_exec.store import journal_steps
from fsm_exec.store.api_rows import ExecutionSummary, Transition
from fsm_exec.store.archive.archive_reads import (
    find_archive,
    load_newer_archives,
    open_named_archive,
    read_one,
)
from fsm_exec.store.reads import api_queries
from fsm_exec.store.reads.api_queries import Filter
from fsm_exec.store.reads.one_moment import at_one_moment

_ROW: Final = "SELECT rowid FROM execution_state WHERE execution_id = ?"
_ENDS: Final = ("filled", "cancelled")

Rank = tuple[str, int]


def load_listing(
    connection: sqlite3.Connection, database: Path | None, wanted: Filter, damage: list[str]
) -> list[ExecutionSummary]:
    """Load executions newest first, those in archives among them; an archive that cannot be read is named in `damage`.
    Empty if `before` is unknown."""
    with at_one_moment(connection):
        if database is None or wanted.unfinished or wanted.quarantined or not _may_have_ended(wanted):
            return api_queries.load_listing(connection, wanted)
        wanted, is_known = _from_row(connection, database, wanted, damage)
        if not is_known:
            return []
        found = _ranked(connection, wanted)
        last = _last(found, wanted)
        column: Literal["newest_ended", "newest_row"] = "newest_ended" if wanted.ended else "newest_row"
        nothing: int | str = "" if wanted.ended else -1
        than = nothing if last is None else last[0] if wanted.ended else last[1]
        for one in load_newer_archives(connection, column, than):
            last = _last(found, wanted)
            if last is not None and (one.newest_ended if wanted.ended else "", one.newest_row) < last:
                break
            try:
                with open_named_archive(database, one.name) as archive:
                    (count,) = archive.execute("SELECT count(*) FROM execution_state").fetchone()
                    more = _ranked(archive, replace(wanted, limit=wanted.limit + max(0, count - one.executions)))
                found |= {key: more[key] for key in more if find_archive(connection, key) == one.name}
            except UserError as error:
                damage.append(str(error))
    ranked = sorted(found.values(), key=lambda one: one[0], reverse=True)
    return [summary for _, summary in ranked[: wanted.limit]]


def _last(found: Mapping[str, tuple[Rank, ExecutionSummary]], wanted: Filter) -> Rank | None:
    """Return the rank of the last one that is shown; None: there is room for more."""
    if len(found) < wanted.limit:
        return None
    return sorted((rank for rank, _ in found.values()), reverse=True)[wanted.limit - 1]


def _may_have_ended(wanted: Filter) -> bool:
    return wanted.state is None or wanted.state in _ENDS


def _from_row(connection: sqlite3.Connection, database: Path, wanted: Filter, damage: list[str]) -> tuple[Filter, bool]:
    """Return the filter with the number of the row it goes on from, which is the same in an archive; and whether there
    is such a row."""
    if wanted.before is None:
        return wanted, True
    try:
        row = read_one(connection, database, wanted.before, lambda one: one.execute(_ROW, (wanted.before,)).fetchone())
    except UserError as error:
        damage.append(str(error))
        return wanted, False
    if row is None:
        return wanted, False
    return replace(wanted, before=None, before_row=row[0]), True


def _ranked(connection: sqlite3.Connection, wanted: Filter) -> dict[str, tuple[Rank, ExecutionSummary]]:
    found = {}
    for one in api_queries.load_listing(connection, wanted):
        row = connection.execute(_ROW, (one.execution_id,)).fetchone()
        place = 0 if row is None else int(row[0])
        found[one.execution_id] = ((one.updated_at if wanted.ended else "", place), one)
    return found


def load_steps_of_all(
    connection: sqlite3.Connection, database: Path | None, position: int, at_most: int
) -> list[Transition]:
    """Load the steps after `position`, oldest first, those in archives among them. Raises UserError for an archive that
    cannot be read: to go on after it would be a hole."""
    with at_one_moment(connection):
        found = {one.position: one for one in journal_steps.load_steps_of_all(connection, position, at_most)}
        for row in load_newer_archives(connection, "newest_position", position):
            if database is not None:
                with open_named_archive(database, row.name) as archive:
                    more = journal_steps.load_steps_of_all(archive, position, at_most)
                found = {**{one.position: one for one in more}, **found}
    return [found[key] for key in sorted(found)[:at_most]]


def load_submission(
    connection: sqlite3.Connection, database: Path | None, key: str
) -> api_queries.EarlierSubmission | None:
    """Load what was accepted under this key, if anything was, also if it has moved. Raises UserError if it is in an
    archive that cannot be read: whether this is the same request is not known then."""
    with at_one_moment(connection):
        found = api_queries.load_submission(connection, key)
        row = connection.execute("SELECT execution_id FROM archived_executions WHERE key = ?", (key,)).fetchone()
        if found is not None or row is None or database is None:
            return found
        name = find_archive(connection, row[0])
        assert name is not None
        with open_named_archive(database, name) as archive:
            found = api_queries.load_submission(archive, key)
        if found is None:
            raise UserError(f"key {key!r} was used for {row[0]}, which the archive {name} should have and has not")
        return found
