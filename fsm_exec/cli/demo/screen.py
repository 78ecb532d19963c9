"""The screen shows the demo while it runs: a live table on a terminal, plain lines otherwise.

The screen only looks: it is called at the pacer's ticks, reads the engine, and never waits, so watching cannot change
what is watched.
"""

from __future__ import annotations

import time
from typing import Protocol

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from fsm_exec.cli.console import Page
from fsm_exec.cli.tables.columns import lay_out
from fsm_exec.cli.tables.working import working_columns
from fsm_exec.control.overview_schema import WorkingExecution
from fsm_exec.control.overview_views import working_execution
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.values.units import CountE2, format_count
from fsm_exec.runtime.engine import Engine

PLAIN_WIDTH = 100  # of the tables when no terminal says how wide it is
TABLE_WIDTH_MIN = 80  # in less the tables would be cut to nothing
REDRAW_S = 0.1  # of real time: faster is only flicker
ROWS_MAX = 16


def console_of_a_demo() -> tuple[Console, bool]:
    """Return the console, and whether it takes lines only: a pipe, a dumb terminal, or one too narrow for the
    tables."""
    console = Page()
    is_plain = not console.is_terminal or console.is_dumb_terminal or console.width < TABLE_WIDTH_MIN
    if is_plain:
        console = Page(width=PLAIN_WIDTH)  # a narrow terminal breaks the lines, but loses nothing
    return console, is_plain


class Screen(Protocol):
    def tick(self, engine: Engine, now_us: int) -> None: ...
    def close(self) -> None: ...


class NoScreen:
    def tick(self, engine: Engine, now_us: int) -> None: ...
    def close(self) -> None: ...


class PlainLines:
    """Prints a line for every change of state or fill, for logs and pipes."""

    def __init__(self, console: Console, began_us: int) -> None:
        self._console, self._began_us = console, began_us
        self._seen: dict[str, tuple[str, int]] = {}

    def tick(self, engine: Engine, now_us: int) -> None:
        for execution in executions_of(engine):
            now = (execution.state, execution.filled_e2)
            if self._seen.get(execution.execution_id) == now:
                continue
            self._seen[execution.execution_id] = now
            reason = f" ({execution.reason})" if execution.reason else ""
            self._console.print(
                f"{(now_us - self._began_us) // 1_000_000:>6} s  {execution.execution_id}  "
                f"{execution.method.partition('@')[0]:<12} {execution.outcome:<3}  "
                f"{execution.state}{reason}  {_filled(execution)}",
                highlight=False,
                soft_wrap=True,
            )

    def close(self) -> None: ...


class LiveTable:
    """A table that is redrawn in place at most ten times a second."""

    def __init__(self, console: Console, title: str, began_us: int, length_us: int, planned: int) -> None:
        self._title, self._began_us, self._length_us, self._planned = title, began_us, length_us, planned
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()
        self._drawn_s = 0.0

    def tick(self, engine: Engine, now_us: int) -> None:
        real_s = time.monotonic()
        if real_s - self._drawn_s >= REDRAW_S:
            self._drawn_s = real_s
            self._live.update(self._draw(engine, now_us), refresh=True)

    def close(self) -> None:
        self._live.stop()

    def _draw(self, engine: Engine, now_us: int) -> Group:
        shown = sorted(executions_of(engine), key=lambda e: e.execution_id)[-ROWS_MAX:]
        rows = [_row(engine, execution, now_us) for execution in shown]
        passed = max(0, now_us - self._began_us)
        head = Text.assemble(
            (self._title, "bold"),
            f"   {passed // 1_000_000}/{self._length_us // 1_000_000} s of the tape"
            f"   {len(engine.actors)} at work, {len(engine.ended)} of {self._planned} ended",
        )
        return Group(head, lay_out(working_columns(rows, is_one_market=True), self._console.width))


def _row(engine: Engine, execution: Execution, now_us: int) -> WorkingExecution:
    """Return an execution as the table has it; one that has ended has no market any more, but a reason."""
    if not execution.is_ended:
        return working_execution(execution, engine.feeds.get(execution.terms.ticker), now_us)
    return msgspec.structs.replace(working_execution(execution, None, now_us), ending=execution.reason)


def executions_of(engine: Engine) -> list[Execution]:
    """Return all executions of this run, in the order of their ids."""
    found = [a.execution for a in engine.actors.values()] + [e.execution for e in engine.ended.values()]
    return sorted(found, key=lambda execution: execution.execution_id)


def _filled(execution: Execution) -> str:
    def short(count: CountE2) -> str:
        return format_count(count).removesuffix(".00")

    return f"{short(execution.filled_e2)}/{short(execution.target_e2)}"
