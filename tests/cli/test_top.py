"""`fsm-exec top`: one table and an end where no terminal shows it, live where one does, through a daemon's death."""

from __future__ import annotations

import os
import pty
import re
import signal
import struct
import termios
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from fcntl import ioctl
from pathlib import Path

import msgspec
import pytest
import trio

from fsm_exec.cli.console import Page
from fsm_exec.cli.daemon.top_screen import draw
from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.overview_schema import BudgetSeen, Overview, WorkingExecution
from fsm_exec.control.schema import RiskStanding, Status
from tests.cli.daemons import command, serve, submit
from tests.cli.exchange import Site, site
from tests.cli.support import COMMAND, environment
from tests.cli.test_tables import summary, working

SEEN_S = 120


def status(**changes: object) -> Status:
    values: dict[str, object] = {
        "version": "1",
        "state": "running",
        "why_degraded": [],
        "why_halted": None,
        "halt_within_s": 20,
        "environment": "paper",
        "instance": "a" * 10,
        "database": "/d.sqlite",
        "pid": 1,
        "since": "2026-10-01T10:00:00.000000Z",
        "unfinished": 1,
        "at_work": 1,
        "quarantined": {},
        "live_orders": 1,
        "unknown_orders": 0,
        "settling_orders": 0,
        "loose_orders": 0,
        "nothing_live": False,
        "stream_connected": True,
        "markets": {},
        "watchers": 1,
        "limits": ControlLimits(),
        "risk": RiskStanding(state="active", why="", since=None, worst_case="12.000000", account_read=True),
    }
    return Status(**values | changes)  # type: ignore[arg-type]


def overview(rows: list[WorkingExecution], at_work: int | None = None, **changes: object) -> Overview:
    return Overview(
        at="2026-10-01T12:00:00.000000Z",
        status=status(at_work=len(rows) if at_work is None else at_work, **changes),
        budget=BudgetSeen(left=80, capacity=90, per_s=100),
        working=rows,
        ended=[summary() for _ in range(8)],
        alerts=[],
    )


def lines_of(seen: Overview, width: int, height: int | None = None, gone: str | None = None) -> list[str]:
    console = Page(width=width)
    with console.capture() as captured:
        console.print(draw(seen, width, height, gone))
    return captured.get().rstrip("\n").split("\n")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 50)])
def test_a_thousand_at_work_fill_the_screen_and_no_more(width: int, height: int) -> None:
    """As many as fit are shown, how many more there are is said, the newest endings keep their place."""
    rows = [working(execution_id=f"e{number:06}", ticker="KXHIGHNY-26OCT01-B72.5") for number in range(1, 1_001)]
    lines = lines_of(overview(rows[:height], at_work=1_000), width, height)
    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    text = "\n".join(lines)
    shown = len(re.findall(r"^e00\d{4} ", text, re.MULTILINE))
    assert shown >= 2
    assert f"and {1_000 - shown} more at work" in text
    assert "newest endings" in text


def test_what_is_wrong_is_said_in_full_above_the_tables() -> None:
    """A halt with its way back, what degrades the engine, a brake, a quarantine, and a daemon that has gone."""
    risk = RiskStanding(state="halted", why="lost 12 today", since=None, worst_case="12.000000", account_read=True)
    bad = overview(
        [],
        state="halted",
        why_halted="asked to",
        why_degraded=["the exchange's stream is not live: cut"],
        quarantined={f"e00000{number}": "IllegalTrigger" for number in range(5)},
        risk=risk,
        stream_connected=False,
    )
    text = "\n".join(lines_of(bad, 80, gone="no daemon answers"))
    for said in (
        "halted    asked to; go on with: fsm-exec resume",
        "degraded  the exchange's stream is not live: cut",
        "risk      halted: lost 12 today",
        "quarantined  2 more: fsm-exec list --quarantined",
        "no stream",
        "as of 12:00:00Z: no daemon answers",
        "nothing is at work",
    ):
        assert said in text


class Terminal:
    """A terminal of 80x24 and what it was sent."""

    def __init__(self, leader: int) -> None:
        self._leader, self.sent = leader, ""

    async def read(self) -> None:
        """Read what comes, for ever."""
        while True:
            await trio.lowlevel.wait_readable(self._leader)
            try:
                self.sent += os.read(self._leader, 65_536).decode(errors="replace")
            except OSError:
                return

    async def until(self, holds: Callable[[str], bool]) -> str:
        """Wait until what was sent from now on holds; return it."""
        begun = len(self.sent)
        with trio.fail_after(SEEN_S):
            while not holds(self.sent[begun:]):  # noqa: ASYNC110 - another process writes
                await trio.sleep(0.05)
        return self.sent[begun:]


@contextmanager
def a_terminal(columns: int, rows: int) -> Iterator[tuple[int, int]]:
    leader, follower = pty.openpty()
    ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    os.set_blocking(leader, False)
    try:
        yield leader, follower
    finally:
        os.close(leader)
        os.close(follower)


@asynccontextmanager
async def top_on(made: Site, columns: int = 80, rows: int = 24) -> AsyncIterator[tuple[Terminal, trio.Process]]:
    settings = {**environment(), "TERM": "xterm-256color"}
    for name in ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR"):
        settings.pop(name, None)
    with a_terminal(columns, rows) as (leader, follower):
        process: trio.Process = await trio.lowlevel.open_process(
            [*COMMAND, "top"], cwd=made.directory, env=settings, stdin=follower, stdout=follower, stderr=follower
        )
        made.processes.append(process)
        async with trio.open_nursery() as nursery:
            terminal = Terminal(leader)
            nursery.start_soon(terminal.read)
            yield terminal, process
            nursery.cancel_scope.cancel()


async def test_top_follows_a_daemon_through_its_death(tmp_path: Path) -> None:
    """A submission appears by itself; a daemon that is killed is said to be gone, and found when it is back; Ctrl-C
    ends the looking alone."""
    async with site(tmp_path) as made:
        database = tmp_path / "engine.sqlite"
        first = await serve(made, "--config", made.config, "--db", database)
        async with top_on(made) as (terminal, process):
            await terminal.until(lambda sent: "nothing is at work" in sent)
            accepted = await submit(made)
            await terminal.until(lambda sent: accepted.execution_id in sent and "0/20" in sent and "0.30" in sent)
            first.process.kill()
            await first.process.wait()
            await terminal.until(lambda sent: "as of " in sent and "asking again as soon as it runs" in sent)
            second = await serve(made, "--config", made.config, "--db", database, name="again")
            await terminal.until(
                lambda sent: "connected" in sent and "as of " not in sent.rpartition("fsm-exec top")[2]
            )
            process.send_signal(signal.SIGINT)
            with trio.fail_after(SEEN_S):
                assert await process.wait() == 130
        assert await second.end() == 0


async def test_top_where_no_terminal_shows_it_is_one_table_and_an_end(tmp_path: Path) -> None:
    """Lines without a colour code or a space at their ends; with --json one document; without a daemon one line."""
    async with site(tmp_path) as made:
        missing = await command(made, "top")
        assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
        running = await serve(made)
        accepted = await submit(made)
        shown = await command(made, "top")
        assert (shown.returncode, shown.stderr) == (0, "")
        assert accepted.execution_id in shown.stdout
        assert "\x1b" not in shown.stdout
        assert all(line == line.rstrip() for line in shown.stdout.splitlines())
        document = msgspec.json.decode((await command(made, "top", "--json")).stdout, type=Overview)
        assert [one.execution_id for one in document.working] == [accepted.execution_id]
        assert await running.end() == 0
