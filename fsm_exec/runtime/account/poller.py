"""The poller: reads the account at the start, after each reconnection and at intervals, and sets the brake.

A look stores fills that no execution made, settlements, and where the exchange says something else than our books do;
then the books are brought up to them. A fill is nobody's only when it is old enough that an order of ours would have
told its id. Before the first look of all, what is held is the opening; fills of before are in it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import msgspec
import trio
from msgspec.structs import asdict
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.account.brake import RiskState, observe, trigger_between
from fsm_exec.core.account.differences import (
    Comparison,
    Seen,
    compare_balance,
    compare_positions,
    compare_settlement,
    openings_of,
    standing_after,
)
from fsm_exec.core.account.marks import Mark
from fsm_exec.core.account.profit import line_of
from fsm_exec.core.account.rows import AccountLook, Difference, RiskLogRow
from fsm_exec.core.account.worst_case import OpenOrder
from fsm_exec.core.errors import ExecError, SaveRefused, VenueError, VenueUnavailable
from fsm_exec.core.exchange_port import Exchange
from fsm_exec.core.market.account import MarketFacts, Settlement
from fsm_exec.core.market.orders import OrderListing, OrderReport
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.store_port import AccountStore, Store
from fsm_exec.core.trouble import Trouble
from fsm_exec.core.values.units import CountE2, MoneyE6, complement
from fsm_exec.runtime.account.foreign_fills import ForeignFills
from fsm_exec.runtime.account.gate import Gate
from fsm_exec.runtime.account.ledger import Ledger
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.engine import Engine
from fsm_exec.runtime.order_names import OrderNames
from fsm_exec.runtime.stream_state import StreamState

INTERVAL_S = 30.0
AFTER_RECONNECTION_S = 2.0
RETRY_S = 5.0
APART_US = 10_000_000  # two looks that show the same difference show no lag if they are so far apart
FIRST_RETRY_S = 1.0  # before the first look: requests wait for it
OVERLAP_US = 60_000_000  # how far a listing reaches back over the last one
READ_AGAIN_AFTER_S = (0.2, 0.5, 1.0, 1.0, 2.0, 2.0)
LIVE = "live"

T = TypeVar("T")


class AccountPoller:
    """Keeps `ledger` with what the exchange lists."""

    def __init__(
        self,
        engine: Engine,
        exchange: Exchange,
        store: Store,
        account: AccountStore,
        ledger: Ledger,
        gate: Gate,
        names: OrderNames,
        stream: StreamState,
        wall: WallClock,
        log: FilteringBoundLogger,
    ) -> None:
        self._engine, self._exchange, self._store, self._account = engine, exchange, store, account
        self._ledger, self._gate, self._names, self._stream = ledger, gate, names, stream
        self._wall, self._log = wall, log
        self._unread = Trouble(log, "account_not_read")
        self._unread_events, self._unread_marks = Trouble(log, "events_not_read"), Trouble(log, "marks_not_read")
        self._seen: dict[str, Seen] = {}
        self._odd = MoneyE6(0)
        self._odd_us = 0  # when it was first that
        self._foreign_orders: tuple[tuple[OrderReport, int], ...] = ()  # that rest, each with the time of its listing
        # Orders of ours that no execution worked at the last look, with the time since when: it may have lagged.
        self._unworked: dict[str, int] = {}
        self._marks: dict[str, Mark] = {}
        self._terms: dict[str, MarketTerms] = {}
        self._unsettled: frozenset[str] = frozenset()  # markets with fills of ours that the books may lack
        self.foreign_fills = ForeignFills(exchange, store, account, ledger, names, engine.executions_at_work, log)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            is_read = await self.look()
            retry_s = RETRY_S if self._ledger.was_read.is_set() else FIRST_RETRY_S
            with trio.move_on_after(INTERVAL_S if is_read else retry_s):
                async with trio.open_nursery() as nursery:
                    for wait in (self._wait_for_reconnection, self._ledger.doubts.wait_for_request):
                        nursery.start_soon(_end_after, wait, nursery.cancel_scope)

    async def _wait_for_reconnection(self) -> None:
        await self._stream.reconnected.wait()
        await trio.sleep(AFTER_RECONNECTION_S)

    async def run_foreign_fills(self) -> None:
        """Keep for ever what the stream tells of fills that no execution made. Raises StoreFailed."""
        await self.foreign_fills.run(self._take_foreign_fill)

    async def _take_foreign_fill(self) -> None:
        await self._learn_places()
        self._count_foreign_orders()

    async def look(self) -> bool:
        """Read the account once, keep what came of it, and set the brake by what is known, read or not; return whether
        it was read. Raises StoreFailed."""
        is_read, doubts = False, self._ledger.doubts
        number = doubts.begin_look()
        try:
            await self._read(number)
            is_read = True
            self._unread.end()
        except (VenueError, SaveRefused) as error:
            self._unread.record(str(error))
            if isinstance(error, SaveRefused):  # a row that the database does not take stops nobody
                doubts.clear_by_look(number, ())
        doubts.end_look()
        await self._gate.learn_quarantined()
        if self._ledger.look is not None:
            await self._observe()
        if is_read:
            self._ledger.was_read.set()  # not before the brake: who waits for it is judged by both
        await self._act_on_brake()
        return is_read

    async def _read(self, number: int) -> None:
        """Read the account once and keep what came of it; `number` is the look's. Raises VenueError and StoreFailed."""
        if not self._ledger.was_read.is_set():
            # The start goes first: it lists orders itself, perhaps many pages, and learns by which ids ours go.
            with suppress(ExecError):  # what made the start impossible is told to the engine's owner
                await self._engine.wait_running()
        now_us, before = self._wall.now_us(), self._ledger.look
        # Before the fills: what was filled of an order that rests is among those.
        orders = await self._ask(partial(self._exchange.fetch_orders, resting=True))
        await self._learn_terms(
            [
                one.ticker
                for one in orders.orders
                if one.order_id in self._unworked or not self._names.owner_of(one.client_order_id)
            ]
        )
        if before is not None:
            await self._save_foreign_fills(before)
        found = await self._keep_settlements(before)  # also of what was bought by hand and settled since the last look
        self._learn_foreign_orders(orders, now_us)
        first_at_us = self._wall.now_us()  # what is filled from here on is counted by its fills
        positions = await self._ask(self._exchange.fetch_positions)
        balance = await self._ask(self._exchange.fetch_balance)
        await self._reload_stale()
        held = self._ledger.held()
        if before is None:
            openings, comparison = openings_of(held, positions, now_us), Comparison()
        else:
            openings = ()
            standing = self._ledger.differences
            comparison = compare_positions(held, positions, self._seen, standing, now_us, self._unsettled, APART_US)
        differences = [*found, *comparison.differences]
        look = before or AccountLook(at_us=now_us, first_at_us=first_at_us, balance_e6=None, explained_e6=None)
        if not orders.orders and not orders.unread and not self._has_open_order():
            explained = self._ledger.explained_e6()
            odd = MoneyE6(0) if now_us - self._odd_us < APART_US else self._odd
            checked = compare_balance(before, balance.available_e6, explained, odd, now_us)
            self._odd_us = self._odd_us if checked.odd_e6 == self._odd else now_us
            look, self._odd = checked.look, checked.odd_e6
            differences += [] if checked.difference is None else [checked.difference]
        look = msgspec.structs.replace(look, at_us=now_us)
        await self._account.save_look(look, openings, comparison.adjustments, differences)
        self._ledger.look, self._seen = look, dict(comparison.seen)
        self._ledger.differences = standing_after(self._ledger.differences, differences)
        self._ledger.stale.update(one.ticker for one in openings)
        self._ledger.stale.update(one.ticker for one in comparison.adjustments)
        self._ledger.doubts.clear_by_look(number, self._seen)
        await self._learn_places()
        for one in differences:
            self._log.warning("account_differs", **asdict(one))

    def _has_open_order(self) -> bool:
        """Return whether an order of ours may rest: one that was placed since the listing reserves what it costs."""
        return any(child.is_open for execution in self._engine.executions_at_work() for child in execution.children)

    async def _ask(self, read: Callable[[], Awaitable[T]]) -> T:
        """Read; before the first look again after a pause if there was no answer: requests wait for that look, and of
        its many reads one that is lost would lose it whole. Later the brake does not wait. Raises VenueError."""
        for pause_s in () if self._ledger.was_read.is_set() else READ_AGAIN_AFTER_S:
            with suppress(VenueUnavailable):
                return await read()
            await trio.sleep(pause_s)
        return await read()

    async def _keep_settlements(self, before: AccountLook | None) -> list[Difference]:
        await self._reload_stale()
        since_us = None if before is None else before.at_us - OVERLAP_US
        known = self._ledger.markets
        news: list[Settlement] = []
        for one in await self._ask(partial(self._exchange.fetch_settlements, since_us)):
            market = known.get(one.ticker)
            if market is not None and market.settlement is None:  # of a market never heard of: before our time
                news.append(one)
        found = [compare_settlement(known[one.ticker].holding, one, self._wall.now_us()) for one in news]
        if news:
            await self._account.save_settlements(news)
            self._ledger.stale.update(one.ticker for one in news)
            await self._reload_stale()
        return [one for one in found if one is not None]

    async def _save_foreign_fills(self, before: AccountLook) -> None:
        since_us = max(before.first_at_us, before.at_us - OVERLAP_US)
        listing = await self._ask(partial(self._exchange.fetch_fills, since_us=since_us))
        self._unsettled = await self.foreign_fills.save_foreign(listing.fills)

    def _learn_foreign_orders(self, listing: OrderListing, now_us: int) -> None:
        """Take the orders that rest and are in no reservation: others', and, seen twice, ours that nobody works."""
        owners = {one.order_id: self._names.owner_of(one.client_order_id) for one in listing.orders}
        reserved = self._gate.executions_reserved()  # once for all orders: of ten thousand each has one
        self._unworked = {
            order_id: self._unworked.get(order_id, now_us)
            for order_id, owner in owners.items()
            if owner is not None and owner not in reserved
        }
        loose = {order_id for order_id, since_us in self._unworked.items() if now_us - since_us >= APART_US}
        foreign = [one for one in listing.orders if owners[one.order_id] is None or one.order_id in loose]
        self._foreign_orders = tuple((one, listing.as_of_us) for one in foreign)
        self.foreign_fills.forget_until(listing.as_of_us)
        self._count_foreign_orders()

    def _count_foreign_orders(self) -> None:
        """Count what may still fill of them: what was filled since they were listed is among the books already."""
        orders = []
        for one, as_of_us in self._foreign_orders:
            left = CountE2(one.remaining_e2 - self.foreign_fills.filled_since(one.order_id, as_of_us))
            if left <= 0:
                continue
            terms = self._terms.get(one.ticker)
            # Of a market whose fees are not known a contract costs a dollar at most.
            all_in = MoneyE6(1_000_000) if terms is None else terms.fees_at(as_of_us).all_in(one.price_e4, taker=True)
            place = self._ledger.place_of(one.ticker)
            orders.append(OpenOrder(one.ticker, *place, one.outcome, left, all_in))
        self._ledger.foreign_orders = tuple(orders)

    async def _learn_terms(self, tickers: list[str]) -> None:
        missing = sorted({one for one in tickers if one not in self._terms})
        if missing:
            self._terms.update(await self._exchange.fetch_markets(missing))
            for ticker in missing:
                if ticker in self._terms:
                    self._ledger.learn_terms(self._terms[ticker])

    async def _learn_places(self) -> None:
        """Learn to which events the markets belong that are held and that no request was for, and what these events
        are. While the exchange does not tell, their worst cases add up."""
        await self._reload_stale()
        ledger, now_us = self._ledger, self._wall.now_us()
        try:
            await self._learn_terms([stake.ticker for stake in ledger.stakes() if not stake.event])
            events = {stake.event for stake in ledger.stakes()} - {"", *ledger.shapes}
            for event in sorted(events) if ledger.limits.limits_anything else ():
                shape = await self._exchange.fetch_event_shape(event)
                ledger.learn_shape(shape)
                await self._account.save_event_shape(shape, now_us)
            self._unread_events.end()
        except VenueError as error:
            self._unread_events.record(str(error))

    async def _reload_stale(self) -> None:
        await self._ledger.reload_stale(self._account)

    async def _observe(self) -> None:
        """Look at the equity and keep the brake; as it was, while what is held has no price. Raises StoreFailed."""
        equity_e6 = await self._equity_e6()
        if equity_e6 is None:
            return
        after = observe(self._ledger.risk, equity_e6, self._wall.now_us(), self._ledger.limits)
        await self.move(after, "engine")

    async def _act_on_brake(self) -> None:
        """End what the brake ends; it is durable."""
        now = self._ledger.risk
        if now.state == "halted":
            self._engine.halt(now.why)
        elif now.state == "reducing":
            for execution_id in self._gate.to_end():
                try:
                    await self._engine.cancel(execution_id, "risk")
                except ExecError as error:
                    self._log.warning("not_ended_for_risk", execution=execution_id, why=str(error))

    async def move(self, after: RiskState, who: str) -> None:
        """Keep the brake as it is now; `who` moved it, if it moved. Raises StoreFailed."""
        before = self._ledger.risk
        if after == before:
            return
        trigger = trigger_between(before.state, after.state)
        row = None
        if trigger is not None:
            row = RiskLogRow(
                at_us=self._wall.now_us(),
                moved_from=before.state,
                moved_by=trigger,
                moved_to=after.state,
                who=who,
                why=after.why,
                figures=msgspec.json.encode(
                    {"equity": after.equity_e6, "day_start": after.day_start_e6, "peak": after.peak_e6}
                ),
            )
            self._log.warning("transition", machine="risk", trigger=trigger, dest=after.state, why=after.why)
        await self._account.save_risk(after, row)
        self._ledger.risk = after

    async def _equity_e6(self) -> int | None:
        """The profit of all there is, at the last known prices. None: the exchange does not answer, and a market that
        is held never had a price in this process; to count it as worth nothing would be a loss that nobody made."""
        held = [one.ticker for one in self._ledger.markets.values() if one.holding.count_e2]
        missing = []
        for ticker in held:
            feed = self._engine.feeds.get(ticker)
            if feed is None or feed.state != LIVE:
                missing.append(ticker)
                continue
            yes, no = feed.view("yes", depth=0).bids, feed.view("no", depth=0).bids
            now_us = self._wall.now_us()
            self._marks[ticker] = Mark(
                ticker=ticker, yes_bids=yes, no_bids=no, fees=feed.terms.fees_at(now_us), at_us=now_us
            )
        if missing:
            try:
                await self._learn_terms(missing)
                for facts in (await self._exchange.fetch_market_facts(missing)).values():
                    if facts.ticker in self._terms:
                        self._marks[facts.ticker] = _mark(facts, self._terms[facts.ticker], self._wall.now_us())
                self._unread_marks.end()
            except VenueError as error:
                self._unread_marks.record(str(error))
                if not self._marks.keys() >= set(missing):
                    return None
        lines = (line_of(one.ticker, one.holding, self._marks.get(one.ticker)) for one in self._ledger.markets.values())
        archived = line_of("archived", self._ledger.archived, None)
        return archived.total_e6 + sum(line.total_e6 for line in lines)


async def _end_after(wait: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel()


def _mark(facts: MarketFacts, terms: MarketTerms, at_us: int) -> Mark:
    """The best prices of a listing."""
    yes = ((facts.yes_bid_e4, facts.yes_bid_size_e2),) if facts.yes_bid_e4 and facts.yes_bid_size_e2 else ()
    no = ((complement(facts.yes_ask_e4), facts.yes_ask_size_e2),) if facts.yes_ask_e4 and facts.yes_ask_size_e2 else ()
    return Mark(ticker=facts.ticker, yes_bids=yes, no_bids=no, fees=terms.fees_at(at_us), at_us=at_us, source="quote")
