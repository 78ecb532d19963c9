"""Rows as the control API answers them: an execution in a list, one in detail, and a step of the journal.

They are apart from the queries that fill them: a client decodes them, and needs no database.
"""

from __future__ import annotations

import msgspec

from fsm_exec.core.costs.rows import MetricsRow
from fsm_exec.core.journal.rows import FillGone


class ExecutionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a list. `key` is the caller's own, null for an execution that was not submitted under one;
    `quarantine` says why the engine does not act for it, null: it does. `refusal`: the exchange's own words at its last
    refusal. `note`: what kept it from its end, as that it could not act at the exchange or that its limit lay below the
    market. `limit` is the highest price its orders may carry, `cap` the most that a contract may cost with its fee;
    null without a price."""

    execution_id: str
    key: str | None
    ticker: str
    outcome: str
    method: str
    state: str
    reason: str | None
    quarantine: str | None
    refusal: str | None
    note: str | None
    target_quantity: str
    filled_quantity: str
    target_price: str | None
    accepted_at: str
    deadline: str
    updated_at: str
    seq: int
    limit: str | None = None
    cap: str | None = None


class ChildOrder(msgspec.Struct, frozen=True, kw_only=True):
    client_order_id: str
    order_id: str | None
    level: int
    attempt: int
    state: str
    status: str
    price: str
    quantity: str
    filled_quantity: str
    time_in_force: str
    walks: int
    updated_at: str


class FillLine(msgspec.Struct, frozen=True, kw_only=True):
    """`fill_id` is the name it was first counted by; `trade_id` and `listed_id` are its others."""

    fill_id: str
    order_id: str
    client_order_id: str
    price: str
    quantity: str
    fee: str
    is_taker: bool
    late: bool
    traded_at: str
    trade_id: str | None
    listed_id: str | None


class JournalLine(msgspec.Struct, frozen=True, kw_only=True):
    """One step: its changes of state, and what was decided in it (`Amend order 1-1, price 0.6200, ...`)."""

    seq: int
    at: str
    event_type: str
    steps: str
    decided: str


class ExecutionDetail(msgspec.Struct, frozen=True, kw_only=True):
    """`metrics` is null until the execution has ended; `journal` holds its last lines, oldest first. `damage` names
    the rows that cannot be read, and are left out."""

    execution: ExecutionSummary
    orders: list[ChildOrder]
    fills: list[FillLine]
    metrics: MetricsRow | None
    journal: list[JournalLine]
    damage: list[str] = []


class FillSeen(msgspec.Struct, frozen=True, kw_only=True):
    """`order_id` and `fill_id` together are its name."""

    order_id: str
    fill_id: str
    price: str
    quantity: str
    fee: str
    is_taker: bool


class StepFills(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of the column `fills`."""

    fills: list[FillSeen] = []
    corrected: list[FillSeen] = []
    gone: list[FillGone] = []


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One durable step of one execution. `position` is its place among the steps of all executions, `seq` among those
    of its own. `steps` are its changes of state for people; `state` and `reason` are those after it. `fills` are those
    that it counted; of fills counted earlier, `corrected` say from now on what stands here, and `gone` were taken back.
    `state` is null in steps from before it was kept with them. A row that cannot be read has the `event_type` Damaged,
    and the reason in `steps`."""

    position: int
    execution_id: str
    seq: int
    at: str
    event_type: str
    state: str | None
    reason: str | None
    steps: str
    fills: list[FillSeen] = []
    corrected: list[FillSeen] = []
    gone: list[FillGone] = []
