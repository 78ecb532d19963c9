"""The screen of `demo --crash` is a live table and lines above it on a terminal, lines alone when piped."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fsm_exec.cli.demo.crash_audit import KINDS, OrderFates, UnfinishedWork, kind_of, load_saved
from fsm_exec.cli.demo.results import ExecutionResult
from fsm_exec.cli.tables.working import BAR_WIDTH, COLOURS
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.values.units import format_count, format_fixed

STYLES: Final = {"killed": "bold red", "restart": "bold green", "agree": "bold green", "differ": "bold red"}
WORD_WIDTH: Final = 8


class KillReport(msgspec.Struct, kw_only=True):
    """One kill of the document. Times in milliseconds: of the kill since the demo began, and from the new process's
    start until it accepted executions; `restored` of them were at work again then, the others had ended by the
    exchange's word. `orders` are those that had not ended at the kill, by kind; the rest is `OrderFates`."""

    at_ms: int
    pid: int
    executions: int
    orders: dict[str, int]
    recovered_in_ms: int
    restored: int
    adopted: int
    ended: int
    asking: int


class BooksCompared(msgspec.Struct, kw_only=True):
    """The exchange's own listings: how many orders and fills it holds, and where the database differs."""

    orders: int
    fills: int
    differences: list[str]


class CrashResult(msgspec.Struct, kw_only=True):
    """The one document of --json. `compared` null: interrupted before."""

    db: str
    tape: str
    kills: list[KillReport]
    executions: list[ExecutionResult]
    compared: BooksCompared | None


class CrashScreen:
    """The screen. `console` None: nothing is shown. `began_us` and all times are wall time."""

    def __init__(self, console: Console | None, database: Path, began_us: int, *, is_plain: bool) -> None:
        self._console, self._database, self._began_us = console, database, began_us
        self._live: Live | None = None
        self._engine = Text()
        if console is not None and not is_plain:
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()

    def line(self, now_us: int, word: str, text: str) -> None:
        if self._console is not None:
            seconds = format_fixed(max(0, now_us - self._began_us) // 100_000, 1)
            said = Text.assemble(f"{seconds:>6} s  ", (f"{word:<{WORD_WIDTH}}", STYLES.get(word, "bold")), "  ", text)
            self._console.print(said, soft_wrap=True)

    def engine(self, pid: int, what: str) -> None:
        """Set what the head of the live table says of the process."""
        self._engine = Text(f"engine: process {pid}, {what}", style="green" if what == "running" else "bold red")

    def draw(self, now_us: int) -> None:
        if self._live is not None:
            self._live.update(self._layout(now_us), refresh=True)

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()

    def _layout(self, now_us: int) -> Group:
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
        for heading in ("id", "method", "side", "state", "filled"):
            table.add_column(heading, no_wrap=True)
        table.add_column("progress", width=BAR_WIDTH)
        for heading in ("orders", "left"):
            table.add_column(heading, justify="right", no_wrap=True)
        for each in load_saved(self._database):
            table.add_row(*_row(each.execution, now_us))
        return Group(self._engine, table)


def _row(execution: Execution, now_us: int) -> list[str | Text | ProgressBar]:
    state = (execution.reason or "") if execution.state == "cancelled" else execution.state
    kinds = [kind_of(child) for child in execution.children if child.is_open]
    filled, target = (format_count(c).removesuffix(".00") for c in (execution.filled_e2, execution.target_e2))
    return [
        execution.execution_id,
        execution.method.partition("@")[0],
        execution.outcome,
        Text(state, style=COLOURS[execution.state]),
        f"{filled}/{target}",
        ProgressBar(total=execution.target_e2, completed=execution.filled_e2, width=BAR_WIDTH),
        ", ".join(f"{kinds.count(kind)} {kind}" for kind in KINDS if kind in kinds) or "-",
        "-" if execution.is_ended else str(max(0, execution.deadline_us - now_us) // 1_000_000),
    ]


def describe_kill(work: UnfinishedWork) -> str:
    orders = ", ".join(f"{work.count(kind)} {kind}" for kind in KINDS if work.count(kind)) or "none"
    return f"{_plural(work.executions, 'execution')} unfinished, orders: {orders}"


def describe_restart(restored: int, became: OrderFates) -> str:
    parts = [f"{became.adopted} adopted", f"{became.ended} ended meanwhile"]
    if became.asking:
        parts.append(f"{became.asking} not proven yet (asked for until they are)")
    return f"{_plural(restored, 'execution')} at work again, orders: {', '.join(parts)}"


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
