"""Rows of `edges`: every opportunity, accepted or refused, once.

A key names an opportunity: made again under it, a request that was refused writes over its own row, and becomes the
accepted one if it is accepted at last. What was accepted is never written over.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from fsm_exec.core.journal.rows import EdgeFigures, ExecutionSave, RefusedRow
from fsm_exec.core.values.times import to_iso

_COLUMNS: Final = (
    "created_at",
    "ticker",
    "outcome",
    "method",
    "quantity",
    "target_price",
    "model_probability",
    "expected_value",
    "volume_24h",
    "key",
    "execution_id",
    "refusal",
)
_UPDATES: Final = ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS if column != "key")
PUT_EDGE: Final = (
    f"INSERT INTO edges ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "
    f"ON CONFLICT (key) DO UPDATE SET {_UPDATES} WHERE edges.execution_id IS NULL"
)
UNKNOWN: Final = EdgeFigures()


def accepted_row(save: ExecutionSave) -> tuple[Any, ...]:
    """Return the row of an execution's first save."""
    key = None if save.submission is None else save.submission.key
    asked = save.ticker, save.outcome, save.method, save.target_quantity, save.target_price
    figures = msgspec.structs.astuple(save.edge or UNKNOWN)
    return (to_iso(save.accepted_at_us), *asked, *figures, key, save.execution_id, None)


def refused_row(row: RefusedRow) -> tuple[Any, ...]:
    asked = row.ticker, row.outcome, row.method, row.quantity, row.target_price
    return (to_iso(row.at_us), *asked, *msgspec.structs.astuple(row.edge), row.key, None, row.refusal)
