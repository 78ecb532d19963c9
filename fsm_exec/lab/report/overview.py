"""The report of a database: what each method's executions cost, where they ended, and what the market did afterwards.

Read only. The numbers are those of `desk`; this file says them.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from fsm_exec.core.errors import ExecError, UserError
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import PriceGrid
from fsm_exec.lab.blocks import BLOCK_WORDS
from fsm_exec.lab.report import overview_figures as figures
from fsm_exec.lab.report.execution import PICTURE_AND_COST, execution_sections
from fsm_exec.lab.report.method_table import (
    ENDED,
    MethodTableRow,
    Scored,
    by_spread,
    by_touch,
    method_rows,
    score_executions,
)
from fsm_exec.lab.report.method_texts import (
    COST,
    TABLE_NOTE,
    contracts,
    dearest_table,
    method_table_of,
    rough_note,
)
from fsm_exec.lab.report.page import Picture, Section
from fsm_exec.lab.report.tables import Table
from fsm_exec.lab.report.theme import colours
from fsm_exec.lab.review import BY_OWNER
from fsm_exec.store.archive.archive_reads import read_everywhere
from fsm_exec.store.reads import report_queries
from fsm_exec.store.reads.api_queries import load_environment, load_halted_at
from fsm_exec.store.reads.report_queries import WorkedExecution

NEWEST, PICTURES = 200, 40
PICTURES_NOTE: Final = (
    "A name leads to its picture below; of one that does not, the report's option --execution draws a page."
)


def overview_sections(
    path: Path, damage: list[str] | None = None, *, with_rewards: bool = True
) -> tuple[str, list[tuple[str, str]], list[Section]]:
    """Title, facts and sections of the database at `path`; rows that cannot be read are named in `damage`.
    `with_rewards`: costs are shown with what programmes are estimated to pay. Raises UserError for what is none of
    ours, and for a database without an execution."""
    found = read_everywhere(path, partial(_load, damage=damage), [] if damage is None else damage)
    executions = sorted((one for part in found for one in part.executions), key=lambda one: one.accepted_us)
    markouts = {key: total for part in found for key, total in part.markouts.items()}
    grids = {ticker: grid for part in reversed(found) for ticker, grid in part.grids.items()}
    exchange, halted = found[0].exchange, found[0].halted
    if not executions:
        raise UserError(f"{path} holds no execution, so there is nothing to report")
    members = score_executions(executions, with_rewards=with_rewards)
    facts = _facts(path, executions, members, exchange, halted)
    methods = sorted({e.method for e in executions})
    hues = colours(methods)
    sections = [_endings(executions)]
    if members:
        rows = method_rows(members, markouts)
        by_bucket = {
            "quantity over the touch": method_rows(members, markouts, by_touch),
            "spread": method_rows(members, markouts, by_spread(grids)),
        }
        sections = [*_costs(rows, hues), _liquidity(by_bucket), *sections, _dearest(members)]
    return f"Executions of {path.name}", facts, [*sections, _newest(executions)]


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """What the database, or one of its archives, has."""

    executions: list[WorkedExecution]
    markouts: dict[tuple[str, int], report_queries.Markout]
    grids: dict[str, PriceGrid]
    exchange: str | None
    halted: str | None


def _load(connection: sqlite3.Connection, damage: list[str] | None) -> _Part:
    return _Part(
        executions=report_queries.load_worked(connection, damage),
        markouts=report_queries.load_markouts(connection, damage),
        grids=report_queries.load_grids(connection, damage),
        exchange=load_environment(connection),
        halted=load_halted_at(connection),
    )


def overview_pictures(path: Path, sections: Sequence[Section], *, with_rewards: bool = True) -> list[Picture]:
    """The pictures of the executions that the sections name, of the first of them at most `PICTURES`. What cannot be
    drawn says why."""
    names = [
        row[table.columns.index(table.executions)]
        for table in (section.table for section in sections if section.table is not None)
        if table.executions is not None
        for row in table.rows
    ]
    return [_picture(path, name, with_rewards=with_rewards) for name in list(dict.fromkeys(names))[:PICTURES]]


def _picture(path: Path, execution_id: str, *, with_rewards: bool) -> Picture:
    try:
        title, _, sections = execution_sections(path, execution_id, None, with_rewards=with_rewards)
    except ExecError as error:
        return Picture(execution_id, f"Execution {execution_id}", [Section("Not drawn", str(error))])
    return Picture(execution_id, f"{title}. {sections[0].title}", sections[:PICTURE_AND_COST])


def _facts(
    path: Path,
    executions: Sequence[WorkedExecution],
    members: Sequence[Scored],
    exchange: str | None,
    halted: str | None,
) -> list[tuple[str, str]]:
    ended = [e for e in executions if e.state in ENDED]
    by_owner = sum(e.reason in BY_OWNER for e in ended)
    tickers = sorted({e.ticker for e in executions})
    facts = [
        ("database", path.name),
        ("exchange", exchange or "not known"),
        ("accepted", f"{to_iso(executions[0].accepted_us)} to {to_iso(executions[-1].accepted_us)}"),
        ("markets", f"{len(tickers):,}" + (f": {', '.join(tickers)}" if len(tickers) <= 5 else "")),
        ("executions", f"{len(executions):,}, of which {len(ended):,} have ended"),
        ("judged here", f"{len(members):,}"),
    ]
    if by_owner:
        facts.append(("kept out", f"{by_owner:,} that their owner ended (user or halt): no method is to blame"))
    unscored = len(ended) - by_owner - len(members)
    if unscored:
        facts.append(("not reckoned", f"{unscored:,} have ended without a reckoning of their cost"))
    quarantined = sum(e.quarantine is not None for e in executions)
    if quarantined:
        facts.append(("quarantined", f"{quarantined:,}: the engine does not act for them"))
    if halted is not None:
        facts.append(("halted", f"since {halted}"))
    return facts


def _costs(rows: Sequence[MethodTableRow], hues: Mapping[str, str]) -> list[Section]:
    sections = [
        Section("The desk's table", TABLE_NOTE + rough_note(rows), table=method_table_of(rows, with_bucket=False)),
        Section(
            "Costs decomposed",
            f"{COST} To the right is cost, to the left is gain: waiting for the first order (delay), what fills paid "
            "against the mid of their moment (spread), the market moving meanwhile (drift), fees, and what the rest "
            "would cost at the deadline (opportunity).",
            figures.decomposition(rows),
        ),
        Section(
            "Fill against cost",
            f"{COST} Up and to the left is better; whiskers are the 95 % interval from resampled blocks "
            f"({BLOCK_WORDS}).",
            figures.fill_and_cost(rows, hues),
        ),
        Section(
            "How costs are spread",
            f"Median, middle half, and the 5th to 95th of 100 executions, each alike; dashed: their mean. {COST} "
            "Positive is cost.",
            figures.spreads(rows, hues),
        ),
    ]
    if any(row.markouts for row in rows):
        sections.append(
            Section(
                "What the mid did after the fills",
                "The mid some seconds after a fill less what was paid for it, per contract filled, fees left out. "
                "Positive is gain; a line that falls was picked off by better informed takers.",
                figures.markouts(rows, hues),
            )
        )
    return sections


def _liquidity(by_bucket: Mapping[str, Sequence[MethodTableRow]]) -> Section:
    table = method_table_of([row for found in by_bucket.values() for row in found], with_bucket=True)
    kinds = [kind for kind, found in by_bucket.items() for _ in found]
    rows = [(kind, *texts) for kind, texts in zip(kinds, table.rows, strict=True)]
    rough = rough_note([row for found in by_bucket.values() for row in found])
    return Section(
        "By liquidity at arrival",
        "The same, by what was asked for over what was offered at the touch, and by the spread in ticks of the "
        f"market's own grid.{rough}",
        table=Table(("by", *table.columns), rows, table.numbers),
        folded=True,
    )


def _endings(executions: Sequence[WorkedExecution]) -> Section:
    counts = Counter((e.method, e.state if e.reason is None else f"{e.state}: {e.reason}") for e in executions)
    ordered = {key: counts[key] for key in sorted(counts)}
    rows = [(method, end, f"{count:,}") for (method, end), count in ordered.items()]
    return Section(
        "Where executions ended",
        "All executions by state and reason, those under way and those that their owner ended among them.",
        figures.endings(ordered),
        Table(("method", "state: reason", "executions"), rows, frozenset({"executions"})),
        folded=True,
    )


def _dearest(members: Sequence[Scored]) -> Section:
    return Section("The dearest executions", f"{COST} {PICTURES_NOTE}", table=dearest_table(members))


def _newest(executions: Sequence[WorkedExecution]) -> Section:
    columns = ("execution", "accepted", "market", "outcome", "method", "asked", "state", "reason", "quarantine")
    rows = [
        (
            *(e.execution_id, to_iso(e.accepted_us), e.ticker, e.outcome, e.method, contracts(e.target_e2)),
            *(e.state, e.reason or "", e.quarantine or ""),
        )
        for e in reversed(executions[-NEWEST:])
    ]
    return Section(
        "The newest executions",
        f"At most {NEWEST}, newest first, whatever became of them; those under way too. {PICTURES_NOTE}",
        table=Table(columns, rows, frozenset({"asked"}), "execution"),
        folded=True,
    )
