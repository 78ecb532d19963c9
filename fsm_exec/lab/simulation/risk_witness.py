"""Whether more risk is let in than the limits allow: invariant 13, by the exchange's own books.

The engine cannot know at once what is done by hand, so a request is judged by every state of the account that it may
believe in: the newest one it must know of, and all later ones. It must know of what was done before its process began
to read, and of what is so long ago that a look came between. What it has done itself it knows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from fsm_exec.core.errors import RiskRefused
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.lab.simulation.account_draws import AccountPlan
from fsm_exec.lab.simulation.risk_oracle import (
    Books,
    Figures,
    Held,
    Layout,
    MayFill,
    figures_of,
    loose_order,
    passed_by,
    raises_risk,
)
from fsm_exec.lab.simulation.risk_rules import RiskRules
from fsm_exec.paper.matching_engine.orders import FillRecord, Order
from fsm_exec.runtime.submission import ExecutionRequest

if TYPE_CHECKING:
    from fsm_exec.lab.simulation.world import World
    from fsm_exec.runtime.engine import Engine

STRICTNESS = ("active", "reducing", "halted")
SECOND_LOOK_US = 35_000_000  # after the one that saw something first
ROUNDED_E6 = 102
"""By which the exchange's rounding of the balance makes one fill dearer than its order was to be."""


class Outside(NamedTuple):
    """What is not ours in the account from `at_us` on: what was bought by hand and rests, which markets have settled,
    and what rests under a name of ours though no execution has it, with the time since when."""

    at_us: int
    held: dict[str, Held]
    orders: tuple[MayFill, ...]
    settled: frozenset[str]
    orphans: tuple[tuple[int, MayFill], ...]


class RiskWitness:
    """Tell `outside_changed` of everything in the account that no execution did, `traded` of what one did."""

    def __init__(
        self,
        plan: AccountPlan,
        layout: Layout,
        world: World,
    ) -> None:
        self.plan, self.layout = plan, layout
        self._world, self._witness = world, world.witness
        self._exchange, self._account = world.exchange, world.account
        self.rules = RiskRules(plan.limits, world)
        self._brake, self._may_ease = "active", False
        self.was_halted = self.was_reducing = False
        self.emptied: set[str] = set()  # executions that only close and at some time had nothing to close
        self._outsides: list[Outside] = []
        self._figures: Figures | None = None
        self.outside_changed()

    # What happens

    def outside_changed(self) -> None:
        """Something was done by hand, came late, or settled: whatever it makes of the figures is nobody's fault."""
        outside = self._outside_now()
        if not self._outsides or self._outsides[-1][1:] != outside[1:]:
            self._outsides.append(outside)
        self._figures = figures_of(self._books_now(), self.layout)
        self._look_for_emptied()

    def traded(self) -> None:
        """An order of an execution arrived or was filled: that takes no figure past a limit, or further past it."""
        before, after = self._figures, figures_of(self._books_now(), self.layout)
        self._figures = after
        self._look_for_emptied()
        assert before is not None
        for ticker in after.markets:
            for line in passed_by(_rounded(before), after, ticker, self.layout, self.plan.limits):
                self._witness.found(f"13: an order in {ticker} takes a limit further past: {line}")

    def accepted(self, execution: Execution) -> None:
        """An execution has become durable."""
        broken: list[str] = []
        asked, ticker = _reservation(execution, execution.filled_e2), execution.terms.ticker
        forbidden = self.rules.accepted(execution)
        for before, after in self._believable(asked, ticker, execution.execution_id):
            broken = passed_by(before, after, ticker, self.layout, self.plan.limits)
            broken += forbidden if raises_risk(before, after, ticker, self.layout) else []
            if not broken:
                break
        for line in broken:
            self._witness.found(f"13: {execution.execution_id} is let in and {line}")
        self._figures = figures_of(self._books_now(), self.layout)
        self._look_for_emptied()

    def refused(self, request: ExecutionRequest, error: RiskRefused, *, alone: bool) -> None:
        """A request was refused. `alone`: no other one was being accepted meanwhile."""
        ticker, limits = request.ticker, request.limits
        assert limits is not None, "without limits nothing is bought"
        asked = MayFill(ticker, request.outcome, request.target_e2, limits.cap_e6, closes=request.reduce_only)
        refusals = [
            (
                raises_risk(before, after, ticker, self.layout),
                bool(passed_by(before, after, ticker, self.layout, self.plan.limits)),
            )
            for before, after in self._believable(asked, ticker, None)
        ]
        if error.limit == "account" or not alone or self._exchange.markets[ticker].status != "active":
            return  # it has not been read yet; or it is not heard of yet that nothing can be bought there any more
        if not any(raises or passes for raises, passes in refusals) and "halted" not in str(error):
            self._witness.found(f"13: what adds no risk is refused: {error}")
        about_figures = error.limit.startswith("max_worst_case") or error.limit == "max_contracts_per_market"
        if about_figures and not any(passes for _, passes in refusals):
            self._witness.found(f"13: what fits is refused: {error}")

    def _look_for_emptied(self) -> None:
        """Remember the executions that only close and have nothing left to close."""
        for name, kept in self._witness.durable.items():
            execution = kept.execution
            if not execution.reduce_only or execution.is_ended:
                continue
            if not self._account.position(execution.terms.ticker).closable_e2(execution.outcome):
                self.emptied.add(name)

    def looked_for_reservations(self, engine: Engine) -> None:
        """What is unfinished in the database is at work or quarantined in an engine that accepts requests: nothing else
        reserves for it."""
        kept = {*(one.execution_id for one in engine.executions_at_work()), *engine.executions_quarantined()}
        for name, durable in self._witness.durable.items():
            if not durable.execution.is_ended and name not in kept:
                self._witness.found(f"14: {name} is unfinished and the engine reserves nothing for it")

    # The brake

    def looked(self, connection: sqlite3.Connection, at_work: str | None) -> None:
        """Look at the brake as the database has it and as the engine has it (None: none is up). What was on stays on,
        over restarts too, until its user has asked for another."""
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'risk_state'").fetchone() is None:
            return
        row = connection.execute("SELECT state FROM risk_state").fetchone()
        for source, now in (("stored", "active" if row is None else row[0]), ("at work", at_work)):
            if now is None or now == self._brake:
                continue
            if STRICTNESS.index(now) < STRICTNESS.index(self._brake) and not self._may_ease:
                self._witness.found(f"13: the brake was {self._brake} and is {now} ({source}): nobody returned it")
            self._brake = now
            self._may_ease = False
            self.was_halted = self.was_halted or now == "halted"
            self.was_reducing = self.was_reducing or now != "active"

    def expect_return(self) -> None:
        """Expect the brake to be led back: its user is about to ask."""
        self._may_ease = True

    # For a user who wants all there is

    def most_e2(self, asked: MayFill) -> int:
        """The most of `asked` that the limits leave now, in hundredths of a contract."""
        low, high = 0, asked.count_e2  # `low` fits
        books = self._books_now()
        before = figures_of(books, self.layout)
        while low < high:
            middle = (low + high + 1) // 2
            more = Books(books.held, (*books.orders, asked._replace(count_e2=middle)))
            if passed_by(before, figures_of(more, self.layout), asked.ticker, self.layout, self.plan.limits):
                high = middle - 1
            else:
                low = middle
        return low

    # The books

    def _believable(self, asked: MayFill, ticker: str, name: str | None) -> Iterator[tuple[Figures, Figures]]:
        """The figures without and with a request, by each state that the engine may believe in: newest first."""
        must = (self._world.must_know(each.at_us) for each in self._outsides)
        unknown = (n for n, is_known in enumerate(must) if not is_known)
        first = max(0, next(unknown, len(self._outsides)) - 1)
        known = self._outsides[first:]
        # What rests is read as it is, what was filled of it only later: the one may be of a later state than the other.
        states = [
            one._replace(orders=later.orders, orphans=later.orphans)
            for n, one in enumerate(known)
            for later in known[n:]
        ]
        states.reverse()
        for outside in states:
            for by_exchange, has_loose in ((True, True), (False, True), (True, False), (False, False)):
                books = self._books(outside, by_exchange=by_exchange, without=name, has_loose=has_loose)
                more = Books({ticker: Held(), **books.held}, (*books.orders, asked))
                yield figures_of(books, self.layout), figures_of(more, self.layout)

    def _books_now(self) -> Books:
        return self._books(self._outsides[-1], by_exchange=True, without=None)

    def _books(self, outside: Outside, *, by_exchange: bool, without: str | None, has_loose: bool = True) -> Books:
        """The account with this outside. What executions hold is as the exchange has it, or as the database has.
        `has_loose`: also with orders that bear a name of ours and that the engine may not have seen twice yet."""
        held = dict(outside.held)
        filled: dict[str, int] = {}
        for fill in self._account.fills:
            owner = self._owner(fill.order)
            if owner is not None and by_exchange:
                ticker = fill.order.ticker
                held[ticker] = _after(held.get(ticker, Held()), fill)
                filled[owner] = filled.get(owner, 0) + fill.count_e2
        orders, reserved = list(outside.orders), list[MayFill]()
        for name, kept in self._witness.durable.items():
            execution = kept.execution
            ticker = execution.terms.ticker
            if not by_exchange:
                filled[name] = execution.filled_e2
                for done in execution.fills:
                    before = held.get(ticker, Held())
                    held[ticker] = before.bought(execution.outcome, done.count_e2, done.price_e4, done.fee_e6)
            if not execution.is_ended and name != without:
                reserved.append(_reservation(execution, filled.get(name, 0)))
        orders += [order for since_us, order in self._loose_orders() if has_loose or self._was_seen_twice(since_us)]
        orders += [order for since_us, order in outside.orphans if has_loose or self._was_seen_twice(since_us)]
        orders = [order for order in orders if order.ticker not in outside.settled]
        orders += reserved  # until their executions end, whatever becomes of their markets
        return Books(
            {ticker: each for ticker, each in held.items() if ticker not in outside.settled},
            [order for order in orders if order.count_e2],
        )

    def _outside_now(self) -> Outside:
        held: dict[str, Held] = {}
        for fill in self._account.fills:
            if self._owner(fill.order) is None:
                held[fill.order.ticker] = _after(held.get(fill.order.ticker, Held()), fill)
        rest = [order for resting in self._account.resting.values() for order in resting.values()]
        nobodys = [order for order in rest if self._owner(order) is None]
        orphans = [order for order in nobodys if order.client_order_id in self._witness.orphans]
        by_hand = tuple(self._loose(order)[1] for order in nobodys if order not in orphans)
        markets = self._exchange.markets.items()
        settled = frozenset(ticker for ticker, market in markets if market.status == "finalized")
        return Outside(self._exchange.timeline.now_us(), held, by_hand, settled, tuple(map(self._loose, orphans)))

    def _was_seen_twice(self, since_us: int) -> bool:
        """Whether two looks of this process must have seen an order that bears a name of ours. After one it may be of
        an execution that is on its way."""
        return self._world.must_know(max(since_us, self._world.process.started_us) + SECOND_LOOK_US)

    def _loose(self, order: Order) -> tuple[int, MayFill]:
        may_fill = loose_order(order.ticker, order.outcome, order.open_e2, order.price_e4, self._fees(order))
        return order.created_us, may_fill

    def _loose_orders(self) -> Iterator[tuple[int, MayFill]]:
        """Orders of executions that have ended."""
        for resting in self._account.resting.values():
            for order in resting.values():
                owner = self._owner(order)
                kept = None if owner is None else self._witness.durable.get(owner)
                if owner is not None and (kept is None or kept.execution.is_ended):
                    yield self._loose(order)

    def _owner(self, order: Order) -> str | None:
        name = order.client_order_id
        return None if name in self._witness.orphans else self._witness.owner(name)

    def _fees(self, order: Order) -> FeeTerms:
        return self._exchange.markets[order.ticker].fees


def _reservation(execution: Execution, filled_e2: int) -> MayFill:
    """What an execution may still buy."""
    limits = execution.limits
    open_e2 = 0 if limits is None else max(0, execution.target_e2 - filled_e2)
    cap_e6 = 0 if limits is None else limits.cap_e6
    return MayFill(execution.terms.ticker, execution.outcome, open_e2, cap_e6, closes=execution.reduce_only)


def _after(held: Held, fill: FillRecord) -> Held:
    return held.bought(fill.order.outcome, fill.count_e2, fill.price_e4, fill.fee_e6)


def _rounded(figures: Figures) -> Figures:
    """The figures with what rounding may take from each of them."""

    def less(worst: dict[str, int]) -> dict[str, int]:
        return {name: each - ROUNDED_E6 for name, each in worst.items()}

    return Figures(
        less(figures.markets),
        less(figures.events),
        less(figures.series),
        figures.account - ROUNDED_E6,
        figures.contracts_e2,
    )
