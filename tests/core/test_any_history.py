"""Any sequence of events, true, false or nonsense: what `advance` must keep whatever it is told.

Most drawn events are about the execution's own orders, so that many are relevant; nothing makes them consistent. An
event that raises leaves everything as it was; one that is taken keeps the invariants. After any of it, answers that
contradict nothing said before bring the execution to its end.

The teller is no exchange and holds no orders: most of what it says no exchange would, and its last answers are drawn
from what the execution itself believes. What a true one says is for test_truthful_exchange.py.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import (
    Action,
    Algorithm,
    AmendAction,
    CancelAction,
    GiveUpAction,
    Goal,
    PlaceAction,
    Progress,
    Slice,
    TransferAction,
)
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.errors import LocalError
from fsm_exec.core.execution.advance import advance, apply, decide_at, fold
from fsm_exec.core.execution.events import (
    AmendAnswered,
    AmendRefused,
    AnyEvent,
    CancelAnswered,
    DecisionDue,
    DrainRequested,
    FillReported,
    MarketChanged,
    OrderAccepted,
    OrderDisputed,
    OrderNotFound,
    OrderNotSent,
    OrderProven,
    OrderRefused,
    OrderReported,
    PlaceUnconfirmed,
    PositionRead,
    Restored,
    StopRequested,
    TimerFired,
    WriteUnconfirmed,
)
from fsm_exec.core.execution.execution import (
    CHILD_ENDS,
    EXECUTION_ENDS,
    ChildOrder,
    Execution,
    PendingAmend,
    PendingCancel,
)
from fsm_exec.core.execution.order_checks import IllegalAction
from fsm_exec.core.journal.snapshot import decode_entry, encode_snapshot
from fsm_exec.core.market.client_order_id import INSTANCE_CHARS
from fsm_exec.core.recovery.recovery import brings_only_epoch
from fsm_exec.core.values.units import CountE2, MoneyE6, PriceE4

if TYPE_CHECKING:
    from tests.core.conftest import Driver, World

pytestmark = pytest.mark.usefixtures("small_parts")

STEPS = 40
CLOSING_AFTER_US = 8_000  # of the horizon: about half of a history's time
CLOSING_ROUNDS_MAX = 40
CODES = ("invalid_price", "insufficient_balance", "trading_is_paused", "not_sent", "market_not_found")
CAUSES = (None, "ReduceOnlyCancel", "ExpiryCancel", "CloseCancel", "HaltCancel", "SelfTradeCancel", "Trade", "Decrease")


class Wild:
    """Wishes, by the view's number, for what is allowed and for what is not. `honest`: only for what is allowed.
    `takes_only`: only for immediate orders."""

    look_every_us: int | None = None
    signals_read: frozenset[str] | None = None

    def __init__(self, *, honest: bool, closing_lead_us: int | None = None, takes_only: bool = False) -> None:
        self.honest = honest
        self.closing_lead_us = closing_lead_us
        self.resting_at_most = 3
        self.takes_only = takes_only

    def plan(self, goal: Goal, view: MarketView) -> tuple[Slice, ...]:
        if not self.honest and view.book_seq % 5 == 0:
            return (Slice(level=view.book_seq % 2, count_e2=CountE2(goal.target_e2 - 1)),)
        third = goal.target_e2 // 3
        counts = third, third, goal.target_e2 - 2 * third
        return tuple(Slice(level=n, count_e2=CountE2(count)) for n, count in enumerate(counts, start=1))

    def replan(self, progress: Progress, view: MarketView) -> tuple[Action, ...]:
        dice = Random(view.book_seq)
        if dice.randrange(40) == 0:
            return (GiveUpAction(reason="cap"),)
        wishes: list[Action] = []
        source = progress.slices[dice.randrange(len(progress.slices))]
        if dice.randrange(4) == 0 and (source.free_e2 or not self.honest):
            others = [part.level for part in progress.slices if part is not source]
            part_e2 = CountE2(dice.randint(1, max(1, source.free_e2)))
            return (TransferAction(from_level=source.level, to_level=dice.choice(others), count_e2=part_e2),)
        for part in progress.slices:
            illegal = not self.honest and dice.randrange(4) == 0
            price = PriceE4(progress.goal.limits.worst_e4 - 100 * dice.randrange(3) + (50 if illegal else 0))
            if part.working is None or illegal:
                if part.free_e2 or illegal:
                    count = part.free_e2 + dice.randint(0, 3) if illegal else dice.randint(1, part.free_e2)
                    place = PlaceAction(level=part.level, price_e4=price, count_e2=CountE2(count))
                    takes = self.takes_only and not illegal
                    wishes.append(replace(place, time_in_force="immediate_or_cancel") if takes else place)
            elif not self.takes_only and dice.randrange(3) == 0:
                wishes.append(AmendAction(level=part.level, price_e4=price))
            elif dice.randrange(3) == 0:
                wishes.append(CancelAction(level=part.level))
            if illegal and dice.randrange(2):
                wishes.append(CancelAction(level=dice.randrange(5)))
        return tuple(wishes)


ALGORITHMS: dict[str, Algorithm | str] = {
    "simple_limit": "simple_limit",
    "market": "market",
    "honest": Wild(honest=True),
    "wild": Wild(honest=False),
    "reduce_only": Wild(honest=True, takes_only=True, closing_lead_us=60_000_000 - CLOSING_AFTER_US),
    "reduce_only_wild": Wild(honest=False, takes_only=True),
    "closing": Wild(honest=True, closing_lead_us=60_000_000 - CLOSING_AFTER_US),
}


def check_epoch(execution: Execution, at_us: int, algorithm: Algorithm) -> None:
    """What is told no more than a new epoch puts that down, and does nothing else."""
    named = execution.instance[:INSTANCE_CHARS] + "epochs"
    event = Restored(at_us=at_us, market="open", instance=named)
    if not brings_only_epoch(execution, event, algorithm):
        return
    step = advance(execution, event, algorithm)
    assert step is not None
    assert step.execution == replace(execution, instance=named, seq=execution.seq + 1)
    assert (step.intents, step.effects, step.changes, step.notes) == ((), (), (), ())


class Teller:
    """Draws events about an execution and checks what must hold after each."""

    def __init__(self, driver: Driver, data: st.DataObject, world: World) -> None:
        self.driver, self._data, self._world = driver, data, world
        self.fills: dict[tuple[str, str], int] = {}

    def draw(self, low: int, high: int) -> int:
        return self._data.draw(st.integers(low, high))

    def tell(self, event: AnyEvent) -> bool:
        """False if it raised."""
        note(repr(event))
        driver = self.driver
        before = driver.execution
        frozen = encode_snapshot(before)
        sent = len(driver.in_flight)
        check_epoch(before, event.at_us, driver.algorithm)
        try:
            intents = decide_at(before, event, driver.algorithm)
            parts = apply(before, event, intents)
            step = driver.tell(event)
        except LocalError:
            assert driver.execution is before
            assert encode_snapshot(before) == frozen, "an event that raises changes nothing"
            return False
        assert parts == step, "advance is apply of decide"
        assert advance(before, event, driver.algorithm) == step, "the same answer to the same arguments"
        if isinstance(event, OrderProven):  # the truth, whatever was said before
            for key in [key for key in self.fills if key[0] == event.client_order_id]:
                del self.fills[key]
        told = event.fills if isinstance(event, Restored | OrderProven) else (event,)
        for fill in told:
            if isinstance(fill, FillReported):
                child = driver.execution.child(fill.client_order_id)
                if child is not None and child.order_id == fill.order_id:  # otherwise it is not believed
                    self.fills.setdefault((fill.client_order_id, fill.fill_id), fill.count_e2)
        if step is None:
            assert driver.execution is before
        assert len({write.effect_id for write in driver.in_flight}) == len(driver.in_flight)
        stays_away = before.draining and not isinstance(event, Restored)
        if before.ending is not None or stays_away or event.at_us >= before.deadline_us:
            assert all(type(write).__name__ == "CancelOrder" for write in driver.in_flight[sent:]), "invariant 9"
        check(before, driver.execution, is_proof=isinstance(event, OrderProven))
        assert driver.execution.filled_e2 == sum(self.fills.values()), "invariant 3"
        return True

    def event(self) -> AnyEvent:
        driver, execution = self.driver, self.driver.execution
        driver.now_us += self.draw(1, 1_000)
        at_us = driver.now_us
        if not execution.children or self.draw(0, 5) == 0:
            return self.general(at_us)
        child = execution.children[self.draw(0, len(execution.children) - 1)]
        name = child.client_order_id if self.draw(0, 30) else "fxaaaaaaaaaa-e1-7-7"
        order_id = (child.order_id or f"id-{name}") if self.draw(0, 30) else "another"
        count = CountE2(self.draw(-1 if self.draw(0, 20) == 0 else 0, child.count_e2))
        rest = CountE2(child.count_e2 - max(count, child.reported_e2) if self.draw(0, 3) else 0)
        write_id = child.write.effect_id if child.write is not None and self.draw(0, 9) else "e1:1:1"
        match self.draw(0, 13):
            case 13:
                why = OrderDisputed(at_us=at_us, client_order_id=name, why="")
                return self.proven(child, at_us) if self.draw(0, 1) else why
            case 0:
                return OrderAccepted(
                    at_us=at_us, client_order_id=name, order_id=order_id, filled_e2=count, remaining_e2=rest
                )
            case 1:
                code = CODES[self.draw(0, len(CODES) - 1)]
                return OrderRefused(at_us=at_us, client_order_id=name, code=code, message="")
            case 2:
                return PlaceUnconfirmed(at_us=at_us, client_order_id=name, why="")
            case 3:
                return OrderNotSent(at_us=at_us, client_order_id=name, why="")
            case 4:
                return OrderNotFound(at_us=at_us, client_order_id=name, as_of_us=at_us + self.draw(-2_000, 2_000))
            case 5:
                return CancelAnswered(at_us=at_us, client_order_id=name, order_id=order_id, reduced_by_e2=rest)
            case 6:
                return WriteUnconfirmed(at_us=at_us, client_order_id=name, effect_id=write_id, why="")
            case 7:
                return AmendAnswered(
                    at_us=at_us,
                    client_order_id=name,
                    order_id=order_id,
                    filled_e2=count if self.draw(0, 1) else None,
                    remaining_e2=rest if self.draw(0, 1) else None,
                )
            case 8:
                code = CODES[self.draw(0, len(CODES) - 1)]
                return AmendRefused(at_us=at_us, client_order_id=name, effect_id=write_id, code=code)
            case 9 | 10:
                return self.reported(child, name, order_id, at_us, rest)
            case 11:
                return self.restored(at_us)
            case _:
                return self.filled(child, name, order_id, at_us, count)

    def general(self, at_us: int) -> AnyEvent:
        """An event about the execution as a whole."""
        match self.draw(0, 19):
            case 0:
                return StopRequested(at_us=at_us, reason="halt")
            case 1:
                return MarketChanged(at_us=at_us, status=("open", "paused", "closed")[self.draw(0, 2)])
            case 2 | 3:
                return self.restored(at_us)
            case 8:
                return DrainRequested(at_us=at_us)
            case 9 | 10 if self.driver.execution.reduce_only:
                self.driver.now_us = at_us = at_us + self.draw(0, 3_000_000)
                position_e2 = CountE2(self.draw(-1, 1) * 100)
                return PositionRead(at_us=at_us, position_e2=position_e2, asked_at_us=at_us - self.draw(0, 1_000))
            case 4 | 6 | 7:
                near_us = self.driver.execution.deadline_us + self.draw(-1_000, 1_000)
                self.driver.now_us = max(self.driver.now_us, near_us)
                return TimerFired(at_us=self.driver.now_us)
            case 5:
                return self._world.submitted()
            case _:
                pass  # a decision, as most of the time
        own = self.draw(4_600, 5_400) if self.draw(0, 3) == 0 else None
        feed = "live" if self.draw(0, 4) else "gapped"
        view = replace(self._world.view(at_us, feed=feed, own_other=own), book_seq=self.draw(0, 10_000))
        return DecisionDue(at_us=at_us, view=view)

    def restored(self, at_us: int) -> Restored:
        """With nothing, or with statements and fills of some orders, true or not, in any order."""
        orders: list[OrderReported] = []
        fills: list[FillReported] = []
        for child in self.driver.children if self.draw(0, 2) else ():
            name, order_id = child.client_order_id, child.order_id or f"id-{child.client_order_id}"
            if self.draw(0, 1):
                rest = CountE2(child.count_e2 - child.reported_e2 if self.draw(0, 3) else 0)
                orders.append(self.reported(child, name, order_id, at_us, rest))
            if self.draw(0, 2) == 0:
                count = CountE2(self.draw(0, child.count_e2))
                fills.append(self.filled(child, name, order_id, at_us, count))
        return Restored(
            at_us=at_us,
            market=(None, "open", "paused", "closed")[self.draw(0, 3)] if self.draw(0, 3) == 0 else None,
            orders=tuple(orders),
            fills=tuple(fills),
            instance="bbbbbbbbbb" if self.draw(0, 9) == 0 else None,
        )

    def proven(self, child: ChildOrder, at_us: int) -> OrderProven:
        """Late listings have the order ended with some of its fills, and perhaps one more."""
        order_id = child.order_id or f"id-{child.client_order_id}"
        kept = [fill for fill in (*child.fills, *child.late) if self.draw(0, 4)]
        while sum(fill.count_e2 for fill in kept) > child.count_e2:
            kept.pop()  # no order has more
        more = child.count_e2 - sum(fill.count_e2 for fill in kept)
        fills = [(fill.fill_id, fill.count_e2) for fill in kept]
        if more > 0 and self.draw(0, 2) == 0:
            fills.append((f"more-{at_us}", CountE2(self.draw(1, more))))
        total = CountE2(sum(count for _, count in fills))
        return OrderProven(
            at_us=at_us,
            client_order_id=child.client_order_id,
            as_of_us=at_us,
            order=OrderReported(
                at_us=at_us,
                client_order_id=child.client_order_id,
                order_id=order_id,
                outcome=self.driver.execution.outcome,
                status="canceled",
                price_e4=child.price_e4,
                count_e2=child.count_e2,
                filled_e2=total,
                remaining_e2=CountE2(0),
                cause=None,
                looked_up=True,
            ),
            fills=tuple(
                FillReported(
                    at_us=at_us,
                    client_order_id=child.client_order_id,
                    order_id=order_id,
                    fill_id=fill_id,
                    listed_id=fill_id,
                    price_e4=child.price_e4,
                    count_e2=count,
                    fee_e6=MoneyE6(0),
                    is_taker=False,
                    traded_at_us=at_us,
                    mid_e5=None,
                )
                for fill_id, count in fills
            ),
        )

    def filled(self, child: ChildOrder, name: str, order_id: str, at_us: int, count: CountE2) -> FillReported:
        return FillReported(
            at_us=at_us,
            client_order_id=name,
            order_id=order_id,
            fill_id=f"f{self.draw(0, 6)}",
            price_e4=child.price_e4,
            count_e2=CountE2(self.draw(1, child.count_e2)) if self.draw(0, 2) else count,
            fee_e6=MoneyE6(self.draw(0, 9)),
            is_taker=bool(self.draw(0, 1)),
            traded_at_us=at_us,
            mid_e5=None,
        )

    def reported(self, child: ChildOrder, name: str, order_id: str, at_us: int, rest: CountE2) -> OrderReported:
        prices = [child.price_e4] * 3
        if isinstance(child.write, PendingAmend):
            prices.append(child.write.price_e4)
        elif isinstance(child.write, PendingCancel) and child.write.doubtful_price_e4 is not None:
            prices.append(child.write.doubtful_price_e4)
        elif self.draw(0, 9) == 0:
            prices.append(PriceE4(self.draw(0, 10_000)))
        filled = CountE2(self.draw(min(child.counted_e2, child.count_e2), child.count_e2))
        cut = self.driver.execution.reduce_only and self.draw(0, 2) == 0  # to what is held
        return OrderReported(
            at_us=at_us,
            client_order_id=name,
            order_id=order_id,
            outcome=self.driver.execution.outcome if self.draw(0, 40) else "no",
            status=("resting", "resting", "canceled", "executed")[self.draw(0, 3)],
            price_e4=prices[self.draw(0, len(prices) - 1)],
            count_e2=CountE2(self.draw(filled, child.count_e2)) if cut else child.count_e2,
            filled_e2=filled,
            remaining_e2=rest,
            cause=CAUSES[self.draw(0, len(CAUSES) - 1)],
            looked_up=bool(self.draw(0, 1)),
        )

    def close(self) -> None:
        """Answer whatever is open without contradicting anything said before: it must end."""
        self.driver.now_us += 1
        self.tell(StopRequested(at_us=self.driver.now_us, reason="user"))
        for _ in range(CLOSING_ROUNDS_MAX):
            if self.driver.execution.is_ended:
                return
            for name in [child.client_order_id for child in self.driver.children]:
                child = self.driver.execution.child(name)
                assert child is not None
                if child.is_open or child.suspicion is not None:
                    self.driver.now_us += 1
                    answer = self.answer(self.driver.execution, child, self.driver.now_us)
                    assert self.tell(answer), f"a true answer raises: {answer} for {child}"
        raise AssertionError(f"it hangs: {self.driver.execution}")

    def answer(self, execution: Execution, child: ChildOrder, at_us: int) -> AnyEvent:
        """What a truthful exchange would say next about `child`; only what the engine would be told or ask."""
        name, order_id = child.client_order_id, child.order_id or f"id-{child.client_order_id}"
        written = {entry.effect_id: entry.kind for entry in execution.outbox if entry.client_order_id == name}
        filled = child.reported_e2
        if child.suspicion is not None:
            return self.proven(child, at_us)
        if child.state == "settling":
            missing = CountE2(child.reported_e2 - child.counted_e2)
            return FillReported(
                at_us=at_us,
                client_order_id=name,
                order_id=order_id,
                fill_id=f"missing-{name}",
                price_e4=child.price_e4,
                count_e2=missing,
                fee_e6=MoneyE6(0),
                is_taker=True,
                traded_at_us=at_us,
                mid_e5=50_000,
            )
        if child.state == "intended":
            assert "place" in written.values(), f"nobody will ever answer for {child}"
            return PlaceUnconfirmed(at_us=at_us, client_order_id=name, why="")
        if child.state == "unknown" and order_id.startswith("id-") and child.reported_e2 == 0 and self.draw(0, 1):
            return OrderNotFound(at_us=at_us, client_order_id=name, as_of_us=at_us)
        if child.write is not None and not child.write.lost:
            assert child.write.effect_id in written, f"nobody will ever answer for {child}"
            if self.draw(0, 1):
                return WriteUnconfirmed(at_us=at_us, client_order_id=name, effect_id=child.write.effect_id, why="")
            if isinstance(child.write, PendingCancel):
                gone = CountE2(child.count_e2 - filled)
                return CancelAnswered(at_us=at_us, client_order_id=name, order_id=order_id, reduced_by_e2=gone)
            return AmendAnswered(
                at_us=at_us, client_order_id=name, order_id=order_id, filled_e2=filled, remaining_e2=None
            )
        assert child.state == "unknown" or child.write is not None, f"ending, and nobody cancels {child}"
        lives = filled < child.count_e2 and self.draw(0, 1) == 1
        return OrderReported(
            at_us=at_us,
            client_order_id=name,
            order_id=order_id,
            outcome=execution.outcome,
            status="resting" if lives else "canceled" if filled < child.count_e2 else "executed",
            price_e4=child.price_e4,
            count_e2=child.count_e2,
            filled_e2=filled,
            remaining_e2=CountE2(0),
            cause=None,
            looked_up=True,
        )


def check(before: Execution, after: Execution, *, is_proof: bool = False) -> None:
    """The invariants, written down a second time and not as core writes them. Only a proof takes anything back."""
    assert before.state not in EXECUTION_ENDS or after.state == before.state, "invariant 7"
    if after.state in EXECUTION_ENDS:
        assert after.reason is not None
        assert not any(child.state not in CHILD_ENDS for child in after.children)
    for old in before.children:
        new = after.child(old.client_order_id)
        assert new is not None, "no order is ever forgotten"
        assert old.state not in CHILD_ENDS or new.state == old.state, "invariant 7"
        assert is_proof or new.reported_e2 >= old.reported_e2
        assert is_proof or new.order_id == old.order_id or old.order_id is None
        assert is_proof or old.suspicion is None or new.suspicion == old.suspicion
    late = sum(fill.count_e2 for child in after.children for fill in child.late)
    bought = sum(fill.count_e2 for child in after.children for fill in child.fills)
    may_buy = 0
    for child in after.children:
        if child.state == "settling":
            may_buy += child.reported_e2 - child.counted_e2
        elif child.state not in CHILD_ENDS:
            may_buy += child.count_e2 - child.counted_e2
        limits = after.limits
        assert limits is not None
        assert after.terms.fees.all_in(child.price_e4, taker=True) <= limits.cap_e6, "invariant 2"
        assert child.price_e4 <= limits.worst_e4
        assert child.price_e4 % 100 == 0, "invariant 11"
        assert not after.reduce_only or (child.time_in_force, child.walks) == ("immediate_or_cancel", 0)
    assert bought + may_buy <= after.target_e2, "invariant 1"
    assert after.filled_e2 == bought + late
    if after.slices:
        assert sum(part.count_e2 for part in after.slices) == after.target_e2, "invariant 8"
    levels = [child.level for child in after.children if child.is_open]
    assert len(levels) == len(set(levels)), "two open orders in one slice"


@settings(max_examples=250, deadline=None)
@given(data=st.data(), name=st.sampled_from(sorted(ALGORITHMS)), outcome=st.sampled_from(["yes", "no"]))
def test_any_history_keeps_the_invariants_and_can_end(
    world: World, data: st.DataObject, name: str, outcome: str
) -> None:
    """Invariants 1, 2, 3, 6, 7, 8 and 9 after every event, legal or not; and never a state without a way out."""
    submitted = world.submitted(outcome="no" if outcome == "no" else "yes")
    driver = world.drive(ALGORITHMS[name], replace(submitted, reduce_only=name.startswith("reduce_only")))
    teller = Teller(driver, data, world)
    for _ in range(data.draw(st.integers(STEPS // 2, STEPS))):
        teller.tell(teller.event())
    teller.close()
    folded = fold(decode_entry(*entry) for entry in driver.journal)
    assert encode_snapshot(folded) == encode_snapshot(driver.execution), "invariant 6"


def test_a_wild_algorithm_is_refused_and_nothing_changes(world: World) -> None:
    """Of two thousand decisions many raise IllegalAction and none leaves a trace; the others keep the invariants."""
    driver = world.drive(Wild(honest=False))
    refused = 0
    for number in range(2_000):
        before = driver.execution
        driver.now_us += 1
        view = replace(world.view(driver.now_us), book_seq=number)
        try:
            driver.tell(DecisionDue(at_us=driver.now_us, view=view))
        except IllegalAction:
            refused += 1
            assert driver.execution is before
        check(before, driver.execution)
        if number % 3 == 0:  # its orders stay unanswered, so there is soon nothing left to wish for
            driver = world.drive(Wild(honest=False))
    assert refused > 100
