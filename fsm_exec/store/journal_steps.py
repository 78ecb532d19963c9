"""The journal as watchers get it: each row whole, and the same whenever it is read."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from fsm_exec.core.journal.rows import ExecutionSave, FillGone, FillRow
from fsm_exec.core.journal.to_rows import FillChanges
from fsm_exec.core.text import one_line
from fsm_exec.core.values.times import from_iso
from fsm_exec.store.api_rows import FillSeen, StepFills, Transition

DAMAGED: Final = "Damaged"

_COLUMNS = Transition.__struct_fields__[:-2]
_STEPS = f"SELECT {', '.join(_COLUMNS)} FROM execution_events"
_OF_ALL = f"{_STEPS} WHERE position > ? ORDER BY position LIMIT ?"
_OF_ONE = f"{_STEPS} WHERE execution_id = ? AND seq > ? ORDER BY seq LIMIT ?"


def load_steps_of_all(connection: sqlite3.Connection, position: int, at_most: int) -> list[Transition]:
    """Load the steps after `position`, in the order in which they became durable."""
    return [_transition(row) for row in connection.execute(_OF_ALL, (position, at_most))]


def load_steps_of_one(connection: sqlite3.Connection, execution_id: str, seq: int, at_most: int) -> list[Transition]:
    """Load the steps of one execution after number `seq`."""
    return [_transition(row) for row in connection.execute(_OF_ONE, (execution_id, seq, at_most))]


def load_newest_position(connection: sqlite3.Connection) -> int:
    """Return the position of the last step of all; 0: there is none."""
    (position,) = connection.execute("SELECT coalesce(max(position), 0) FROM execution_events").fetchone()
    return int(position)


def load_newest_at(connection: sqlite3.Connection) -> int | None:
    """Return when the last step of all was saved; None if there is none, or its time cannot be read."""
    row = connection.execute(
        "SELECT at FROM execution_events WHERE position = (SELECT max(position) FROM execution_events)"
    ).fetchone()
    with suppress(ValueError, TypeError):
        return None if row is None else from_iso(row[0])
    return None


def encode_step_fills(save: ExecutionSave | FillChanges) -> str | None:
    """Encode the column `fills` of a step's row; None if the step has none."""
    if not (save.fills or save.corrected or save.gone):
        return None
    fills = StepFills(_seen(save.fills), _seen(save.corrected), list(save.gone))
    return msgspec.json.encode(fills).decode()


def _seen(fills: Sequence[FillRow]) -> list[FillSeen]:
    return [
        FillSeen(
            order_id=fill.order_id,
            fill_id=fill.fill_id,
            price=fill.price,
            quantity=fill.quantity,
            fee=fill.fee,
            is_taker=fill.is_taker,
        )
        for fill in fills
    ]


def _transition(row: Sequence[Any]) -> Transition:
    """Return the step of a row. A damaged row becomes a Damaged step, so that watchers still get the rows after it."""
    *values, fills = row
    known = dict(zip(_COLUMNS, values, strict=False))
    try:
        told = StepFills() if fills is None else msgspec.json.decode(fills, type=StepFills)
        return msgspec.convert({**known, **_lists(told)}, Transition)
    except (msgspec.DecodeError, ValueError) as error:
        return Transition(
            position=known["position"],
            execution_id=str(known["execution_id"]),
            seq=known["seq"],
            at=str(known["at"]),
            event_type=DAMAGED,
            state=None,
            reason=None,
            steps=one_line(f"row {known['position']} of execution_events is damaged: {error}"),
        )


def _lists(told: StepFills) -> dict[str, list[FillSeen] | list[FillGone]]:
    return {"fills": told.fills, "corrected": told.corrected, "gone": told.gone}
