"""What `fsm-exec top` shows, for the size there is: how everything stands, what is at work, and what ended last."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from fsm_exec.cli.console import Page
from fsm_exec.cli.daemon.execution_tables import state_of
from fsm_exec.cli.daemon.risk_commands import describe_standing
from fsm_exec.cli.tables.columns import LATE, Column, figures, lay_out, names, words
from fsm_exec.cli.tables.times import CLOCK, clock_if_near, short_span
from fsm_exec.cli.tables.working import working_columns
from fsm_exec.control.open_orders import describe_open_orders
from fsm_exec.control.overview_schema import Overview
from fsm_exec.control.schema import ExecutionSummary
from fsm_exec.core.values.short_text import trim_count
from fsm_exec.core.values.times import from_iso
from fsm_exec.core.values.units import US_PER_S

TABLE_HEAD_LINES: Final = 2
ENDINGS: Final = "newest endings"
ROWS_LEAST: Final = 3
GOOD: Final = "bold green"
BAD: Final = "bold red"
WARN: Final = "bold yellow"
COLOUR_OF_STATE: Final = {"running": GOOD, "degraded": BAD, "halted": BAD}


def describe_heads(seen: Overview) -> Iterator[Text]:
    """Yield the lines above the tables: engine, exchange, risk and alerts, with what is wrong in full."""
    status = seen.status
    up_s = (from_iso(seen.at) - from_iso(status.since)) // US_PER_S
    yield Text.assemble(
        ("fsm-exec top", "bold"),
        f"  {status.environment}  ",
        (status.state, COLOUR_OF_STATE.get(status.state, WARN)),
        f"  {seen.at[CLOCK]}Z, up {short_span(up_s)}; {status.at_work} at work, {describe_open_orders(status)}",
    )
    exchange = ("connected", "") if status.stream_connected else ("no stream", WARN)
    yield Text.assemble(
        "exchange  ",
        exchange,
        f"; write tokens {seen.budget.left} of {seen.budget.capacity}, {seen.budget.per_s} a second",
    )
    if status.why_halted is not None:
        yield Text(f"halted    {status.why_halted}; go on with: fsm-exec resume", style=BAD)
    for why in status.why_degraded:
        yield Text(f"degraded  {why}", style=BAD)
    risk = status.risk
    yield Text(f"risk      {describe_standing(risk)}", style=BAD if risk is not None and risk.state != "active" else "")
    for execution_id, why in list(status.quarantined.items())[:ROWS_LEAST]:
        yield Text(f"quarantined  {execution_id}: {why}", style=BAD)
    if (more := len(status.quarantined) - ROWS_LEAST) > 0:
        yield Text(f"quarantined  {more} more: fsm-exec list --quarantined", style=BAD)
    for alert in seen.alerts:
        yield Text(f"alert     {alert.at[CLOCK]}Z  {alert.text}", style=BAD if alert.urgent else WARN)


def draw(seen: Overview, width: int, height: int | None = None, gone: str | None = None) -> Group:
    """Lay everything out. `height` None: all that `seen` has. `gone`: why the daemon does not answer; then the last
    that was known is shown."""
    heads = list(describe_heads(seen))
    if gone is not None:
        heads.append(Text(f"as of {seen.at[CLOCK]}Z: {gone}", style=BAD))
    parts: list[RenderableType] = [*heads, Text()]
    now_us = from_iso(seen.at)
    if height is None:
        ended, _ = _fit(lambda shown: ended_columns(seen.ended[:shown], now_us), len(seen.ended), width, None, ENDINGS)
        return Group(*parts, *_working_part(seen, width, None), *ended)
    room = height - sum(_height_of(line, width) for line in heads) - 1
    third = max(TABLE_HEAD_LINES + 2, room // 3)
    ended, _ = _fit(lambda shown: ended_columns(seen.ended[:shown], now_us), len(seen.ended), width, third, ENDINGS)
    taken = sum(_height_of(part, width) for part in ended)
    return Group(*parts, *_working_part(seen, width, room - taken), *ended)


def _working_part(seen: Overview, width: int, room: int | None) -> list[RenderableType]:
    """Return the table of what is at work, as many as fit, and how many more there are."""
    if not seen.status.at_work:
        return [Text("nothing is at work")]
    room = None if room is None else room - 1  # for the line that says how many more
    table, shown = _fit(lambda wanted: working_columns(seen.working[:wanted]), len(seen.working), width, room)
    more = seen.status.at_work - shown
    if more > 0:
        table.append(Text(f"and {more} more at work that end later: fsm-exec list --unfinished", style="dim"))
    return table


def _fit(
    columns: Callable[[int], Sequence[Column]], wanted: int, width: int, lines: int | None, title: str | None = None
) -> tuple[list[RenderableType], int]:
    """Return a table of as many of the wanted rows as fit, one at least, and how many they are."""
    if not wanted:
        return [], 0
    shown = wanted if lines is None else min(wanted, max(1, lines - TABLE_HEAD_LINES))
    while True:
        table = lay_out(columns(shown), width, title=title)
        if lines is None or shown == 1 or (high := _height_of(table, width)) <= lines:
            return [table], shown
        shown = max(1, shown - max(1, (high - lines) * shown // high))


def ended_columns(found: Sequence[ExecutionSummary], now_us: int) -> list[Column]:
    """Return executions that have ended: how, with how much, and when."""
    filled = [(trim_count(e.filled_quantity), trim_count(e.target_quantity)) for e in found]
    return [
        Column("id", [e.execution_id for e in found]),
        names("market", [e.ticker for e in found]),
        Column("side", [e.outcome for e in found]),
        names("method", [e.method.partition("@")[0] for e in found], then=((LATE + 1, None),)),
        words("end", [state_of(e) for e in found]),
        figures("filled", ["/".join(one) for one in filled], then=((LATE + 2, ["/\n".join(one) for one in filled]),)),
        figures("at", [clock_if_near(e.updated_at, now_us) for e in found]),
    ]


def _height_of(part: RenderableType, width: int) -> int:
    return len(Page(width=width).render_lines(part, pad=False))
