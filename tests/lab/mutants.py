"""Deliberate faults: what an order engine must not do, each done to the running code by a test.

Production code has no switches: a mutant replaces a function or two for the length of a test. The faults are those
that lose, double or orphan orders, or miscount fills, in engines people have written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from weakref import WeakKeyDictionary

import pytest
import trio
from msgspec.structs import replace

from fsm_exec.core.account.admission import Request, RiskRefusal, Situation, why_refused
from fsm_exec.core.account.differences import Comparison
from fsm_exec.core.account.holding import Holding
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.account.worst_case import OpenOrder, Stake
from fsm_exec.core.errors import StoreFailed
from fsm_exec.core.execution import advance, apply_event, decide, reservation
from fsm_exec.core.execution.draft import Draft
from fsm_exec.core.execution.events import (
    AnyEvent,
    FillReported,
    OrderReported,
    Reason,
    Restored,
    Submitted,
    WriteUnconfirmed,
)
from fsm_exec.core.execution.execution import ChildOrder, Execution, Fill, PendingCancel
from fsm_exec.core.execution.fills import known_fill
from fsm_exec.core.journal import parts
from fsm_exec.core.journal.rows import ExecutionSave, SnapshotPart
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.orders import CancelOrder, FillReport, OrderReport, PlaceAnswer, PlaceOrder, Refused, Unknown
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.recovery import order_lookup, recovery
from fsm_exec.core.recovery.order_lookup import order_event
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome, PriceE4
from fsm_exec.kalshi import translate
from fsm_exec.lab.simulation import engine_process
from fsm_exec.runtime import (
    dispatch,
    engine,
    order_sender,
    reconciler,
    submission,
)
from fsm_exec.runtime import (
    order_lookup as runtime_lookup,
)
from fsm_exec.runtime import recovery as start
from fsm_exec.runtime.account import gate, poller
from fsm_exec.runtime.account.foreign_fills import ForeignFills
from fsm_exec.runtime.account.gate import Gate
from fsm_exec.runtime.account.ledger import Ledger
from fsm_exec.runtime.reconciler import Reconciler
from fsm_exec.runtime.submission import ExecutionRequest
from fsm_exec.store.sqlite_store import SqliteStore

Mutant = Callable[[pytest.MonkeyPatch], None]
SAVED_LATER_S = 0.05


def save_after_send(patch: pytest.MonkeyPatch) -> None:
    """A step is performed at once and saved a moment later."""
    save = SqliteStore.save

    async def later(store: SqliteStore, step: ExecutionSave) -> None:
        async def soon() -> None:
            await trio.sleep(SAVED_LATER_S)
            with suppress(StoreFailed):
                await save(store, step)

        trio.lowlevel.spawn_system_task(soon)

    patch.setattr(SqliteStore, "save", later)


def fills_by_order_total(patch: pytest.MonkeyPatch) -> None:
    """A fill is taken for known when the count has reached what the order was said to have filled."""
    filled = apply_event.HANDLERS[FillReported]

    def hasty(draft: Draft, event: FillReported) -> None:
        child = draft.child(event.client_order_id)
        if not child.counted_e2 >= child.reported_e2 > 0:
            filled(draft, event)

    def is_news(execution: Execution, client_order_id: str, _: FillReport) -> bool:
        child = execution.child(client_order_id)
        return child is not None and not child.counted_e2 >= child.reported_e2 > 0

    patch.setitem(apply_event.HANDLERS, FillReported, hasty)
    for module in (reconciler, runtime_lookup):
        patch.setattr(module, "fill_is_news", is_news)


def time_out_means_rejected(patch: pytest.MonkeyPatch) -> None:
    """An order without an answer is taken for refused."""
    placed = order_sender._place_event

    def hasty(write: PlaceOrder, answer: PlaceAnswer, at_us: int) -> AnyEvent:
        return placed(write, Refused(code="timeout", message="") if isinstance(answer, Unknown) else answer, at_us)

    patch.setattr(order_sender, "_place_event", hasty)


def not_found_means_cancelled(patch: pytest.MonkeyPatch) -> None:
    """A cancel answered 404 is taken for done."""
    lost = apply_event._apply_write_unconfirmed

    def hasty(draft: Draft, event: WriteUnconfirmed) -> None:
        child = draft.child(event.client_order_id)
        if "not_found" in event.why and isinstance(child.write, PendingCancel):
            apply_event._end_order(draft, child, child.reported_e2)
        else:
            lost(draft, event)

    patch.setattr(apply_event, "_apply_write_unconfirmed", hasty)


def new_id_on_resend(patch: pytest.MonkeyPatch) -> None:
    """What is sent again gets another client order id."""
    place, placing = advance._place, advance._place_write
    first = False

    def placed(*args: object) -> PlaceOrder:
        nonlocal first
        first = True
        try:
            return place(*args)  # type: ignore[arg-type]
        finally:
            first = False

    def again(draft: Draft, child: ChildOrder, effect_id: str) -> PlaceOrder:
        order = placing(draft, child, effect_id)
        return order if first else replace(order, client_order_id=f"{order.client_order_id}-again")

    patch.setattr(advance, "_place", placed)
    patch.setattr(advance, "_place_write", again)


def cancel_done_when_sent(patch: pytest.MonkeyPatch) -> None:
    """An order counts as cancelled as soon as its cancel is on its way."""
    cancelling = advance._cancel_write

    def hasty(draft: Draft, child: ChildOrder, effect_id: str) -> CancelOrder:
        order = cancelling(draft, child, effect_id)
        sent = draft.child(child.client_order_id)
        apply_event._end_order(draft, sent, sent.reported_e2)
        return order

    patch.setattr(advance, "_cancel_write", hasty)


def late_frame_dropped(patch: pytest.MonkeyPatch) -> None:
    """A fill that is heard of after its order's end is thrown away."""
    filled = apply_event.HANDLERS[FillReported]

    def deaf(draft: Draft, event: FillReported) -> None:
        if draft.child(event.client_order_id).is_open:
            filled(draft, event)

    patch.setitem(apply_event.HANDLERS, FillReported, deaf)


def outbox_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A new process does not ask what became of the writes that were under way."""
    restored = apply_event._apply_restored

    def forgetful(draft: Draft, event: Restored) -> None:
        draft.update(outbox=())
        restored(draft, event)

    patch.setattr(apply_event, "_apply_restored", forgetful)


def full_quantity_again(patch: pytest.MonkeyPatch) -> None:
    """After a partial fill the whole of it is placed again. The engine's own assertion is taken out, too."""

    committed = ChildOrder.committed_e2.fget  # type: ignore[attr-defined]

    def of_open(child: ChildOrder) -> CountE2:
        return committed(child) if child.is_open else CountE2(0)

    def free(execution: Execution) -> CountE2:
        return CountE2(execution.target_e2 - sum(child.committed_e2 for child in execution.children))

    patch.setattr(ChildOrder, "committed_e2", property(of_open))
    patch.setattr(Execution, "free_e2", property(free))  # it counts what has ended by itself, for speed
    patch.setattr(advance, "check", lambda *_: None)


def no_lock(patch: pytest.MonkeyPatch) -> None:
    """Two engines may work one database at once."""
    patch.setattr(engine_process, "database_lock", lambda *_, **__: nullcontext())


def reconciled_by_position(patch: pytest.MonkeyPatch) -> None:
    """At a restart the n-th order of the listing is taken for the execution's n-th."""

    def by_position(
        execution: Execution, by_name: Mapping[str, OrderReport], _: Mapping[str, int], now_us: int
    ) -> Iterable[OrderReported]:
        listed = [report for report in by_name.values() if report.ticker == execution.terms.ticker]
        for child, report in zip(execution.children, listed, strict=False):
            if recovery._is_news(child, report):
                named = replace(report, client_order_id=child.client_order_id)
                yield order_event(named, now_us, looked_up=False, child=child)

    patch.setattr(recovery, "_news_of_orders", by_position)


def fill_after_end_reopens(patch: pytest.MonkeyPatch) -> None:
    """A fill after an order's end brings it back to work."""
    filled = apply_event.HANDLERS[FillReported]

    def reopening(draft: Draft, event: FillReported) -> None:
        child = draft.child(event.client_order_id)
        if child.is_open or known_fill(child, event) is not None:
            filled(draft, event)
            return
        fill = Fill(
            fill_id=event.fill_id,
            order_id=event.order_id,
            price_e4=event.price_e4,
            count_e2=event.count_e2,
            fee_e6=event.fee_e6,
            is_taker=event.is_taker,
            traded_at_us=event.traded_at_us,
            mid_e5=event.mid_e5,
        )
        counted = CountE2(child.counted_e2 + event.count_e2)
        draft.put(
            child,
            state="partial",
            fills=(*child.fills, fill),
            counted_e2=counted,
            reported_e2=max(child.reported_e2, counted),
        )

    patch.setitem(apply_event.HANDLERS, FillReported, reopening)


def cap_ignores_the_fee(patch: pytest.MonkeyPatch) -> None:
    """A contract is reckoned to cost its price."""

    def free(_: FeeTerms, price: PriceE4, *, taker: bool) -> MoneyE6:
        return MoneyE6(price * 100)

    patch.setattr(FeeTerms, "all_in", free)


def orphans_left(patch: pytest.MonkeyPatch) -> None:
    """Orders that nobody works are reported and stay."""

    def leave(*_: object) -> None:
        """Nobody cancels them."""

    patch.setattr(start, "cancel_orphans", leave)
    patch.setattr(dispatch, "cancel_orphans", leave)


def self_trade_type_wrong(patch: pytest.MonkeyPatch) -> None:
    """Our orders may take our own off the book."""
    create = translate.create_order
    patch.setattr(
        translate, "create_order", lambda order, at: replace(create(order, at), self_trade_prevention_type="maker")
    )


def orders_never_reconciled(patch: pytest.MonkeyPatch) -> None:
    """What the stream did not tell of an order is not looked for."""

    async def nothing(_: Reconciler) -> int:
        return 0

    patch.setattr(Reconciler, "_reconcile_orders", nothing)


def fills_never_reconciled(patch: pytest.MonkeyPatch) -> None:
    """What the stream did not tell of fills is not looked for."""

    async def nothing(_: Reconciler) -> tuple[int, bool]:
        return 0, True

    patch.setattr(Reconciler, "_reconcile_fills", nothing)


def no_expiration(patch: pytest.MonkeyPatch) -> None:
    """Orders rest until somebody cancels them."""
    create = translate.create_order
    patch.setattr(translate, "create_order", lambda order, at: replace(create(order, at), expiration_time=None))


def short_signature_window(patch: pytest.MonkeyPatch) -> None:
    """A request is taken for gone 10 s after it was sent."""
    patch.setattr(order_lookup, "SIGNATURE_WINDOW_US", 10_000_000)


def restored_fills_dropped(patch: pytest.MonkeyPatch) -> None:
    """What was bought while the engine was away is left to be heard of later."""
    restored = apply_event._apply_restored
    patch.setattr(apply_event, "_apply_restored", lambda draft, event: restored(draft, replace(event, fills=())))


def same_price_taken_as_known(patch: pytest.MonkeyPatch) -> None:
    """A second fill of an order at the price of the first is taken for the first."""
    filled = apply_event.HANDLERS[FillReported]

    def hasty(draft: Draft, event: FillReported) -> None:
        child = draft.child(event.client_order_id)
        if all(fill.price_e4 != event.price_e4 for fill in child.fills):
            filled(draft, event)

    patch.setitem(apply_event.HANDLERS, FillReported, hasty)


def taker_flag_flipped(patch: pytest.MonkeyPatch) -> None:
    """Who made a fill is said to have taken it."""
    _fill_is(patch, lambda event: replace(event, is_taker=not event.is_taker))


def fill_time_is_now(patch: pytest.MonkeyPatch) -> None:
    """A fill is dated when it is heard of."""
    _fill_is(patch, lambda event: replace(event, traded_at_us=event.at_us))


def _fill_is(patch: pytest.MonkeyPatch, as_heard: Callable[[FillReported], FillReported]) -> None:
    filled = apply_event.HANDLERS[FillReported]
    patch.setitem(apply_event.HANDLERS, FillReported, lambda draft, event: filled(draft, as_heard(event)))


def deadline_a_second_late(patch: pytest.MonkeyPatch) -> None:
    """An execution is given a second more than was asked."""
    submitted = submission.submitted_event

    def late(*args: object) -> Submitted:
        event = submitted(*args)  # type: ignore[arg-type]
        return replace(event, deadline_us=event.deadline_us + 1_000_000)

    patch.setattr(engine, "submitted_event", late)


def halt_ends_half(patch: pytest.MonkeyPatch) -> None:
    """Every second execution does not hear of a halt."""

    def half(halted: engine.Engine, reason: Reason) -> None:
        for actor in list(halted.actors.values())[::2]:
            actor.end(reason)

    patch.setattr(engine.Engine, "stop", half)


def amend_reports_nothing(patch: pytest.MonkeyPatch) -> None:
    """What the answer to an amend says of fills is not kept."""
    walked = apply_event._count_walk

    def deaf(draft: Draft, child: ChildOrder, price: PriceE4, _: CountE2 | None, at_us: int) -> ChildOrder:
        return walked(draft, child, price, None, at_us)

    patch.setattr(apply_event, "_count_walk", deaf)


def close_may_open(patch: pytest.MonkeyPatch) -> None:
    """The orders of an execution that only closes are like any others."""
    placing = advance._place_write
    patch.setattr(advance, "_place_write", lambda *args: replace(placing(*args), reduce_only=False))


def profit_without_fees(patch: pytest.MonkeyPatch) -> None:
    """The account's books leave out what fills cost beside their price."""
    bought = Holding.bought

    def free(holding: Holding, outcome: Outcome, price: PriceE4, count: CountE2, _: MoneyE6) -> Holding:
        return bought(holding, outcome, price, count, MoneyE6(0))

    patch.setattr(Holding, "bought", free)


def outcomes_not_netted(patch: pytest.MonkeyPatch) -> None:
    """To buy the other outcome of what is held opens another position beside it."""
    patch.setattr(Holding, "closable_e2", lambda *_: CountE2(0))


def reservation_at_the_target(patch: pytest.MonkeyPatch) -> None:
    """What an execution has bought stays reserved."""

    def open_e2(execution: Execution) -> CountE2:
        return CountE2(0) if execution.is_ended or execution.limits is None else execution.target_e2

    patch.setattr(reservation, "open_e2", open_e2)


def reservation_forgotten_at_restart(patch: pytest.MonkeyPatch) -> None:
    """Only what this process has accepted is reserved for."""
    reserve, reserved = Gate.reserve, Gate.reserved
    accepted: WeakKeyDictionary[Gate, set[str]] = WeakKeyDictionary()

    def remembering(gate: Gate, name: str, request: ExecutionRequest, terms: MarketTerms) -> None:
        reserve(gate, name, request, terms)
        accepted.setdefault(gate, set()).add(name)

    patch.setattr(Gate, "reserve", remembering)
    patch.setattr(
        Gate,
        "reserved",
        lambda gate: [one for one in reserved(gate) if one.execution_id in accepted.get(gate, ())],
    )


def reservation_released_twice(patch: pytest.MonkeyPatch) -> None:
    """When a request's reservation is released, that of its execution goes with it."""
    release, reserved = Gate.release, Gate.reserved
    released: WeakKeyDictionary[Gate, set[str]] = WeakKeyDictionary()

    def twice(gate: Gate, name: str) -> None:
        release(gate, name)
        released.setdefault(gate, set()).add(name)

    patch.setattr(Gate, "release", twice)
    patch.setattr(
        Gate,
        "reserved",
        lambda gate: [one for one in reserved(gate) if one.execution_id not in released.get(gate, ())],
    )


def live_orders_ignored(patch: pytest.MonkeyPatch) -> None:
    """Orders that rest count only once they are filled."""
    order_of = Gate._order_of

    def unlive(gate: Gate, execution: Execution) -> OpenOrder | None:
        order = order_of(gate, execution)
        live = sum(child.count_e2 - child.filled_e2 for child in execution.children if child.is_open)
        return None if order is None else replace(order, count_e2=CountE2(max(0, order.count_e2 - live)))

    patch.setattr(Gate, "_order_of", unlive)


def trades_by_hand_ignored(patch: pytest.MonkeyPatch) -> None:
    """Only what executions bought is held."""

    async def nothing(*_: object) -> frozenset[str]:
        """Nobody looks at what others bought."""
        return frozenset()

    patch.setattr(ForeignFills, "save_foreign", nothing)
    patch.setattr(poller, "compare_positions", lambda *_: Comparison())


def brake_not_durable(patch: pytest.MonkeyPatch) -> None:
    """The brake is kept in memory alone."""

    async def nothing(*_: object) -> None:
        """It is not stored."""

    patch.setattr(SqliteStore, "save_risk", nothing)


def _situation_with(patch: pytest.MonkeyPatch, **changed: object) -> None:
    """Requests are judged as if this were so."""

    def misled(asked: Request, situation: Situation, limits: RiskLimits) -> RiskRefusal | None:
        return why_refused(asked, replace(situation, **changed), limits)

    patch.setattr(gate, "why_refused", misled)


def brake_lets_in(patch: pytest.MonkeyPatch) -> None:
    """What adds risk is let in while the brake lets nothing in that does."""
    _situation_with(patch, state="active")


def executions_not_counted(patch: pytest.MonkeyPatch) -> None:
    """There is always room for one more execution."""
    _situation_with(patch, executions=0)


def submissions_not_counted(patch: pytest.MonkeyPatch) -> None:
    """However many were let in during a minute, one more is."""
    _situation_with(patch, submissions_last_minute=0)


def close_is_far(patch: pytest.MonkeyPatch) -> None:
    """No market is about to close."""
    _situation_with(patch, close_us=2**60, determination_us=None)


def worst_case_without_fees(patch: pytest.MonkeyPatch) -> None:
    """What was paid in fees is not lost."""
    stakes = Ledger.stakes

    def free(ledger: Ledger) -> list[Stake]:
        fees = {ticker: market.holding.fees_e6 for ticker, market in ledger.markets.items()}
        return [replace(one, cash_e6=MoneyE6(one.cash_e6 + fees[one.ticker])) for one in stakes(ledger)]

    patch.setattr(Ledger, "stakes", free)


def _cut_small(patch: pytest.MonkeyPatch) -> None:
    """Every snapshot has parts."""
    patch.setattr(parts, "WEIGHT_KEPT", 0)
    patch.setattr(parts, "FILLS_A_PART", 1)


def fill_lost_in_the_split(patch: pytest.MonkeyPatch) -> None:
    """When an order leaves the head of a snapshot, a fill that filled no part stays nowhere."""
    _cut_small(patch)
    patch.setattr(parts, "FILLS_A_PART", 2)
    rest = parts._rest_of
    values = parts._values

    def kept(place: int, child: ChildOrder, *, is_apart: bool, **skipped: object) -> Iterator[tuple[str, object]]:
        for name, value in values(place, child, is_apart=is_apart, **skipped):  # type: ignore[arg-type]
            yield name, replace(rest(child), fills=()) if isinstance(value, ChildOrder) else value

    patch.setattr(parts, "_values", kept)


def stale_part_from_a_cache(patch: pytest.MonkeyPatch) -> None:
    """What was once encoded under a name is not encoded again."""
    _cut_small(patch)
    encode = parts.encode_part
    served: dict[tuple[str, str], SnapshotPart] = {}

    def cached(execution_id: str, name: str, value: parts.Value) -> SnapshotPart:
        return served.setdefault((execution_id, name), encode(execution_id, name, value))

    patch.setattr("fsm_exec.core.journal.snapshot.encode_part", cached)


def outlives_its_host(patch: pytest.MonkeyPatch) -> None:
    """Its orders end by themselves only when their execution is over, whatever the lease is."""
    patch.setattr(decide, "expires_s_of", lambda *_: None)
    patch.setattr(decide, "renewals", lambda *_: ())


MUTANTS: Mapping[Mutant, str] = {
    save_after_send: "5: order .* not on disk",
    fills_by_order_total: "3: (.*fill .* (not in the database|is not known)|order .* there and .* here)",
    time_out_means_rejected: "4: order .* is rejected here and was accepted there",
    not_found_means_cancelled: "4: .* rests",
    new_id_on_resend: "5: order .*-again is sent",
    cancel_done_when_sent: "4: .* rests",
    late_frame_dropped: "3: fill .* not in the database",
    outbox_forgotten: "9: .* has not ended in time",
    full_quantity_again: "1: .* filled or live at the exchange of a target",
    no_lock: "two engines work one database",
    reconciled_by_position: "[0-9a-z]+ was quarantined: IllegalEvent",
    fill_after_end_reopens: "7: order .* went from",
    cap_ignores_the_fee: "2: .* with its fee .* beyond",
    orphans_left: "4: order .* rests although everything has ended",
    self_trade_type_wrong: "2: order .* self-trade prevention maker",
    orders_never_reconciled: "4: order .* has ended at the exchange and is",
    fills_never_reconciled: "3: fill .* (is not known|not in the database)",
    no_expiration: "9: order .* is sent with expiration None",
    outlives_its_host: "17: order .* it may outlive its host until",
    short_signature_window: "4: order .* (arrives after|is rejected here)|.* ended for external: that never was",
    restored_fills_dropped: "3: the engine runs, and fill .* is not known",
    same_price_taken_as_known: "3: .*fill .* (not in the database|is not known)",
    taker_flag_flipped: "3: fill .* at the exchange and .* in the database",
    fill_time_is_now: "3: fill .* at the exchange and .* in the database",
    deadline_a_second_late: "9: .* was asked to be done within",
    halt_ends_half: "halt: .* goes on",
    reservation_forgotten_at_restart: "13: .* is let in and",
    reservation_released_twice: "13: .* is let in and",
    live_orders_ignored: "13: .* is let in and",
    trades_by_hand_ignored: "13: .* is let in and",
    brake_not_durable: "13: the brake was .* nobody returned it",
    worst_case_without_fees: "13: .* is let in and",
    brake_lets_in: "13: .* is let in and the brake is",
    executions_not_counted: "13: .* is let in and .* are at work",
    submissions_not_counted: "13: .* is let in and it is number",
    close_is_far: "13: .* is let in and it is .* before the close",
    profit_without_fees: "15: fees of",
    outcomes_not_netted: "15: cost of",
    reservation_at_the_target: "14: .* is reserved for",
    close_may_open: "13: .* only closes, and its order took the position from",
    amend_reports_nothing: "3: order .* was said to be filled",
    fill_lost_in_the_split: ".*: 3: order .* against its fills",
    stale_part_from_a_cache: "6: .*the journal says",
}
"""Each with what it must be found out by: one that merely fails in another way has not been tried."""


@contextmanager
def alive(mutant: Mutant) -> Iterator[None]:
    """The mutant lives while the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        mutant(patch)
        yield
