"""The demo as a person, a script and an operator meet it: its document, its database, its screen, its ends."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import resource
import signal
import sqlite3
import struct
import subprocess
import termios
import time
from contextlib import closing
from decimal import Decimal
from fcntl import ioctl
from pathlib import Path
from typing import Any

import pytest

from fsm_exec.core.execution.execution import Execution
from tests.cli.support import COMMAND, assert_rows_agree, environment, folded, run

MAX = ("demo", "--speed", "max")
KEYS = [
    *("execution_id", "market", "outcome", "algorithm", "state", "reason", "target_quantity", "filled_quantity"),
    *("fill_rate", "target_price", "average_fill_price", "slippage", "arrival_mid", "shortfall", "fees"),
    *("time_to_first_fill", "time_to_full_fill", "walks_executed", "splits_used"),
]
DECIMALS = {
    "target_quantity": 2,
    "filled_quantity": 2,
    "fill_rate": 6,
    "target_price": 4,
    "average_fill_price": 6,
    "slippage": 6,
    "arrival_mid": 5,
    "shortfall": 6,
    "fees": 6,
}
MAY_BE_NULL = {"target_price", "average_fill_price", "slippage", "arrival_mid", "shortfall"}


def document(text: str) -> dict[str, Any]:
    """The one JSON document that `text` is; a repeated key is an error."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    found: dict[str, Any] = json.loads(text, object_pairs_hook=unique)
    return found


def without_names(text: str) -> dict[str, Any]:
    """The document but for the database's path and the ids."""
    found = document(text)
    del found["db"]
    for execution in found["executions"]:
        del execution["execution_id"]
    return found


def transitions_logged(log: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines()]
    return [entry for entry in entries if entry["event"] == "transition"]


def transitions_journaled(database: Path) -> list[str]:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        steps = [row[0] for row in connection.execute("SELECT steps FROM execution_events WHERE steps != ''")]
    return [step for line in steps for step in line.split("; ")]


def nothing_rests(executions: list[Execution]) -> bool:
    """No order of ours is live, or may be, by our own books."""
    return not any(child.is_open for execution in executions for child in execution.children)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A whole demo as everybody's first: its database and what it printed."""
    directory = tmp_path_factory.mktemp("first")
    done = run(directory, *MAX, "--json", "--db", "first.sqlite")
    assert (done.returncode, done.stderr) == (0, "")
    return directory / "first.sqlite", done.stdout


def test_json_is_one_document_of_exactly_the_agreed_keys(first_run: tuple[Path, str]) -> None:
    """Decimal strings, whole seconds, null for the unknown; a dozen executions of both algorithms and outcomes."""
    database, text = first_run
    found = document(text)
    assert list(found) == ["db", "tape", "executions"]
    assert (found["db"], found["tape"]) == (str(database), "generated:1")
    assert len(found["executions"]) == 12
    for execution in found["executions"]:
        assert list(execution) == KEYS
        for key, decimals in DECIMALS.items():
            value = execution[key]
            if value is None:
                assert key in MAY_BE_NULL
            else:
                assert re.fullmatch(rf"-?\d+\.\d{{{decimals}}}", value), (key, value)
        for key in ("time_to_first_fill", "time_to_full_fill"):
            assert execution[key] is None or (type(execution[key]) is int and execution[key] >= 0)
        assert type(execution["walks_executed"]) is int
        assert type(execution["splits_used"]) is int
        assert Decimal(execution["filled_quantity"]) <= Decimal(execution["target_quantity"])
        assert (execution["time_to_full_fill"] is None) == (execution["state"] != "filled")
    assert {e["algorithm"] for e in found["executions"]} == {"simple_limit", "market"}
    assert {e["outcome"] for e in found["executions"]} == {"yes", "no"}
    assert len({e["target_quantity"] for e in found["executions"]}) > 1


def test_the_same_seed_gives_the_same_document_at_any_speed(tmp_path: Path, first_run: tuple[Path, str]) -> None:
    """Byte for byte, but for the database's path and the ids: at full speed again, and paced. Another seed differs."""
    again = run(tmp_path, *MAX, "--json", "--db", "again.sqlite")
    paced = run(tmp_path, "demo", "--speed", "400", "--json", "--db", "paced.sqlite")
    other = run(tmp_path, *MAX, "--json", "--seed", "6", "--db", "other.sqlite")
    _, text = first_run
    assert (again.returncode, paced.returncode, other.returncode) == (0, 0, 0)
    assert json.dumps(without_names(again.stdout)) == json.dumps(without_names(text))
    assert json.dumps(without_names(paced.stdout)) == json.dumps(without_names(text))
    assert without_names(other.stdout) != without_names(text)


def test_the_database_afterwards_tells_the_same_story(first_run: tuple[Path, str]) -> None:
    """Every execution ended, every snapshot is the fold of its journal, the rows agree, and the metrics add up and
    are what was printed."""
    database, text = first_run
    executions = folded(database)
    assert len(executions) == 12
    assert all(execution.is_ended for execution in executions)
    assert nothing_rests(executions)
    assert not any(execution.outbox for execution in executions)
    assert_rows_agree(database, executions)
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        metrics = {row["execution_id"]: row for row in connection.execute("SELECT * FROM execution_metrics")}
    parts = ("delay_e7", "spread_e7", "drift_e7", "fees_e7", "opportunity_e7", "over_fill_e7")
    for said in document(text)["executions"]:
        row = metrics.pop(said["execution_id"])
        for key in set(KEYS) & set(row.keys()):
            assert row[key] == said[key], key
        assert row["shortfall_e7"] is not None
        assert row["shortfall_e7"] == sum(row[part] for part in parts)
    assert metrics == {}


def test_the_log_has_one_line_per_transition(first_run: tuple[Path, str]) -> None:
    """As many for executions and their orders as the journal holds, naming the same steps; feed and engine beside."""
    database, _ = first_run
    logged = transitions_logged(database.with_name("first.sqlite.log"))
    steps = sorted(
        f"{e['machine']} {e['subject']}: {e['source']} -{e['trigger']}-> {e['dest']}"
        for e in logged
        if e["machine"] in ("execution", "child_order")
    )
    assert steps == sorted(transitions_journaled(database))
    engine = [e["dest"] for e in logged if e["machine"] == "engine"]
    assert engine == ["recovering", "running", "draining", "stopped"]


def test_a_second_run_on_the_same_database_adds_to_it(tmp_path: Path) -> None:
    """New ids, all executions ended, the first ones untouched, no difference to the exchange."""
    for n in (1, 2):
        done = run(tmp_path, *MAX, "--executions", "2", "--json", "--db", "twice.sqlite")
        assert (done.returncode, done.stderr) == (0, "")
        ids = [e["execution_id"] for e in document(done.stdout)["executions"]]
        assert ids == [f"e{2 * n - 1:06d}", f"e{2 * n:06d}"]
    assert_rows_agree(tmp_path / "twice.sqlite", folded(tmp_path / "twice.sqlite"))


def test_without_a_terminal_there_are_plain_lines(tmp_path: Path) -> None:
    """No escape sequence; a line per change, the table, and where database, log and diagrams are."""
    done = run(tmp_path, *MAX, "--executions", "4")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "\r" not in done.stdout
    for said in ("e000004", "Results", "no difference", "fsm-exec-demo-1.sqlite", ".log", "diagrams"):
        assert said in done.stdout
    assert re.search(r"^ +\d+ s  e000001  simple_limit yes +\w+", done.stdout, re.MULTILINE)


def on_a_terminal(directory: Path, *arguments: str, columns: int = 100, rows: int = 40) -> tuple[int, str]:
    """Exit code, and everything a terminal of that size was sent."""
    leader, follower = pty.openpty()
    ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    settings = {**environment(), "TERM": "xterm-256color"}
    for name in ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR"):
        settings.pop(name, None)
    sent = b""
    with subprocess.Popen(
        [*COMMAND, *arguments], cwd=directory, env=settings, stdin=follower, stdout=follower, stderr=follower
    ) as process:
        os.close(follower)
        with contextlib.suppress(OSError):  # how a terminal says that nobody writes to it any more
            while chunk := os.read(leader, 65_536):
                sent += chunk
        os.close(leader)
        return process.wait(timeout=60), sent.decode()


def rendered(sent: str, columns: int) -> list[str]:
    """What is on the screen in the end, scrolled lines included: text, CR, LF, up, erase line; other sequences only
    colour or hide."""
    screen: list[list[str]] = [[]]
    row = column = 0
    for match in re.finditer(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n])", sent):
        number, final, control, letter = match.groups()
        if final == "A":
            row = max(0, row - int(number or 1))
        elif final == "K":
            screen[row] = [] if number == "2" else screen[row][:column]
        elif control == "\r":
            column = 0
        elif control == "\n":
            row += 1
            if row == len(screen):
                screen.append([])
        elif letter:
            screen[row] += [" "] * (column + 1 - len(screen[row]))
            screen[row][column] = letter
            column += 1
            assert column <= columns, f"a line is wider than the terminal: {''.join(screen[row])}"
    return ["".join(line).rstrip() for line in screen]


@pytest.mark.parametrize("columns", [100, 80])
def test_on_a_terminal_the_table_lives_and_the_results_stay(tmp_path: Path, columns: int) -> None:
    """The table is redrawn in place while it runs; in the end it is gone, each result stands there once, within the
    terminal's width, and the cursor is back."""
    code, sent = on_a_terminal(tmp_path, "demo", "--speed", "150", "--executions", "6", columns=columns)
    assert code == 0, sent
    assert "Traceback" not in sent
    assert sent.count("at work") > 5
    assert sent.rindex("\x1b[?25h") > sent.rindex("\x1b[?25l")
    screen = rendered(sent, 10_000)  # paths may be longer than a line
    text = "\n".join(screen)
    assert "at work" not in text
    assert "no difference" in text
    table = [line for line in screen if re.match(r" *e0000\d\d ", line)]
    assert [line.split()[0] for line in table] == [f"e00000{n}" for n in range(1, 7)]
    assert all(len(line) <= columns for line in table)


def test_a_narrow_terminal_gets_lines_that_can_be_read(tmp_path: Path) -> None:
    """No table cut to nothing: a line per change as without a terminal, and every result whole."""
    code, sent = on_a_terminal(tmp_path, *MAX, "--executions", "2", columns=40)
    assert code == 0, sent
    assert "at work" not in sent
    assert "…" not in sent
    for words in ("split", "no difference", "simple_limit"):
        assert words in sent
    assert len(re.findall(r"^e00000[12] +simple_limit", sent, re.MULTILINE)) == 2


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_mid_run_ends_every_execution_and_prints(tmp_path: Path, sent: signal.Signals) -> None:
    """Exit 130, the results printed, every execution ended (`user` if it was at work), nothing resting at the
    exchange: the demo compares with its listing and would print a difference."""
    database = tmp_path / "stopped.sqlite"
    far_away = ("--algorithm", "simple_limit", "--target-price", "0.02")  # never filled: always at work when it comes
    process = subprocess.Popen(
        [*COMMAND, "demo", "--json", "--speed", "60", *far_away, "--db", database.name],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_order(database)
    process.send_signal(sent)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    said = document(out)["executions"]
    assert 1 <= len(said) < 12, "it was not in mid-run"
    assert all(e["state"] in ("filled", "cancelled") for e in said)
    assert "user" in {e["reason"] for e in said}
    executions = folded(database)
    assert [e.execution_id for e in executions] == [e["execution_id"] for e in said]
    assert nothing_rests(executions)


def wait_for_order(database: Path) -> None:
    """Until an order rests."""
    for _ in range(600):
        time.sleep(0.05)
        with (
            contextlib.suppress(sqlite3.OperationalError),
            closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as c,
        ):
            if c.execute("SELECT count(*) FROM split_orders WHERE state IN ('resting', 'partial')").fetchone()[0]:
                return
    raise AssertionError("no order ever rested")


@pytest.mark.parametrize("size_kib", [300, 350, 400])
def test_a_disk_that_fills_up_ends_the_run_in_one_line(tmp_path: Path, size_kib: int) -> None:
    """Exit 1, one line, no traceback; the engine halted, by its own listing nothing rests at the exchange, and what
    is on the disk is whole."""
    limit = size_kib * 1024
    done = run(
        tmp_path,
        *(*MAX, "--json", "--executions", "40", "--algorithm", "simple_limit", "--db", "full.sqlite"),
        before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("fsm-exec: the database failed")
    assert "free some disk space" in done.stderr
    database = tmp_path / "full.sqlite"
    executions = folded(database)
    assert_rows_agree(database, executions)
    entries = [json.loads(line) for line in (tmp_path / "full.sqlite.log").read_text().splitlines()]
    assert any(e["event"] == "transition" and e["dest"] == "halted" for e in entries)
    # What is not ended on the disk was looked up in the exchange's listing until it showed nothing alive.
    looked_up = {e["execution"]: e["nothing_live"] for e in entries if e["event"] == "emergency_ended"}
    # (One whose last save was its end, but not its metrics, is looked up as well.)
    assert looked_up.keys() >= {e.execution_id for e in executions if not e.is_ended}
    assert all(looked_up.values()), looked_up


def test_a_disk_too_full_for_an_empty_database_is_refused_before_anything_begins(tmp_path: Path) -> None:
    """Exit 2 as for any path that cannot be used, one line, and no half-made database is left."""
    done = run(
        tmp_path,
        *(*MAX, "--json", "--db", "full.sqlite"),
        before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100 * 1024, 100 * 1024)),
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith("fsm-exec: cannot use the database")
    assert "check the disk and its free space" in done.stderr
    assert not list(tmp_path.glob("full.sqlite*")), "the next run would find half a database"


@pytest.mark.parametrize("faults", ["flaky_network", "lossy_stream", "everything"])
def test_with_everything_going_wrong_the_books_still_agree(tmp_path: Path, faults: str) -> None:
    """Answers lost, frames lost and repeated, pauses, cuts: exit 0 says that no fill was lost or counted twice."""
    done = run(tmp_path, *MAX, "--json", "--faults", faults, "--profile", "liquid", "--db", "trouble.sqlite")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["tape"] == "generated:liquid:1"
    executions = folded(tmp_path / "trouble.sqlite")
    assert len(executions) == 12
    assert all(execution.is_ended for execution in executions)
    assert all(execution.filled_e2 <= execution.target_e2 for execution in executions)


def test_output_that_cannot_be_written_is_one_line_or_none(tmp_path: Path) -> None:
    """A full disk behind stdout is told; a reader that has gone needs no telling. No traceback either way."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, *MAX, "--executions", "2", "--json"],
            cwd=tmp_path,
            env=environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert re.fullmatch(r"fsm-exec: cannot write the output: [^\n]+\n", done.stderr)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        gone = subprocess.run(
            [*COMMAND, *MAX, "--executions", "2"],
            cwd=tmp_path,
            env=environment(),
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        os.close(writer)
    assert (gone.returncode, gone.stderr) == (1, "")


def test_without_any_output_nothing_is_begun(tmp_path: Path) -> None:
    """Stdout closed from the start: one line, exit 2, no file made."""
    done = run(tmp_path, *MAX, "--executions", "2", before=lambda: os.close(1))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "standard output is closed" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_that_gets_in_the_way_is_told_what_it_did(tmp_path: Path) -> None:
    """Two runs on one database at once: whichever comes second to an id (or, on a slow machine, to the whole
    database) ends with one line that names the remedy; the other finishes, and the database is whole."""
    command = [*COMMAND, "demo", "--speed", "30", "--executions", "4", "--json", "--db", "shared.sqlite"]
    both = [
        subprocess.Popen(
            command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120)[1] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) in ([0, 1], [0, 2])
    assert said[codes.index(0)] == ""
    told = said[codes.index(max(codes))]
    assert told.count("\n") == 1
    assert "is held by fsm-exec demo (process" in told or "give another path for new work" in told
    assert all(execution.is_ended for execution in folded(tmp_path / "shared.sqlite"))


def test_an_interrupt_while_the_program_is_still_loading_is_one_line(tmp_path: Path) -> None:
    """Exit 130 and no traceback, although no command has begun."""
    shadow = tmp_path / "shadow"
    shadow.mkdir()
    (shadow / "click.py").write_text("raise KeyboardInterrupt  # where the first library is loaded\n")
    settings = environment()
    done = subprocess.run(
        [*COMMAND, *MAX],
        cwd=tmp_path,
        env={**settings, "PYTHONPATH": os.pathsep.join([str(shadow), settings["PYTHONPATH"]])},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "fsm-exec: interrupted\n")
