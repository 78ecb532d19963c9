"""The gate: whether a request is let in by the limits of the account's risk.

Check and reservation are one synchronous step, so two requests that come together cannot both use the same room. A
request reserves until its execution is durable and at work; from then on the execution itself is the reservation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import trio

from fsm_exec.core.account.admission import Request, Situation, order_of, raises_worst_case, why_refused
from fsm_exec.core.account.brake import Reserved, needs_to_end
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.account.stored_reservation import orders_of
from fsm_exec.core.account.worst_case import Exposure, OpenOrder, Stake, event_of, exposure_of
from fsm_exec.core.errors import RiskRefused, VenueError
from fsm_exec.core.exchange_port import AccountReads
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.execution.reservation import open_e2
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.store_port import AccountStore, Store
from fsm_exec.core.values.units import US_PER_S, CountE2, MoneyE6
from fsm_exec.runtime.account.ledger import Ledger
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.stored_executions import decode_if_readable
from fsm_exec.runtime.submission import ExecutionRequest

KNOWN_FOR_US: Final = 60 * US_PER_S  # how long shapes and facts are believed
MINUTE_S: Final = 60
MINUTE_US: Final = MINUTE_S * US_PER_S
READ_WITHIN_S: Final = 45.0  # two reads that get no answer, and some; a caller waits a minute for us


class Gate:
    """`executions` are those at work, `quarantined` the ids of those that are not and may be resumed."""

    def __init__(
        self,
        ledger: Ledger,
        exchange: AccountReads,
        store: Store,
        account: AccountStore,
        wall: WallClock,
        executions: Callable[[], Iterable[Execution]],
        quarantined: Callable[[], Iterable[str]],
    ) -> None:
        self._ledger, self._exchange, self._wall = ledger, exchange, wall
        self._store, self._account = store, account
        self._executions, self._quarantined_now = executions, quarantined
        self._pending: dict[str, OpenOrder] = {}
        self._quarantined: dict[str, tuple[OpenOrder, ...]] = {}
        self._unbounded: set[str] = set()  # quarantined executions of which nothing says what they may cost
        self._asked_us: dict[str, int] = {}
        self._submitted_s: deque[float] = deque()  # of trio's clock: nobody puts it back

    @property
    def limits(self) -> RiskLimits:
        """Those of the configuration."""
        return self._ledger.limits

    async def prepare(self, terms: MarketTerms) -> None:
        """Learn what is needed to judge a request for this market: its event's markets, when it closes, and what
        quarantined executions may still buy. What the exchange does not tell stays unknown: worst cases add up then."""
        self._ledger.learn_terms(terms)
        now_us = self._wall.now_us()
        if self.limits.limits_anything and now_us - self._asked_us.get(terms.ticker, -KNOWN_FOR_US) >= KNOWN_FOR_US:
            with suppress(VenueError):
                if terms.event:
                    shape = await self._exchange.fetch_event_shape(terms.event)
                    self._ledger.learn_shape(shape)
                    await self._account.save_event_shape(shape, now_us)
                self._ledger.facts.update(await self._exchange.fetch_market_facts([terms.ticker]))
                # Not before: another request for this market must not be judged while the answer is on its way.
                self._asked_us[terms.ticker] = now_us
        until_s = trio.current_time() + READ_WITHIN_S
        if self.limits.limits_anything:
            with trio.move_on_at(until_s):  # just after a start; then what may add risk is refused
                await self._ledger.was_read.wait()
        await self.learn_quarantined()
        await self._ledger.reload_stale(self._account)
        while self.limits.limits_anything and self._ledger.doubts and trio.current_time() < until_s:
            with trio.move_on_at(until_s):
                await self._ledger.doubts.wait_for_none()
            await self._ledger.reload_stale(self._account)

    async def learn_quarantined(self) -> None:
        """Learn what quarantined executions may still buy: by their snapshots, or by their rows where one cannot be
        read. Raises StoreFailed."""
        while missing := [one for one in self._quarantined_now() if one not in self._quarantined]:
            for execution_id in missing:
                await self._learn(execution_id)

    async def _learn(self, execution_id: str) -> None:
        stored = await self._store.load_execution(execution_id)
        read = () if stored is None or stored.damage is not None else decode_if_readable(stored)
        orders: tuple[OpenOrder, ...] | None
        if read:
            orders = tuple(order for order in map(self._order_of, read) if order is not None)
        else:
            orders = orders_of(await self._account.load_reservation(execution_id))
        self._quarantined[execution_id] = orders or ()
        if orders is None:
            self._unbounded.add(execution_id)

    def _order_of(self, execution: Execution) -> OpenOrder | None:
        """What an unfinished execution may still buy, as an order; None: nothing."""
        count = open_e2(execution)
        if count == 0 or execution.limits is None:
            return None
        return OpenOrder(
            ticker=execution.terms.ticker,
            event=execution.terms.event,
            series=execution.terms.series,
            outcome=execution.outcome,
            count_e2=count,
            all_in_e6=execution.limits.cap_e6,
            reduces_only=execution.reduce_only,
        )

    def executions_reserved(self) -> set[str]:
        """Return the executions whose orders are in what is reserved for them."""
        at_work = {one.execution_id for one in self._executions() if not one.is_ended}
        return at_work | {name for name, orders in self._quarantined.items() if orders}

    def reserved(self) -> list[Reserved]:
        """What the executions at work may still buy."""
        found = [(one.execution_id, self._order_of(one)) for one in self._executions()]
        return [Reserved(execution_id, order) for execution_id, order in found if order is not None]

    def _others(self) -> list[OpenOrder]:
        """What may still fill beside the executions at work."""
        quarantined = set(self._quarantined_now())
        for gone in self._quarantined.keys() - quarantined:
            del self._quarantined[gone]
            self._unbounded.discard(gone)
        at_work = {one.execution_id for one in self._executions()}  # one that is being given up, or taken up, is both
        kept = [order for name, orders in self._quarantined.items() if name not in at_work for order in orders]
        return [*self._pending.values(), *kept, *self._ledger.foreign_orders]

    def exposure(self) -> Exposure:
        """The worst cases as they stand."""
        orders = [*(one.order for one in self.reserved()), *self._others()]
        return exposure_of(self._ledger.stakes(), orders, self._ledger.shapes)

    def reserve(self, name: str, request: ExecutionRequest, terms: MarketTerms) -> None:
        """Let a request in and reserve what it may buy under this name, until `release`. Raises RiskRefused."""
        order = self.judge(request, terms)
        self._pending[name] = order
        self._submitted_s.append(trio.current_time())

    def exposure_with(self, order: OpenOrder) -> Exposure:
        """The worst cases as they would stand with one more order that may fill."""
        orders = [*(one.order for one in self.reserved()), *self._others(), order]
        return exposure_of(self._ledger.stakes(), orders, self._ledger.shapes)

    def judge(self, request: ExecutionRequest, terms: MarketTerms) -> OpenOrder:
        """Return what a request may buy if it would be let in now; nothing is reserved. Raises RiskRefused."""
        asked = Request(
            ticker=request.ticker,
            event=terms.event,
            series=terms.series,
            outcome=request.outcome,
            count_e2=request.target_e2 if request.limits is not None else CountE2(0),
            all_in_e6=MoneyE6(0) if request.limits is None else request.limits.cap_e6,
            reduces_only=request.reduce_only,
        )
        now_us = self._wall.now_us()
        unfinished = [one for one in self._executions() if not one.is_ended]  # an ended one may wait to be measured
        at_work = self.reserved()
        stakes, orders = self._ledger.stakes(), [*(one.order for one in at_work), *self._others()]
        order = order_of(asked, stakes, orders)
        if self.limits.limits_anything:
            self._require_known(order, request, stakes, orders)
        facts = self._ledger.facts.get(request.ticker)
        situation = Situation(
            stakes=stakes,
            orders=orders,
            shapes=self._ledger.shapes,
            executions=len(unfinished) + len(self._pending),
            submissions_last_minute=self._submissions(unfinished, now_us),
            state=self._ledger.risk.state,
            close_us=None if facts is None else facts.close_us,
            determination_us=None if facts is None else facts.determination_us,
            now_us=now_us,
        )
        refused = why_refused(asked, situation, self.limits)
        if refused is not None:
            raise refused.to_error()
        return order

    def _require_known(
        self, order: OpenOrder, request: ExecutionRequest, stakes: list[Stake], orders: list[OpenOrder]
    ) -> None:
        """Raises RiskRefused if something has to be known first. Until the account has been read our books are of
        before the start, and in doubt they are of no state there was: only what closes is let in, which the exchange
        itself keeps to what is held."""
        asked = "a request that may add risk"
        if not self._ledger.was_read.is_set() and not request.reduce_only:
            raise RiskRefused("account", "the account has been read", "it has not been read yet", asked)
        if self._ledger.doubts and not request.reduce_only:
            why = "the stream tells of another position than our books, and no look has told why yet"
            raise RiskRefused("account", "what is held is known", why, asked)
        if self._unbounded:
            event = event_of(order)
            here = [stake for stake in stakes if event_of(stake) == event]
            beside = [one for one in orders if event_of(one) == event]
            if raises_worst_case(order, here, beside, self._ledger.shapes.get(event)):
                why = f"of {min(self._unbounded)} nothing can be read"
                raise RiskRefused("account", "what each execution may cost is known", why, asked)

    def _submissions(self, unfinished: list[Execution], now_us: int) -> int:
        """Return how many were let in during the last minute. Of what an earlier process let in only the unfinished are
        known."""
        while self._submitted_s and self._submitted_s[0] <= trio.current_time() - MINUTE_S:
            self._submitted_s.popleft()
        return max(len(self._submitted_s), sum(now_us - one.accepted_at_us < MINUTE_US for one in unfinished))

    def release(self, name: str) -> None:
        """Its execution is at work, or will not be."""
        self._pending.pop(name, None)

    def to_end(self) -> tuple[str, ...]:
        """The executions at work that have to end while risk may only be reduced."""
        return needs_to_end(self._ledger.stakes(), self.reserved(), self._others(), self._ledger.shapes)
