"""Words about orders that core, the client and the store share: requests, and what the exchange says back.

Everything here is in the execution's own outcome: an order for NO at 0.30 is a buy of NO at 0.30. Only the client
turns it into the exchange's single YES-priced book. All executions buy.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome, PriceE4

TimeInForce: TypeAlias = Literal["good_till_canceled", "immediate_or_cancel", "fill_or_kill"]
OrderStatus: TypeAlias = Literal["resting", "canceled", "executed"]


class PlaceOrder(msgspec.Struct, frozen=True, tag="PlaceOrder", forbid_unknown_fields=True, kw_only=True):
    """Every order carries self-trade prevention `taker_at_cross`. `expiration_s` is unix seconds, with GTC only;
    `reduce_only` (never more than closes the position) with IOC only. `cancel_on_pause`: the exchange takes the order
    off when trading pauses. `order_group_id`: of the group that limits how fast its orders may fill. `not_after_us`:
    a request that has not left by then is not sent any more."""

    effect_id: str
    client_order_id: str
    ticker: str
    outcome: Outcome
    price_e4: PriceE4
    count_e2: CountE2
    time_in_force: TimeInForce
    post_only: bool
    expiration_s: int | None
    reduce_only: bool = False
    cancel_on_pause: bool = False
    order_group_id: str | None = None
    not_after_us: int | None = None


class AmendOrder(msgspec.Struct, frozen=True, tag="AmendOrder", forbid_unknown_fields=True, kw_only=True):
    """`total_e2` is the exchange's meaning: already filled + still wanted. `not_after_us` as in `PlaceOrder`.
    `expiration_s` as there; None: it stays. `is_renewal`: it changes nothing else. `can_wait`: and the end that it puts
    off is not near, so everything else goes before it."""

    effect_id: str
    client_order_id: str
    order_id: str
    ticker: str
    outcome: Outcome
    price_e4: PriceE4
    total_e2: CountE2
    not_after_us: int | None = None
    expiration_s: int | None = None
    is_renewal: bool = False
    can_wait: bool = False


class DecreaseOrder(msgspec.Struct, frozen=True, tag="DecreaseOrder", forbid_unknown_fields=True, kw_only=True):
    """Less of an order, which keeps its place in the queue: exactly one of by how much and to how much that remains."""

    effect_id: str
    client_order_id: str
    order_id: str
    ticker: str
    reduce_by_e2: CountE2 | None = None
    reduce_to_e2: CountE2 | None = None


class CancelOrder(msgspec.Struct, frozen=True, tag="CancelOrder", forbid_unknown_fields=True, kw_only=True):
    effect_id: str
    client_order_id: str
    order_id: str
    ticker: str


Write: TypeAlias = PlaceOrder | AmendOrder | CancelOrder


# What a write's answer proves. `Unknown` is everything that proves nothing: the write may have been done.


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """Accepted. Fills already made are counted by their ids later; `remaining_e2` is 0 for an ended order."""

    order_id: str
    filled_e2: CountE2
    remaining_e2: CountE2
    at_us: int


class Amended(msgspec.Struct, frozen=True, kw_only=True):
    """Accepted; the counts are None where the exchange left them out."""

    order_id: str
    filled_e2: CountE2 | None
    remaining_e2: CountE2 | None
    at_us: int


class Decreased(msgspec.Struct, frozen=True, kw_only=True):
    """Done: `remaining_e2` contracts still rest."""

    order_id: str
    remaining_e2: CountE2
    at_us: int


class Cancelled(msgspec.Struct, frozen=True, kw_only=True):
    """Done: `reduced_by_e2` contracts were taken off the book, so the final filled count is count - reduced_by."""

    order_id: str
    reduced_by_e2: CountE2
    at_us: int


class AllCancelled(msgspec.Struct, frozen=True):
    """Every resting order of the account is taken off, and orders that arrive in the minute after may be too."""


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A listed, definite no: nothing was done. `code` is the exchange's own word."""

    code: str
    message: str

    def __str__(self) -> str:
        return f"refused, {self.code}: {self.message}"


class NotSent(msgspec.Struct, frozen=True, kw_only=True):
    """Proven: never handed to the socket."""

    why: str

    def __str__(self) -> str:
        return f"not sent: {self.why}"


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """No proof either way. `exists`: a place was refused because an order of its id exists, ours or another one.
    `code` and `message` are the exchange's own where it said a definite no that is not listed as a refusal."""

    why: str
    exists: bool = False
    code: str | None = None
    message: str = ""

    def __str__(self) -> str:
        return f"unknown whether it was done: {self.why}"


PlaceAnswer: TypeAlias = Placed | Refused | NotSent | Unknown
AmendAnswer: TypeAlias = Amended | Refused | NotSent | Unknown
DecreaseAnswer: TypeAlias = Decreased | Refused | NotSent | Unknown
CancelAnswer: TypeAlias = Cancelled | Refused | NotSent | Unknown
CancelAllAnswer: TypeAlias = AllCancelled | Refused | NotSent | Unknown


class OrderReport(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One order as the exchange states it, from a listing or from the private stream.

    `client_order_id` is empty for an order that has none: it is not ours.
    `reason` is the exchange's `last_update_reason` (the stream's only), `at_us` the exchange's time of the statement.
    `changed_at_us` is when the order itself last changed, and `expiration_s` when it ends by itself (unix seconds),
    where the exchange states it. `group_id` is its order group,
    `exchange_index` its shard.
    """

    order_id: str
    client_order_id: str
    ticker: str
    outcome: Outcome
    status: OrderStatus
    price_e4: PriceE4
    count_e2: CountE2
    filled_e2: CountE2
    remaining_e2: CountE2
    at_us: int
    reason: str | None = None
    changed_at_us: int | None = None
    expiration_s: int | None = None
    group_id: str | None = None
    exchange_index: int = 0


class FillReport(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One fill of the account's. `fee_e6` is the net fee billed for it. A listing carries no client order id.

    `fill_id` is the name it is counted by: that of its trade, where that is known. `listed_id` is the listing's own
    name for it, None in a frame. A fill without either of the last two is of unknown origin and taken as it is.
    `undated`: the exchange gave no time, and `at_us` is that of the listing. `post_position_e2` is the account's signed
    position (+ YES, - NO) after it, in a frame that says so.
    """

    fill_id: str
    order_id: str
    client_order_id: str | None
    ticker: str
    outcome: Outcome
    price_e4: PriceE4
    count_e2: CountE2
    fee_e6: MoneyE6
    is_taker: bool
    at_us: int
    trade_id: str | None = None
    listed_id: str | None = None
    undated: bool = False
    post_position_e2: CountE2 | None = None


class UnreadRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a listing that is ours, or may be, and that could not be read. Empty: not even this of it is known."""

    client_order_id: str = ""
    order_id: str = ""
    why: str


class OrderListing(msgspec.Struct, frozen=True, kw_only=True):
    """A whole listing. `as_of_us`: the exchange states that it shows everything up to then. What is in it is true; what
    is not in it is absent only if no row that could not be read `hides` it."""

    as_of_us: int
    orders: tuple[OrderReport, ...]
    unread: tuple[UnreadRow, ...] = ()

    def hides(self, client_order_id: str) -> bool:
        """Whether a row that could not be read may be this order's."""
        return any(row.client_order_id in ("", client_order_id) for row in self.unread)


class FillListing(msgspec.Struct, frozen=True, kw_only=True):
    """As `OrderListing`."""

    as_of_us: int
    fills: tuple[FillReport, ...]
    unread: tuple[UnreadRow, ...] = ()

    def hides(self, order_id: str) -> bool:
        """Whether a row that could not be read may be a fill of this order."""
        return any(row.order_id in ("", order_id) for row in self.unread)
