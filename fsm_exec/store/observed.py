"""Reading what was observed beside the executions: books, markouts, forecasts; and the methods."""

from __future__ import annotations

import sqlite3

from fsm_exec.core.forecasts import Forecast
from fsm_exec.core.ports import BookRow, MarkoutDue, MethodRow, OpenForecast
from fsm_exec.core.times import from_iso, to_iso
from fsm_exec.core.units import parse_count, parse_fixed

_OPEN = (
    "SELECT id, execution_id, ticker, kind, outcome, made_at, due_at, forecast, last_value, quantity, subject "
    "FROM forecasts WHERE completed_at IS NULL AND due_at <= ? ORDER BY due_at, id"
)
_DUE = (
    "SELECT s.ticker, s.outcome, f.order_id, f.fill_id, f.traded_at, "
    "(SELECT group_concat(m.horizon_s) FROM markouts m WHERE m.order_id = f.order_id AND m.fill_id = f.fill_id) "
    "FROM fills f JOIN execution_state s USING (execution_id) WHERE f.traded_at >= ? ORDER BY f.traded_at, f.fill_id"
)
_UNSETTLED = (
    "FROM fills f JOIN execution_state s USING (execution_id) WHERE NOT EXISTS "
    "(SELECT 1 FROM markouts m WHERE m.order_id = f.order_id AND m.fill_id = f.fill_id AND m.horizon_s = 0)"
)
_RECENT = (
    "SELECT ticker, taken_at, why, yes_depth, no_depth FROM order_book_snapshots "
    "WHERE ticker = ? AND taken_at >= ? AND why = 'interval' ORDER BY taken_at, id"
)
_OLD = (
    "SELECT id FROM order_book_snapshots WHERE taken_at < ? AND (why = 'interval' OR why = 'decision') "
    "ORDER BY id LIMIT ?"
)
EVER = "9999"  # later than any time's text
_METHODS = "SELECT name, version, algorithm, config FROM methods ORDER BY name, version"
_SCORES = "SELECT kind, forecast, last_value, happened FROM forecasts WHERE happened IS NOT NULL ORDER BY kind, id"


def open_forecasts(connection: sqlite3.Connection, due_by_us: int | None) -> list[OpenForecast]:
    """Those that wait for what comes, and are due by then (None: all)."""
    by = EVER if due_by_us is None else to_iso(due_by_us)
    return [
        OpenForecast(
            number,
            execution_id,
            ticker,
            Forecast(
                kind=kind,
                outcome=outcome,
                made_at_us=from_iso(made_at),
                due_at_us=from_iso(due_at),
                value_e6=parse_fixed(forecast, 6),
                last_value_e6=parse_fixed(last_value, 6),
                count_e2=None if quantity is None else parse_count(quantity),
                subject=subject,
            ),
        )
        for number, execution_id, ticker, kind, outcome, made_at, due_at, forecast, last_value, quantity, subject in (
            connection.execute(_OPEN, (by,))
        )
    ]


def markouts_due(connection: sqlite3.Connection, since_us: int) -> list[MarkoutDue]:
    """Every fill since then, with the horizons that are stored."""
    return [
        MarkoutDue(
            ticker,
            outcome,
            order_id,
            fill_id,
            from_iso(traded_at),
            frozenset(int(horizon) for horizon in (known or "").split(",") if horizon),
        )
        for ticker, outcome, order_id, fill_id, traded_at, known in connection.execute(_DUE, (to_iso(since_us),))
    ]


def unsettled_markets(connection: sqlite3.Connection) -> list[str]:
    """Markets with fills whose settlement is not stored."""
    return [ticker for (ticker,) in connection.execute(f"SELECT DISTINCT s.ticker {_UNSETTLED} ORDER BY s.ticker")]


def unsettled_fills(connection: sqlite3.Connection, ticker: str) -> list[MarkoutDue]:
    rows = connection.execute(
        f"SELECT s.outcome, f.order_id, f.fill_id, f.traded_at {_UNSETTLED} AND s.ticker = ?", (ticker,)
    )
    return [
        MarkoutDue(ticker, outcome, order_id, fill_id, from_iso(traded_at), frozenset())
        for outcome, order_id, fill_id, traded_at in rows
    ]


def recent_books(connection: sqlite3.Connection, ticker: str, since_us: int) -> list[BookRow]:
    """Taken at an interval, oldest first."""
    return [
        BookRow(
            ticker=ticker,
            execution_id=None,
            taken_at_us=from_iso(taken_at),
            why=why,
            yes_depth=yes.encode(),
            no_depth=no.encode(),
        )
        for ticker, taken_at, why, yes, no in connection.execute(_RECENT, (ticker, to_iso(since_us)))
    ]


def old_books(connection: sqlite3.Connection, before_us: int, at_most: int) -> tuple[int, ...]:
    """What retention may delete: not the books that executions were priced by."""
    return tuple(number for (number,) in connection.execute(_OLD, (to_iso(before_us), at_most)))


def methods(connection: sqlite3.Connection) -> list[MethodRow]:
    return [
        MethodRow(name=name, version=version, algorithm=algorithm, config=config)
        for name, version, algorithm, config in connection.execute(_METHODS)
    ]


def completed_forecasts(connection: sqlite3.Connection) -> dict[str, list[tuple[int, int, int]]]:
    """By kind: (forecast, last value, what came), in millionths, as `core.forecasts.score` takes them."""
    found: dict[str, list[tuple[int, int, int]]] = {}
    for kind, *values in connection.execute(_SCORES):
        forecast, last_value, happened = (parse_fixed(value, 6) for value in values)
        found.setdefault(kind, []).append((forecast, last_value, happened))
    return found
