"""The screen of `demo --crash` is a live table and lines above it on a terminal, lines alone when piped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from fsm_exec.cli.console import Page
from fsm_exec.cli.demo.crash_audit import KINDS, OrderFates, UnfinishedWork, kind_of, load_saved
from fsm_exec.cli.demo.results import ExecutionResult
from fsm_exec.cli.tables.columns import CLOSE, LATE, Column, figures, lay_out, names, words
from fsm_exec.cli.tables.working import BAR_WIDTH, COLOURS
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.values.units import US_PER_S, format_count, format_fixed

STYLES: Final = {"killed": "bold red", "restart": "bold green", "agree": "bold green", "differ": "bold red"}
WORD_WIDTH: Final = 8
HEAD_LINES: Final = 2  # the engine's, and the one where the cursor stands


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
        executions = [each.execution for each in load_saved(self._database)]
        if self._console is None:
            return Group(self._engine)
        width, height = self._console.size
        return Group(self._engine, *lay_out_crash(executions, now_us, width, height - HEAD_LINES))


def lay_out_crash(executions: Sequence[Execution], now_us: int, width: int, lines: int) -> list[RenderableType]:
    """Lay out as many executions as fit into so many lines, those at work before those that have ended, in the order
    of their ids; one at least. What is left out is said."""
    wanted = sorted(executions, key=lambda one: one.is_ended)
    shown = min(len(wanted), max(1, lines))
    while True:
        table = lay_out(crash_columns(sorted(wanted[:shown], key=lambda one: one.execution_id), now_us), width)
        more = len(wanted) - shown
        said: list[RenderableType] = [Text(f"and {more} more", style="dim")] if more else []
        high = len(Page(width=width).render_lines(table, pad=False)) + len(said)
        if shown <= 1 or high <= lines:
            return [table, *said]
        shown = max(1, shown - max(1, (high - lines) * shown // high))


def crash_columns(executions: Sequence[Execution], now_us: int) -> list[Column]:
    """Return the executions as they are saved, in their order."""
    counts = [[format_count(c).removesuffix(".00") for c in (one.filled_e2, one.target_e2)] for one in executions]
    bars = [ProgressBar(total=one.target_e2, completed=one.filled_e2, width=BAR_WIDTH) for one in executions]
    return [
        Column("id", [one.execution_id for one in executions]),
        names("method", [one.method.partition("@")[0] for one in executions], then=((CLOSE, None),)),
        Column("side", [one.outcome for one in executions]),
        words("state", [_state_of(one) for one in executions]),
        figures("filled", ["/".join(one) for one in counts], then=((LATE, ["/\n".join(one) for one in counts]),)),
        Column("progress", bars, width=BAR_WIDTH, then=((0, None),)),
        words("orders", [_orders_of(one) for one in executions], right=True),
        figures("left", [_seconds_left(one, now_us) for one in executions]),
    ]


def _state_of(execution: Execution) -> Text:
    state = (execution.reason or execution.state) if execution.state == "cancelled" else execution.state
    return Text(state, style=COLOURS[execution.state])


def _orders_of(execution: Execution) -> str:
    kinds = [kind_of(child) for child in execution.children if child.is_open]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in KINDS if kind in kinds) or "-"


def _seconds_left(execution: Execution, now_us: int) -> str:
    return "-" if execution.is_ended else str(max(0, execution.deadline_us - now_us) // US_PER_S)


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
