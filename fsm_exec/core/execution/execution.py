"""The execution and its child orders as data: frozen, tuples inside, and everything derivable derived.

All prices are in the execution's own outcome. Quantities are never carried as remainders: what may still be placed is
target - filled - live - unknown, computed each time.

What is frozen and holds only what was there before it cannot be part of a cycle. Such structs are made with gc=False,
here and in the modules around: the collector's walks over a thousand executions were a fifth of the engine's own time.
"""

from __future__ import annotations

import msgspec

from fsm_exec.core.algorithm.algorithm import Goal, Slice
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.errors import LocalError
from fsm_exec.core.execution.events import Reason
from fsm_exec.core.execution.timing import FEE_LEAD_US
from fsm_exec.core.market.edge import Edge
from fsm_exec.core.market.limits import Limits, largest_within
from fsm_exec.core.market.orders import TimeInForce
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome, PriceE4
from states import TABLES

EXECUTION_ENDS = frozenset(TABLES["execution"].terminal)
CHILD_ENDS = frozenset(TABLES["child_order"].terminal)
CHILD_LIVE = frozenset({"resting", "partial", "cancelling"})
HOLD_MAX_US = 30_000_000
"""How long nothing is placed at most after a refusal that says nothing about the order."""


class Fill(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """A fill that is counted. `fill_id` is the name it was first counted by and never changes; which fill it is, its
    trade and its order say (`core.execution.fills.is_same_fill`). `listed_id` is the listing's name for it, where that
    is another or came first. `heard_at_us`: only a frame has reported it, then; a listing that does not have it takes
    it back."""

    fill_id: str
    order_id: str
    price_e4: PriceE4
    count_e2: CountE2
    fee_e6: MoneyE6
    is_taker: bool
    traded_at_us: int
    mid_e5: int | None
    trade_id: str | None = None
    listed_id: str | None = None
    heard_at_us: int | None = None


class Suspicion(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """Something was said about an order that cannot be right, or that a listing contradicts, and was not believed.
    Listings later than `since_us` by the signature window and the read lag are the truth of it."""

    why: str
    since_us: int


class PendingAmend(msgspec.Struct, frozen=True, gc=False, tag="amend", forbid_unknown_fields=True, kw_only=True):
    """`answer` is the exchange's word for a definite no that is not listed as a refusal."""

    effect_id: str
    price_e4: PriceE4
    total_e2: CountE2
    lost: bool = False
    answer: str | None = None


class PendingRenewal(PendingAmend, frozen=True, gc=False, tag="renewal", forbid_unknown_fields=True, kw_only=True):
    """An amend that moves the end by itself, too: to `expiration_s`, in unix seconds. At the price that the order has
    it changes nothing else. Until it is settled both ends are possible."""

    expiration_s: int


class PendingCancel(msgspec.Struct, frozen=True, gc=False, tag="cancel", forbid_unknown_fields=True, kw_only=True):
    """`lost`: refused or without proof, so only a look-up decides whether the order lives. `doubtful_price_e4` is
    the price of an amend that got lost before this cancel: the order may stand there too."""

    effect_id: str
    lost: bool = False
    doubtful_price_e4: PriceE4 | None = None


class ChildOrder(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """One order. `counted_e2` is the sum of `fills`; `reported_e2` the highest filled count any answer or frame stated,
    which only a proof by listings takes down (`core.recovery.proof`). `answer` is the exchange's word for a definite no
    to its place that is not listed as a refusal. `late` holds fills beyond the count or after the end. `sent_at_us` is
    when the place was last decided; of a doubtful one, the latest moment at which it can have been sent. `moved_at_us`
    is when its last new price was learned to stand. `late_cancel_until_us`: until then a lost cancel of ours may still
    arrive, although the order was seen alive. `is_cut`: the exchange let it close less than its count, because less was
    held."""

    client_order_id: str
    level: int
    attempt: int
    price_e4: PriceE4
    count_e2: CountE2
    time_in_force: TimeInForce
    post_only: bool
    expiration_s: int | None
    sent_at_us: int
    state: str = "intended"
    order_id: str | None = None
    write: PendingAmend | PendingRenewal | PendingCancel | None = None
    counted_e2: CountE2 = CountE2(0)
    reported_e2: CountE2 = CountE2(0)
    walks: int = 0
    moved_at_us: int | None = None
    fills: tuple[Fill, ...] = ()
    late: tuple[Fill, ...] = ()
    late_cancel_until_us: int = 0
    suspicion: Suspicion | None = None
    answer: str | None = None
    is_cut: bool = False

    @property
    def is_open(self) -> bool:
        return self.state not in CHILD_ENDS

    @property
    def late_e2(self) -> CountE2:
        return CountE2(sum(fill.count_e2 for fill in self.late) if self.late else 0)

    @property
    def filled_e2(self) -> CountE2:
        return CountE2(self.counted_e2 + self.late_e2)

    @property
    def committed_e2(self) -> CountE2:
        """What this order has bought or may still buy: the most it can add to the execution."""
        if not self.is_open:
            return self.filled_e2
        if self.state == "settling":
            return CountE2(self.reported_e2 + self.late_e2)
        amended = self.write.total_e2 if isinstance(self.write, PendingAmend) else 0
        return CountE2(max(self.count_e2, amended) + self.late_e2)

    def has_fill(self, order_id: str, fill_id: str) -> bool:
        return any(f.fill_id == fill_id and f.order_id == order_id for f in (*self.fills, *self.late))


class OutboxEntry(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A write that was decided and whose outcome is not journaled yet."""

    effect_id: str
    kind: str
    client_order_id: str


class Ending(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A flag with a reason: from now on only cancels, look-ups and settling."""

    reason: Reason
    at_us: int


class Closing(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """The closing leg has begun. `order` is its own order, the newest if one never reached the exchange."""

    at_us: int
    order: str | None = None


class Execution(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """`seq` is the number of its last journal row. `first_write_*`: when, and at which mid, the first order was
    decided. `refusals` counts refusals in a row; `holds` counts placings in a row that said nothing about the order
    (market paused, no tokens, never sent), after which nothing is placed before `held_until_us`. `writes` counts the
    creates, amends and cancels decided. `draining`: this process is leaving, so nothing is sent but cancels.
    `refusal` holds the exchange's words at its last refusal; `proven_no` its codes that are not listed as refusals, and
    after which an order was proven absent: the same answer again is a refusal. `reduce_only`: it closes a position of
    the other outcome, so each of its orders is immediate and fills no more than closes what is held then."""

    execution_id: str
    instance: str
    outcome: Outcome
    method: str
    target_e2: CountE2
    limits: Limits | None
    accepted_at_us: int
    deadline_us: int
    grace_us: int
    terms: MarketTerms
    arrival: MarketView
    edge: Edge | None = None
    reduce_only: bool = False
    seq: int = 0
    state: str = "pending"
    reason: Reason | None = None
    ended_at_us: int | None = None
    ending: Ending | None = None
    closing: Closing | None = None
    slices: tuple[Slice, ...] = ()
    children: tuple[ChildOrder, ...] = ()
    outbox: tuple[OutboxEntry, ...] = ()
    first_write_at_us: int | None = None
    first_write_mid_e5: int | None = None
    walks: int = 0
    writes: int = 0
    refusals: int = 0
    holds: int = 0
    held_until_us: int = 0
    draining: bool = False
    refusal: str | None = None
    proven_no: tuple[str, ...] = ()

    @property
    def is_ended(self) -> bool:
        return self.state in EXECUTION_ENDS

    def works_with(self, child: ChildOrder) -> bool:
        """Whether this order may still be sent: not once the execution is ending or draining, and in the closing leg
        only its own."""
        if self.ending is not None or self.draining:
            return False
        return self.closing is None or self.closing.order == child.client_order_id

    @property
    def filled_e2(self) -> CountE2:
        return CountE2(
            sum(child.counted_e2 if not child.late else child.filled_e2 for child in self.children)
        )  # no call for most of thousands

    @property
    def begun_us(self) -> int:
        """The earliest time that our clock gave to any of it: it may have been put back since the acceptance. A listing
        from shortly before then on has all of its orders."""
        times = [self.accepted_at_us, *(child.sent_at_us for child in self.children)]
        return min(times if self.first_write_at_us is None else [*times, self.first_write_at_us])

    def is_held(self, at_us: int) -> bool:
        """Whether nothing may be placed yet. A hold that would last longer than any was made by a clock that has been
        put back since."""
        return self.held_until_us - HOLD_MAX_US <= at_us < self.held_until_us

    @property
    def unsent(self) -> tuple[ChildOrder, ...]:
        """Orders proven absent: no task is sending them, and no answer will come."""
        intended = [child for child in self.children if child.state == "intended"]
        if not intended:  # nearly always
            return ()
        sending = {entry.client_order_id for entry in self.outbox}
        return tuple(child for child in intended if child.client_order_id not in sending)

    @property
    def free_e2(self) -> CountE2:
        """What may be placed now without any chance of more than the target. An order whose end is doubted may live."""
        return CountE2(
            self.target_e2
            - sum(
                child.counted_e2
                if child.suspicion is None and child.state in CHILD_ENDS and not child.late
                else child.committed_e2
                if child.suspicion is None
                else max(child.count_e2, child.committed_e2)
                for child in self.children
            )
        )

    @property
    def fills(self) -> tuple[Fill, ...]:
        """All fills, late ones included, in the order of the exchange's time."""
        found = [fill for child in self.children for fill in (*child.fills, *child.late)]
        return tuple(sorted(found, key=lambda fill: (fill.traded_at_us, fill.fill_id)))

    def limits_at(self, at_us: int) -> Limits | None:
        """The limits within which an order may be decided now: the worst price is lower where fees are higher than the
        limits were made by, or soon will be. None: the cap allows no price at all."""
        limits, terms = self.limits, self.terms
        if limits is None or not terms.fee_changes:
            return limits
        fees = terms.dearest_fees(at_us, at_us + FEE_LEAD_US)
        within = None if fees is None else largest_within(limits.cap_e6, terms.grid.seen_from(self.outcome), fees)
        if within is None:
            return None
        worst = min(within, limits.worst_e4)
        return Limits(min(limits.target_e4, worst), worst, limits.cap_e6)

    def beyond_cap_from_us(self, price: PriceE4, at_us: int, *, taker: bool) -> int | None:
        """From when on, at `at_us` or later, a contract at `price` would cost more than the cap; None: never, as far as
        is known."""
        if self.limits is None or not self.terms.fee_changes:
            return None
        return self.terms.beyond_from_us(self.limits.cap_e6, price, at_us, taker=taker)

    def goal_at(self, at_us: int) -> Goal:
        """The task as the algorithm sees it now. Raises LocalError if no order may be decided at all."""
        limits = self.limits_at(at_us)
        if limits is None:
            raise LocalError(f"{self.execution_id} has no limits and therefore no goal")
        return Goal(
            target_e2=self.target_e2,
            limits=limits,
            accepted_at_us=self.accepted_at_us,
            deadline_us=self.deadline_us,
            grid=self.terms.grid.seen_from(self.outcome),
            fees=self.terms.fees_at(at_us),
            arrival=self.arrival,
            edge=self.edge,
        )

    def child(self, client_order_id: str) -> ChildOrder | None:
        for child in reversed(self.children):  # of thousands it is mostly the newest
            if child.client_order_id == client_order_id:
                return child
        return None
