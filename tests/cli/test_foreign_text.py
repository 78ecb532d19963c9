"""What an exchange or a damaged database wrote never reaches the terminal as it came, on any surface."""

from __future__ import annotations

import io
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from fsm_exec.cli.console import Page
from fsm_exec.cli.output import say, say_json
from fsm_exec.lab.report.page import Section, render_page
from fsm_exec.lab.report.tables import Table as ReportTable
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.logs import open_log
from tests.cli.daemons import command, live_orders, serve, submit, until
from tests.cli.exchange import site

FOREIGN = "A\x1b[31mB\x07C\x9b2JD\u202eE\u2066F\u200bG\u2028H[red]I[/red]:smile:\\[J"
BELOW = Path(__file__).parents[2] / "fsm_exec"


def is_clean(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


def test_lines_tables_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets and colons are what they are; JSON keeps everything."""
    say(f"one\n{FOREIGN}")
    table = Table(title=FOREIGN)
    table.add_column(FOREIGN)
    table.add_row(FOREIGN)
    table.add_row(Text(FOREIGN))
    Page(width=200).print(table)
    Page(width=200).print(FOREIGN)
    say_json({"a": FOREIGN})
    say_json({"a": FOREIGN}, indent=2)
    text = capsys.readouterr().out
    assert is_clean(text)
    assert text.count("H[red]I[/red]:smile:\\[J") == 6
    assert json.loads(text.splitlines()[-4]) == {"a": FOREIGN}


def test_nothing_else_prints() -> None:
    """So that no command can forget."""
    elsewhere = [
        f"{path.name}: {line.strip()}"
        for path in sorted((BELOW / "cli").rglob("*.py"))
        if path.name != "output.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"click\.(echo|secho)\(|(?<![\w.])(print|Console)\(|sys\.std(out|err)\.write", line)
    ]
    assert elsewhere == []


async def test_the_log() -> None:
    """A line of it is read on terminals, with `tail`."""
    file = io.StringIO()
    open_log(file, WallClock(0)).warning("row_unread", why=FOREIGN)
    assert is_clean(file.getvalue())
    assert json.loads(file.getvalue())["why"] == FOREIGN


def test_a_report() -> None:
    """In titles, facts and tables of a page."""
    table = ReportTable(columns=(FOREIGN,), rows=((FOREIGN,),), numbers=frozenset())
    page = render_page(FOREIGN, [(FOREIGN, FOREIGN)], [Section(title=FOREIGN, note=FOREIGN, table=table)])
    body = page[page.index("<body") :]
    assert is_clean(body)
    assert FOREIGN.partition("\x1b")[0] in body


async def test_list_show_status_and_watch(tmp_path: Path) -> None:
    """A quarantine's reason may quote anything: it is written into the database between two starts."""
    database = tmp_path / "engine.sqlite"
    async with site(tmp_path) as at:
        first = await serve(at)
        accepted = await submit(at)
        await until(lambda: len(live_orders(at)) == 1)
        assert await first.end() == 0
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("UPDATE execution_state SET quarantine = ?", (FOREIGN,))
        second = await serve(at, name="second")
        told = ""
        for words in (
            ("list",),
            ("show", accepted.execution_id),
            ("status",),
            ("show", accepted.execution_id, "--json"),
        ):
            done = await command(at, *words)
            assert (done.returncode, is_clean(done.stdout)) == (0, True), done
            told += done.stdout
        assert "H[red]I[/red]:smile:" in told.replace("\n", "")
        refused = await command(at, "submit", FOREIGN.replace("\n", ""), "yes", "1", "--cap", "0.5", "--horizon", "9")
        assert (refused.returncode, is_clean(refused.stderr)) == (2, True), refused
        assert await second.end() == 0
