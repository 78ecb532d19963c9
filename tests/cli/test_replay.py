"""`fsm-exec replay`: a history told again from the database alone, and what it says when that cannot be."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from fsm_exec.store import read_executions
from tests.cli.invoking import invoke
from tests.cli.support import COMMAND, environment
from tests.store.histories import fill

NAMES = ("filled", "walking", "overtaken_amend", "rejected")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Executions e1 to e4, of NAMES, worked by a method that no registry knows."""
    path = tmp_path_factory.mktemp("sound") / "engine.db"
    fill(path, NAMES)
    return path


@pytest.fixture
def database(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sound, tmp_path))


def test_a_history_is_told_line_by_line_and_agrees(database: Path) -> None:
    """Piped: a line a row with its fact, what moved and what was asked for; then where it stands, and the verdict."""
    before = database.read_bytes()
    done = invoke(database.parent, "replay", "e2", "--db", "engine.db")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("   1 2023-04-10T18:00:00.000000Z Submitted outcome yes, method test@1, target 10.00")
    assert "DecisionDue book 0.4900/0.5100 live | execution: pending -planned-> split | request PlaceOrder" in lines[1]
    assert "| 2-1: intended -doubted-> unknown" in lines[4]
    assert lines[-5:] == [
        "e2 after row 6: walking, filled 0.00 of 10.00 YES",
        "  fxaaaaaaaaaa-e2-1-1: resting, 0.00 of 3.00 at 0.5000",
        "  fxaaaaaaaaaa-e2-2-1: unknown, 0.00 of 3.00 at 0.5000",
        "  fxaaaaaaaaaa-e2-3-1: cancelling, 0.00 of 4.00 at 0.5000, cancel in flight",
        "agrees: 6 rows folded; the snapshot, split_orders and fills are what they give",
    ]
    assert database.read_bytes() == before
    assert os.listdir(database.parent) == ["engine.db"]


def test_the_document_has_everything(database: Path) -> None:
    """One JSON document: rows with event, intents, transitions and effects; the execution; the verdict."""
    done = invoke(database.parent, "replay", "e1", "--db", "engine.db", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert [row["seq"] for row in document["rows"]] == list(range(1, len(document["rows"]) + 1))
    assert document["rows"][1]["transitions"][0]["trigger"] == "planned"
    assert document["rows"][1]["effects"][0]["client_order_id"] == "fxaaaaaaaaaa-e1-1-1"
    assert document["execution"]["state"] == "filled"
    assert (document["checked"], document["agrees"], document["differences"]) == (True, True, [])
    assert document["redecided"] is None


def test_until_shows_the_state_at_that_row(database: Path) -> None:
    """The past is shown as it was, and nothing is claimed about the snapshot, which is of the end."""
    done = invoke(database.parent, "replay", "e1", "--db", "engine.db", "--until", "2")
    assert done.returncode == 0
    assert done.stdout.splitlines()[2:] == [
        "e1 after row 2: split, filled 0.00 of 10.00 YES",
        "  fxaaaaaaaaaa-e1-1-1: intended, 0.00 of 4.00 at 0.5000",
        "  fxaaaaaaaaaa-e1-2-1: intended, 0.00 of 6.00 at 0.5000",
        "not checked: row 2 of 9; the snapshot and the rows are of the last one",
    ]
    document = json.loads(invoke(database.parent, "replay", "e1", "--db", "engine.db", "--until", "2", "--json").stdout)
    assert (document["checked"], document["agrees"], len(document["rows"])) == (False, None, 2)


@pytest.mark.parametrize(
    ("statement", "says", "rows"),
    [
        ("UPDATE split_orders SET state = 'resting' WHERE client_order_id LIKE '%-e1-1-1'", "differs: split_orders", 9),
        ("DELETE FROM execution_events WHERE execution_id = 'e1' AND seq = 4", "differs: row 4 of the journal is", 3),
        ("UPDATE execution_events SET steps = 'x' WHERE execution_id = 'e1' AND seq = 2", "its steps are 'x'", 9),
        ("UPDATE execution_state SET snapshot = '{}' WHERE execution_id = 'e1'", "the snapshot cannot be read", 9),
    ],
)
def test_what_differs_is_said_and_fails(database: Path, statement: str, says: str, rows: int) -> None:
    """A row or a snapshot that is not what the journal gives, a journal with a hole: what can be told is told."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        assert connection.execute(statement).rowcount == 1
    done = invoke(database.parent, "replay", "e1", "--db", "engine.db")
    assert (done.returncode, done.stderr) == (1, "")
    assert says in done.stdout
    assert sum(line[:4].strip().isdigit() for line in done.stdout.splitlines()) == rows
    assert "agrees" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("e9", "--db", "engine.db"), "there is no execution e9 in engine.db; it has e1, e2, e3, e4"),
        (("e1", "--db", "engine.db", "--until", "99"), "execution e1 has the rows 1 to 9; give --until one of them"),
        (("e1", "--db", "engine.db", "--until", "0"), "Invalid value for '--until'"),
        (("e1", "--db", "none.db"), "none.db: it does not exist; give the path of an fsm-exec database"),
        (("e1", "--db", "empty.db"), "empty.db is empty; give the path of an fsm-exec database"),
        (("e1", "--db", "foreign.db"), "foreign.db is a SQLite database, but not one of fsm-exec; give another path"),
        (("e1", "--db", "text.db"), "text.db: file is not a database; give the path of an fsm-exec database"),
        (("e1", "--db", "."), "it is a directory; give the path of an fsm-exec database"),
        ((), "Missing argument 'EXECUTION_ID'"),
    ],
)
def test_a_mistake_is_one_line(database: Path, arguments: tuple[str, ...], says: str) -> None:
    """What, where, what to do; exit 2; nothing on stdout, no file made."""
    database.with_name("empty.db").touch()
    database.with_name("text.db").write_text("not a database, but long enough to be looked at " * 50)
    with closing(sqlite3.connect(database.with_name("foreign.db"))) as connection:
        connection.execute("CREATE TABLE notes (x)")
    before = sorted(os.listdir(database.parent))
    done = invoke(database.parent, "replay", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(os.listdir(database.parent)) == before


def test_without_a_name_it_is_this_users_database(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon's, if it is the only one; with none or several there, what to do is said."""
    monkeypatch.setattr("fsm_exec.cli.database.default_database.data_directory", lambda: tmp_path / "data")
    (tmp_path / "data").mkdir()
    done = invoke(tmp_path, "replay", "e1")
    assert (done.returncode, done.stderr) == (2, f"fsm-exec: no database in {tmp_path / 'data'}; name one with --db\n")
    shutil.copy(database, tmp_path / "data" / "demo.sqlite")
    assert invoke(tmp_path, "replay", "e1").returncode == 0
    assert invoke(tmp_path, "db", "check").stdout.startswith(f"{tmp_path / 'data' / 'demo.sqlite'}: sound")
    shutil.copy(database, tmp_path / "data" / "production.sqlite")
    done = invoke(tmp_path, "db", "check")
    assert done.returncode == 2
    assert "demo.sqlite, " in done.stderr
    assert "choose one with --db" in done.stderr


def test_a_method_nobody_knows_only_stops_the_redeciding(database: Path) -> None:
    """The history is told and checked all the same."""
    done = invoke(database.parent, "replay", "e1", "--db", "engine.db", "--redecide")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-2].startswith("agrees: 9 rows")
    assert "redecide: e1 was worked by test@1, which this program cannot run: unknown method" in done.stdout
    document = json.loads(invoke(database.parent, "replay", "e1", "--db", "engine.db", "--redecide", "--json").stdout)
    assert "unknown method" in document["redecided"]["unavailable"]


def test_on_a_terminal_it_is_a_table(database: Path) -> None:
    """With headings, and nothing cut off."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "replay", "e1", "--db", "engine.db"],
        cwd=database.parent,
        env={**environment(), "COLUMNS": "100", "TERM": "xterm"},
        stdout=theirs,
    ) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                more = os.read(ours, 65_536)
            except OSError:  # how a terminal says that its other side is gone
                break
            if not more:
                break
            seen += more
    os.close(ours)
    assert process.returncode == 0
    text = seen.decode()
    assert all(heading in text for heading in ("seq", "at (UTC)", "event", "transitions", "requests"))
    assert "filled_all" in text
    assert "agrees: 9 rows" in text


def test_a_killed_demo_is_replayed_and_redecided_from_a_copy(tmp_path: Path) -> None:
    """The engine is killed at work; of a copy, log and all, every execution is told again and agrees, and its
    algorithm would decide today as it did."""
    command = [*COMMAND, "demo", "--db", "demo.db", "--speed", "60", "--executions", "6"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 60
        while not _steps(tmp_path / "demo.db") and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    copied = tmp_path / "copied"
    copied.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"demo.db{suffix}", copied)
    before = {path.name: path.read_bytes() for path in copied.iterdir()}
    ids = [one.execution_id for one in read_executions(tmp_path / "demo.db")]
    assert ids
    for execution_id in ids:
        done = invoke(copied, "replay", execution_id, "--db", "demo.db", "--redecide", "--json")
        document = json.loads(done.stdout)
        assert (done.returncode, document["agrees"], document["redecided"]["differences"]) == (0, True, [])
    assert {path.name: path.read_bytes() for path in copied.iterdir()} == before


def _steps(database: Path) -> int:
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM execution_events WHERE seq >= 3").fetchone()
            return int(count)
    except sqlite3.Error:
        return 0
