"""The structs of the overview: how the engine stands, what is at work and what ended last, in one answer."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from fsm_exec.control.alert_schema import AlertSeen
from fsm_exec.control.schema import ExecutionSummary, Status

WORKING_MAX: Final = 1_000
ENDED_MAX: Final = 100


class OverviewQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many of each are wanted at most."""

    working: Annotated[int, msgspec.Meta(ge=0, le=WORKING_MAX)] = 50
    ended: Annotated[int, msgspec.Meta(ge=0, le=ENDED_MAX)] = 10


class WorkingExecution(msgspec.Struct, frozen=True, kw_only=True):
    """An execution as it stands in the engine. `ending` is why it comes to its end, null while it works for its
    quantity. `price` is its own best open order's, `orders` how many are open; `bid` and `ask` are the best of the
    others in its outcome, `feed` the state of the book they are from: only `live` is now. `cost` is what its fills cost
    above the mid at arrival with their fees, in dollars; null if there was no mid."""

    execution_id: str
    ticker: str
    outcome: str
    method: str
    state: str
    ending: str | None
    filled_quantity: str
    target_quantity: str
    price: str | None
    orders: int
    bid: str | None
    ask: str | None
    feed: str
    limit: str | None
    accepted_at: str
    deadline: str
    seconds_left: int
    cost: str | None


class BudgetSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What may be written at the exchange now, in its tokens, which refill by `per_s` up to `capacity`."""

    left: int
    capacity: int
    per_s: int


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """`at` is the daemon's time. `working` are those that end first, of `status.at_work`; `ended` the newest endings,
    newest first; `alerts` those that stand, newest first."""

    at: str
    status: Status
    budget: BudgetSeen
    working: list[WorkingExecution]
    ended: list[ExecutionSummary]
    alerts: list[AlertSeen]
