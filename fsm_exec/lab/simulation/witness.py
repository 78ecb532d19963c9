"""Who sees everything: the true books of the exchange and the disk, compared at every write and at every commit.

The engine does not know that it is watched. What is compared is outside of it: what the exchange executed, what the
database holds, and what left for the exchange at that moment. A finding names the invariant that it breaks, by its
number in fsm_exec/README.md.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, NamedTuple

import httpx
import msgspec

from fsm_exec.core.errors import CorruptSnapshot
from fsm_exec.core.execution.execution import CHILD_ENDS, EXECUTION_ENDS, Execution
from fsm_exec.core.execution.invariants import InvariantBroken, check
from fsm_exec.core.journal.rows import StoredExecution
from fsm_exec.core.journal.snapshot import decode_stored
from fsm_exec.core.values.units import parse_money
from fsm_exec.lab.simulation.history import History
from fsm_exec.lab.simulation.wire_rules import all_in_e6, broken_by_amend, broken_by_place
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.matching_engine.orders import FillRecord, Order
from fsm_exec.store.reads.execution_reads import load_execution, load_executions

if TYPE_CHECKING:
    from fsm_exec.core.market.fees import FeeTerms
    from fsm_exec.lab.simulation.fee_rules import FeeRules
    from fsm_exec.lab.simulation.fence_rules import FenceRules
    from fsm_exec.lab.simulation.risk_witness import RiskWitness

FINDINGS_MAX = 30
ORDERS = "/portfolio/events/orders"
ANSWERS = frozenset({"OrderAccepted", "AmendAnswered"})
DOUBTS = frozenset({"OrderDoubted", "WriteLost", "Restored"})  # after which only a late enough listing is proof

_JOURNALED = (
    "SELECT rowid, execution_id, seq, event_type, event, intents, steps FROM execution_events "
    "WHERE rowid > ? ORDER BY rowid"
)
_RESERVED = "SELECT execution_id, reserved FROM execution_state WHERE state NOT IN ('filled', 'cancelled')"
_ORDER = "SELECT state FROM split_orders WHERE execution_id = ? AND client_order_id = ?"


class _Named(msgspec.Struct):
    client_order_id: str = ""


class _Answered(msgspec.Struct):
    client_order_id: str
    filled_e2: int | None


class _Durable(NamedTuple):
    """An execution as the disk holds it, and how it was when it was last looked at."""

    execution: Execution
    states: dict[str, str]


class Witness:
    """`instance` is whose orders are looked at, `clock_offset_us` how far the engine's clock is ahead. Tell
    `committed` of every transaction, `sending` of every request. `before` watches the machine from which this one takes
    over: what is seen of the exchange is seen by both, and its orders are this one's too.
    `doubts_us` is when each execution's last doubt about a write began, `durable` what the disk holds of each;
    `late_e2` what the exchange booked after it had said that the order was over, `risk` looks at the account, if the
    engine has one."""

    def __init__(
        self, history: History, instance: str, clock_offset_us: Callable[[], int], *, before: Witness | None = None
    ) -> None:
        self.findings: list[str] = [] if before is None else before.findings
        self.history, self.clock_offset_us = history, clock_offset_us
        self.durable: dict[str, _Durable] = {}
        self._prefixes: tuple[str, ...] = (*(() if before is None else before._prefixes), f"fx{instance}-")
        self._rowid = 0
        self._orders: dict[str, list[Order]] = {} if before is None else before._orders
        self.connection: sqlite3.Connection | None = None
        self.doubts_us: dict[str, int] = {}
        self.restored_us: dict[str, int] = {}
        self.late_e2: dict[str, int] = {} if before is None else before.late_e2
        # order ids of which something was said that is not so
        self.falsified_orders: Callable[[], AbstractSet[str]] = frozenset if before is None else before.falsified_orders
        self.risk: RiskWitness | None = None
        self.orphans: set[str] = set() if before is None else before.orphans  # drawn under names of ours
        self.by_hand: set[str] = set() if before is None else before.by_hand  # of the account's owner
        self.handled: set[str] = set() if before is None else before.handled  # that a third party cancelled
        self.sent: set[str] = set()  # names of orders that were handed over here
        self.lives_until_us: Callable[[int], int | None] = lambda _: None  # what is sent at that time, at the latest
        self.fence: FenceRules | None = None  # what holds between two machines
        self.fees: FeeRules | None = None  # what holds where fees change
        self._is_second = before is not None
        self._names: dict[str, str] = {} if before is None else before._names  # of our orders, by the exchange's ids

    def found(self, what: str) -> None:
        """Something is wrong. Told once, however often it shows."""
        if what not in self.findings and len(self.findings) < FINDINGS_MAX:
            self.findings.append(what)
            self.history.add("FINDING", what)

    def owner(self, client_order_id: str) -> str | None:
        """The execution that an order of this instance belongs to."""
        if not client_order_id.startswith(self._prefixes):
            return None
        return client_order_id.split("-", 2)[1]

    def was_lied_to(self, execution_id: str) -> bool:
        """Whether anything was said of one of its orders that is not so. Then the engine may believe for a while what
        is not; at the end all must agree all the same."""
        lied = self.falsified_orders()
        return bool(lied) and any(order.order_id in lied for order in self._orders.get(execution_id, ()))

    @property
    def lost(self) -> set[str]:
        """The orders of executions that the machine before accepted and this one never heard of."""
        if not self._is_second:
            return set()
        return {
            order.client_order_id
            for name, orders in self._orders.items()
            if name not in self.durable
            for order in orders
        }

    @property
    def foreign(self) -> set[str]:
        """The orders that no execution has."""
        return self.orphans | self.by_hand | self.lost

    def orders_of(self, execution_id: str) -> list[Order]:
        """All orders of an execution at the exchange, whichever machine sent them."""
        return self._orders.get(execution_id, [])

    # The disk

    def begin_with(self, connection: sqlite3.Connection) -> None:
        """Take what a copy of a database holds for known."""
        self.connection = connection
        (self._rowid,) = connection.execute("SELECT COALESCE(MAX(rowid), 0) FROM execution_events").fetchone()
        for stored in load_executions(connection):
            self._look_at(stored)

    def committed(self) -> None:
        """Look at what is new in the journal, and at the executions it is about."""
        connection = self.connection
        if connection is None or connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is None:
            return
        if self.risk is not None:
            self.risk.rules.brake_stored(connection)
        touched: dict[str, None] = {}
        stated: list[tuple[str, str]] = []
        for rowid, execution_id, *row in connection.execute(_JOURNALED, (self._rowid,)).fetchall():
            self._rowid = rowid
            if row[1] in ANSWERS:
                stated.append((execution_id, row[2]))
            if row[1] in DOUBTS:
                # By a clock that is fast it was sent later than it was, and as much later it is proven to be gone.
                self.doubts_us[execution_id] = self.history.now_us() + max(0, self.clock_offset_us())
            if row[1] == "Restored":
                self.restored_us[execution_id] = self.history.now_us()
            self.history.add("journal", execution_id, *row)
            touched[execution_id] = None
        for execution_id in touched:
            stored = load_execution(connection, execution_id)
            if stored is None or stored.damage is not None:
                self.found(f"6: the row of {execution_id} cannot be read")
            else:
                self._look_at(stored)
        if touched:
            self._look_at_reservations(connection)
        for execution_id, event in stated:
            self._look_at_answer(execution_id, msgspec.json.decode(event, type=_Answered))

    def _look_at(self, stored: StoredExecution) -> None:
        execution_id, state = stored.execution_id, stored.state
        try:
            execution = decode_stored(stored)
            check(execution)
        except CorruptSnapshot as error:
            self.found(f"6: the snapshot of {execution_id} cannot be read: {error}")
            return
        except InvariantBroken as error:
            self.found(f"{execution_id}: {error}")
            return
        before = self.durable.get(execution_id)
        states = {child.client_order_id: child.state for child in execution.children}
        if state != execution.state:
            self.found(f"6: {execution_id} is {execution.state} in its snapshot and {state} in its row")
        if before is not None:
            if before.execution.state in EXECUTION_ENDS and state != before.execution.state:
                self.found(f"7: {execution_id} went from {before.execution.state} to {state}")
            for name, was in before.states.items():
                if was in CHILD_ENDS and states.get(name) != was:
                    self.found(f"7: order {name} went from {was} to {states.get(name)}")
        for child in execution.children:
            if child.suspicion is not None:  # what was said of it is proven or not as a lost write is
                doubt_us = max(self.doubts_us.get(execution_id, 0), child.suspicion.since_us)
                self.doubts_us[execution_id] = doubt_us
        self.durable[execution_id] = _Durable(execution, states)
        if before is None and self.risk is not None:
            self.risk.accepted(execution)
        if self.fees is not None:
            self.fees.accepted(execution)
        if execution.is_ended and not self.was_lied_to(execution_id):
            for order in self._orders.get(execution_id, ()):
                if order.status == "resting" and self.owner(order.client_order_id) is not None:
                    self.found(f"4: {execution_id} ended as {state} and its order {order.client_order_id} rests")

    def _look_at_reservations(self, connection: sqlite3.Connection) -> None:
        """What is stored as reserved is what the unfinished executions may still cost, one by one and so together."""
        stored = {name: parse_money(reserved) for name, reserved in connection.execute(_RESERVED)}
        owed = {name: _reserved_e6(kept.execution) for name, kept in self.durable.items()}
        for name in dict.fromkeys((*stored, *owed)):
            if stored.get(name, 0) != owed.get(name, 0):
                self.found(f"14: {stored.get(name, 0)} is reserved for {name}, which may cost {owed.get(name, 0)} more")

    def _look_at_answer(self, execution_id: str, answer: _Answered) -> None:
        """What an answer states of an order is kept."""
        durable = self.durable.get(execution_id)
        child = None if durable is None else durable.execution.child(answer.client_order_id)
        if self.was_lied_to(execution_id) or child is None or answer.filled_e2 is None:
            return
        if child.reported_e2 < answer.filled_e2:
            self.found(
                f"3: order {child.client_order_id} was said to be filled {answer.filled_e2}, "
                f"and {child.reported_e2} is kept of it"
            )

    # The way out

    def sending(self, request: httpx.Request, now_us: int) -> None:
        """A request is about to be handed over; `now_us` is the engine's own wall."""
        path = request.url.path
        if ORDERS not in path or request.method != "POST":
            return
        places = path.endswith(ORDERS)
        if places:
            name = msgspec.json.decode(request.content, type=_Named).client_order_id
        else:
            name = self._names.get(path.removesuffix("/amend").rpartition("/")[2], "")
        owner = self.owner(name)
        if owner is None or self.connection is None:
            return
        if places:
            self.sent.add(name)
        if places and self.connection.execute(_ORDER, (owner, name)).fetchone() is None:
            self.found(f"5: order {name} is sent and its decision is not on disk")
        durable = self.durable.get(owner)
        if durable is None:
            return
        if now_us >= durable.execution.deadline_us:
            what = "place" if places else "amend"
            self.found(f"9: the {what} of order {name} is sent at or after its execution's deadline")
        lives_until_us = self.lives_until_us(now_us)
        if places:
            broken = broken_by_place(request, durable.execution, lives_until_us, now_us)
        else:
            broken = broken_by_amend(request, name, durable.execution, lives_until_us, now_us)
        for line in broken:
            self.found(line)

    # The exchange

    def closed(self, order: Order, before_e2: int, after_e2: int) -> None:
        """An order arrived and took what it could at once; the account's position was that and is this now."""
        owner = self.owner(order.client_order_id)
        durable = None if owner is None else self.durable.get(owner)
        if durable is None or not durable.execution.reduce_only:
            return
        if abs(after_e2) > abs(before_e2) or after_e2 * before_e2 < 0:
            self.found(f"13: {owner} only closes, and its order took the position from {before_e2} to {after_e2}")
        if order.status == "resting":
            self.found(f"13: {owner} only closes, and its order {order.client_order_id} rests")

    def accepted(self, account: Account, order: Order) -> None:
        """The exchange took an order in, or took another price or count for it."""
        owner = self.owner(order.client_order_id)
        if owner is None or order.client_order_id in self.orphans:
            return
        orders = self._orders.setdefault(owner, [])
        if order not in orders:
            orders.append(order)
            self._names[order.order_id] = order.client_order_id
        if self.fence is not None:
            self.fence.accepted(order)
        if len({each.client_order_id for each in orders}) != len(orders):
            self.found(f"3: two orders at the exchange are called {order.client_order_id}")
        durable = self.durable.get(owner)
        if durable is None:
            self.found(f"4: order {order.client_order_id} arrives and no execution owns it")
            return
        execution = durable.execution
        misled = self.was_lied_to(owner)
        if execution.is_ended and not misled:
            self.found(f"4: order {order.client_order_id} arrives after {owner} ended as {execution.state}")
        if order.client_order_id not in durable.states:
            self.found(f"5: order {order.client_order_id} is at the exchange and not on disk")
        bought = sum(each.filled_e2 + each.open_e2 - self.late_e2.get(each.order_id, 0) for each in orders)
        if bought > execution.target_e2 and not misled:
            self.found(f"1: {owner} has {bought} filled or live at the exchange of a target of {execution.target_e2}")
        if (order.ticker, order.outcome) != (execution.terms.ticker, execution.outcome):
            self.found(f"1: order {order.client_order_id} is for {order.outcome} of {order.ticker}")
        limits = execution.limits
        taker = not order.post_only or order.reason == "Amend"
        fees = execution.terms.fees_at(self.history.now_us())
        if limits is None or all_in_e6(order.price_e4, fees, taker=taker) > limits.cap_e6:
            self.found(f"2: order {order.client_order_id} at {order.price_e4} with its fee is beyond the cap")

    def filled(self, fill: FillRecord, fees: FeeTerms) -> None:
        """The exchange books a fill, by the fees of this moment."""
        order = fill.order
        owner = self.owner(order.client_order_id)
        durable = None if owner is None else self.durable.get(owner)
        if self.fees is None or owner is None or durable is None or self.was_lied_to(owner):
            return
        if order.order_id not in self.late_e2 and order.client_order_id not in self.orphans:
            for line in self.fees.broken_by_fill(fill, durable.execution, fees):
                self.found(line)


def _reserved_e6(execution: Execution) -> int:
    """What an execution may still cost: what it has not bought yet at its cap, rounded up."""
    if execution.state in EXECUTION_ENDS or execution.limits is None:
        return 0
    bought = sum(fill.count_e2 for child in execution.children for fill in (*child.fills, *child.late))
    return -(-max(0, execution.target_e2 - bought) * execution.limits.cap_e6 // 100)
