"""What the tests of core share: a market, an execution at work, and the facts one can tell it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest
from msgspec.structs import replace

from fsm_exec.algorithms import SHIPPED
from fsm_exec.core.algorithm.algorithm import Action, Algorithm, AmendAction, Goal, PlaceAction, Progress, Slice
from fsm_exec.core.algorithm.market_view import MarketView, mid_of
from fsm_exec.core.execution.advance import Advance, advance, apply
from fsm_exec.core.execution.draft import Note, StateChange
from fsm_exec.core.execution.events import (
    AnyEvent,
    DecisionDue,
    FillReported,
    OrderAccepted,
    OrderProven,
    OrderReported,
    RenewalDue,
    StopRequested,
    Submitted,
)
from fsm_exec.core.execution.execution import ChildOrder, Execution, PendingAmend, PendingRenewal
from fsm_exec.core.journal import parts
from fsm_exec.core.journal.rows import ExecutionSave, PartsTotal, SnapshotPart
from fsm_exec.core.journal.snapshot import (
    decode_entry,
    decode_snapshot,
    encode_event,
    encode_intents,
    encode_parts,
    encode_snapshot,
)
from fsm_exec.core.journal.to_rows import save_of
from fsm_exec.core.market.book import Ladder
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.limits import Limits, resolve_limits
from fsm_exec.core.market.orders import OrderStatus, Write
from fsm_exec.core.market.terms import MarketStatus, MarketTerms
from fsm_exec.core.values.units import LINEAR_CENT, US_PER_S, CountE2, MoneyE6, Outcome, PriceE4, PriceGrid

T0_US = 1_681_149_600_000_000  # 2023-04-10T18:00:00Z
HORIZON_US = 60_000_000
GRACE_US = 5_000_000
FEES = FeeTerms(taker_e10=700_000_000, maker_e10=0)
EventT = TypeVar("EventT", bound=AnyEvent)


def ladder(*levels: tuple[int, int]) -> Ladder:
    """Prices in ten-thousandths of a dollar, counts in hundredths of a contract."""
    return tuple((PriceE4(price), CountE2(count)) for price, count in levels)


BIDS = ladder((4_900, 5_000))
ASKS = ladder((5_100, 5_000))


class Scripted:
    """An algorithm that wishes what a test tells it to; at first, to place every slice at the target price."""

    look_every_us: int | None = None
    signals_read: frozenset[str] | None = None

    def __init__(self, *counts_e2: int, closing_lead_us: int | None = None) -> None:
        self.counts_e2 = counts_e2 or (1_000,)
        self.closing_lead_us = closing_lead_us
        self.resting_at_most = 3
        self.takes_only = False
        self.post_only = False
        self.wishes: tuple[Action, ...] | None = None
        self.progress: Progress | None = None

    def plan(self, goal: Goal, view: MarketView) -> tuple[Slice, ...]:
        return tuple(Slice(level=n, count_e2=CountE2(count)) for n, count in enumerate(self.counts_e2, start=1))

    def replan(self, progress: Progress, view: MarketView) -> tuple[Action, ...]:
        self.progress = progress
        if self.wishes is not None:
            return self.wishes
        return tuple(
            PlaceAction(
                level=part.level,
                price_e4=progress.goal.limits.target_e4,
                count_e2=part.free_e2,
                post_only=self.post_only,
            )
            for part in progress.slices
            if part.working is None and part.free_e2
        )


class Driver:
    """One execution and its algorithm. `tell` takes a fact in as the engine does, and keeps what it would keep."""

    def __init__(self, submitted: Submitted, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        self.now_us = submitted.at_us
        self.changes: list[StateChange] = []
        self.notes: list[Note] = []
        self.journal: list[tuple[bytes, bytes]] = []
        self.in_flight: list[Write] = []
        self._execution: Execution | None = None
        self.stored: dict[str, SnapshotPart] = {}
        self._total: PartsTotal | None = None
        self.tell(submitted)

    @property
    def execution(self) -> Execution:
        assert self._execution is not None
        return self._execution

    @property
    def children(self) -> tuple[ChildOrder, ...]:
        return self.execution.children

    @property
    def child(self) -> ChildOrder:
        """The newest order."""
        return self.execution.children[-1]

    @property
    def state(self) -> str:
        return self.execution.state

    def tell(self, event: AnyEvent) -> Advance | None:
        """Raises what core raises; everything is then as it was."""
        before = self._execution
        step = advance(before, event, self.algorithm)
        if step is None:
            return None
        entry = encode_event(event), encode_intents(step.intents)
        folded = apply(before, *decode_entry(*entry))
        assert folded is not None
        save = save_of(before, event, step, self._total)
        assert encode_snapshot(folded.execution) == save.snapshot, "invariant 6"
        stored = parts_after(self.stored, save)
        expected = {part.name: part for part in encode_parts(folded.execution)}
        assert stored == expected, "invariant 6"
        assert decode_snapshot(save.snapshot, parts=tuple(stored.values())) == step.execution
        unsure = save_of(before, event, step)
        assert parts_after(self.stored, unsure) == expected, "whoever does not know what is stored stores the same"
        assert unsure.snapshot == save.snapshot
        assert before is None or step.execution.seq == before.seq + 1
        self.journal.append(entry)
        self.changes += step.changes
        self.notes += step.notes
        self.in_flight += step.effects
        self._execution, self.stored, self._total = step.execution, stored, save.parts_total
        return step

    def fact(self, kind: type[EventT], **fields: object) -> Advance | None:
        """Tell an event of `kind` about the newest order, a millisecond later; fields it has and you omit are its."""
        self.now_us += 1_000
        if "client_order_id" in kind.__struct_fields__:
            fields.setdefault("client_order_id", self.child.client_order_id)
        if "order_id" in kind.__struct_fields__:
            name = str(fields["client_order_id"])
            child = self.execution.child(name)
            known = None if child is None else child.order_id
            fields.setdefault("order_id", known or f"at-exchange-{name}")
        fields.setdefault("at_us", self.now_us)
        return self.tell(kind(**fields))  # type: ignore[arg-type]  # msgspec decodes what it keeps: see `tell`

    def look(self, view: MarketView | None = None, **changes: object) -> Advance | None:
        """A decision is due, not before a hold is over; the view is a live book 0.49 / 0.51 unless changed.
        `lease_s` is the lease in force."""
        lease_s = changes.pop("lease_s", None)
        assert lease_s is None or isinstance(lease_s, int)
        self.now_us = max(self.now_us + 1_000, self.execution.held_until_us)
        seen = World.view(self.now_us) if view is None else view
        return self.tell(DecisionDue(at_us=self.now_us, view=replace(seen, **changes), lease_s=lease_s))

    def renew(self, lease_s: int | None, left_s: int | None = None) -> Advance | None:
        """A renewal is due when so much is left of the newest order's time, half of the lease unless given."""
        assert self.child.expiration_s is not None
        left_s = (lease_s or 0) * 2 // 5 if left_s is None else left_s
        self.now_us = max(self.now_us + 1_000, (self.child.expiration_s - left_s) * US_PER_S)
        return self.tell(RenewalDue(at_us=self.now_us, lease_s=lease_s))

    def moved_s(self) -> int:
        """When the newest order is to end by itself once the write in flight is done."""
        assert isinstance(self.child.write, PendingRenewal)
        return self.child.write.expiration_s

    def place(self) -> ChildOrder:
        """Plan and place; the new order is intended."""
        self.look()
        assert self.child.state == "intended"
        return self.child

    def accept(self, filled: int = 0, remaining: int | None = None, **fields: object) -> Advance | None:
        """The answer to the newest order's place."""
        rest = self.child.count_e2 - filled if remaining is None else remaining
        return self.fact(OrderAccepted, filled_e2=CountE2(filled), remaining_e2=CountE2(rest), **fields)

    def fill(self, fill_id: str, count: int, **fields: object) -> Advance | None:
        fields.setdefault("price_e4", self.child.price_e4)
        fields.setdefault("mid_e5", 50_000)
        fields.setdefault("fee_e6", MoneyE6(0))
        fields.setdefault("is_taker", False)
        fields.setdefault("traded_at_us", self.now_us)
        return self.fact(FillReported, fill_id=fill_id, count_e2=CountE2(count), **fields)

    def report(
        self,
        status: OrderStatus,
        filled: int = 0,
        *,
        looked_up: bool = False,
        cause: str | None = None,
        **fields: object,
    ) -> Advance | None:
        """What the exchange says about the newest order, at the price and count we hold unless given."""
        child = self.child
        fields.setdefault("outcome", self.execution.outcome)
        fields.setdefault("price_e4", child.price_e4)
        fields.setdefault("count_e2", child.count_e2)
        fields.setdefault("remaining_e2", CountE2(child.count_e2 - filled if status == "resting" else 0))
        return self.fact(
            OrderReported, status=status, filled_e2=CountE2(filled), looked_up=looked_up, cause=cause, **fields
        )

    def frame(self, trade_id: str, count: int, **fields: object) -> Advance | None:
        """A fill as the stream tells it."""
        return self.fill(trade_id, count, **{"trade_id": trade_id, "outcome": self.execution.outcome, **fields})

    def listed(self, trade_id: str, count: int, **fields: object) -> Advance | None:
        """A fill as a listing has it."""
        return self.fill(
            trade_id,
            count,
            **{"trade_id": trade_id, "listed_id": trade_id, "outcome": self.execution.outcome, **fields},
        )

    def prove(
        self,
        status: OrderStatus | None,
        *fills: tuple[str, int],
        given_up: bool = False,
        order_id: str | None = None,
        **fields: object,
    ) -> Advance | None:
        """Listings, late enough, show the newest order in `status` (None: not at all) with these fills. `fields` are
        those of each fill."""
        self.now_us += 33_000_000
        child = self.child
        its_id = order_id or child.order_id or f"at-exchange-{child.client_order_id}"
        filled = CountE2(sum(count for _, count in fills))
        order = None
        if status is not None:
            order = OrderReported(
                at_us=self.now_us,
                client_order_id=child.client_order_id,
                order_id=its_id,
                outcome=self.execution.outcome,
                status=status,
                price_e4=child.price_e4,
                count_e2=child.count_e2,
                filled_e2=filled,
                remaining_e2=CountE2(child.count_e2 - filled if status == "resting" else 0),
                cause=None,
                looked_up=True,
            )
        one = FillReported(
            at_us=self.now_us,
            client_order_id=child.client_order_id,
            order_id=its_id,
            fill_id="",
            count_e2=CountE2(0),
            outcome=self.execution.outcome,
            price_e4=child.price_e4,
            fee_e6=MoneyE6(0),
            is_taker=False,
            traded_at_us=self.now_us,
            mid_e5=50_000,
            undated="traded_at_us" not in fields,
        )
        listed = [
            replace(one, fill_id=name, trade_id=name, listed_id=name, count_e2=CountE2(count), **fields)
            for name, count in fills
        ]
        return self.fact(
            OrderProven,
            as_of_us=self.now_us,
            order=order,
            fills=tuple(listed),
            given_up=given_up,
        )

    @property
    def script(self) -> Scripted:
        """The algorithm, which must be a script."""
        assert isinstance(self.algorithm, Scripted)
        return self.algorithm

    def reprice(self, price: int) -> PendingAmend:
        """Decide on a new price for the order of slice 1; the amend is in flight."""
        self.script.wishes = (AmendAction(level=1, price_e4=PriceE4(price)),)
        self.look()
        self.script.wishes = ()
        write = self.child.write
        assert isinstance(write, PendingAmend)
        return write

    def stop(self) -> Advance | None:
        return self.fact(StopRequested, reason="user")

    def last_effect(self) -> str:
        return self.in_flight[-1].effect_id


def parts_after(before: dict[str, SnapshotPart], save: ExecutionSave) -> dict[str, SnapshotPart]:
    """The parts of a snapshot that a store holds after this save, as its statements do it."""
    held = {} if save.clears_parts else dict(before)
    for name in save.gone_parts:
        del held[name]
    return held | {part.name: part for part in save.parts}


class World:
    """Makers of everything an execution starts from. All prices are in the execution's own outcome."""

    t0_us = T0_US
    horizon_us = HORIZON_US
    fees = FEES
    ladder = staticmethod(ladder)

    @staticmethod
    def terms(grid: PriceGrid = LINEAR_CENT, fees: FeeTerms = FEES) -> MarketTerms:
        return MarketTerms(
            ticker="KXTEST-1",
            series="KXTEST",
            event="KXTEST-E",
            category="Economics",
            status="open",
            grid=grid,
            fees=fees,
        )

    @staticmethod
    def view(
        at_us: int = T0_US,
        bids: Ladder = BIDS,
        asks: Ladder = ASKS,
        *,
        feed: str = "live",
        status: MarketStatus = "open",
        grid: PriceGrid = LINEAR_CENT,
        own_other: int | None = None,
    ) -> MarketView:
        two_sided = bool(bids and asks)
        return MarketView(
            at_us=at_us,
            book_seq=1,
            feed=feed,
            feed_age_us=0,
            status=status,
            grid=grid,
            bids=bids,
            asks=asks,
            mid_e5=mid_of(bids[0][0], asks[0][0]) if two_sided else None,
            spread_e4=asks[0][0] - bids[0][0] if two_sided else None,
            own_other_best_e4=None if own_other is None else PriceE4(own_other),
        )

    @classmethod
    def submitted(
        cls,
        *,
        target_e2: int = 1_000,
        outcome: Outcome = "yes",
        target_e4: int = 5_000,
        limits: Limits | None = None,
        arrival: MarketView | None = None,
        method: str = "test@1",
        terms: MarketTerms | None = None,
    ) -> Submitted:
        terms = cls.terms() if terms is None else terms
        if limits is None:
            limits = resolve_limits(PriceE4(target_e4), terms.grid.seen_from(outcome), terms.fees)
        return Submitted(
            at_us=T0_US,
            execution_id="e1",
            instance="aaaaaaaaaa",
            outcome=outcome,
            method=method,
            target_e2=CountE2(target_e2),
            limits=limits,
            deadline_us=T0_US + HORIZON_US,
            grace_us=GRACE_US,
            terms=terms,
            arrival=cls.view() if arrival is None else arrival,
        )

    @staticmethod
    def scripted(*counts_e2: int, closing_lead_us: int | None = None) -> Scripted:
        return Scripted(*counts_e2, closing_lead_us=closing_lead_us)

    @classmethod
    def drive(cls, algorithm: Algorithm | str = "simple_limit", submitted: Submitted | None = None) -> Driver:
        """An accepted execution; `algorithm` may be the name of a shipped method."""
        chosen = SHIPPED[algorithm] if isinstance(algorithm, str) else algorithm
        return Driver(cls.submitted() if submitted is None else submitted, chosen)


@contextmanager
def cut_small() -> Iterator[None]:
    """Snapshots are cut into so many parts that a short history has them too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "WEIGHT_KEPT", 2)
        patch.setattr(parts, "FILLS_A_PART", 2)
        yield


@pytest.fixture(scope="module")
def small_parts() -> Iterator[None]:
    """The same, for a whole module."""
    with cut_small():
        yield


@pytest.fixture(scope="session")
def world() -> World:
    return World()


@pytest.fixture
def working(world: World) -> Driver:
    """Ten contracts resting at 0.50, worked by a script that has no further wish; it may go up to 0.51."""
    driver = world.drive(world.scripted())
    driver.place()
    driver.accept()
    driver.script.wishes = ()
    return driver
