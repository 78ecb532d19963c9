"""What can be asked of the writer, and which rows each job becomes.

A job becomes (statement, parameters) pairs, each of which must change exactly one row. ExecutionSave and BookRow of the
port are jobs as they are; the other structs add what the port passes beside the row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from fsm_exec.core.market import MarketTerms
from fsm_exec.core.ports import BookRow, ExecutionSave, MetricsRow
from fsm_exec.core.times import to_iso
from fsm_exec.core.units import PriceGrid, format_fixed, format_price

FIRST_SEQ = 1


class MarketSave(msgspec.Struct, frozen=True):
    terms: MarketTerms
    at_us: int


class MetricsSave(msgspec.Struct, frozen=True):
    row: MetricsRow
    at_us: int


class Quarantine(msgspec.Struct, frozen=True):
    """`why` None: it is over."""

    execution_id: str
    why: str | None


class Binding(msgspec.Struct, frozen=True):
    """Which exchange the database's executions are of, from now on and for good."""

    environment: str


class Halt(msgspec.Struct, frozen=True):
    """`at_us` None: it is over."""

    at_us: int | None


Job: TypeAlias = ExecutionSave | MarketSave | BookRow | MetricsSave | Quarantine | Binding | Halt
Row: TypeAlias = tuple[str, tuple[Any, ...]]


def _insert(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _replace(table: str, key: tuple[str, ...], columns: tuple[str, ...]) -> str:
    """Insert, or overwrite the row with this key in place (REPLACE would delete it, and what refers to it)."""
    updates = ", ".join(f"{c} = excluded.{c}" for c in columns if c not in key)
    return f"{_insert(table, columns)} ON CONFLICT ({', '.join(key)}) DO UPDATE SET {updates}"


_IDENTITY = (  # what an execution was accepted as: written once, with its first save
    "execution_id",
    "ticker",
    "outcome",
    "method",
    "target_quantity",
    "target_price",
    "accepted_at",
    "deadline",
)
_PROGRESS = ("state", "reason", "snapshot", "snapshot_version", "updated_at", "seq")
_EVENT = ("execution_id", "seq", "at", "event_type", "event", "intents", "steps", "version")
_CHILD = (
    "execution_id",
    "client_order_id",
    "level",
    "attempt",
    "state",
    "status",
    "order_id",
    "price",
    "quantity",
    "filled_quantity",
    "time_in_force",
    "walks",
    "updated_at",
)
_FILL = (
    "execution_id",
    "order_id",
    "fill_id",
    "client_order_id",
    "price",
    "quantity",
    "fee",
    "is_taker",
    "late",
    "traded_at",
)
_MARKET = (
    "ticker",
    "series",
    "event",
    "category",
    "status",
    "price_ranges",
    "taker_fee_rate",
    "maker_fee_rate",
    "updated_at",
)
_BOOK = ("ticker", "execution_id", "taken_at", "why", "yes_depth", "no_depth")
_METRICS = (*MetricsRow.__struct_fields__, "computed_at")
_SUBMISSION = ("key", "execution_id", "request", "submitted_at")

ADD_EXECUTION = _insert("execution_state", (*_PROGRESS, *_IDENTITY))
MOVE_EXECUTION = (
    f"UPDATE execution_state SET {', '.join(f'{c} = ?' for c in _PROGRESS)} WHERE execution_id = ? AND seq = ?"
)
ADD_EVENT = _insert("execution_events", _EVENT)
PUT_CHILD = _replace("split_orders", ("execution_id", "client_order_id"), _CHILD)
ADD_FILL = _insert("fills", _FILL)
PUT_MARKET = _replace("markets", ("ticker",), _MARKET)
ADD_BOOK = _insert("order_book_snapshots", _BOOK)
PUT_METRICS = _replace("execution_metrics", ("execution_id",), _METRICS)
ADD_SUBMISSION = _insert("submissions", _SUBMISSION)
SET_HALT = "UPDATE meta SET halted_at = ?"
BIND = "UPDATE meta SET environment = ? WHERE environment IS NULL"
SET_QUARANTINE = "UPDATE execution_state SET quarantine = ? WHERE execution_id = ?"

# Statement by statement within a transaction, in this order: a row comes after what it refers to.
ORDER = (
    ADD_EXECUTION,
    MOVE_EXECUTION,
    ADD_SUBMISSION,
    ADD_EVENT,
    PUT_CHILD,
    ADD_FILL,
    PUT_MARKET,
    ADD_BOOK,
    PUT_METRICS,
    SET_QUARANTINE,
    BIND,
    SET_HALT,
)


def rows_of(job: Job) -> Iterator[Row]:
    """The rows of one job. Raises ValueError or OverflowError for bytes that are no UTF-8 and times out of range."""
    match job:
        case ExecutionSave():
            yield from _execution_rows(job)
        case MarketSave(terms, at_us):
            yield PUT_MARKET, _market_row(terms, at_us)
        case BookRow():
            taken_at = to_iso(job.taken_at_us)
            depths = job.yes_depth.decode(), job.no_depth.decode()
            yield ADD_BOOK, (job.ticker, job.execution_id, taken_at, job.why, *depths)
        case MetricsSave(row, at_us):
            yield PUT_METRICS, (*msgspec.structs.astuple(row), to_iso(at_us))
        case Quarantine(execution_id, why):
            yield SET_QUARANTINE, (why, execution_id)
        case Binding(environment):
            yield BIND, (environment,)
        case Halt(at_us):
            yield SET_HALT, (None if at_us is None else to_iso(at_us),)


def _execution_rows(save: ExecutionSave) -> Iterator[Row]:
    journal, execution_id = save.journal, save.execution_id
    at = to_iso(journal.at_us)
    progress = (save.state, save.reason, save.snapshot.decode(), save.snapshot_version, at, journal.seq)
    if journal.seq == FIRST_SEQ:
        identity = execution_id, save.ticker, save.outcome, save.method, save.target_quantity, save.target_price
        yield ADD_EXECUTION, (*progress, *identity, to_iso(save.accepted_at_us), to_iso(save.deadline_us))
    else:
        yield MOVE_EXECUTION, (*progress, execution_id, journal.seq - 1)
    if save.submission is not None:
        yield ADD_SUBMISSION, (save.submission.key, execution_id, save.submission.request.decode(), at)
    event = journal.event_type, journal.event.decode(), journal.intents.decode(), journal.steps, journal.version
    yield ADD_EVENT, (execution_id, journal.seq, at, *event)
    for child in save.children:
        yield PUT_CHILD, (execution_id, *msgspec.structs.astuple(child), at)
    for fill in save.fills:
        *values, traded_at_us = msgspec.structs.astuple(fill)
        yield ADD_FILL, (execution_id, *values, to_iso(traded_at_us))


def _market_row(terms: MarketTerms, at_us: int) -> tuple[Any, ...]:
    return (
        terms.ticker,
        terms.series,
        terms.event,
        terms.category,
        terms.status,
        _ranges(terms.grid),
        format_fixed(terms.fees.taker_e10, 10),
        format_fixed(terms.fees.maker_e10, 10),
        to_iso(at_us),
    )


def _ranges(grid: PriceGrid) -> str:
    ranges = [
        {"start": format_price(r.start_e4), "end": format_price(r.end_e4), "step": format_price(r.step_e4)}
        for r in grid.ranges
    ]
    return msgspec.json.encode(ranges).decode()
