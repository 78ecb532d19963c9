"""What an execution whose snapshot cannot be read may still cost, by what else its row says.

Nothing of it may count for less than it could be: it is in quarantine, its orders may live, and a backup may bring it
back.
"""

from __future__ import annotations

import msgspec

from fsm_exec.core.account.worst_case import OpenOrder
from fsm_exec.core.values.units import ONE_CONTRACT_E2, CountE2, MoneyE6, Outcome, ceil_div

DOLLAR_E6 = 1_000_000


class StoredReservation(msgspec.Struct, frozen=True, kw_only=True):
    """The row of an execution beside its snapshot. Empty texts and None: cannot be read, or (`reserved_e6`) was last
    written before there was such a column."""

    execution_id: str
    ticker: str = ""
    event: str = ""
    series: str = ""
    outcome: Outcome | None = None
    target_e2: CountE2 | None = None
    reserved_e6: MoneyE6 | None = None


def orders_of(row: StoredReservation) -> tuple[OpenOrder, ...] | None:
    """The row as orders that may fill: its whole quantity for what is reserved, or at a dollar each where that
    cannot be read. Of an unknown outcome it is one of each, of an unknown market one of its own. None: its cost has no
    bound."""
    if row.reserved_e6 == 0:
        return ()
    if not row.target_e2 and row.reserved_e6 is None:
        return None
    if row.reserved_e6 is None:
        count, each = row.target_e2 or CountE2(0), MoneyE6(DOLLAR_E6)
    elif not row.target_e2:
        count, each = CountE2(ceil_div(row.reserved_e6, DOLLAR_E6) * ONE_CONTRACT_E2), MoneyE6(DOLLAR_E6)
    else:
        count, each = row.target_e2, MoneyE6(ceil_div(row.reserved_e6 * ONE_CONTRACT_E2, row.target_e2))
    outcomes: tuple[Outcome, ...] = ("yes", "no") if row.outcome is None else (row.outcome,)
    return tuple(
        OpenOrder(row.ticker or row.execution_id, row.event, row.series, outcome, count, each) for outcome in outcomes
    )
