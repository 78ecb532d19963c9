"""What an execution's page shows at one row of its journal, as plain values for the templates. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from markupsafe import Markup

from fsm_exec.core.costs.rows import MetricsRow
from fsm_exec.core.costs.so_far import cost_if_completed, cost_steps
from fsm_exec.core.execution.describe import short_id
from fsm_exec.core.execution.draft import StateChange
from fsm_exec.core.execution.execution import CHILD_LIVE, Execution
from fsm_exec.core.journal.replay import ReplayedRow
from fsm_exec.core.text import escaped_json, one_line
from fsm_exec.core.values.units import CountE2, MoneyE6
from fsm_exec.store.reads.execution_history import StoredBook
from fsm_exec.web.execution.cost_chart import draw_costs
from fsm_exec.web.execution.diagram import draw_diagram, light, tell_way
from fsm_exec.web.execution.differences import Difference, differences
from fsm_exec.web.execution.figures import average_price, clock, count, money, since
from fsm_exec.web.execution.history import Step
from fsm_exec.web.execution.tables import (
    CostLine,
    FillLine,
    LadderLine,
    OrderLine,
    cost_lines,
    fill_lines,
    ladder_lines,
    order_lines,
)
from fsm_exec.web.execution.words import tell_event, tell_intents
from states import TABLES

DIFFERENCES_MAX: Final = 60
WAY_MAX: Final = 30


@dataclass(frozen=True)
class JournalLine:
    """A row of the journal in words."""

    seq: int
    after: str
    at: str
    learned: str
    moved: list[str]
    decided: str
    notes: list[str]


@dataclass(frozen=True)
class RowView:
    """Everything about one moment. `seq` of `rows`; `is_last`: nothing is later."""

    execution_id: str
    seq: int
    rows: int
    is_last: bool
    at: str
    after: str
    state: str
    line: JournalLine
    changes: list[Difference]
    changes_left_out: int
    diagram: Markup
    way: list[str]
    way_left_out: int
    orders_diagram: Markup
    orders: list[OrderLine]
    orders_in_all: int
    live: str
    fills: list[FillLine]
    fills_in_all: int
    filled: str
    target: str
    average: str
    fees: str
    costs: list[CostLine]
    cost_chart: Markup | None
    cost_is_final: bool
    cost_is_known: bool
    ladder: list[LadderLine]
    ladder_at: str
    snapshot: str


def view_row(
    one: ReplayedRow,
    rows: int,
    steps: Sequence[Step],
    book: StoredBook | None,
    metrics: MetricsRow | None,
) -> RowView:
    """Return the view of a row of `rows`. `steps` are the changes of states up to it, `book` the newest one known then;
    `metrics` the stored result, shown at the last row of an ended execution alone."""
    execution = one.advance.execution
    is_last = one.row.seq == rows
    own = [step.change for step in steps if step.change.machine == "execution"]
    of_orders = [step.change for step in steps if step.change.machine == "child_order"]
    final = metrics if is_last and execution.is_ended else None
    so_far = cost_steps(execution)
    by_now = None
    if final is None and book is not None:
        by_now = cost_if_completed(execution, book.bids, book.asks)
    every = differences(one.before, execution)
    way = tell_way(own, TABLES["execution"].initial)
    return RowView(
        execution_id=execution.execution_id,
        seq=one.row.seq,
        rows=rows,
        is_last=is_last,
        at=clock(one.row.at_us),
        after=since(one.row.at_us, execution.accepted_at_us),
        state=execution.state,
        line=journal_line(one),
        changes=every[:DIFFERENCES_MAX],
        changes_left_out=max(0, len(every) - DIFFERENCES_MAX),
        diagram=_draw_execution(execution, own),
        way=way[-WAY_MAX:],
        way_left_out=max(0, len(way) - WAY_MAX),
        orders_diagram=_draw_orders(execution, of_orders),
        orders=order_lines(execution, of_orders),
        orders_in_all=len(execution.children),
        live=_live(execution),
        fills=fill_lines(execution),
        fills_in_all=len(execution.fills),
        filled=count(execution.filled_e2),
        target=count(execution.target_e2),
        average=average_price(execution.fills),
        fees=money(MoneyE6(sum(fill.fee_e6 for fill in execution.fills))),
        costs=cost_lines(execution, so_far, final or by_now),
        cost_chart=draw_costs(so_far, execution.target_e2, _until_us(one)) if len(so_far) > 1 else None,
        cost_is_final=final is not None,
        cost_is_known=bool(so_far),
        ladder=ladder_lines(execution, book),
        ladder_at="" if book is None else clock(book.taken_at_us),
        snapshot=escaped_json(msgspec.json.format(msgspec.json.encode(execution), indent=2).decode()),
    )


def journal_line(one: ReplayedRow) -> JournalLine:
    """Return a row of the journal in words."""
    return JournalLine(
        seq=one.row.seq,
        after=since(one.row.at_us, one.advance.execution.accepted_at_us),
        at=clock(one.row.at_us),
        learned=tell_event(one.event),
        moved=[_moved(change) for change in one.advance.changes],
        decided=tell_intents(one.intents),
        notes=[one_line(f"{'Alarm: ' if note.is_alarm else ''}{note.what}") for note in one.advance.notes],
    )


def _moved(change: StateChange) -> str:
    subject = "execution" if change.machine == "execution" else f"order {short_id(change.subject)}"
    way = f"stays {change.dest}" if change.source == change.dest else f"{change.source} \u2192 {change.dest}"
    return f"{subject} {way} ({change.trigger.replace('_', ' ')})"


def _draw_execution(execution: Execution, changes: Sequence[StateChange]) -> Markup:
    reason = f" ({execution.reason})" if execution.reason else ""
    name = f"The states of an execution. It is {execution.state}{reason}, after {len(changes)} transitions"
    return draw_diagram("execution", light([execution.state], changes), name)


def _draw_orders(execution: Execution, changes: Sequence[StateChange]) -> Markup:
    states = [child.state for child in execution.children]
    counts = ", ".join(f"{states.count(state)} {state}" for state in TABLES["child_order"].states if state in states)
    name = f"The states of an order, with how many of its orders are in each: {counts or 'none yet'}"
    return draw_diagram("child_order", light(states, changes), name, counted=True)


def _live(execution: Execution) -> str:
    live = [child for child in execution.children if child.state in CHILD_LIVE]
    if not live:
        return "none live"
    left = CountE2(sum(child.count_e2 - child.counted_e2 for child in live))
    return f"{len(live)} live, {count(left)} contracts resting"


def _until_us(one: ReplayedRow) -> int:
    last_fill_us = max((fill.traded_at_us for fill in one.advance.execution.fills), default=0)
    return max(one.row.at_us, last_fill_us)
