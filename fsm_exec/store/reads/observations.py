"""Reading what was observed beside the executions: books, markouts, forecasts; and the methods."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from fsm_exec.core.costs.rows import BookRow, MarkoutDue, OpenForecast, RewardRow
from fsm_exec.core.journal.rows import MethodRow
from fsm_exec.core.signals.forecasts import Forecast
from fsm_exec.core.values.times import from_iso, to_iso
from fsm_exec.core.values.units import parse_count, parse_fixed
from fsm_exec.store.damaged_rows import decode_column, decode_rows, struct_of, text_of

_CONFIG = msgspec.json.Decoder(dict[str, object])

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
    "SELECT id, ticker, NULL, taken_at, why, yes_depth, no_depth FROM order_book_snapshots "
    "WHERE ticker = ? AND taken_at >= ? AND why = 'interval' ORDER BY taken_at, id"
)
_OLD = (
    "SELECT id FROM order_book_snapshots WHERE taken_at < ? AND (why = 'interval' OR why = 'decision') "
    "ORDER BY taken_at, id LIMIT ?"
)
_REWARDS = (
    f"SELECT {', '.join(RewardRow.__struct_fields__)} FROM execution_rewards WHERE execution_id = ? ORDER BY program_id"
)
EVER = "9999"  # later than any time's text
_METHODS = f"SELECT {', '.join(MethodRow.__struct_fields__)} FROM methods ORDER BY name, version"
_SCORES = "SELECT id, kind, forecast, last_value, happened FROM forecasts WHERE happened IS NOT NULL ORDER BY kind, id"


def load_open_forecasts(connection: sqlite3.Connection, due_by_us: int | None) -> list[OpenForecast]:
    """Those that wait for what comes, and are due by then (None: all). One that is damaged is left out."""
    by = EVER if due_by_us is None else to_iso(due_by_us)
    return list(decode_rows(connection.execute(_OPEN, (by,)), _forecast, []))


def _forecast(row: tuple[Any, ...]) -> OpenForecast:
    number, execution_id, ticker, kind, outcome, made_at, due_at, forecast, last_value, quantity, subject = row
    table = "forecasts"
    found = {
        "kind": kind,
        "outcome": outcome,
        "made_at_us": decode_column(table, number, "made_at", from_iso, made_at),
        "due_at_us": decode_column(table, number, "due_at", from_iso, due_at),
        "value_e6": decode_column(table, number, "forecast", _millionths, forecast),
        "last_value_e6": decode_column(table, number, "last_value", _millionths, last_value),
        "count_e2": None if quantity is None else decode_column(table, number, "quantity", parse_count, quantity),
        "subject": subject,
    }
    made = struct_of(Forecast, table, number, tuple(found), tuple(found.values()))
    names = (text_of(table, number, "execution_id", execution_id), text_of(table, number, "ticker", ticker))
    return OpenForecast(number, *names, made)


def load_due_markouts(connection: sqlite3.Connection, since_us: int) -> list[MarkoutDue]:
    """Every fill since then, with the horizons that are stored. One that is damaged is left out."""
    return list(decode_rows(connection.execute(_DUE, (to_iso(since_us),)), _due, []))


def _due(row: tuple[Any, ...]) -> MarkoutDue:
    ticker, outcome, order_id, fill_id, traded_at, known = row
    key = f"{order_id} {fill_id}"
    found = {
        "ticker": ticker,
        "outcome": outcome,
        "order_id": order_id,
        "fill_id": fill_id,
        "traded_at_us": decode_column("fills", key, "traded_at", from_iso, traded_at),
        "known": decode_column("markouts", key, "horizon_s", _horizons, known),
    }
    return struct_of(MarkoutDue, "fills", key, tuple(found), tuple(found.values()))


def _horizons(known: str | None) -> frozenset[int]:
    return frozenset(int(horizon) for horizon in (known or "").split(",") if horizon)


def _millionths(value: str) -> int:
    return parse_fixed(value, 6)


def load_unsettled_markets(connection: sqlite3.Connection) -> list[str]:
    """Markets with fills whose settlement is not stored."""
    return [str(ticker) for (ticker,) in connection.execute("SELECT ticker FROM unsettled_markets ORDER BY ticker")]


def load_unsettled_fills(connection: sqlite3.Connection, ticker: str) -> list[MarkoutDue]:
    rows = connection.execute(
        f"SELECT s.outcome, f.order_id, f.fill_id, f.traded_at {_UNSETTLED} AND s.ticker = ?", (ticker,)
    )
    return list(decode_rows(((ticker, *row, None) for row in rows), _due, []))


def load_recent_books(connection: sqlite3.Connection, ticker: str, since_us: int) -> list[BookRow]:
    """Taken at an interval, oldest first. One that is damaged is left out."""
    return list(decode_rows(connection.execute(_RECENT, (ticker, to_iso(since_us))), book_of, []))


def book_of(row: tuple[Any, ...]) -> BookRow:
    """Raises DamagedRow."""
    number, ticker, execution_id, taken_at, why, yes, no = row
    table = "order_book_snapshots"
    return BookRow(
        ticker=text_of(table, number, "ticker", ticker),
        execution_id=None if execution_id is None else text_of(table, number, "execution_id", execution_id),
        taken_at_us=decode_column(table, number, "taken_at", from_iso, taken_at),
        why=text_of(table, number, "why", why),
        yes_depth=text_of(table, number, "yes_depth", yes).encode(),
        no_depth=text_of(table, number, "no_depth", no).encode(),
    )


def load_old_books(connection: sqlite3.Connection, before_us: int, at_most: int) -> tuple[int, ...]:
    """Load the numbers of books that retention may delete: never those that executions were priced by."""
    return tuple(number for (number,) in connection.execute(_OLD, (to_iso(before_us), at_most)))


def load_rewards(connection: sqlite3.Connection, execution_id: str) -> list[RewardRow]:
    """What an execution has earned so far, by programme. A row that is damaged is left out."""
    return list(decode_rows(connection.execute(_REWARDS, (execution_id,)), _reward, []))


def _reward(row: tuple[Any, ...]) -> RewardRow:
    return struct_of(RewardRow, "execution_rewards", f"{row[0]} {row[1]}", RewardRow.__struct_fields__, row)


def load_methods(connection: sqlite3.Connection, damage: list[str] | None = None) -> list[MethodRow]:
    """Load the methods, by name and version. One that is damaged is named in `damage`, or left out."""
    return list(decode_rows(connection.execute(_METHODS), _method, [] if damage is None else damage))


def _method(row: tuple[Any, ...]) -> MethodRow:
    found = struct_of(MethodRow, "methods", f"{row[0]} {row[1]}", MethodRow.__struct_fields__, row)
    decode_column("methods", f"{row[0]} {row[1]}", "config", _CONFIG.decode, found.config)
    return found


def load_completed_forecasts(
    connection: sqlite3.Connection, damage: list[str] | None = None
) -> dict[str, list[tuple[int, int, int]]]:
    """Load the completed forecasts, by kind: (forecast, last value, what came), in millionths, as
    `core.signals.forecasts.score` takes them. One that is damaged is named in `damage`; without it the first raises
    DamagedRow."""
    found: dict[str, list[tuple[int, int, int]]] = {}
    for kind, values in decode_rows(connection.execute(_SCORES), _score, damage):
        found.setdefault(kind, []).append(values)
    return found


def _score(row: tuple[Any, ...]) -> tuple[str, tuple[int, int, int]]:
    number, kind, *values = row
    columns = ("forecast", "last_value", "happened")
    one, other, came = (
        decode_column("forecasts", number, column, _millionths, value)
        for column, value in zip(columns, values, strict=True)
    )
    return text_of("forecasts", number, "kind", kind), (one, other, came)
