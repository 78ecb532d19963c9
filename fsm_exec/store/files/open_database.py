"""Opens a database: one synchronous function for both lanes, run in the thread that will own the connection.

Whatever is wrong with the path or the file is found here and is a UserError of one line; a file this call created is
removed again when it fails. A write is part of every opening, so a read-only file or a full disk shows now and not at
the first order.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import lru_cache
from pathlib import Path

import msgspec
from msgspec.structs import replace

from fsm_exec.core.errors import DamagedRow, UserError
from fsm_exec.core.market.client_order_id import EPOCH_CHARS, INSTANCE_CHARS
from fsm_exec.core.text import one_line
from fsm_exec.core.values.times import to_iso
from fsm_exec.owner_only import OWNER_ONLY
from fsm_exec.store.damaged_rows import DATABASE_ERRORS, decode_damaged_text, text_of
from fsm_exec.store.files.acknowledged import SUFFIX, Lost, MarkFile, load_counts, load_mark, lost_since
from fsm_exec.store.files.copy_mark import is_copy, write_mark
from fsm_exec.store.files.epoch_rows import record_opening, skip_numbers
from fsm_exec.store.files.held_file import LOG, HeldFile, HoldingConnection
from fsm_exec.store.files.migrations import SCHEMA, Migration, migrate

CACHE_KIB = 16_384
ARCHIVE_SUFFIX = ".archive"  # of the directory beside a database with what has moved out of it
BUSY_TIMEOUT_MS = 5_000  # a person's sqlite3 shell may hold the database this long before we give up

_INSTANCE_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz234567")

_REMEDIES = {
    "SQLITE_BUSY": "another process holds it; stop that process, or use another path",
    "SQLITE_CANTOPEN": "check that the path is a file in a directory you can write to, or use another path",
    "SQLITE_CORRUPT": "restore a backup, or use another path",
    "SQLITE_FULL": "free some disk space, or use another path",
    "SQLITE_IOERR": "check the disk and its free space, or use another path",
    "SQLITE_NOTADB": "give the path of an fsm-exec database, or of a new file",
    "SQLITE_READONLY": "make the file and its directory writable, or use another path",
}


class OpenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to open. `path` None is a database in memory; `draw_instance` returns ten characters a-z2-7: a new
    database's instance, and the epoch of every later opening. `takeover`: it is a copy, whatever its file says, and the
    engine of the original may live: that one's epochs are to be fenced. `host` is where this is, for people."""

    path: Path | None
    draw_instance: Callable[[], str]
    at_us: int
    takeover: bool = False
    host: str = ""
    migrations: tuple[Migration, ...] = SCHEMA
    tell: Callable[[str], object] = lambda _: None  # how far a migration of a big database is


class OpenDatabase(msgspec.Struct, frozen=True):
    """`epoch` is empty for the first opening of an instance. `held` and `mark`: the file, if there is one; closing the
    connection lets go of them. `number` is the highest that an execution was ever given, as far as the mark says.
    `epoch_number` is that of this opening among all."""

    connection: sqlite3.Connection
    instance: str
    epoch: str = ""
    held: HeldFile | None = None
    mark: MarkFile | None = None
    lost: Lost | None = None
    number: int = 0
    epoch_number: int = 0

    @property
    def path(self) -> Path | None:
        """Where the file is; None: it is in memory."""
        return None if self.held is None else self.held.path


def open_database(opening: OpenRequest) -> OpenDatabase:
    """Create or open, migrate, and prove writable. Raises UserError, and LockHeld while another engine has the file."""
    if opening.path is None:
        return prepare(_in_memory(opening), None, opening)
    path = _real_path(opening.path)
    _refuse_archive(path)
    _refuse_orphaned_log(path)
    created = _create_if_absent(path)
    held = HeldFile(path)  # before SQLite looks at it, and before anything is ours to remove
    connection = None
    try:
        # mode=rw: SQLite itself never creates the file, so what we created is ours to remove.
        uri = f"{path.as_uri()}?mode=rw"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, factory=HoldingConnection)
        opened = _with_mark(prepare(connection, path, opening), path)
        if created:
            sync_directory(path.parent)
        held.note_opened()
        connection.holding = tuple(filter(None, (opened.mark, held)))
        return replace(opened, held=held)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if created:
            for suffix in ("", "-wal", "-shm", "-journal", SUFFIX):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        held.close()
        if isinstance(error, (*DATABASE_ERRORS, OSError)):
            raise unusable_error(path, error) from error
        raise


def _refuse_archive(path: Path) -> None:
    """Raise UserError for a file in a directory of archives: an engine would take it for a copy of a database."""
    if path.parent.name.endswith(ARCHIVE_SUFFIX):
        beside = path.parent.with_name(path.parent.name.removesuffix(ARCHIVE_SUFFIX))
        raise UserError(f"{path} is an archive of executions that are over; give the database beside it, {beside}")


def _with_mark(opened: OpenDatabase, path: Path) -> OpenDatabase:
    """Return the database with the mark beside its file. What the mark reports as lost stays in it until something new
    is acknowledged, so that a failed start does not hide it from the next; nor does such a start leave a mark where
    there was none."""
    counts = load_counts(opened.connection)
    found = load_mark(path)
    instances = {opened.instance, *(name for (name,) in opened.connection.execute("SELECT instance FROM meta_history"))}
    lost = lost_since(found, counts, frozenset(instances))
    mark = MarkFile(path, opened.instance, counts)
    if lost is None and found is not None and counts.rows:
        mark.write()
    number = found.counts.number if found is not None and found.instance in instances else 0
    return replace(opened, mark=mark, lost=lost, number=number)


def _in_memory(opening: OpenRequest) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    if opening.migrations is SCHEMA:
        with closing(sqlite3.connect(":memory:")) as empty:
            empty.deserialize(_empty_database())
            empty.backup(connection)
    return connection


@lru_cache(maxsize=1)
def _empty_database() -> bytes:
    """A database of the shipped schema with nothing in it: an experiment opens thousands in memory, and running the
    migrations took longer than anything else of an opening."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, None)
        return connection.serialize()


def unusable_error(path: Path, error: Exception, name: str = "SQLITE_IOERR") -> UserError:
    """Return an error of one line: which database, what is wrong with it, what to do. `name` is for an error that
    SQLite did not name."""
    if isinstance(error, UnicodeDecodeError):  # of SQLite's own error, which quotes the schema
        return UserError(
            f"cannot use the database {path}: its schema is damaged; restore a backup, or use another path"
        )
    name = getattr(error, "sqlite_errorname", name)
    family = "_".join(name.split("_")[:2])
    return UserError(
        f"cannot use the database {path}: {one_line(str(error))}; {_REMEDIES.get(family, 'use another path')}"
    )


def _real_path(path: Path) -> Path:
    """Without symbolic links, so that one file has one name in `meta`."""
    try:
        return Path(os.path.realpath(path))
    except ValueError as error:
        raise UserError(f"cannot use the database {str(path)!r}: {error}; give the path of a file") from error


def _refuse_orphaned_log(path: Path) -> None:
    """Raises UserError for a log whose database is gone: SQLite would delete it, and with it steps that stand nowhere
    else, while the database may only have been moved."""
    log = path.with_name(path.name + LOG)
    if _size(log) > 0 and _size(path) == 0:
        raise UserError(
            f"the database {path} is not there, or empty, but its write-ahead log is: {log} may hold what nothing else "
            "does; put the database back beside it, or move the log away to begin anew"
        )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return 0


def _create_if_absent(path: Path) -> bool:
    """Create an empty file; False if one was there. Not left to SQLite, whose error does not say what is wrong."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, OWNER_ONLY))
        return True
    except FileExistsError:
        # Looked at before SQLite opens it, which would leave a log file beside what it then cannot write.
        if not path.is_file():
            kind = "a directory" if path.is_dir() else "not a regular file"
            raise UserError(f"cannot use the database {path}: it is {kind}; give the path of a file") from None
        if not os.access(path, os.W_OK):
            raise unusable_error(path, sqlite3.OperationalError("it is read-only"), "SQLITE_READONLY") from None
        return False
    except OSError as error:
        raise UserError(
            f"cannot create the database {path}: {error.strerror}; "
            "give a path in a directory that exists and can be written to"
        ) from error


def prepare(connection: sqlite3.Connection, path: Path | None, opening: OpenRequest) -> OpenDatabase:
    """Migrate, set and identify a database that is connected already. Raises UserError and sqlite3.Error."""
    decode_damaged_text(connection).execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    migrate(connection, path, opening.migrations, opening.tell)
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if path is not None and mode != "wal":
        raise UserError(
            f"cannot use the database {path}: its file system does not allow SQLite's write-ahead log; use a local disk"
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # SQLite's own 2 MB hold the rows of some 500 executions at work: with more, each step reads its row from the log.
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    instance, epoch, number = _identify(connection, path, opening)
    return OpenDatabase(connection, instance, epoch, epoch_number=number)


def _identify(connection: sqlite3.Connection, path: Path | None, opening: OpenRequest) -> tuple[str, str, int]:
    """Return the instance of this very file, and the epoch of this opening with its number. Each opening draws a new
    epoch: the database cannot know what it lost since the last one, so no name given from now on may equal one given
    then.

    A new file, or one found elsewhere than its instance was drawn, gets a new one.

    Any difference counts: a copy has another path and inode, a restored file another inode or not the file's mark; the
    backups of this program have no inode at all. A renamed file gets a new instance too, which costs a question at the
    next start; a copy taken for the original would use the same order ids twice.
    """
    inode = None if path is None else path.stat().st_ino
    where = (None if path is None else str(path), inode)
    now = to_iso(opening.at_us)
    connection.execute("BEGIN IMMEDIATE")
    try:
        row = connection.execute("SELECT instance, path, inode, opened_at FROM meta").fetchone()
        last = now if row is None else row[3]
        epoch = ""
        if row is None:
            instance = opening.draw_instance()
            connection.execute(
                "INSERT INTO meta (id, instance, created_at, created_schema, path, inode, opened_at) "
                "VALUES (1, ?, ?, ?, ?, ?, ?)",
                (instance, now, len(opening.migrations), *where, now),
            )
        elif opening.takeover or row[1:3] != where or (path is not None and is_copy(path, last)):
            instance = opening.draw_instance()
            skip_numbers(connection, instance)
            connection.execute("INSERT INTO meta_history SELECT instance, path, inode, created_at, ? FROM meta", (now,))
            connection.execute(
                "UPDATE meta SET instance = ?, created_at = ?, path = ?, inode = ?, opened_at = ?",
                (instance, now, *where, now),
            )
        else:
            instance = _checked_instance(text_of("meta", 1, "instance", row[0]))
            epoch = opening.draw_instance()[-EPOCH_CHARS:]
            connection.execute("UPDATE meta SET opened_at = ?", (now,))
        number = record_opening(connection, instance, epoch, now, opening.host, takeover=opening.takeover)
        if path is not None:
            write_mark(path, last, now)
        connection.execute("COMMIT")
        if path is not None:
            write_mark(path, now)
            if not epoch:  # the identity is in the file itself: a log that is lost does not take it along
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return str(instance), epoch, number


def _checked_instance(instance: str) -> str:
    if len(instance) != INSTANCE_CHARS or set(instance) - _INSTANCE_LETTERS:
        raise DamagedRow("meta", 1, "instance", f"{instance!r} names no database; restore a backup")
    return instance


def sync_directory(directory: Path) -> None:
    """Make a new file's name durable: without it a power loss could take the whole database."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
