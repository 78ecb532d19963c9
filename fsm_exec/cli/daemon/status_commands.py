"""`fsm-exec list`, `show`, `watch` and `status`: what the daemon is doing."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Final, get_args

import click
import msgspec
from rich.table import Table

from fsm_exec.cli.daemon.client_command import Client, daemon_command, daemon_options, print_json
from fsm_exec.cli.daemon.execution_tables import list_columns, print_detail, word_of
from fsm_exec.cli.daemon.risk_commands import describe_standing
from fsm_exec.cli.database.damage import say_damage
from fsm_exec.cli.output import say, say_json
from fsm_exec.cli.tables.columns import open_console, print_rendered, print_table
from fsm_exec.control.limits import JOURNAL_LINES_MAX, PAGE_MAX, ROW_MAX
from fsm_exec.control.open_orders import describe_open_orders
from fsm_exec.control.schema import (
    ExecutionState,
    ListQuery,
    QuarantineSeen,
    Transition,
)
from fsm_exec.core.text import one_line
from fsm_exec.runtime.system_time import system_us


@click.command("list")
@click.option("--state", type=click.Choice(get_args(ExecutionState)))
@click.option("--ticker", help="Of this market only.")
@click.option("--unfinished", is_flag=True, help="Only those that have not ended.")
@click.option("--quarantined", is_flag=True, help="Only those the engine does not act for.")
@click.option("--before", help="Those before this execution: the next page.")
@click.option("--limit", type=click.IntRange(1, PAGE_MAX), default=50, show_default=True)
@daemon_command
def list_executions(daemon: Client, *, as_json: bool, **query: object) -> None:
    """List executions, newest first."""
    page = daemon.page(msgspec.convert(query, ListQuery))
    if as_json:
        print_json(page)
        return
    print_table(list_columns(page.executions, system_us()))
    if page.next_before is not None:
        say(f"more: fsm-exec list --before {page.next_before}")
    say_damage(page.damage)


NOTE_LOOKS: Final = 5
NOTE_LOOK_S: Final = 0.1
ORDER_COUNTS: Final = frozenset({"live_orders", "unknown_orders", "settling_orders", "loose_orders", "nothing_live"})
"""Fields of the status that a person reads as one line."""


@click.command()
@click.argument("execution_id")
@click.option("--journal", "lines", type=click.IntRange(0, JOURNAL_LINES_MAX), default=10, show_default=True)
@click.option("--without-rewards", is_flag=True, help="Leave out what the exchange's programmes are estimated to pay.")
@daemon_command
def show(daemon: Client, execution_id: str, lines: int, *, without_rewards: bool, as_json: bool) -> None:
    """Show one execution: its orders, fills, cost, and the last lines of its journal."""
    detail = daemon.show(execution_id, lines)
    if as_json:
        document = msgspec.to_builtins(detail)
        if without_rewards and document["metrics"] is not None:
            for column in ("liquidity_reward_e7", "volume_reward_e7"):
                del document["metrics"][column]
        say_json(document, indent=2)
    else:
        print_detail(detail, with_rewards=not without_rewards)


@click.command()
@click.argument("execution_id", required=False)
@click.option("--after", type=click.IntRange(0, ROW_MAX), help="Begin after this row; 0: with the first.")
@daemon_options
def watch(
    url: str | None, token_file: Path | None, execution_id: str | None, after: int | None, *, as_json: bool
) -> None:
    """Print every step as it becomes durable: of one execution to its end, or of all until interrupted.

    Rows are numbered: of one execution in its own journal (seq), of all by their position. A daemon that goes away is
    waited for, and the watch goes on after the last row. With --json a line for each step.
    """

    def say_gone(line: str) -> None:
        say(f"fsm-exec: {line}", err=True)

    with Client(url, token_file, patience_s=math.inf, when_gone=say_gone) as daemon:
        steps = daemon.follow_all(after) if execution_id is None else daemon.follow(execution_id, after)
        for step in steps:
            if as_json:
                say_json(step)
            else:
                say(_line_of(step))
        if execution_id is not None and not as_json and (line := _why_it_ended(daemon, execution_id)):
            say(line)


def _why_it_ended(daemon: Client, execution_id: str) -> str | None:
    """Return what kept an execution from its end. It is stored a moment after the end itself."""
    for _ in range(NOTE_LOOKS):
        execution = daemon.show(execution_id, 0).execution
        if execution.note is not None or execution.reason not in ("deadline", "no_liquidity", "cap"):
            break
        time.sleep(NOTE_LOOK_S)
    return None if execution.note is None else f"{execution_id}  {execution.note}"


@click.command()
@daemon_command
def status(daemon: Client, *, as_json: bool) -> None:
    """Show the state of the engine, and how soon a halt would leave nothing live."""
    status = daemon.status()
    if as_json:
        print_json(status)
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in msgspec.structs.asdict(status).items():
        if name == "risk":
            table.add_row(name, describe_standing(status.risk))
        elif name not in ORDER_COUNTS:
            table.add_row(name, _shown(value))
        elif name == "live_orders":
            table.add_row("orders", describe_open_orders(status))
    print_rendered(open_console(), table)


def _shown(value: object) -> str:
    """Return a value of the status as text; a nested one is on one line."""
    match value:
        case msgspec.Struct():
            return ", ".join(f"{name} {word_of(part)}" for name, part in msgspec.structs.asdict(value).items())
        case list():
            return "; ".join(map(str, value)) or "none"
        case dict():
            return "; ".join(f"{name}: {_shown(part)}" for name, part in value.items()) or "none"
        case _:
            return word_of(value)


def _line_of(step: Transition | QuarantineSeen) -> str:
    if isinstance(step, QuarantineSeen):
        how = "acts again" if step.why is None else f"QUARANTINED: {step.why}"
        return one_line(f"{step.at}  {step.execution_id}  {how}")
    parts = [step.at, step.execution_id, str(step.seq), step.event_type]
    parts += [f"filled {fill.quantity} at {fill.price}" for fill in step.fills]
    parts += [f"corrected to {fill.quantity} at {fill.price}" for fill in step.corrected]
    parts += [f"taken back {fill.fill_id}" for fill in step.gone]
    if step.steps:
        parts.append(step.steps)
    return "  ".join(parts)
