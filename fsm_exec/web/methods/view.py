"""What the page of the methods shows: read from the database at one moment, and reckoned as `fsm-exec report` does."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from markupsafe import Markup

from fsm_exec.lab.report.method_table import ENDED, Scored, by_spread, by_touch, method_rows, score_executions
from fsm_exec.lab.report.method_texts import TABLE_NOTE, dearest_table, method_table_of, rough_note
from fsm_exec.lab.report.tables import Table, render_table
from fsm_exec.lab.review import BY_OWNER
from fsm_exec.store.reads.report_queries import (
    Markout,
    WorkedExecution,
    load_grids,
    load_markouts,
    load_worked,
    row_before,
)
from fsm_exec.web.methods.chart import Chart, draw_chart

NEWEST: Final = 2_000
"""Of how many executions the page tells, so that it is there within a second; `fsm-exec report` tells of all."""


class TableView(NamedTuple):
    """One table, as HTML."""

    title: str
    note: str
    html: Markup


class MethodsView(NamedTuple):
    """The page. `facts` say of what it is."""

    facts: list[tuple[str, str]]
    chart: Chart | None
    tables: list[TableView]


def load_methods(connection: sqlite3.Connection, newest: int = NEWEST) -> MethodsView:
    """Read and reckon the `newest` executions; rows that cannot be read are counted and left out."""
    damage: list[str] = []
    after_row = row_before(connection, newest)
    executions = load_worked(connection, damage, after_row)
    markouts = load_markouts(connection, damage, after_row)
    members = score_executions(executions)
    facts = _facts(executions, members, after_row, len(damage))
    if not members:
        return MethodsView(facts, None, _endings(executions))
    rows = method_rows(members, markouts)
    grids = load_grids(connection, damage)
    return MethodsView(
        facts,
        draw_chart(rows),
        [
            _view("The desk's table", TABLE_NOTE + rough_note(rows), method_table_of(rows, with_bucket=False)),
            *_buckets(members, markouts, {"the quantity over the touch": by_touch, "the spread": by_spread(grids)}),
            *_endings(executions),
            _view(
                "The dearest executions",
                "By all-in cost in cents per contract asked for. A name leads to the execution.",
                dearest_table(members),
            ),
        ],
    )


def _facts(
    executions: Sequence[WorkedExecution], members: Sequence[Scored], after_row: int, damaged: int
) -> list[tuple[str, str]]:
    ended = sum(e.state in ENDED for e in executions)
    by_owner = sum(e.state in ENDED and e.reason in BY_OWNER for e in executions)
    known = f"the newest {len(executions):,}" if after_row else f"all {len(executions):,}"
    facts = [("executions", f"{known}, of which {ended:,} have ended"), ("judged here", f"{len(members):,}")]
    if by_owner:
        facts.append(("kept out", f"{by_owner:,} that their owner ended: no method is to blame"))
    if unreckoned := ended - by_owner - len(members):
        facts.append(("not reckoned", f"{unreckoned:,} whose cost is not known yet"))
    if damaged:
        facts.append(("damaged", f"{damaged:,} rows cannot be read and are left out; see: fsm-exec db check"))
    return facts


def _buckets(
    members: Sequence[Scored],
    markouts: Mapping[tuple[str, int], Markout],
    sorts: Mapping[str, Callable[[Scored], str]],
) -> list[TableView]:
    found = []
    for name, sort in sorts.items():
        rows = method_rows(members, markouts, sort)
        note = f"The same table, by {name} at arrival.{rough_note(rows)}"
        found.append(_view(f"By {name}", note, method_table_of(rows, with_bucket=True)))
    return found


def _endings(executions: Sequence[WorkedExecution]) -> list[TableView]:
    if not executions:
        return []
    counts = Counter((e.method, e.state if e.reason is None else f"{e.state}: {e.reason}") for e in executions)
    rows = [(method, end, f"{number:,}") for (method, end), number in sorted(counts.items())]
    table = Table(("method", "state: reason", "executions"), rows, frozenset({"executions"}))
    return [_view("Where executions ended", "By state and reason, those under way among them.", table)]


def _view(title: str, note: str, table: Table) -> TableView:
    return TableView(title, note, Markup(render_table(table, title, partial(str.format, "/executions/{}"))))
