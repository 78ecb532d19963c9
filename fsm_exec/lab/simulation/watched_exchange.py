"""The paper exchange under watch, with the one fault it does not have itself: a fill that is published after the end.

An exchange answers a cancel, and then finds that it had matched a part of the order before: rare, and the reason why
nothing about an order is ever taken for its last word but its fills.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from fsm_exec.core.values.units import CountE2, parse_count
from fsm_exec.lab.simulation.witness import Witness
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.matching_engine.market import PaperMarket
from fsm_exec.paper.matching_engine.market_book import Match
from fsm_exec.paper.matching_engine.orders import Order
from fsm_exec.paper.timing.timeline import Rank, Timeline
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.wire import rest

SOONEST_US, LATEST_US = 13_000_000, 25_000_000
"""After the cancel. By then its answer has come, or has been given up: a fill that comes before an answer that denies
it is a contradiction, for which the engine rightly wants a person."""


class LateFills:
    """Draws which cancels are followed by a fill, of how much and when; none after `until_us`."""

    def __init__(self, per_mille: int, seed: int, until_us: int) -> None:
        self._per_mille, self._until_us = per_mille, until_us
        self._rng = random.Random(f"late fills:{seed}")

    def draw(self, now_us: int, left_e2: CountE2) -> tuple[CountE2, int, bool] | None:
        """Draw (count, when, whether silently) of a late fill for a cancel that took `left_e2` off the book. Never all
        of it."""
        chosen = self._rng.randrange(1_000) < self._per_mille
        if not chosen or left_e2 < 2 or now_us >= self._until_us:
            return None
        count, at_us = self._rng.randint(1, left_e2 - 1), now_us + self._rng.randint(SOONEST_US, LATEST_US)
        return CountE2(count), at_us, self._rng.randrange(2) == 0


class WatchedExchange(Exchange):
    """The exchange, reporting what it executed to the witness of an order, by its name (none: of the account). No frame
    carries what happens within `silence`."""

    def __init__(
        self,
        timeline: Timeline,
        *,
        seed: int,
        witness_of: Callable[[str], Witness],
        late_fills: LateFills,
        silence: Callable[[], AbstractContextManager[None]],
    ) -> None:
        super().__init__(timeline, seed=seed)
        self._witness_of, self._late_fills, self._silence = witness_of, late_fills, silence

    def create_order(self, account: Account, request: rest.CreateOrder) -> rest.CreateOrderAnswer:
        held_e2 = account.position(request.ticker).count_e2
        answer = super().create_order(account, request)
        self._executed("create", account, answer.order_id)
        order = self.orders[answer.order_id]
        witness = self._witness_of(order.client_order_id)
        if witness.owner(order.client_order_id) is None:
            self._changed(order)
        witness.closed(order, held_e2, account.position(request.ticker).count_e2)
        return answer

    def amend_order(self, account: Account, order_id: str, request: rest.AmendOrder) -> rest.AmendOrderAnswer:
        answer = super().amend_order(account, order_id, request)
        self._executed("amend", account, order_id)
        return answer

    def cancel_order(self, account: Account, order_id: str, market_ticker: str | None = None) -> rest.CancelOrderAnswer:
        answer = super().cancel_order(account, order_id, market_ticker)
        order, reduced = self.orders[order_id], parse_count(answer.reduced_by)
        self._witness_of(order.client_order_id).history.add("cancelled", order_id, answer.reduced_by)
        late = self._late_fills.draw(self.timeline.now_us(), reduced)
        if late is not None:
            count, at_us, silent = late
            self.timeline.at(at_us, Rank.TAPE, f"late:{order_id}", lambda: self._book_late(order, count, silent=silent))
        return answer

    def _book_late(self, order: Order, count: CountE2, *, silent: bool) -> None:
        market = self.markets[order.ticker]
        if market.status != "active":
            return
        witness = self._witness_of(order.client_order_id)
        witness.history.add("late fill", order.client_order_id, count)
        witness.late_e2[order.order_id] = count
        with self._silence() if silent else nullcontext():
            self._settle(market, Match(order, None, order.outcome, order.price_e4, count), self.timeline.now_us())
        if witness.risk is not None:
            witness.risk.outside_changed()

    def settle_market(self, ticker: str) -> None:
        super().settle_market(ticker)
        witness = self._witness_of("")
        witness.history.add("settled", ticker, self.markets[ticker].result)
        if witness.risk is not None:
            witness.risk.outside_changed()

    def _settle(self, market: PaperMarket, match: Match, now_us: int) -> None:
        super()._settle(market, match, now_us)
        for order in (match.maker, match.taker):
            if order is not None:
                fill = self.accounts[order.account_id].fills[-1]
                self._witness_of(order.client_order_id).filled(fill, market.fees)
            self._changed(order)

    def _end_order(self, order: Order, status: rest.OrderStatus, reason: str | None) -> None:
        super()._end_order(order, status, reason)
        if self._witness_of(order.client_order_id).owner(order.client_order_id) is None:
            self._changed(order)

    def _changed(self, order: Order | None) -> None:
        """Look at the account's risk after a change of one of its orders."""
        if order is None:
            return
        witness = self._witness_of(order.client_order_id)
        risk = witness.risk
        if risk is None:
            return
        if witness.owner(order.client_order_id) is None or order.order_id in witness.late_e2:
            risk.outside_changed()
        else:
            risk.traded()

    def _executed(self, what: str, account: Account, order_id: str) -> None:
        order = self.orders[order_id]
        witness = self._witness_of(order.client_order_id)
        witness.history.add(
            what, order.client_order_id, order_id, order.price_e4, order.initial_e2, order.filled_e2, order.status
        )
        witness.accepted(account, order)
