"""Numbered migrations: `schema/NNNN_name.sql`, applied in order, each in one transaction with its version number.

The version is SQLite's `user_version`; `application_id` marks our databases. A database that already holds
something is copied beside itself before it is migrated. Foreign keys are off during it, as rebuilding a table needs.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.core.journal.crashpoints import crashpoint
from fsm_exec.owner_only import OWNER_ONLY

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
    connection: sqlite3.Connection, path: Path | None, migrations: tuple[Migration, ...] = SCHEMA
) -> Path | None:
    """Bring the database up to the last of `migrations`; the copy made before, if one was. Raises what `identify`
    raises, and sqlite3.Error."""
    version = identify(connection, path, len(migrations))
    missing = [m for m in migrations if m.version > version]
    copy = copy_beside(connection, path, version) if missing and version > 0 and path is not None else None
    for migration in missing:
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


def copy_beside(connection: sqlite3.Connection, path: Path, version: int) -> Path:
    """A whole copy of the database as `NAME.vVERSION.backup`; an earlier copy is never overwritten. It has no inode in
    its `meta`, so wherever it is opened it is known for a copy."""
    target = path.with_name(f"{path.name}.v{version}.backup")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.v{version}-{number}.backup")
    target.touch(OWNER_ONLY, exist_ok=False)
    try:
        with closing(sqlite3.connect(target)) as copy:
            connection.backup(copy)
            copy.execute("UPDATE meta SET inode = NULL")
            copy.commit()
    except sqlite3.Error:
        target.unlink(missing_ok=True)  # half a copy would be taken for a whole one
        raise
    return target
