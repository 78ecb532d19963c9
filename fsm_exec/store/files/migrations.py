"""Numbered migrations: `schema/NNNN_name.sql`, applied in order, each in one transaction with its version number.

The version is SQLite's `user_version`; `application_id` marks our databases. A database that already holds
something is copied beside itself before it is migrated. Foreign keys are off during it, as rebuilding a table needs.
"""

from __future__ import annotations

import glob
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.core.journal.crashpoints import crashpoint
from fsm_exec.owner_only import OWNER_ONLY

TOLD_FROM_BYTES: Final = 100_000_000
TOLD_EVERY_PERCENT: Final = 20
PAGES_AT_ONCE: Final = 5_000
_STATE: Final = (
    "SELECT instance, opened_at, (SELECT max(rowid) FROM execution_state), (SELECT max(rowid) FROM execution_events), "
    "(SELECT count(*) FROM execution_events), (SELECT count(*) FROM methods) FROM meta"
)
APPLICATION_ID = 1_718_840_696  # the letters fsmx; 0001_initial.sql writes it


class Migration(msgspec.Struct, frozen=True):
    """`version` is the schema's version once `sql` has run."""

    version: int
    sql: str


def shipped_migrations() -> tuple[Migration, ...]:
    """Return the migrations of this package, numbered 1, 2, 3 without a gap."""
    files = resources.files("fsm_exec.store").joinpath("schema").iterdir()
    found = sorted((f.name, f.read_text(encoding="utf-8")) for f in files if f.name.endswith(".sql"))
    migrations = tuple(Migration(int(name[:4]), sql) for name, sql in found)
    assert [m.version for m in migrations] == list(range(1, len(migrations) + 1)), "migrations have a gap"
    return migrations


SCHEMA = shipped_migrations()


def identify(connection: sqlite3.Connection, path: Path | None, newest: int = len(SCHEMA)) -> int:
    """Return the schema version of this database, 0 for an empty one. Reads only.

    Raises UserError for a database that is not ours or newer than `newest`, sqlite3.Error for no database at all.
    """
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application_id == 0 and version == 0 and tables == 0:
        return 0
    if application_id != APPLICATION_ID:
        raise UserError(f"{path} is a SQLite database, but not one of fsm-exec; give another path")
    if version > newest:
        raise UserError(
            f"{path} has schema version {version}, this fsm-exec knows up to {newest}; "
            "use the newer fsm-exec that wrote it, or another database"
        )
    return int(version)


def migrate(
    connection: sqlite3.Connection,
    path: Path | None,
    migrations: tuple[Migration, ...] = SCHEMA,
    tell: Callable[[str], object] = lambda _: None,
) -> Path | None:
    """Bring the database up to the last of `migrations`; the copy made before, if one was. Of a big database `tell` is
    told how far it is. Killed anywhere, the next call goes on with the copy and the migrations there are. Raises what
    `identify` raises, and sqlite3.Error."""
    version = identify(connection, path, len(migrations))
    missing = [m for m in migrations if m.version > version]
    if path is None or path.stat().st_size < TOLD_FROM_BYTES:
        tell = _report_nothing
    copy = copy_beside(connection, path, version, tell) if missing and version > 0 and path is not None else None
    for migration in missing:
        tell(f"{path}: to schema version {migration.version} of {len(migrations)}")
        crashpoint("migrate.before")
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{migration.sql}\n;PRAGMA user_version = {migration.version};\nCOMMIT;"
            )
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        crashpoint("migrate.after")
    return copy


def copy_beside(
    connection: sqlite3.Connection, path: Path, version: int, tell: Callable[[str], object] = lambda _: None
) -> Path:
    """A whole copy of the database as `NAME.vVERSION.backup`; an earlier copy is never overwritten, and one that was
    made of this very state, by a migration that was killed, is taken for it. It has no inode in its `meta`, so wherever
    it is opened it is known for a copy."""
    partial = path.with_name(f"{path.name}.backup.partial")
    partial.unlink(missing_ok=True)  # half a copy, of a migration that was killed in it
    made = _state_of(connection)
    for earlier in sorted(path.parent.glob(f"{glob.escape(path.name)}.v*.backup")):
        if made is not None and _state_of_file(earlier) == made:
            return earlier
    target = path.with_name(f"{path.name}.v{version}.backup")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.v{version}-{number}.backup")
    partial.touch(OWNER_ONLY, exist_ok=False)
    told = 0

    def report_share(_: int, left: int, pages: int) -> None:
        nonlocal told
        share = 100 * (pages - left) // max(1, pages)
        if share >= told + TOLD_EVERY_PERCENT:
            told = share
            tell(f"{path}: {share} % copied to {target.name}")

    try:
        with closing(sqlite3.connect(partial)) as copy:
            connection.backup(copy, pages=PAGES_AT_ONCE, progress=report_share)
            copy.execute("UPDATE meta SET inode = NULL")
            copy.commit()
        os.link(partial, target)  # whole or not there; it fails if such a file has appeared
    finally:
        partial.unlink(missing_ok=True)
    return target


def _report_nothing(_: str) -> None:
    """Of a small database there is nothing to tell: it is done at once."""


def _state_of(connection: sqlite3.Connection) -> tuple[object, ...] | None:
    """Return what tells a database from itself at another time: every opening says when it was, and every step, method
    and order is counted. None: it is too old to say."""
    try:
        found: tuple[object, ...] = connection.execute(_STATE).fetchone()
    except sqlite3.Error:
        return None
    return found


def _state_of_file(path: Path) -> tuple[object, ...] | None:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            return _state_of(connection)
    except sqlite3.Error:
        return None
