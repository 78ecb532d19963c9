"""Loads the data of a database's report: every execution with its cost, its markouts, and the markets' grids.

It is read in one go; the report groups it. What is unknown is None, and stays so.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from fsm_exec.core.costs.rows import MetricsRow
from fsm_exec.core.values.times import from_iso
from fsm_exec.core.values.units import CountE2, Outcome, PriceGrid, PriceRange, parse_count, parse_fixed, parse_price
from fsm_exec.store.damaged_rows import decode_column, decode_rows, struct_of, text_of

_METRICS = MetricsRow.__struct_fields__
_EXECUTIONS = (
    "SELECT e.execution_id, e.ticker, e.outcome, e.method, e.state, e.reason, e.quarantine, e.accepted_at, "
    f"e.updated_at, e.target_quantity, {', '.join(f'x.{name}' for name in _METRICS)} "
    "FROM execution_state e LEFT JOIN execution_metrics x USING (execution_id) WHERE e.rowid > ? ORDER BY e.rowid"
)
_MARKOUTS = (
    "SELECT f.execution_id, m.horizon_s, f.price, f.quantity, m.mid "
    "FROM execution_state e CROSS JOIN fills f USING (execution_id) CROSS JOIN markouts m USING (order_id, fill_id) "
    "WHERE e.rowid > ?"  # CROSS: in this order, or SQLite begins with every markout there is
)


class WorkedExecution(msgspec.Struct, frozen=True, kw_only=True):
    """One execution. `metrics` is None until it has ended and its cost is computed."""

    execution_id: str
    ticker: str
    outcome: Outcome
    method: str
    state: str
    reason: str | None
    quarantine: str | None
    accepted_us: int
    updated_us: int
    target_e2: CountE2
    metrics: MetricsRow | None


class Markout(msgspec.Struct, kw_only=True):
    """The markout of one execution's fills at one horizon: a total in 10^-7 dollars (positive = gain) over `count_e2`;
    of `missing_e2` the mid is not known."""

    gain_e7: int = 0
    count_e2: int = 0
    missing_e2: int = 0


def row_before(connection: sqlite3.Connection, newest: int) -> int:
    """The row after which stand the `newest` executions: `load_worked` and `load_markouts` begin there."""
    (last,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM execution_state").fetchone()
    return max(0, int(last) - newest)


def load_worked(
    connection: sqlite3.Connection, damage: list[str] | None = None, after_row: int = 0
) -> list[WorkedExecution]:
    """All executions after that row, in the order of their acceptance. One that is damaged is named in `damage`;
    without it the first raises DamagedRow."""
    return list(decode_rows(connection.execute(_EXECUTIONS, (after_row,)), _worked, damage))


def load_markouts(
    connection: sqlite3.Connection, damage: list[str] | None = None, after_row: int = 0
) -> dict[tuple[str, int], Markout]:
    """Load the markouts of the executions after that row, by execution and horizon in seconds. Damage is reported as by
    `load_worked`."""
    found: dict[tuple[str, int], Markout] = {}
    stored = connection.execute(_MARKOUTS, (after_row,))
    for execution_id, horizon_s, price, count_e2, mid in decode_rows(stored, _markout, damage):
        total = found.setdefault((execution_id, horizon_s), Markout())
        if mid is None:
            total.missing_e2 += count_e2
        else:
            total.count_e2 += count_e2
            total.gain_e7 += (mid - 10 * price) * count_e2
    return found


def _markout(row: tuple[Any, ...]) -> tuple[str, int, int, int, int | None]:
    execution_id, horizon_s, price, quantity, mid = row
    key = f"{execution_id} after {horizon_s} s"
    return (
        text_of("fills", key, "execution_id", execution_id),
        decode_column("markouts", key, "horizon_s", int, horizon_s),
        decode_column("fills", key, "price", parse_price, price),
        decode_column("fills", key, "quantity", parse_count, quantity),
        None if mid is None else decode_column("markouts", key, "mid", _hundred_thousandths, mid),
    )


def _hundred_thousandths(value: str) -> int:
    return parse_fixed(value, 5)


def load_grids(connection: sqlite3.Connection, damage: list[str] | None = None) -> dict[str, PriceGrid]:
    """Load the YES prices each market allows, by ticker. Damage is reported as by `load_worked`."""
    rows = connection.execute("SELECT ticker, price_ranges FROM markets ORDER BY ticker")
    return dict(decode_rows(rows, _named_grid, damage))


def _named_grid(row: tuple[Any, ...]) -> tuple[str, PriceGrid]:
    ticker, ranges = row
    return text_of("markets", ticker, "ticker", ticker), decode_column("markets", ticker, "price_ranges", _grid, ranges)


def _grid(ranges: str) -> PriceGrid:
    try:
        return PriceGrid(
            tuple(
                PriceRange(*(parse_price(each[name]) for name in ("start", "end", "step")))
                for each in msgspec.json.decode(ranges, type=list[dict[str, str]])
            )
        )
    except KeyError as error:
        raise ValueError(f"it has no {error}") from error


def _worked(row: tuple[Any, ...]) -> WorkedExecution:
    execution_id, ticker, outcome, method, state, reason, quarantine, accepted_at, updated_at, target = row[:10]
    table = "execution_state"
    metrics = None
    if row[10] is not None:
        metrics = struct_of(MetricsRow, "execution_metrics", execution_id, _METRICS, row[10:])
    found = {
        "execution_id": execution_id,
        "ticker": ticker,
        "outcome": outcome,
        "method": method,
        "state": state,
        "reason": reason,
        "quarantine": quarantine,
        "accepted_us": decode_column(table, execution_id, "accepted_at", from_iso, accepted_at),
        "updated_us": decode_column(table, execution_id, "updated_at", from_iso, updated_at),
        "target_e2": decode_column(table, execution_id, "target_quantity", parse_count, target),
        "metrics": metrics,
    }
    return struct_of(WorkedExecution, table, execution_id, tuple(found), tuple(found.values()))
