"""`fsm-exec db`: check, backup, restore and migrate as a user meets them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fsm_exec.store.files.locks import database_lock
from fsm_exec.store.files.migrations import SCHEMA
from fsm_exec.store.files.open_database import OpenRequest, open_database
from tests.cli.invoking import invoke
from tests.store.histories import INSTANCE, fill
from tests.store.moved_database import make_database
from tests.store.other_processes import by_nobody, readable_by_all

__all__ = ["readable_by_all"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "engine.db"
    fill(path, ("filled", "walking", "settling"))
    return path


@pytest.fixture
def database(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sound, tmp_path))


def test_a_sound_database_is_said_to_be_sound(database: Path) -> None:
    """One line and exit 0; as a document with --json."""
    done = invoke(database.parent, "db", "check", "--db", "engine.db", "--all")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"engine.db: sound; schema version {len(SCHEMA)}, 3 executions")
    assert done.stdout.endswith("3 held against their journal\n")
    document = json.loads(invoke(database.parent, "db", "check", "--db", "engine.db", "--json").stdout)
    assert (document["findings"], document["folded"], document["instance"]) == ([], 2, INSTANCE)


def test_what_is_wrong_is_listed_and_fails(database: Path) -> None:
    """A line a finding, with the execution it is about; the document has the same."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE execution_state SET snapshot = '{}' WHERE execution_id = 'e2'")
    done = invoke(database.parent, "db", "check", "--db", "engine.db")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[0].startswith("e2: the snapshot cannot be read: ")
    assert "engine.db: 2 things are wrong; " in done.stdout
    done = invoke(database.parent, "db", "check", "--db", "engine.db", "--json")
    assert done.returncode == 1
    assert {finding["execution_id"] for finding in json.loads(done.stdout)["findings"]} == {"e2"}


def test_a_database_too_damaged_to_open_is_a_finding(database: Path) -> None:
    """Cut in the middle: exit 1 and what to do, not a usage error; the document too."""
    database.write_bytes(database.read_bytes()[:4_096])
    done = invoke(database.parent, "db", "check", "--db", "engine.db")
    assert (done.returncode, done.stderr) == (1, "")
    assert "malformed" in done.stdout
    done = invoke(database.parent, "db", "check", "--db", "engine.db", "--json")
    assert done.returncode == 1
    assert "malformed" in json.loads(done.stdout)["findings"][0]["what"]


def test_a_backup_is_restored_as_another_instance(database: Path) -> None:
    """From backup to restored database; what that means is said, with the instance's name and the option."""
    directory = database.parent
    done = invoke(directory, "db", "backup", "saved.backup", "--db", "engine.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1].startswith(f"{directory}/saved.backup: sound; ")
    done = invoke(directory, "db", "restore", "saved.backup", "--db", "new.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert "draws a new instance" in done.stdout
    assert f"--other-engine-is-gone {INSTANCE}" in done.stdout
    assert sorted(os.listdir(directory)) == ["engine.db", "new.db", "saved.backup"]
    opened = open_database(OpenRequest(path=directory / "new.db", draw_instance=lambda: "b" * 10, at_us=0))
    opened.connection.close()
    assert opened.instance == "b" * 10
    document = json.loads(invoke(directory, "db", "restore", "saved.backup", "--db", "third.db", "--json").stdout)
    assert (document["source_instance"], document["check"]["findings"]) == (INSTANCE, [])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("backup", "engine.db", "--db", "engine.db"), "exists; nothing is ever overwritten, give the path"),
        (("restore", "engine.db", "--db", "engine.db"), "exists; nothing is ever overwritten"),
        (("backup", "none/b", "--db", "engine.db"), "its directory does not exist"),
        (("backup", "b", "--db", "none.db"), "it does not exist; give the path of an fsm-exec database"),
        (("restore", "none.backup", "--db", "new.db"), "it does not exist; give the path of an fsm-exec database"),
        (("migrate", "--db", "none.db"), "it does not exist; give the path of an fsm-exec database"),
        (("check", "--db", "none.db"), "it does not exist; give the path of an fsm-exec database"),
        (("check", "--db", "text.db"), "file is not a database; give the path of an fsm-exec database"),
        (("restore", "engine.db"), "Missing option '--db'"),
        (("vacuum",), "No such command 'vacuum'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(database: Path, arguments: tuple[str, ...], says: str) -> None:
    """Exit 2, and nothing appears, changes or goes."""
    database.with_name("text.db").write_text("not a database, but long enough to be looked at " * 50)
    before = {path.name: path.read_bytes() for path in database.parent.iterdir()}
    done = invoke(database.parent, "db", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert {path.name: path.read_bytes() for path in database.parent.iterdir()} == before


def test_an_older_database_is_migrated_with_a_copy(tmp_path: Path) -> None:
    """Both versions and the copy are named; a second time there is nothing to do."""
    database = tmp_path / "engine.db"
    old = OpenRequest(path=database, draw_instance=lambda: INSTANCE, at_us=0, migrations=SCHEMA[:1])
    open_database(old).connection.close()
    done = invoke(tmp_path, "db", "migrate", "--db", "engine.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"engine.db: schema version 1 -> {len(SCHEMA)}; as it was: {tmp_path / 'engine.db.v1.backup'}\n"
    )
    done = invoke(tmp_path, "db", "migrate", "--db", "engine.db", "--json")
    assert json.loads(done.stdout) == {"db": "engine.db", "before": len(SCHEMA), "after": len(SCHEMA), "copy": None}


def test_while_an_engine_holds_it_only_what_reads_is_done(database: Path) -> None:
    """Migrating and restoring are refused by name of the holder; checking and backing up are not."""
    with database_lock(database, what="fsm-exec serve", since="2023-04-10T18:00:00.000000Z"):
        for arguments in (("migrate", "--db", "engine.db"), ("restore", "engine.db", "--db", "engine.db")):
            done = invoke(database.parent, "db", *arguments)
            assert (done.returncode, done.stdout) == (1, "")
            assert f"is held by fsm-exec serve (process {os.getpid()}" in done.stderr
            assert done.stderr.count("\n") == 1
        assert invoke(database.parent, "db", "check", "--db", "engine.db").returncode == 0
        assert invoke(database.parent, "db", "backup", "saved", "--db", "engine.db").returncode == 0


def test_a_read_only_database_is_one_line_to_whoever_must_write(sound: Path, readable_by_all: Path) -> None:
    """Opening it as an engine does says what is wrong; looking at it works; not a byte of it changes."""
    database = readable_by_all / "engine.db"
    shutil.copy(sound, database)
    database.chmod(0o444)
    before = database.read_bytes()

    def attempt() -> str:
        open_database(OpenRequest(path=database, draw_instance=lambda: INSTANCE, at_us=0))
        return "opened"

    assert by_nobody(attempt) == (
        f"UserError('cannot use the database {database}: it is read-only; "
        "make the file and its directory writable, or use another path')"
    )
    assert by_nobody(lambda: invoke(readable_by_all, "db", "check", "--db", "engine.db").stdout).startswith(
        "engine.db: sound"
    )
    assert database.read_bytes() == before


def test_what_is_over_moves_and_is_found_again(tmp_path: Path) -> None:
    """`db archive` says how many moved where; replay and review read them as before, the check and a backup name the
    archives, and the same command again moves nothing."""
    make_database(tmp_path / "engine.db")
    asked = (("replay", "e1", "--db", "engine.db", "--json"), ("review", "engine.db", "--json"))
    before = [invoke(tmp_path, *each).stdout for each in asked]
    done = invoke(tmp_path, "db", "archive", "--before", "2024-01-01", "--db", "engine.db")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("engine.db: 3 executions moved into ")
    assert [invoke(tmp_path, *each).stdout for each in asked] == before
    assert "3 executions in 1 archives" in invoke(tmp_path, "db", "check", "--db", "engine.db").stdout
    assert "not in it: 3 executions" in invoke(tmp_path, "db", "backup", "copy.db", "--db", "engine.db").stdout
    again = invoke(tmp_path, "db", "archive", "--before", "2024-01-01", "--db", "engine.db", "--json")
    assert json.loads(again.stdout)["moved"] == {}


def test_archive_asks_for_a_date_and_a_stopped_engine(database: Path) -> None:
    """A date that is none is wrong usage; while an engine has the database nothing moves."""
    wrong = invoke(database.parent, "db", "archive", "--before", "soon", "--db", "engine.db")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    with database_lock(database, what="a test", since="now"):
        held = invoke(database.parent, "db", "archive", "--before", "30", "--db", "engine.db")
    assert (held.returncode, held.stdout) == (1, "")
