"""`fsm-exec replay` folds an execution's journal again, row by row, and compares it with the rest of the database.

It folds with `apply` alone: no exchange, no algorithm, and not a byte of the database is changed, nor beside it. Exit 0
if everything agrees, 1 if the journal cannot be folded or the snapshot or a row differs. `--redecide` is information:
what today's code would decide differently is listed and changes nothing about the exit code.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from fsm_exec.cli.console import Page
from fsm_exec.cli.database.default_database import resolve_database
from fsm_exec.cli.database.methods import stored_method_finder
from fsm_exec.cli.exit_codes import EXIT_FAILED
from fsm_exec.cli.output import say_json
from fsm_exec.core.errors import CorruptSnapshot, UserError
from fsm_exec.core.execution.describe import describe, describe_all, describe_change
from fsm_exec.core.execution.events import tag_of
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.consistency import row_differences, snapshot_differences
from fsm_exec.core.journal.replay import Redecision, ReplayedRow, find_redecisions, replay_rows
from fsm_exec.core.journal.rows import ChildRow, FillRow, JournalRow, StoredExecution
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import format_count, format_price
from fsm_exec.store.archive.archive_reads import open_where
from fsm_exec.store.reads import execution_reads

IDS_SHOWN: Final = 8


class StoredHistory(msgspec.Struct, frozen=True):
    """The rows of one execution in the database."""

    stored: StoredExecution
    rows: list[JournalRow]
    children: list[ChildRow]
    fills: list[FillRow]


class ReplayVerdict(msgspec.Struct, frozen=True):
    """The result. `checked`: the whole journal was folded and compared. `redecision` None: not asked for."""

    checked: bool
    differences: list[str]
    redecision: list[Redecision] | str | None


@click.command()
@click.argument("execution_id")
@click.option("--db", type=click.Path(path_type=Path), help="The database, or a copy of it.  [default: this user's]")
@click.option("--until", type=click.IntRange(min=1), metavar="SEQ", help="Stop after this row; show the state there.")
@click.option("--redecide", is_flag=True, help="List where today's algorithm would decide otherwise.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def replay(execution_id: str, db: Path | None, until: int | None, redecide: bool, as_json: bool) -> None:
    """Tell an execution's history again from its journal, and check it against its snapshot and rows.

    Needs no exchange and changes nothing: use it on a running engine's database, or on a crashed one's copy (with its
    -wal file, if there is one).
    """
    database = resolve_database(db)
    found = _load_history(database, execution_id)
    last = len(found.rows)
    if until is not None and until > last:
        raise UserError(f"execution {execution_id} has the rows 1 to {last}; give --until one of them")
    history, broken = _fold_rows(found.rows[:until])
    whole = until is None or until == last
    differences = [broken] if broken else []
    if whole and not broken:
        differences += _differences(found, history)
    verdict = ReplayVerdict(whole, differences, _redecide(database, found.stored, history) if redecide else None)
    if as_json:
        say_json(_document(database, execution_id, history, verdict, until))
    else:
        _print(history, verdict, last)
    if differences:
        sys.exit(EXIT_FAILED)


def _load_history(db: Path, execution_id: str) -> StoredHistory:
    """Load the rows of an execution. Raises UserError for an unknown one, or a file that is no database."""
    with open_where(db, execution_id) as connection:
        stored = execution_reads.load_execution(connection, execution_id)
        if stored is None:
            known = _known_ids(execution_reads.load_executions(connection))
            raise UserError(f"there is no execution {execution_id} in {db}; {known}")
        try:
            return StoredHistory(
                stored,
                execution_reads.load_journal(connection, execution_id),
                execution_reads.load_children(connection, execution_id),
                execution_reads.load_fills(connection, execution_id),
            )
        except ValueError as error:
            raise CorruptSnapshot(f"{db}: a row of {execution_id} cannot be read: {error}; restore a backup") from error


def _known_ids(executions: list[StoredExecution]) -> str:
    ids = [one.execution_id for one in executions]
    if not ids:
        return "it has none"
    more = f" and {len(ids) - IDS_SHOWN} more" if len(ids) > IDS_SHOWN else ""
    return f"it has {', '.join(ids[:IDS_SHOWN])}{more}"


def _fold_rows(rows: list[JournalRow]) -> tuple[list[ReplayedRow], str | None]:
    """Fold as many rows as can be folded; return them and the error that ended it, if any."""
    history: list[ReplayedRow] = []
    if not rows:
        return history, "the journal is empty"
    try:
        history.extend(replay_rows(rows))
    except CorruptSnapshot as error:
        return history, str(error)
    return history, None


def _differences(found: StoredHistory, history: list[ReplayedRow]) -> list[str]:
    folded = history[-1].advance.execution
    differences = [
        f"row {one.row.seq}: its steps are {one.row.steps or 'none'!r}, today's tables give "
        f"{one.advance.steps or 'none'!r}"
        for one in history
        if one.steps_differ
    ]
    if found.stored.damage is not None:
        return [*differences, found.stored.damage, *row_differences(folded, found.children, found.fills)]
    try:
        differences += snapshot_differences(
            found.stored.snapshot,
            folded,
            min(row.version for row in found.rows),
            parts=found.stored.parts,
        )
    except CorruptSnapshot as error:
        differences.append(str(error))
    if found.stored.state != folded.state:
        differences.append(f"execution_state: state is {found.stored.state}, the journal says {folded.state}")
    return differences + row_differences(folded, found.children, found.fills)


def _redecide(database: Path, stored: StoredExecution, history: list[ReplayedRow]) -> list[Redecision] | str:
    """Decide again with the method that the execution's own database has. Text: why that cannot be done."""
    if not history:
        return "nothing could be folded"
    name = history[0].advance.execution.method
    try:
        algorithm = stored_method_finder(database)(name)
    except (UserError, CorruptSnapshot) as error:
        return f"{stored.execution_id} was worked by {name}, which this program cannot run: {error}"
    return find_redecisions(history, algorithm)


def _document(
    db: Path, execution_id: str, history: list[ReplayedRow], verdict: ReplayVerdict, until: int | None
) -> dict[str, Any]:
    redecision: object = verdict.redecision
    if isinstance(redecision, str):
        redecision = {"unavailable": redecision}
    elif redecision is not None:
        redecision = {"rows": len(history), "differences": redecision}
    return {
        "db": str(db),
        "execution_id": execution_id,
        "until": until,
        "rows": [
            {
                "seq": one.row.seq,
                "at": to_iso(one.row.at_us),
                "version": one.row.version,
                "event_type": tag_of(one.event),
                "event": one.event,
                "intents": one.intents,
                "transitions": [msgspec.structs.asdict(change) for change in one.advance.changes],
                "notes": [str(note) for note in one.advance.notes],
                "effects": one.advance.effects,
                "state": one.advance.execution.state,
            }
            for one in history
        ],
        "execution": history[-1].advance.execution if history else None,
        "checked": verdict.checked,
        "agrees": None if not verdict.checked and not verdict.differences else not verdict.differences,
        "differences": verdict.differences,
        "redecided": redecision,
    }


def _print(history: list[ReplayedRow], verdict: ReplayVerdict, last: int) -> None:
    console = Page(soft_wrap=not sys.stdout.isatty())
    if sys.stdout.isatty():
        console.print(_table(history))
    else:
        for one in history:
            console.print(Text(_line(one)))
    if history:
        for line in _state_lines(history[-1].advance.execution):
            console.print(Text(line))
    for line in _verdict_lines(verdict, len(history), last):
        console.print(Text(line))


def _table(history: list[ReplayedRow]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("seq", justify="right")
    table.add_column("at (UTC)", no_wrap=True)
    for heading in ("event", "transitions", "requests"):
        table.add_column(heading)
    for one in history:
        table.add_row(
            str(one.row.seq),
            to_iso(one.row.at_us)[11:-4],
            Text(describe(one.event)),
            Text("\n".join((*map(describe_change, one.advance.changes), *map(str, one.advance.notes)))),
            Text("\n".join(describe_all(one.advance.effects))),
        )
    return table


def _line(one: ReplayedRow) -> str:
    parts = [f"{one.row.seq:>4} {to_iso(one.row.at_us)} {describe(one.event)}"]
    parts += map(describe_change, one.advance.changes)
    parts += map(str, one.advance.notes)
    parts += [f"request {text}" for text in describe_all(one.advance.effects)]
    return " | ".join(parts)


def _state_lines(execution: Execution) -> list[str]:
    reason = f" ({execution.reason})" if execution.reason else ""
    wanted = f"{format_count(execution.target_e2)} {execution.outcome.upper()}"  # "no filled" would read as none
    filled = f"filled {format_count(execution.filled_e2)} of {wanted}"
    lines = [f"{execution.execution_id} after row {execution.seq}: {execution.state}{reason}, {filled}"]
    if execution.ending is not None and not execution.is_ended:
        lines.append(f"  ending: {execution.ending.reason}")
    for child in execution.children:
        write = "" if child.write is None else f", {child.write.__struct_config__.tag} in flight"
        lost = ", its outcome unknown" if child.write is not None and child.write.lost else ""
        lines.append(
            f"  {child.client_order_id}: {child.state}, {format_count(child.filled_e2)} of "
            f"{format_count(child.count_e2)} at {format_price(child.price_e4)}{write}{lost}"
        )
    return lines


def _verdict_lines(verdict: ReplayVerdict, rows: int, last: int) -> list[str]:
    lines = [f"differs: {line}" for line in verdict.differences]
    if not verdict.checked:
        lines.append(f"not checked: row {rows} of {last}; the snapshot and the rows are of the last one")
    elif not lines:
        lines.append(f"agrees: {rows} rows folded; the snapshot, split_orders and fills are what they give")
    if isinstance(verdict.redecision, str):
        lines.append(f"redecide: {verdict.redecision}")
    elif verdict.redecision is not None:
        lines += [
            f"redecide: row {one.seq}: decided {_decisions(one.journaled)}; today {_decisions(one.today)}"
            for one in verdict.redecision
        ]
        count = len(verdict.redecision)
        lines.append(
            f"redecide: today's code decides the same at all {rows} rows"
            if count == 0
            else f"redecide: {count} of {rows} rows differ; that is information, not an error"
        )
    return lines


def _decisions(intents: tuple[msgspec.Struct, ...] | str) -> str:
    return intents if isinstance(intents, str) else "; ".join(describe_all(intents)) or "nothing"
