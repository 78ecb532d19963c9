"""The jobs of the writer, and the rows each of them becomes.

A job becomes (statement, parameters) pairs, each of which must change exactly one row (but see ANY_NUMBER).
ExecutionSave, BookRow and RefusedRow of the port are jobs as they are; the other structs add what the port passes
beside the row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from fsm_exec.core.costs.rows import BookRow, ChildMetricsRow, MarkoutRow, MetricsRow, RewardRow
from fsm_exec.core.journal.rows import ExecutionSave, FillRow, MethodRow, RefusedRow
from fsm_exec.core.market.incentives import IncentiveProgram
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.signals.forecasts import Forecast
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import PriceGrid, format_count, format_fixed, format_price
from fsm_exec.store.account_jobs import ACCOUNT_ORDER, AccountJob, account_rows
from fsm_exec.store.alert_rows import (
    ALERT_ORDER,
    AlertJob,
    AlertsSave,
    AlertsSettled,
    DeleteAlerts,
    DeliveriesSave,
    Halt,
    Quarantine,
    alert_rows,
)
from fsm_exec.store.edge_rows import PUT_EDGE, accepted_row, refused_row
from fsm_exec.store.epoch_jobs import (
    ANY_NUMBER_OF_EPOCHS,
    EPOCH_ORDER,
    EpochJob,
    FencingBegun,
    FencingEnded,
    GroupsSave,
    epoch_rows,
)
from fsm_exec.store.journal_steps import encode_step_fills
from fsm_exec.store.standby_jobs import STANDBY_ORDER, BeatSave, LostSave, StandbyJob, standby_rows
from fsm_exec.store.statements import Row, insert_into, put_into

FIRST_SEQ = 1


class MarketSave(msgspec.Struct, frozen=True):
    terms: MarketTerms
    at_us: int


class MetricsSave(msgspec.Struct, frozen=True):
    row: MetricsRow
    at_us: int
    children: tuple[ChildMetricsRow, ...] = ()


class Note(msgspec.Struct, frozen=True):
    """A note on an execution beside its reason."""

    execution_id: str
    note: str


class Binding(msgspec.Struct, frozen=True):
    """Binds the database to the exchange of its executions, for good."""

    environment: str


class MarkoutsSave(msgspec.Struct, frozen=True):
    rows: tuple[MarkoutRow, ...]
    at_us: int


class ForecastsSave(msgspec.Struct, frozen=True):
    execution_id: str
    ticker: str
    forecasts: tuple[Forecast, ...]


class CompletedForecasts(msgspec.Struct, frozen=True):
    """(number, what happened) of each; None: it was missed."""

    happened: tuple[tuple[int, int | None], ...]
    at_us: int


class DeleteBooks(msgspec.Struct, frozen=True):
    """Rows of `order_book_snapshots`, each of which is there."""

    numbers: tuple[int, ...]


class RewardsSave(msgspec.Struct, frozen=True):
    programs: tuple[IncentiveProgram, ...]
    rows: tuple[RewardRow, ...]
    at_us: int


class MethodsSave(msgspec.Struct, frozen=True):
    rows: tuple[MethodRow, ...]
    at_us: int


Job: TypeAlias = (
    ExecutionSave
    | RefusedRow
    | MarketSave
    | BookRow
    | MetricsSave
    | Quarantine
    | Note
    | Binding
    | Halt
    | MarkoutsSave
    | ForecastsSave
    | CompletedForecasts
    | DeleteBooks
    | RewardsSave
    | MethodsSave
    | AccountJob
    | AlertJob
    | EpochJob
    | StandbyJob
)

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
_PROGRESS = ("state", "reason", "snapshot", "snapshot_version", "updated_at", "seq", "refusal", "reserved")
_PART = ("execution_id", "name", "body", "checksum")
_EVENT = (
    "execution_id",
    "seq",
    "at",
    "event_type",
    "event",
    "intents",
    "steps",
    "version",
    "state",
    "reason",
    "fills",
)
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
    "trade_id",
    "listed_id",
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
_BOOK = (
    "ticker",
    "execution_id",
    "taken_at",
    "why",
    "yes_depth",
    "no_depth",
    "yes_total",
    "no_total",
    "yes_levels",
    "no_levels",
    "yes_concentration",
    "no_concentration",
    "spread",
    "volume",
    "category",
)
_FORECAST = (
    "execution_id",
    "ticker",
    "outcome",
    "kind",
    "subject",
    "quantity",
    "made_at",
    "due_at",
    "forecast",
    "last_value",
)
_METRICS = (*MetricsRow.__struct_fields__, "computed_at")
_MARKOUT = (*MarkoutRow.__struct_fields__, "taken_at")
_METHOD = (*MethodRow.__struct_fields__, "created_at")
_PROGRAM = (
    "program_id",
    "ticker",
    "kind",
    "starts_at",
    "ends_at",
    "period_reward",
    "max_reward",
    "target_size",
    "discount_factor",
    "description",
    "listed_at",
)
_REWARD = (*RewardRow.__struct_fields__, "updated_at")
_SUBMISSION = ("key", "execution_id", "request", "submitted_at")

ADD_EXECUTION = insert_into("execution_state", (*_PROGRESS, *_IDENTITY))
UPDATE_EXECUTION = (
    f"UPDATE execution_state SET {', '.join(f'{c} = ?' for c in _PROGRESS)} WHERE execution_id = ? AND seq = ?"
)
CLEAR_PARTS = "DELETE FROM snapshot_parts WHERE execution_id = ?"
DELETE_PART = "DELETE FROM snapshot_parts WHERE execution_id = ? AND name = ?"
PUT_PART = put_into("snapshot_parts", ("execution_id", "name"), _PART)
ADD_EVENT = insert_into("execution_events", _EVENT)
PUT_CHILD = put_into("split_orders", ("execution_id", "client_order_id"), _CHILD)
ADD_FILL = insert_into("fills", _FILL)
CORRECT_FILL = (
    f"UPDATE fills SET {', '.join(f'{c} = ?' for c in _FILL[3:])} "
    "WHERE execution_id = ? AND order_id = ? AND fill_id = ?"
)
DELETE_FILL = "DELETE FROM fills WHERE order_id = ? AND fill_id = ? AND execution_id = ?"
PUT_MARKET = put_into("markets", ("ticker",), _MARKET)
ADD_BOOK = insert_into("order_book_snapshots", _BOOK)
PUT_METRICS = put_into("execution_metrics", ("execution_id",), _METRICS)
PUT_CHILD_METRICS = put_into("child_metrics", ("execution_id", "client_order_id"), ChildMetricsRow.__struct_fields__)
PUT_MARKOUT = put_into("markouts", ("order_id", "fill_id", "horizon_s"), _MARKOUT)
ADD_FORECAST = insert_into("forecasts", _FORECAST)
END_FORECAST = "UPDATE forecasts SET happened = ?, completed_at = ? WHERE id = ?"
DELETE_BOOK = "DELETE FROM order_book_snapshots WHERE id = ?"
PUT_PROGRAM = put_into("incentive_programs", ("program_id",), _PROGRAM)
PUT_REWARD = put_into("execution_rewards", ("execution_id", "program_id"), _REWARD)
ADD_METHOD = insert_into("methods", _METHOD)
ADD_SUBMISSION = insert_into("submissions", _SUBMISSION)
SET_HALT = "UPDATE meta SET halted_at = ?"
BIND = "UPDATE meta SET environment = ? WHERE environment IS NULL"
SET_NOTE = "UPDATE execution_state SET note = ? WHERE execution_id = ?"
SET_QUARANTINE = "UPDATE execution_state SET quarantine = ? WHERE execution_id = ?"

# Statement by statement within a transaction, in this order: a row comes after what it refers to.
ORDER = (
    ADD_EXECUTION,
    UPDATE_EXECUTION,
    ADD_SUBMISSION,
    PUT_EDGE,
    CLEAR_PARTS,
    DELETE_PART,
    PUT_PART,
    ADD_EVENT,
    PUT_CHILD,
    DELETE_FILL,
    CORRECT_FILL,
    ADD_FILL,
    PUT_MARKET,
    ADD_BOOK,
    PUT_METRICS,
    PUT_CHILD_METRICS,
    PUT_MARKOUT,
    ADD_FORECAST,
    END_FORECAST,
    DELETE_BOOK,
    PUT_PROGRAM,
    PUT_REWARD,
    ADD_METHOD,
    SET_QUARANTINE,
    SET_NOTE,
    BIND,
    SET_HALT,
    *ACCOUNT_ORDER,
    *ALERT_ORDER,
    *EPOCH_ORDER,
    *STANDBY_ORDER,
)
ANY_NUMBER = frozenset({CLEAR_PARTS}) | ANY_NUMBER_OF_EPOCHS
"""Statements whose rows may change any number of rows each; of all others each changes exactly one."""


def rows_of(job: Job) -> Iterator[Row]:
    """Yield the rows of one job. Raises ValueError or OverflowError for bytes that are no UTF-8 and times out of
    range."""
    match job:
        case ExecutionSave():
            yield from _execution_rows(job)
        case RefusedRow():
            yield PUT_EDGE, refused_row(job)
        case MarketSave(terms, at_us):
            yield PUT_MARKET, _market_row(terms, at_us)
        case BookRow():
            yield ADD_BOOK, _book_row(job)
        case MetricsSave(row, at_us, children):
            yield PUT_METRICS, (*msgspec.structs.astuple(row), to_iso(at_us))
            for child in children:
                yield PUT_CHILD_METRICS, msgspec.structs.astuple(child)
        case MarkoutsSave(rows, at_us):
            for markout in rows:
                yield PUT_MARKOUT, (*msgspec.structs.astuple(markout), to_iso(at_us))
        case ForecastsSave(execution_id, ticker, forecasts):
            for forecast in forecasts:
                yield ADD_FORECAST, (execution_id, ticker, *_forecast_row(forecast))
        case CompletedForecasts(happened, at_us):
            for number, value_e6 in happened:
                yield END_FORECAST, (None if value_e6 is None else format_fixed(value_e6, 6), to_iso(at_us), number)
        case DeleteBooks(numbers):
            for number in numbers:
                yield DELETE_BOOK, (number,)
        case RewardsSave(programs, earned, at_us):
            for program in programs:
                yield PUT_PROGRAM, _program_row(program, at_us)
            for reward in earned:
                yield PUT_REWARD, (*msgspec.structs.astuple(reward), to_iso(at_us))
        case MethodsSave(methods, at_us):
            for method in methods:
                yield ADD_METHOD, (*msgspec.structs.astuple(method), to_iso(at_us))
        case GroupsSave() | FencingBegun() | FencingEnded():
            yield from epoch_rows(job)
        case Quarantine(execution_id, why, _):
            yield SET_QUARANTINE, (why, execution_id)
        case Note(execution_id, note):
            yield SET_NOTE, (note, execution_id)
        case Binding(environment):
            yield BIND, (environment,)
        case Halt(at_us, why):
            yield SET_HALT, (None if why is None else to_iso(at_us),)
        case AlertsSave() | DeliveriesSave() | AlertsSettled() | DeleteAlerts():
            yield from alert_rows(job)
        case BeatSave() | LostSave():
            yield from standby_rows(job)
        case _:
            yield from account_rows(job)


def _execution_rows(save: ExecutionSave) -> Iterator[Row]:
    journal, execution_id = save.journal, save.execution_id
    at = to_iso(journal.at_us)
    told = save.state, save.reason, save.snapshot.decode(), save.snapshot_version
    progress = (*told, at, journal.seq, save.refusal, save.reserved)
    if journal.seq == FIRST_SEQ:
        identity = execution_id, save.ticker, save.outcome, save.method, save.target_quantity, save.target_price
        yield ADD_EXECUTION, (*progress, *identity, to_iso(save.accepted_at_us), to_iso(save.deadline_us))
        yield PUT_EDGE, accepted_row(save)
    else:
        yield UPDATE_EXECUTION, (*progress, execution_id, journal.seq - 1)
    if save.clears_parts:
        yield CLEAR_PARTS, (execution_id,)
    for name in save.gone_parts:
        yield DELETE_PART, (execution_id, name)
    for part in save.parts:
        yield PUT_PART, (execution_id, part.name, part.body.decode(), part.checksum)
    if save.submission is not None:
        yield ADD_SUBMISSION, (save.submission.key, execution_id, save.submission.request.decode(), at)
    event = journal.event_type, journal.event.decode(), journal.intents.decode(), journal.steps, journal.version
    after = save.state, save.reason, encode_step_fills(save)
    yield ADD_EVENT, (execution_id, journal.seq, at, *event, *after)
    for child in save.children:
        yield PUT_CHILD, (execution_id, *msgspec.structs.astuple(child), at)
    for gone in save.gone:
        yield DELETE_FILL, (gone.order_id, gone.fill_id, execution_id)
    for fill in save.corrected:
        key, values = (execution_id, fill.order_id, fill.fill_id), _fill_values(fill)[2:]
        yield CORRECT_FILL, (*values, *key)
    for fill in save.fills:
        yield ADD_FILL, (execution_id, *_fill_values(fill))


def _fill_values(fill: FillRow) -> tuple[Any, ...]:
    *values, traded_at_us, trade_id, listed_id = msgspec.structs.astuple(fill)
    return (*values, to_iso(traded_at_us), trade_id, listed_id)


def _book_row(book: BookRow) -> tuple[Any, ...]:
    known = book.liquidity
    figures: tuple[Any, ...] = (None,) * 7
    if known is not None:
        figures = (
            format_count(known.yes_total_e2),
            format_count(known.no_total_e2),
            known.yes_levels,
            known.no_levels,
            None if known.yes_concentration is None else str(known.yes_concentration),
            None if known.no_concentration is None else str(known.no_concentration),
            None if known.spread_e4 is None else format_fixed(known.spread_e4, 4),
        )
    return (
        book.ticker,
        book.execution_id,
        to_iso(book.taken_at_us),
        book.why,
        book.yes_depth.decode(),
        book.no_depth.decode(),
        *figures,
        None if book.volume_e2 is None else format_count(book.volume_e2),
        book.category,
    )


def _program_row(program: IncentiveProgram, at_us: int) -> tuple[Any, ...]:
    return (
        program.program_id,
        program.ticker,
        program.kind,
        to_iso(program.start_us),
        to_iso(program.end_us),
        format_fixed(program.reward_e4, 4),
        None if program.max_reward_e4 is None else format_fixed(program.max_reward_e4, 4),
        None if program.target_e2 is None else format_count(program.target_e2),
        None if program.discount_bps is None else format_fixed(program.discount_bps, 4),
        program.description,
        to_iso(at_us),
    )


def _forecast_row(forecast: Forecast) -> tuple[Any, ...]:
    return (
        forecast.outcome,
        forecast.kind,
        forecast.subject,
        None if forecast.count_e2 is None else format_count(forecast.count_e2),
        to_iso(forecast.made_at_us),
        to_iso(forecast.due_at_us),
        format_fixed(forecast.value_e6, 6),
        format_fixed(forecast.last_value_e6, 6),
    )


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
