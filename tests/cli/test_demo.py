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

from fsm_exec.cli.demo.totals import cents
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
METHOD_KEYS = [
    *("method", "market", "executions", "target_quantity", "filled_quantity", "fill_rate", "fees", "shortfall"),
    *("against", "episodes_compared", "difference"),
]
MAY_BE_NULL = {"target_price", "average_fill_price", "slippage", "arrival_mid", "shortfall"}


def document(text: str) -> dict[str, Any]:
    """The one JSON document that `text` is; a repeated key is an error."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    found: dict[str, Any] = json.loads(text, object_pairs_hook=unique)
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
    _, text = first_run
    found = document(text)
    assert list(found) == ["tape", "methods", "executions"]
    assert found["tape"] == "generated:1"
    assert [list(total) for total in found["methods"]] == [METHOD_KEYS, METHOD_KEYS]
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
    assert {e["algorithm"] for e in found["executions"]} == {"deadline_walker", "passive_mid"}
    assert {e["outcome"] for e in found["executions"]} == {"yes", "no"}
    assert len({e["target_quantity"] for e in found["executions"]}) > 1


def test_the_same_seed_gives_the_same_document_at_any_speed(tmp_path: Path, first_run: tuple[Path, str]) -> None:
    """Byte for byte: at full speed again, beside an earlier database, and paced. Another seed differs."""
    again = run(tmp_path, *MAX, "--json")
    paced = run(tmp_path, "demo", "--speed", "400", "--json")
    other = run(tmp_path, *MAX, "--json", "--seed", "6", "--db", "other.sqlite")
    _, text = first_run
    assert (again.returncode, paced.returncode, other.returncode) == (0, 0, 0)
    assert again.stdout == text
    assert paced.stdout == text
    assert other.stdout != text


def test_the_same_seed_prints_and_draws_the_same(tmp_path: Path) -> None:
    """Byte for byte in another directory: every line of the output, and the picture."""
    drawn = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        done = run(tmp_path / name, *MAX, "--executions", "4")
        assert (done.returncode, done.stderr) == (0, "")
        picture = tmp_path / name / done.stdout.rpartition("Picture: ")[2].rstrip("\n")
        drawn.append((done.stdout, picture.read_bytes()))
    assert drawn[0] == drawn[1]


def test_every_method_works_the_same_episodes(first_run: tuple[Path, str]) -> None:
    """Same side, size and target price at the same moment of the same tape, each in a market of its own."""
    executions = document(first_run[1])["executions"]
    walker, passive = ([e for e in executions if e["algorithm"] == name] for name in ("deadline_walker", "passive_mid"))
    assert len(walker) == len(passive) == 6
    for one, other in zip(walker, passive, strict=True):
        same = ("outcome", "target_quantity", "target_price", "arrival_mid")
        assert [one[key] for key in same] == [other[key] for key in same]
        assert (one["market"], other["market"]) == ("KXPAPER-DEMO-A", "KXPAPER-DEMO-A-COPY2")


def test_the_totals_are_those_of_the_executions(first_run: tuple[Path, str]) -> None:
    """What each method filled, paid in fees and cost per contract asked for, and the difference of the two."""
    found = document(first_run[1])
    costs = []
    for total in found["methods"]:
        of_it = [e for e in found["executions"] if e["algorithm"] == total["method"]]
        assert (total["executions"], total["market"]) == (len(of_it), of_it[0]["market"])
        asked = sum((Decimal(e["target_quantity"]) for e in of_it), Decimal(0))
        assert Decimal(total["target_quantity"]) == asked
        assert Decimal(total["filled_quantity"]) == sum(Decimal(e["filled_quantity"]) for e in of_it)
        assert Decimal(total["fees"]) == sum(Decimal(e["fees"]) for e in of_it)
        assert abs(Decimal(total["fill_rate"]) - Decimal(total["filled_quantity"]) / asked) <= Decimal("0.000001")
        cost = sum((Decimal(e["shortfall"]) * Decimal(e["target_quantity"]) for e in of_it), Decimal(0)) / asked
        assert abs(Decimal(total["shortfall"]) - cost) <= Decimal("0.000002")
        costs.append(Decimal(total["shortfall"]))
    walker, passive = found["methods"]
    assert (walker["against"], walker["episodes_compared"]) == ("passive_mid", 6)
    assert abs(Decimal(walker["difference"]) - (costs[0] - costs[1])) <= Decimal("0.000002")
    assert (passive["against"], passive["difference"]) == (None, None)


def test_cents_are_rounded_as_on_a_page() -> None:
    """To the nearest, what is half to even, from the same text as the lab's pages; nought has no sign."""
    for dollars, shown in (
        ("0.010279", "1.03"),
        ("-0.000268", "-0.03"),
        ("0.002150", "0.22"),
        ("-0.000049", "0.00"),
        ("1.000000", "100.00"),
    ):
        assert cents(dollars) == shown


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
    assert re.search(r"^ +\d+ s  e000001  deadline_walker yes +\w+", done.stdout, re.MULTILINE)
    assert re.search(
        r"^deadline_walker cost \d+\.\d\d c a contract (less|more) than passive_mid, in the same 2 ",
        done.stdout,
        re.MULTILINE,
    )
    assert (tmp_path / "fsm-exec-demo-1-picture.html").is_file()


def test_the_picture_is_opened_on_demand(tmp_path: Path) -> None:
    """`--open` hands the browser the file that was drawn; without one, a line says which file to open."""
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\necho "$1" >> opened\n')
    browser.chmod(0o700)
    settings = {**environment(), "BROWSER": f"{browser} %s"}
    command = [*COMMAND, *MAX, "--executions", "2", "--open", "--db", "d.sqlite", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "opened").read_text() == f"{(tmp_path / 'd-picture.html').resolve().as_uri()}\n"
    page = (tmp_path / "d-picture.html").read_text()
    assert "<title>deadline_walker against passive_mid</title>" in page
    none = {**settings, "BROWSER": "/nowhere/browser", "PATH": "/nowhere"}
    none.pop("DISPLAY", None)
    command[-2] = "e.sqlite"
    done = subprocess.run(command, cwd=tmp_path, env=none, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "fsm-exec: no browser could be opened; open e-picture.html yourself\n")


def test_an_earlier_file_of_another_kind_is_not_drawn_over(tmp_path: Path) -> None:
    """The results are printed all the same; one line names the file."""
    (tmp_path / "d-picture.html").write_text("mine")
    done = run(tmp_path, *MAX, "--executions", "2", "--db", "d.sqlite")
    assert done.returncode == 2
    assert "no difference" in done.stdout
    assert done.stderr.count("\n") == 1
    assert "d-picture.html is no page" in done.stderr
    assert (tmp_path / "d-picture.html").read_text() == "mine"


def test_open_and_crash_are_two_things(tmp_path: Path) -> None:
    """One line, before anything is made."""
    done = run(tmp_path, "demo", "--crash", "--open")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--open and --crash" in done.stderr
    assert list(tmp_path.iterdir()) == []


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
        return process.wait(timeout=300), sent.decode()


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
    assert all(re.match(r" *e0000\d\d +(deadline_walker|passive_mid) ", line) for line in table)


WHOLE = re.compile(
    r"^e0000\d\d +(yes|no) +(deadline_walker|passive_mid)"
    r" +(pending|split|walking|partial|filled|deadline|no_liquidity)(, ends: \w+)?"
    r" +\d+/\d+ +([ ━╸╺]+ +)??((-|0\.\d\d+) +){3,4}(-|-?\d+\.\d\d+) +(\d\d-\d\d [\d:]{8} +)?(-|(\d+m)?\d+s) *$"
)


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40), (200, 50)])
def test_while_it_lives_the_table_cuts_nothing(tmp_path: Path, columns: int, rows: int) -> None:
    """Every frame has whole names, states, prices and times, one line each; narrow, it has no bar instead."""
    code, sent = on_a_terminal(tmp_path, "demo", "--speed", "300", columns=columns, rows=rows)
    assert code == 0, sent
    assert "…" not in sent
    frames = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", sent.rpartition("at work")[0]).split("fsm-exec demo, ")
    lines = [line for frame in frames for line in frame.split("\n") if re.match(r"e0000", line)]
    assert len(lines) > 12
    assert [line for line in lines if not WHOLE.match(line)] == []
    assert ("━" in "".join(lines)) == (columns >= 100)


def test_a_narrow_terminal_gets_lines_that_can_be_read(tmp_path: Path) -> None:
    """No table cut to nothing: a line per change as without a terminal, and every result whole."""
    code, sent = on_a_terminal(tmp_path, *MAX, "--executions", "2", columns=40)
    assert code == 0, sent
    assert "at work" not in sent
    assert "…" not in sent
    for words in ("split", "no difference", "deadline_walker"):
        assert words in sent
    assert len(re.findall(r"^e00000[12] +(deadline_walker|passive_mid)", sent, re.MULTILINE)) == 2


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
    out, err = process.communicate(timeout=300)
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


@pytest.mark.parametrize("size_kib", [450, 500, 550])
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
            timeout=300,
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
            timeout=300,
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
    said = [process.communicate(timeout=300)[1] for process in both]
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
        timeout=300,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "fsm-exec: interrupted\n")
