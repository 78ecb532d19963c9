"""The load: a thousand executions at once, each through its actor, against an exchange that answers at once.

Everything between the inbox and the disk is the engine's own: actor, core, store, log file. Only the counterpart is
written here: it costs nothing, so what is measured is the engine. Each execution takes ten durable transitions:
submitted, planned and placed in one, accepted, and seven fills, of which the last ends it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, cast

import trio

from fsm_exec.algorithms import method
from fsm_exec.core.exchange_port import StreamListener
from fsm_exec.core.execution.advance import advance
from fsm_exec.core.execution.events import AnyEvent, FillReported, OrderAccepted, Submitted
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.journal.to_rows import save_of
from fsm_exec.core.market.account import BudgetFacts
from fsm_exec.core.market.book import Ladder
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.market.orders import AmendOrder, CancelOrder, FillListing, OrderListing, Placed, PlaceOrder
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.store_port import Store
from fsm_exec.core.values.units import LINEAR_CENT, CountE2, MoneyE6, PriceE4
from fsm_exec.runtime.actor import Actor
from fsm_exec.runtime.clock import WallClock, system_us
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.logs import open_log
from fsm_exec.runtime.order_names import OrderNames
from fsm_exec.runtime.own_orders import OwnOrders
from fsm_exec.runtime.services import Services
from fsm_exec.store import SqliteStore, WriterStatistics

EXECUTIONS = 1_000
MARKETS = 20
FILLS_E2 = (100, 100, 100, 100, 100, 100, 400)
TRANSITIONS_EACH = 3 + len(FILLS_E2)
TARGET_E2 = CountE2(sum(FILLS_E2))
TARGET = PriceE4(5_000)
HORIZON_US = 600_000_000
GRACE_US = 5_000_000
BIDS: Ladder = tuple((PriceE4(4_900 - 100 * i), CountE2(12_300 + 700 * i)) for i in range(10))
METHOD = method("simple_limit")

OpenStore = Callable[[], AbstractAsyncContextManager[SqliteStore]]


@dataclass(frozen=True)
class Outcome:
    """What one run did. `waits_s` has the time from each call of `save` to its return."""

    seconds: float
    saves: list[ExecutionSave]
    waits_s: list[float]
    ended: list[Execution]
    statistics: WriterStatistics


class WatchedStore:
    """The store, with each save kept and its wait measured. Saving is all that an actor does with a store."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.saves: list[ExecutionSave] = []
        self.waits_s: list[float] = []

    async def save(self, save: ExecutionSave) -> None:
        self.saves.append(save)
        began = time.perf_counter()
        await self._store.save(save)
        self.waits_s.append(time.perf_counter() - began)


class Counterpart:
    """A `ports.Exchange` that takes every order at once. Nothing in this load asks it for anything else."""

    async def place(self, order: PlaceOrder) -> Placed:
        name = f"exchange-{order.client_order_id}"
        return Placed(order_id=name, filled_e2=CountE2(0), remaining_e2=order.count_e2, at_us=0)

    async def fetch_market_terms(self, ticker: str) -> NoReturn:
        raise AssertionError(f"nobody asks for the terms of {ticker}")

    async def fetch_markets(self, tickers: Sequence[str]) -> NoReturn:
        raise AssertionError(f"nobody asks for the terms of {tickers}")

    async def fetch_positions(self) -> NoReturn:
        raise AssertionError("nobody asks for positions")

    async def fetch_balance(self) -> NoReturn:
        raise AssertionError("nobody asks for the balance")

    async def fetch_settlements(self, since_us: int | None = None) -> NoReturn:
        raise AssertionError("nobody asks for settlements")

    async def fetch_event_shape(self, event: str) -> NoReturn:
        raise AssertionError(f"nobody asks for the shape of {event}")

    async def fetch_market_facts(self, tickers: Sequence[str]) -> NoReturn:
        raise AssertionError(f"nobody asks for the facts of {tickers}")

    async def search_markets(self, text: str = "", *, only_open: bool = True, limit: int = 50) -> NoReturn:
        raise AssertionError(f"nobody searches for {text!r}")

    async def fetch_order_book(self, ticker: str) -> NoReturn:
        raise AssertionError(f"nobody asks for the book of {ticker}")

    async def fetch_queue_positions(self, tickers: Sequence[str]) -> NoReturn:
        raise AssertionError("nobody asks for places in a queue")

    async def fetch_incentives(self) -> NoReturn:
        raise AssertionError("nobody asks for programmes")

    async def amend(self, order: AmendOrder) -> NoReturn:
        raise AssertionError(f"nobody amends {order.order_id}")

    async def cancel(self, order: CancelOrder) -> NoReturn:
        raise AssertionError(f"nobody cancels {order.order_id}")

    async def cancel_batch(self, orders: Sequence[CancelOrder]) -> NoReturn:
        raise AssertionError(f"nobody cancels {len(orders)} orders")

    def budget(self) -> BudgetFacts:
        return BudgetFacts(write_left=100, write_per_s=100, write_capacity=100, place_tokens=10, cancel_tokens=2)

    def volume_24h(self, ticker: str) -> NoReturn:
        raise AssertionError(f"nobody asks for the volume of {ticker}")

    async def fetch_orders(
        self, ticker: str | None = None, *, since_us: int | None = None, resting: bool = False
    ) -> OrderListing:
        raise AssertionError(f"nobody lists the orders of {ticker}")

    async def fetch_fills(
        self, ticker: str | None = None, order_id: str | None = None, *, since_us: int | None = None
    ) -> FillListing:
        raise AssertionError(f"nobody lists the fills of {ticker}")

    async def stream(self, listener: StreamListener, tickers: Sequence[str]) -> None:
        raise AssertionError("nobody opens the stream")

    def watch(self, ticker: str) -> None:
        raise AssertionError(f"nobody watches {ticker}")

    unwatch = watch

    def stream_trouble(self) -> None:
        """Nobody opens it."""


async def run_load(open_store: OpenStore, log_path: Path) -> Outcome:
    """All executions from their submission to their end."""
    actors: dict[str, Actor] = {}

    def deliver(execution_id: str, event: AnyEvent) -> None:
        inbox = actors[execution_id].inbox
        inbox.offer(event)
        if isinstance(event, OrderAccepted):
            for fill in fills_of(event):
                inbox.offer(fill)

    async with open_store() as store:
        watched = WatchedStore(store)
        with log_path.open("a", encoding="utf-8") as log_file:
            wall = WallClock(system_us())
            log = open_log(log_file, wall)
            own = OwnOrders()
            feeds = [live_feed(f"KXBENCH-{n}", wall, own) for n in range(MARKETS)]
            began = time.perf_counter()
            async with trio.open_nursery() as requests:
                names = OrderNames(store.instance)
                services = Services(cast("Store", watched), Counterpart(), wall, own, log, requests, names)
                async with trio.open_nursery() as executions:
                    for n in range(EXECUTIONS):
                        feed = feeds[n % MARKETS]
                        executions.start_soon(work, f"e{n:06d}", store.instance, feed, services, actors, deliver)
            seconds = time.perf_counter() - began
        ended = [actor.execution for actor in actors.values()]
        return Outcome(seconds, watched.saves, watched.waits_s, ended, store.statistics())


async def work(
    name: str,
    instance: str,
    feed: MarketFeed,
    services: Services,
    actors: dict[str, Actor],
    deliver: Callable[[str, AnyEvent], None],
) -> None:
    """Accept one execution, as the engine does, and run its actor."""
    view = feed.view("yes")
    event = Submitted(
        at_us=view.at_us,
        execution_id=name,
        instance=instance,
        outcome="yes",
        method=METHOD.full_name,
        target_e2=TARGET_E2,
        limits=resolve_limits(TARGET, LINEAR_CENT, feed.terms.fees),
        deadline_us=view.at_us + HORIZON_US,
        grace_us=GRACE_US,
        terms=feed.terms,
        arrival=view,
    )
    first = advance(None, event, METHOD)
    assert first is not None
    await services.store.save(save_of(None, event, first))
    actors[name] = Actor(first.execution, METHOD, feed, services, deliver)
    await actors[name].run()


def live_feed(ticker: str, wall: WallClock, own: OwnOrders) -> MarketFeed:
    """A market with ten levels a side."""
    terms = MarketTerms(
        ticker=ticker,
        series="KXBENCH",
        event="KXBENCH-E",
        category="Economics",
        status="open",
        grid=LINEAR_CENT,
        fees=FeeTerms(taker_e10=700_000_000, maker_e10=0),
    )
    feed = MarketFeed(terms, wall, own, lambda *_: None)
    feed.mark_connected()
    feed.apply_snapshot(BIDS, BIDS, None)
    return feed


def fills_of(accepted: OrderAccepted) -> list[FillReported]:
    return [
        FillReported(
            at_us=accepted.at_us + n,
            client_order_id=accepted.client_order_id,
            order_id=accepted.order_id,
            fill_id=f"{accepted.order_id}-{n}",
            price_e4=TARGET,
            count_e2=CountE2(count),
            fee_e6=MoneyE6(0),
            is_taker=False,
            traded_at_us=accepted.at_us + n,
            mid_e5=50_000,
        )
        for n, count in enumerate(FILLS_E2)
    ]
