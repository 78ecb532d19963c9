"""The picture of one execution: what it was, how it went over time, what it cost, and its journal in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from fsm_exec.core.costs.rows import MetricsRow
from fsm_exec.core.errors import UserError
from fsm_exec.core.execution.describe import describe, describe_all, describe_change, short_id
from fsm_exec.core.execution.events import DecisionDue, Submitted
from fsm_exec.core.execution.execution import Execution, Fill
from fsm_exec.core.journal.replay import ReplayedRow, replay_rows
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import MoneyE6, format_count, format_fixed, format_money, rounded_ratio
from fsm_exec.lab.experiment.tapes import NamedTape
from fsm_exec.lab.fork.kept_market import load_kept_market
from fsm_exec.lab.report.execution_books import Books, books_from_recording, books_from_snapshots
from fsm_exec.lab.report.execution_costs import cents_per_contract, cost_section
from fsm_exec.lab.report.execution_figure import execution_figure
from fsm_exec.lab.report.execution_frame import MARGIN_SHARE, window_of
from fsm_exec.lab.report.page import Section
from fsm_exec.lab.report.tables import Table
from fsm_exec.lab.report.timeline import Timeline, build_timeline
from fsm_exec.paper.tapes.tape import Tape, ticker_of_tape
from fsm_exec.recordings.kept import tapes_directory
from fsm_exec.store.archive.archive_reads import open_where
from fsm_exec.store.reads.execution_history import StoredBook, StoredHistory, load_books, load_history

ROWS_MAX: Final = 200
PICTURE_AND_COST: Final = 2  # of the sections: what is drawn where there is no room for all of them
LOOK_AHEAD_US: Final = 60_000_000  # after end and deadline: later books are of the market, not of this execution
NEAR_PHOTOGRAPH_US: Final = 1_000_000


def execution_sections(
    database: Path, execution_id: str, recording: NamedTape | None, *, with_rewards: bool = True
) -> tuple[str, list[tuple[str, str]], list[Section]]:
    """Title, facts and sections of one execution. With `recording` its market's whole book is drawn from it, without
    one from the tape that its engine kept, if it did. `with_rewards`: its cost is shown with what programmes are
    estimated to pay.

    Raises UserError for an execution that is not there and a recording that does not cover it, and CorruptSnapshot for
    a journal that cannot be folded.
    """
    with open_where(database, execution_id) as connection:
        found = load_history(connection, execution_id)
        if found.metrics is not None and not with_rewards:
            found = replace(found, metrics=found.metrics.without_rewards())
        rows = list(replay_rows(found.journal))
        if not rows:
            raise UserError(f"execution {execution_id} has no journal; see: fsm-exec db check")
        execution = rows[-1].advance.execution
        first_us = execution.accepted_at_us - 60_000_000
        last_us = max(execution.ended_at_us or rows[-1].row.at_us, execution.deadline_us)
        last_us += LOOK_AHEAD_US + (last_us - execution.accepted_at_us) // MARGIN_SHARE
        stored = load_books(connection, execution.terms.ticker, execution.outcome, first_us, last_us)
        kept = None if recording is not None else _kept(connection, database, rows, last_us)
    story = build_timeline(rows, [book.taken_at_us for book in stored])
    if kept is not None:
        drawn = books_from_recording(kept, execution.outcome, *window_of(story))
    else:
        drawn = _photographs(story, rows, stored) if recording is None else _recorded(story, recording)
    return (
        _title(execution),
        _facts(found, story),
        [
            Section(_headline(execution), _note(story, drawn, recording, kept), execution_figure(story, drawn)),
            cost_section(execution, found.metrics),
            *_fills(execution, found),
            _happened(rows),
        ],
    )


def _kept(connection: sqlite3.Connection, database: Path, rows: Sequence[ReplayedRow], until_us: int) -> Tape | None:
    """What its engine kept of its market, without our own orders; None: nothing, or nothing that can be read."""
    try:
        return load_kept_market(connection, tapes_directory(database), rows, until_us).tape
    except UserError:
        return None


def _photographs(story: Timeline, rows: Sequence[ReplayedRow], stored: Sequence[StoredBook]) -> Books:
    """The stored books; what a decision saw stands in where none is stored near it (they are deleted after a week)."""
    views = [
        event.view if isinstance(event, DecisionDue) else event.arrival
        for event in (one.event for one in rows)
        if isinstance(event, DecisionDue | Submitted)
    ]
    times = [book.taken_at_us for book in stored]
    seen = [
        StoredBook(view.at_us, view.bids, view.asks)
        for view in views
        if view.feed == "live" and not any(abs(at_us - view.at_us) < NEAR_PHOTOGRAPH_US for at_us in times)
    ]
    from_us, until_us = window_of(story)
    every = sorted([*stored, *seen], key=lambda book: book.taken_at_us)
    return books_from_snapshots(
        [book for book in every if from_us <= book.taken_at_us < until_us], story.outages, until_us
    )


def _recorded(story: Timeline, recording: NamedTape) -> Books:
    """Raises UserError."""
    name, tape = recording
    execution = story.execution
    if tape.header.ticker != ticker_of_tape(execution.terms.ticker):
        raise UserError(
            f"recording {name} is of {tape.header.ticker}, {execution.execution_id} of {execution.terms.ticker}"
        )
    end_us = tape.first_us + tape.length_us
    if tape.first_us > story.until_us or end_us < story.from_us:
        raise UserError(
            f"recording {name} does not cover {execution.execution_id}: it is of {to_iso(tape.first_us)} to "
            f"{to_iso(end_us)}, the execution of {to_iso(story.from_us)} to {to_iso(story.until_us)}"
        )
    return books_from_recording(tape, execution.outcome, *window_of(story))


def _title(execution: Execution) -> str:
    return f"Execution {execution.execution_id}: {execution.outcome.upper()} of {execution.terms.ticker}"


def _headline(execution: Execution) -> str:
    if not execution.is_ended:
        return f"Under way ({execution.state}): {_filled(execution)} bought so far"
    return f"{_filled(execution)} bought: {execution.state} ({execution.reason})"


def _filled(execution: Execution) -> str:
    return f"{format_count(execution.filled_e2)} of {format_count(execution.target_e2)}"


def _facts(found: StoredHistory, story: Timeline) -> list[tuple[str, str]]:
    execution = story.execution
    limits, metrics, edge = execution.limits, found.metrics, execution.edge
    end = "not ended"
    if execution.is_ended and execution.ended_at_us is not None:
        took = format_fixed(execution.ended_at_us - execution.accepted_at_us, 6)
        end = f"{execution.state} ({execution.reason}) at {to_iso(execution.ended_at_us)}, after {took} s"
    elif found.stored.quarantine is not None:
        end = f"{execution.state}, quarantined: {found.stored.quarantine}"
    fills = execution.fills
    facts = [
        ("execution", execution.execution_id),
        ("market", execution.terms.ticker),
        ("outcome", execution.outcome.upper()),
        ("method", _method(execution, found)),
        ("quantity", f"{format_count(execution.target_e2)} contracts"),
        ("target price", "none: there was no book" if limits is None else f"{format_fixed(limits.target_e4, 2)} c"),
    ]
    if limits is not None:
        facts.append(
            (
                "worst price",
                f"{format_fixed(limits.worst_e4, 2)} c; with the taker fee at most {format_fixed(limits.cap_e6, 4)} c",
            )
        )
    if edge is not None:
        facts.append(("reservation", f"{format_fixed(edge.probability_ppm, 4)} c, the model's probability"))
    return [
        *facts,
        ("accepted", to_iso(execution.accepted_at_us)),
        (
            "deadline",
            f"{to_iso(execution.deadline_us)}, "
            f"{format_fixed(execution.deadline_us - execution.accepted_at_us, 6)} s after acceptance",
        ),
        ("end", end),
        (
            "filled",
            f"{_filled(execution)}, in {len(fills)} {'fill' if len(fills) == 1 else 'fills'}",
        ),
        ("average price", _average(fills)),
        ("fees", f"${format_money(_fees(fills))}"),
        ("shortfall", _shortfall(execution, metrics)),
        ("walks", str(execution.walks)),
        ("writes", _writes(execution, metrics)),
    ]


def _method(execution: Execution, found: StoredHistory) -> str:
    if found.method is None:
        return f"{execution.method}, whose settings its database does not have"
    settings = msgspec.json.decode(found.method.config, type=dict[str, object])
    told_settings = ", ".join(f"{name} {value}" for name, value in settings.items())
    algorithm = "" if found.method.algorithm == found.method.name else f" ({found.method.algorithm})"
    return f"{execution.method}{algorithm}" + (f": {told_settings}" if told_settings else "")


def _average(fills: Sequence[Fill]) -> str:
    count = sum(fill.count_e2 for fill in fills)
    if not count:
        return "nothing was filled"
    return f"{rounded_ratio(sum(fill.count_e2 * fill.price_e4 for fill in fills), count * 100, 4)} c"


def _fees(fills: Sequence[Fill]) -> MoneyE6:
    return MoneyE6(sum(fill.fee_e6 for fill in fills))


def _shortfall(execution: Execution, metrics: MetricsRow | None) -> str:
    if metrics is None:
        return "not reckoned yet" if execution.is_ended else "not before its end"
    if metrics.shortfall_e7 is None:
        return "not known; see below"
    each = f"{cents_per_contract(metrics.shortfall_e7, execution.target_e2)} cents per contract (positive is a cost)"
    if not metrics.rewards_e7 or metrics.cost_e7 is None:
        return each
    return f"{each}; {cents_per_contract(metrics.cost_e7, execution.target_e2)} with the estimated rewards"


def _writes(execution: Execution, metrics: MetricsRow | None) -> str:
    if metrics is None or metrics.creates is None:
        return str(execution.writes)
    return f"{execution.writes}: {metrics.creates} creates, {metrics.amends} amends, {metrics.cancels} cancels"


def _note(story: Timeline, drawn: Books, recording: NamedTape | None, kept: Tape | None) -> str:
    outcome = story.execution.outcome.upper()
    if recording is None and kept is None:
        source = (
            "The book is that of the stored photographs, our own size taken out: each stands until the next one, 11 "
            "seconds at most."
        )
    else:
        each = (
            "at every change"
            if drawn.width_us is None
            else f"as it stood each {format_fixed(drawn.width_us, 6)} s, its best prices at every change"
        )
        if recording is None:
            source = f"The book is the one its engine kept, {each}, our own orders and what we took taken out."
        else:
            source = (
                f"The book is that of {recording.name}, {each}; if our orders are in the recording, they are in it."
            )
        if recording is not None and recording.tape.cut_off:
            source += " The recording was cut off; it was read to its last whole line."
    parts = [
        f"{outcome} prices in cents: bids blue, asks orange, stronger where more rests, the spread between them empty. "
        "Heavy lines are our orders, thicker the more is left; circles are fills, larger the more was bought.",
        source,
        "Empty elsewhere: nothing rests there, or nothing is known; nothing is interpolated.",
    ]
    if not story.execution.is_ended:
        parts.append("It has not ended: this is what is known up to now.")
    if story.outages:
        parts.append("Red: from the last sign of life of one process to the first of the next.")
    return " ".join(parts)


def _fills(execution: Execution, found: StoredHistory) -> list[Section]:
    if not execution.fills:
        return []
    horizons = sorted({horizon for known in found.markouts.values() for horizon in known}, key=lambda h: (h == 0, h))
    names = [f"after {horizon} s" if horizon else "at settlement" for horizon in horizons]
    columns = ("s", "at (UTC)", "order", "contracts", "price c", "role", "fee $", "against mid c", *names)
    rows = []
    for fill in execution.fills:
        known = found.markouts.get((fill.order_id, fill.fill_id), {})
        owner = next(child for child in execution.children if child.has_fill(fill.order_id, fill.fill_id))
        rows.append(
            (
                format_fixed(fill.traded_at_us - execution.accepted_at_us, 6),
                to_iso(fill.traded_at_us)[11:-1],
                short_id(owner.client_order_id),
                format_count(fill.count_e2),
                format_fixed(fill.price_e4, 2),
                ("taker" if fill.is_taker else "maker") + (", late" if fill in owner.late else ""),
                format_money(fill.fee_e6),
                "" if fill.mid_e5 is None else _signed(fill.price_e4 * 10 - fill.mid_e5),
                *(_markout(known, horizon, fill) for horizon in horizons),
            )
        )
    note = (
        "Against mid: the price paid less the mid just before, positive is a cost. After so many seconds: the mid of "
        "then less the price paid, positive is a gain; empty where it is not known."
    )
    return [Section("Its fills", note, table=Table(columns, rows, frozenset(columns) - {"at (UTC)", "order", "role"}))]


def _markout(known: dict[int, int | None], horizon: int, fill: Fill) -> str:
    mid = known.get(horizon)
    return "" if mid is None else _signed(mid - fill.price_e4 * 10)


def _signed(cents_e3: int) -> str:
    """10^-5 dollars as cents."""
    return ("+" if cents_e3 > 0 else "") + format_fixed(cents_e3, 3)


def _happened(rows: Sequence[ReplayedRow]) -> Section:
    start_us = rows[0].row.at_us
    lines = [
        (
            str(one.row.seq),
            format_fixed(one.row.at_us - start_us, 6),
            to_iso(one.row.at_us)[11:-1],
            describe(one.event),
            "; ".join(map(describe_change, one.advance.changes)),
            "; ".join(describe_all(one.intents)),
        )
        for one in rows
    ]
    execution_id = rows[-1].advance.execution.execution_id
    note = f"Its journal in words. All of it, checked: fsm-exec replay {execution_id}."
    if len(lines) > ROWS_MAX:
        left_out = len(lines) - ROWS_MAX
        note = (
            f"Its journal in words, {left_out} rows in the middle left out. All of it: fsm-exec replay {execution_id}."
        )
        lines = [*lines[: ROWS_MAX // 2], *lines[-(ROWS_MAX // 2) :]]
    columns = ("row", "s", "at (UTC)", "what was learned", "what moved", "what was decided")
    return Section("What happened", note, table=Table(columns, lines, frozenset({"row", "s"})), folded=True)
