"""Looking at a database without changing it: closed, crashed, read-only, of an older schema, or while it is written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import pytest

from fsm_exec.core.errors import UserError
from fsm_exec.store.files.held_file import HeldFile
from fsm_exec.store.files.migrations import SCHEMA, migrate
from fsm_exec.store.files.open_database import OpenRequest, open_database
from fsm_exec.store.maintenance import read_only
from fsm_exec.store.maintenance.read_only import How, open_read_only
from fsm_exec.store.reads import execution_reads
from tests.store.histories import fill
from tests.store.other_processes import by_nobody, readable_by_all
from tests.store.test_killed import ROOT, run_and_kill

__all__ = ["readable_by_all"]  # a fixture


def state(directory: Path) -> dict[str, tuple[bytes, int]]:
    """Every file there, byte for byte, and when it was last written."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()}


def held_by_us(path: Path) -> HeldFile:
    """A new file, locked as an engine locks it."""
    path.touch()
    return HeldFile(path)


def ids(path: Path) -> tuple[How, list[str]]:
    with open_read_only(path) as looked:
        return looked.how, [one.execution_id for one in execution_reads.load_executions(looked.connection)]


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """A database as a killed process leaves it, copied without its index: everything is still in the log."""
    original = tmp_path / "running.db"
    fill(original, ["filled"])
    directory = tmp_path / "copied"
    directory.mkdir()
    with closing(sqlite3.connect(original, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE execution_state SET execution_id = 'renamed'").fetchall()
        for suffix in ("", "-wal"):
            shutil.copy(f"{original}{suffix}", directory)
    return directory / "running.db"


def test_a_closed_database_is_read_in_place(database: Path) -> None:
    """Nothing is copied, made beside it or changed."""
    fill(database, ["filled", "pending"])
    before = state(database.parent)
    assert ids(database) == ("in place", ["e1", "e2"])
    assert state(database.parent) == before


def test_a_crashed_database_is_read_with_its_log(crashed: Path) -> None:
    """What is in the log alone is seen, and neither file, nor the directory, is changed."""
    before = state(crashed.parent)
    assert set(before) == {"running.db", "running.db-wal"}
    assert ids(crashed) == ("from a copy", ["renamed"])
    assert state(crashed.parent) == before


def test_a_crashed_database_without_its_log_is_what_was_in_the_file(crashed: Path) -> None:
    """Somebody copied the file alone: what it holds is whole, only older."""
    crashed.with_name("running.db-wal").unlink()
    assert ids(crashed) == ("in place", ["e1"])


def test_an_older_schema_is_migrated_in_a_copy_alone(database: Path) -> None:
    """The first version's tables, journal and all, are read as today's; the file keeps its schema."""
    opened = open_database(OpenRequest(path=database, draw_instance=lambda: "a" * 10, at_us=0, migrations=SCHEMA[:1]))
    with closing(opened.connection) as connection:
        connection.execute(
            "INSERT INTO execution_state VALUES ('e1', 'T', 'yes', 'm@1', 'walking', NULL, NULL, '1.00', '0.5000', "
            "'2023-04-10T18:00:00.000000Z', '2023-04-10T18:00:00.000000Z', '{}', 1, 1, '2023-04-10T18:00:00.000000Z')"
        )
        connection.execute(
            "INSERT INTO execution_events VALUES ('e1', 1, '2023-04-10T18:00:00.000000Z', 'Submitted', '{}', '[]', '')"
        )
    before = state(database.parent)
    with open_read_only(database) as looked:
        assert (looked.schema_version, looked.how) == (1, "from a copy")
        assert [row.version for row in execution_reads.load_journal(looked.connection, "e1")] == [1]
    assert state(database.parent) == before


@pytest.mark.parametrize("with_log", [False, True])
def test_a_read_only_file_in_a_read_only_directory_is_read(
    crashed: Path, readable_by_all: Path, with_log: bool
) -> None:
    """By a user who may write neither; with a log beside it or without."""
    for path in crashed.parent.iterdir():
        if with_log or path == crashed:
            shutil.copy(path, readable_by_all)
    target = readable_by_all / crashed.name
    for path in readable_by_all.iterdir():
        path.chmod(0o444)
    readable_by_all.chmod(0o555)
    before = state(readable_by_all)
    assert by_nobody(lambda: str(ids(target)[1])) == f"['{'renamed' if with_log else 'e1'}']"
    assert state(readable_by_all) == before


@pytest.mark.parametrize("lane", ["live", "virtual"])
def test_what_a_killed_process_left_is_read_without_touching_it(lane: str, database: Path) -> None:
    """After SIGKILL in the middle of its saves: every reported step is there, and all files stay as they were."""
    reported = run_and_kill(lane, 100, database)
    before = state(database.parent)
    with open_read_only(database) as looked:
        for execution_id, seq in reported.items():
            assert len(execution_reads.load_journal(looked.connection, execution_id)) >= seq
    assert state(database.parent) == before


def test_a_database_that_an_engine_holds_is_not_copied(database: Path) -> None:
    """However large it is and whether or not anything is written at the moment, it is read beside its engine."""
    fill(database)
    with closing(HeldFile(database)):
        assert ids(database)[0] == "beside its writer"
    assert ids(database)[0] == "in place"


@pytest.mark.parametrize("version", [0, 1, len(SCHEMA) - 1])
def test_a_database_that_is_being_made_ready_is_waited_for(database: Path, version: int) -> None:
    """Its engine is migrating it, or making it: whoever looks meanwhile sees it when it is ready, and no error."""
    with closing(held_by_us(database)), closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        migrate(writer, None, SCHEMA[:version])
        looking = ThreadPoolExecutor(1).submit(ids, database)
        assert not wait([looking], timeout=0.3).done
        migrate(writer, None, SCHEMA)
        assert looking.result(timeout=30) == ("beside its writer", [])


def test_a_database_of_an_older_engine_is_refused_in_one_line(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that stays as it is: the line says who has it and what to do."""
    monkeypatch.setattr(read_only, "MIGRATION_LOOKS", 2)
    with closing(held_by_us(database)), closing(sqlite3.connect(database, isolation_level=None)) as writer:
        migrate(writer, None, SCHEMA[:5])
        with pytest.raises(UserError, match=f"is in use by process {os.getpid()}, .*; wait for the one, stop"):
            ids(database)


def test_a_database_is_read_while_it_is_written(database: Path) -> None:
    """Each look sees one moment: every snapshot is that of the last row of its journal."""
    code = (
        "import pathlib, sys, trio\n"
        "from fsm_exec.store import open_live_store\n"
        "from tests.store.conftest import Samples\n"
        "async def main():\n"
        "    async with open_live_store(pathlib.Path(sys.argv[1]), draw_instance=lambda: 'a' * 10, at_us=0) as store:\n"
        "        for seq in range(1, 10**9):\n"
        "            await store.save(Samples().save('e1', seq, snapshot=b'%d' % seq))\n"
        "            print(seq, flush=True)\n"
        "trio.run(main)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, str(database)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
        assert writer.stdout is not None
        try:
            seen = looks = 0
            while looks < 25 or seen <= looks:  # at least one of them while the writer was at the next
                looks += 1
                reported = int(writer.stdout.readline())
                with open_read_only(database) as looked:
                    connection = looked.connection
                    connection.execute("BEGIN")
                    (held,) = execution_reads.load_executions(connection)
                    assert held.snapshot == b"%d" % len(execution_reads.load_journal(connection, "e1"))
                    assert int(held.snapshot) >= max(seen, reported)
                    seen = int(held.snapshot)
        finally:
            writer.kill()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"not a database, but long enough to be looked at " * 50, "file is not a database"),
        (b"SQLite format 3\0...", "cannot use the database"),
    ],
)
def test_what_is_no_database_is_one_line(database: Path, content: bytes | None, says: str) -> None:
    """Missing, empty or foreign: the path, the reason and the remedy; and nothing is made there."""
    if content is not None:
        database.write_bytes(content)
    with pytest.raises(UserError, match=says) as caught:
        ids(database)
    assert str(database) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "give the path" in str(caught.value) or "another path" in str(caught.value)
    assert [path.name for path in database.parent.iterdir()] == ([] if content is None else [database.name])


def test_a_directory_and_a_strangers_database_are_one_line(database: Path) -> None:
    """Neither is changed."""
    with pytest.raises(UserError, match="is a directory"):
        ids(database.parent)
    with pytest.raises(UserError, match=r"does not exist|null"):
        ids(Path("a\0b"))
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE notes (x)")
    before = state(database.parent)
    with pytest.raises(UserError, match="not one of fsm-exec"):
        ids(database)
    assert state(database.parent) == before
