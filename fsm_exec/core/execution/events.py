"""Events: facts, in the past tense, as one execution learns them; and intents, what it decided to do about them.

The journal keeps both, so an execution can be folded again without any algorithm. `at_us` is the engine's wall time
when the fact reached it; times of the exchange have names of their own. A struct's `tag` is its name on disk, in the
log and in every answer: it is written out, and stays when the class is called otherwise.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from fsm_exec.core.algorithm.algorithm import Slice
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.market.edge import Edge
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.limits import Limits
from fsm_exec.core.market.orders import OrderStatus, TimeInForce
from fsm_exec.core.market.terms import FeeChange, MarketStatus, MarketTerms
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome, PriceE4

Reason: TypeAlias = Literal[
    "completed",
    "deadline",
    "user",
    "market_closed",
    "market_paused",
    "risk",
    "rejected",
    "cap",
    "no_liquidity",
    "no_book",
    "self_trade",
    "insufficient_balance",
    "external",
    "halt",
]
"""The closed list of `states.REASONS`; a test compares the two."""

QUARANTINE_CANCEL = "QuarantineCancel"
"""The cause in a statement about an order whose execution was quarantined, and is taken up again. Its orders were to be
cancelled then, without a decision in its journal, and such a cancel may still arrive: its end is our own doing."""

GROUP_CANCEL = "GroupCancel"
"""The cause in a statement about an order whose order group was triggered, which ends all orders of the group: by its
limit, or because another engine takes over. The exchange gives no reason for it."""


def tag_of(struct: msgspec.Struct) -> str:
    """The name of a struct's kind on disk: its tag; that of its class if it has none."""
    tag = struct.__struct_config__.tag
    return type(struct).__name__ if tag is None else str(tag)


class Event(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """Base of all events."""

    at_us: int


class Submitted(Event, frozen=True, tag="Submitted", forbid_unknown_fields=True, kw_only=True):
    """The execution was accepted: always the first event. `limits` is None if no price could be formed for want of a
    book; such an execution ends at once. `grace_us` is how long after the deadline the exchange may end its orders.
    `reduce_only`: it only closes a position of the other outcome."""

    execution_id: str
    instance: str
    outcome: Outcome
    method: str
    target_e2: CountE2
    limits: Limits | None
    deadline_us: int
    grace_us: int
    terms: MarketTerms
    arrival: MarketView
    edge: Edge | None = None
    reduce_only: bool = False


class DecisionDue(Event, frozen=True, tag="DecisionDue", forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Time to think. Journaled only if something came of it. `lease_s` is the lease in force, see
    `core.execution.lease`; None: there is none."""

    view: MarketView
    lease_s: int | None = None


class RenewalDue(Event, frozen=True, tag="RenewalDue", forbid_unknown_fields=True, kw_only=True):
    """Time to put off when a resting order ends by itself. `lease_s` as in `DecisionDue`. Journaled only if something
    came of it."""

    lease_s: int | None


class TimerFired(Event, frozen=True, tag="ClockStruck", forbid_unknown_fields=True, kw_only=True):
    """A time this execution waits for has come."""


class StopRequested(Event, frozen=True, tag="StopRequested", forbid_unknown_fields=True, kw_only=True):
    reason: Reason


class MarketChanged(Event, frozen=True, tag="MarketChanged", forbid_unknown_fields=True, kw_only=True):
    status: MarketStatus


class FeesChanged(Event, frozen=True, tag="FeesChanged", forbid_unknown_fields=True, kw_only=True):
    """The market's fees are these from `from_us` on, and `later` is what is announced. None: without a published
    formula. What was known of them before holds until then."""

    from_us: int
    fees: FeeTerms | None
    later: tuple[FeeChange, ...] = ()


class PositionRead(Event, frozen=True, tag="PositionRead", forbid_unknown_fields=True, kw_only=True):
    """What the account holds of the market, signed (+ YES, - NO), by an answer that was asked for at `asked_at_us`."""

    position_e2: CountE2
    asked_at_us: int


class DrainRequested(Event, frozen=True, tag="DrainRequested", forbid_unknown_fields=True, kw_only=True):
    """The process is about to leave: what is live is cancelled and nothing new is placed, but the execution does not
    end. The next process takes it up again."""


class OrderAccepted(Event, frozen=True, tag="OrderAccepted", forbid_unknown_fields=True, kw_only=True):
    """The answer to a place: it is in. `remaining_e2` 0 means that it has also ended. `counts_cross`, here and in other
    answers: a post-only order that would have crossed counts as a refusal, as it did before version 4."""

    client_order_id: str
    order_id: str
    filled_e2: CountE2
    remaining_e2: CountE2
    counts_cross: bool = False


class OrderRefused(Event, frozen=True, tag="OrderRefused", forbid_unknown_fields=True, kw_only=True):
    client_order_id: str
    code: str
    message: str
    counts_cross: bool = False


class PlaceUnconfirmed(Event, frozen=True, tag="OrderDoubted", forbid_unknown_fields=True, kw_only=True):
    """A place without proof of its outcome. `code` is the exchange's, where it said a definite no that is not listed
    as a refusal."""

    client_order_id: str
    why: str
    code: str | None = None


class OrderNotSent(Event, frozen=True, tag="OrderWithdrawn", forbid_unknown_fields=True, kw_only=True):
    """A place that was never handed to the socket."""

    client_order_id: str
    why: str


class OrderNotFound(Event, frozen=True, tag="OrderAbsent", forbid_unknown_fields=True, kw_only=True):
    """Proof that an unknown order is not at the exchange: a listing complete up to `as_of_us` does not have it."""

    client_order_id: str
    as_of_us: int


class CancelAnswered(Event, frozen=True, tag="CancelAnswered", forbid_unknown_fields=True, kw_only=True):
    client_order_id: str
    order_id: str
    reduced_by_e2: CountE2


class AmendRefused(Event, frozen=True, tag="AmendRefused", forbid_unknown_fields=True, kw_only=True):
    """A definite no, or never handed to the socket: the order stands as it was."""

    client_order_id: str
    effect_id: str
    code: str
    message: str = ""
    counts_cross: bool = False


class WriteUnconfirmed(Event, frozen=True, tag="WriteLost", forbid_unknown_fields=True, kw_only=True):
    """A cancel that was not done, or an amend without proof: a question, answered by a look-up. `code` as in
    `PlaceUnconfirmed`."""

    client_order_id: str
    effect_id: str
    why: str
    code: str | None = None


class AmendAnswered(Event, frozen=True, tag="AmendAnswered", forbid_unknown_fields=True, kw_only=True):
    client_order_id: str
    order_id: str
    filled_e2: CountE2 | None
    remaining_e2: CountE2 | None


class OrderReported(Event, frozen=True, tag="OrderReported", forbid_unknown_fields=True, kw_only=True):
    """The exchange's statement about one order. `looked_up`: from a listing asked for after the doubt began, which
    alone can settle a lost write; a frame of the stream may be older than it looks. `expiration_s` is when the order
    ends by itself there (unix seconds); None: not stated."""

    client_order_id: str
    order_id: str
    outcome: Outcome
    status: OrderStatus
    price_e4: PriceE4
    count_e2: CountE2
    filled_e2: CountE2
    remaining_e2: CountE2
    cause: str | None
    looked_up: bool
    counts_cross: bool = False
    expiration_s: int | None = None


class FillReported(Event, frozen=True, tag="FillReported", forbid_unknown_fields=True, kw_only=True):
    """`mid_e5` is the mid of the own outcome just before the fill, as far as the feed knew. `price_e4` is in that
    outcome, too; `outcome` is the one the exchange named, None: it was not kept (before version 3).

    With a `listed_id` it comes from a listing, and what was counted is compared with it; with a `trade_id` alone it
    comes from a frame, which is believed as far as it can be true. Without either it is taken as it is."""

    client_order_id: str
    order_id: str
    fill_id: str
    price_e4: PriceE4
    count_e2: CountE2
    fee_e6: MoneyE6
    is_taker: bool
    traded_at_us: int
    mid_e5: int | None
    trade_id: str | None = None
    listed_id: str | None = None
    outcome: Outcome | None = None
    undated: bool = False


class OrderProven(Event, frozen=True, tag="OrderProven", forbid_unknown_fields=True, kw_only=True):
    """What the listings of orders and of fills, both as of `as_of_us` or later, say about one order: its row (None:
    there is none) and all of its fills. It is later, by the signature window and the read lag, than all that is doubted
    here, so it is the truth: what answers and frames said otherwise is corrected.

    `given_up`: row and fills contradict each other, or us, for good, and the execution's owner wants its end: the fills
    that are listed are counted, and the order is not waited for any more."""

    client_order_id: str
    as_of_us: int
    order: OrderReported | None
    fills: tuple[FillReported, ...]
    given_up: bool = False


class OrderDisputed(Event, frozen=True, tag="OrderDisputed", forbid_unknown_fields=True, kw_only=True):
    """A listing contradicts what was said about an order before: later ones settle it."""

    client_order_id: str
    why: str


class Restored(Event, frozen=True, tag="Restored", forbid_unknown_fields=True, kw_only=True):
    """The process is a new one, or the execution's task is: whatever stood in the outbox may have been done or not.

    With it comes what the exchange's listings show and the execution does not know. It is one fact, so that nothing is
    decided half-way through it. `market` is the market's status, None if it could not be read. `instance` is the
    database's, where that is another than the execution's: a restored copy, whose new orders must not be named as
    those that the original may have placed since."""

    market: MarketStatus | None = None
    orders: tuple[OrderReported, ...] = ()
    fills: tuple[FillReported, ...] = ()
    instance: str | None = None


AnyEvent: TypeAlias = (
    Submitted
    | DecisionDue
    | RenewalDue
    | TimerFired
    | StopRequested
    | MarketChanged
    | FeesChanged
    | PositionRead
    | DrainRequested
    | Restored
    | OrderAccepted
    | OrderRefused
    | PlaceUnconfirmed
    | OrderNotSent
    | OrderNotFound
    | CancelAnswered
    | WriteUnconfirmed
    | AmendAnswered
    | AmendRefused
    | OrderReported
    | FillReported
    | OrderProven
    | OrderDisputed
)


class Intent(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """Base of what `decide` returns and `apply` carries out."""


class MakePlan(Intent, frozen=True, tag="MakePlan", forbid_unknown_fields=True, kw_only=True):
    slices: tuple[Slice, ...]


class Transfer(Intent, frozen=True, tag="Transfer", forbid_unknown_fields=True, kw_only=True):
    """The slices have new sizes; their sum is what it was."""

    slices: tuple[Slice, ...]


class BeginClosing(Intent, frozen=True, tag="BeginClosing", forbid_unknown_fields=True, kw_only=True):
    """From now on no algorithm is asked: what rests is cancelled, and one last order takes the rest."""


class Place(Intent, frozen=True, tag="Place", forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A new order. `expires_s`, here and below: when the exchange ends it by itself, in unix seconds; None: with its
    execution."""

    level: int
    price_e4: PriceE4
    count_e2: CountE2
    time_in_force: TimeInForce
    post_only: bool
    mid_e5: int | None
    expires_s: int | None = None


class ResendPlace(Intent, frozen=True, tag="PlaceAgain", forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The same request with the same id, after proof that the first one never arrived. `expires_s` None: it ends when
    it did."""

    client_order_id: str
    expires_s: int | None = None


class Amend(Intent, frozen=True, tag="Reprice", forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A new price. `expires_s` None: its end by itself stays."""

    client_order_id: str
    price_e4: PriceE4
    expires_s: int | None = None


class Renew(Intent, frozen=True, tag="Renew", forbid_unknown_fields=True, kw_only=True):
    """Another end by itself for an order that rests, and nothing else: it keeps its place in the queue."""

    client_order_id: str
    expiration_s: int


class Cancel(Intent, frozen=True, tag="Withdraw", forbid_unknown_fields=True, kw_only=True):
    client_order_id: str


class ResendCancel(Intent, frozen=True, tag="WithdrawAgain", forbid_unknown_fields=True, kw_only=True):
    """A cancel that got lost, or that a restart found without an outcome, once more: it can do nothing twice."""

    client_order_id: str


class DropUnsent(Intent, frozen=True, tag="Forgo", forbid_unknown_fields=True, kw_only=True):
    """Not to send an order again that was proven never to have arrived: nothing is wanted of it any more."""

    client_order_id: str


class GiveUp(Intent, frozen=True, tag="GiveUp", forbid_unknown_fields=True, kw_only=True):
    reason: Reason


AnyIntent: TypeAlias = (
    MakePlan
    | Transfer
    | BeginClosing
    | Place
    | ResendPlace
    | Amend
    | Renew
    | Cancel
    | ResendCancel
    | DropUnsent
    | GiveUp
)
