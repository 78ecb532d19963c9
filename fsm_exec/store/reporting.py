"""What the report of a database looks at: every execution with what it cost, its markouts, and the markets' grids.

Read in one go, to be grouped by whoever draws. What is not known is None, and stays so.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.core.ports import MetricsRow
from fsm_exec.core.times import from_iso
from fsm_exec.core.units import CountE2, Outcome, PriceGrid, PriceRange, parse_count, parse_fixed, parse_price

SETTLEMENT: Final = 0
"""The horizon under which what a fill was worth in the end is stored."""

_METRICS = MetricsRow.__struct_fields__
_EXECUTIONS = (
    "SELECT e.execution_id, e.ticker, e.outcome, e.method, e.state, e.reason, e.quarantine, e.accepted_at, "
    f"e.updated_at, e.target_quantity, {', '.join(f'x.{name}' for name in _METRICS)} "
    "FROM execution_state e LEFT JOIN execution_metrics x USING (execution_id) ORDER BY e.rowid"
)
_MARKOUTS = (
    "SELECT f.execution_id, m.horizon_s, f.price, f.quantity, m.mid "
    "FROM markouts m JOIN fills f USING (order_id, fill_id)"
)


class Worked(msgspec.Struct, frozen=True, kw_only=True):
    """One execution. `metrics` is None until it has ended and been reckoned."""

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
    """Of one execution's fills at one horizon: a total in 10^-7 dollars (positive = gain) over `count_e2`; of
    `missing_e2` the mid is not known."""

    gain_e7: int = 0
    count_e2: int = 0
    missing_e2: int = 0


def worked(connection: sqlite3.Connection) -> list[Worked]:
    """All executions, in the order of their acceptance. Raises UserError for rows that no fsm-exec wrote."""
    try:
        return [_worked(row) for row in connection.execute(_EXECUTIONS)]
    except ValueError as error:
        raise _unreadable(error) from error


def markouts(connection: sqlite3.Connection) -> dict[tuple[str, int], Markout]:
    """By execution and horizon in seconds. Raises as `worked`."""
    found: dict[tuple[str, int], Markout] = {}
    try:
        for execution_id, horizon_s, price, quantity, mid in connection.execute(_MARKOUTS):
            total = found.setdefault((execution_id, horizon_s), Markout())
            count_e2 = parse_count(quantity)
            if mid is None:
                total.missing_e2 += count_e2
            else:
                total.count_e2 += count_e2
                total.gain_e7 += (parse_fixed(mid, 5) - 10 * parse_price(price)) * count_e2
    except ValueError as error:
        raise _unreadable(error) from error
    return found


def grids(connection: sqlite3.Connection) -> dict[str, PriceGrid]:
    """The YES prices each market allows, by ticker. Raises as `worked`."""
    try:
        return {
            ticker: PriceGrid(
                tuple(
                    PriceRange(*(parse_price(each[name]) for name in ("start", "end", "step")))
                    for each in msgspec.json.decode(text, type=list[dict[str, str]])
                )
            )
            for ticker, text in connection.execute("SELECT ticker, price_ranges FROM markets ORDER BY ticker")
        }
    except (ValueError, KeyError) as error:
        raise _unreadable(error) from error


def _worked(row: Sequence[str | int | None]) -> Worked:
    execution_id, ticker, outcome, method, state, reason, quarantine, accepted_at, updated_at, target = row[:10]
    metrics = None if row[10] is None else msgspec.convert(dict(zip(_METRICS, row[10:], strict=True)), MetricsRow)
    found = {
        "execution_id": execution_id,
        "ticker": ticker,
        "outcome": outcome,
        "method": method,
        "state": state,
        "reason": reason,
        "quarantine": quarantine,
        "accepted_us": from_iso(str(accepted_at)),
        "updated_us": from_iso(str(updated_at)),
        "target_e2": parse_count(str(target)),
        "metrics": metrics,
    }
    return msgspec.convert(found, Worked)


def _unreadable(error: Exception) -> UserError:
    return UserError(f"the database holds a row that cannot be read ({error}); see: fsm-exec db check")
