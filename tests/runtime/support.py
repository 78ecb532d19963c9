"""A small exchange in the test's own process, and an engine on it: what happens when, in virtual time.

The exchange keeps the account's orders and fills as the real one does, and a test says what becomes of each request:
answered, lost on the way there, or lost on the way back. Its prices are those of the request's own outcome. It matches
nothing by itself: a test fills orders.
"""

from __future__ import annotations

import io
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypeAlias

import trio
from msgspec.structs import replace

from fsm_exec.algorithms import method
from fsm_exec.core.account import BudgetFacts
from fsm_exec.core.advance import fold
from fsm_exec.core.execution import Execution
from fsm_exec.core.fees import fee_terms
from fsm_exec.core.limits import resolve_limits
from fsm_exec.core.market import MarketTerms
from fsm_exec.core.orders import (
    AmendAnswer,
    AmendOrder,
    CancelAnswer,
    Cancelled,
    CancelOrder,
    FillListing,
    FillReport,
    OrderListing,
    OrderReport,
    PlaceAnswer,
    Placed,
    PlaceOrder,
    Refused,
    Unknown,
    Write,
)
from fsm_exec.core.ports import Store, StreamListener
from fsm_exec.core.snapshot import decode_entry, encode_snapshot
from fsm_exec.core.units import LINEAR_CENT, CountE2, MoneyE6, Outcome, PriceE4
from fsm_exec.runtime.clock import Wall
from fsm_exec.runtime.engine import Engine, MethodRef, Request
from fsm_exec.runtime.logs import open_log
from fsm_exec.runtime.opening import open_engine
from fsm_exec.store import SqliteStore, open_virtual_store

T0_US = 1_700_000_000_000_000
TICKER = "KXTEST-A-1"
INSTANCE = "abcdefghij"
FEES = fee_terms("quadratic", Decimal(1))
TERMS = MarketTerms(
    ticker=TICKER, series="KXTEST", event="KXTEST-A", category="Test", status="open", grid=LINEAR_CENT, fees=FEES
)
PATIENCE_S = 600.0  # of virtual time: an execution that has not ended by then never will
WAY_S = 0.1  # a request's way there, and its answer's way back

Fate: TypeAlias = Literal["lost there", "lost back", "refused"]
"""What becomes of a request: it never arrives; it is done and its answer is lost; it is refused and nothing is done."""


def price(cents: int) -> PriceE4:
    return PriceE4(cents * 100)


def count(contracts: int) -> CountE2:
    return CountE2(contracts * 100)


class SmallExchange:
    """`fates` of the next places and cancels, then all is well. `mute` sends no frame about orders and fills."""

    def __init__(self, wall: Wall) -> None:
        self.place_fates: deque[Fate] = deque()
        self.cancel_fates: deque[Fate] = deque()
        self.mute = False
        self.stream_has_a_bug = False
        self.answer_s = WAY_S
        self.happened: list[str] = []
        self.requests: list[tuple[int, Write]] = []  # when each was handed over
        self.held: dict[str, OrderReport] = {}  # by client order id
        self.made: list[FillReport] = []
        self.listener: StreamListener | None = None
        self._wall = wall

    # What the engine asks.

    async def market_terms(self, ticker: str) -> MarketTerms:
        await trio.sleep(WAY_S)
        return TERMS

    async def markets(self, tickers: Sequence[str]) -> dict[str, MarketTerms]:
        await trio.sleep(WAY_S)
        return dict.fromkeys(tickers, TERMS)

    async def place(self, order: PlaceOrder) -> PlaceAnswer:
        fate = await self._arrived(order, self.place_fates)
        if fate == "lost there":
            return Unknown(why="no answer in time")
        if fate == "refused":
            return Refused(code="invalid_order", message="no")
        assert order.client_order_id not in self.held, "the same order was accepted twice"
        report = OrderReport(
            order_id=f"o-{order.client_order_id}",
            client_order_id=order.client_order_id,
            ticker=order.ticker,
            outcome=order.outcome,
            status="resting",
            price_e4=order.price_e4,
            count_e2=order.count_e2,
            filled_e2=CountE2(0),
            remaining_e2=order.count_e2,
            at_us=self._wall.now_us(),
        )
        self._now_stands(report)
        await trio.sleep(self.answer_s)
        if fate == "lost back":
            return Unknown(why="no answer in time")
        report = self.held[order.client_order_id]
        return Placed(
            order_id=report.order_id,
            filled_e2=report.filled_e2,
            remaining_e2=report.remaining_e2,
            at_us=self._wall.now_us(),
        )

    async def amend(self, order: AmendOrder) -> AmendAnswer:
        raise AssertionError("neither algorithm amends")

    async def cancel(self, order: CancelOrder) -> CancelAnswer:
        fate = await self._arrived(order, self.cancel_fates)
        report = self.held[order.client_order_id]
        if fate == "lost there":
            return Unknown(why="no answer in time")
        if fate == "refused" or report.status != "resting":
            return Refused(code="order_not_found", message="no")
        self._now_stands(replace(report, status="canceled", remaining_e2=CountE2(0), reason="UserCancel"))
        await trio.sleep(self.answer_s)
        if fate == "lost back":
            return Unknown(why="no answer in time")
        return Cancelled(order_id=report.order_id, reduced_by_e2=report.remaining_e2, at_us=self._wall.now_us())

    async def cancel_batch(self, orders: Sequence[CancelOrder]) -> tuple[CancelAnswer, ...]:
        return tuple([await self.cancel(order) for order in orders])

    def budget(self) -> BudgetFacts:
        return BudgetFacts(write_left=100, write_per_s=100, write_capacity=100, place_tokens=10, cancel_tokens=2)

    def volume_24h(self, ticker: str) -> CountE2 | None:
        return None

    async def orders(
        self, ticker: str | None = None, *, since_us: int | None = None, resting: bool = False
    ) -> OrderListing:
        await trio.sleep(WAY_S)
        listed = (replace(order, reason=None) for order in self.all() if not resting or order.status == "resting")
        listing = OrderListing(as_of_us=self._wall.now_us(), orders=tuple(listed))
        await trio.sleep(WAY_S)
        return listing

    async def fills(
        self, ticker: str | None = None, order_id: str | None = None, *, since_us: int | None = None
    ) -> FillListing:
        await trio.sleep(2 * WAY_S)
        chosen = tuple(
            replace(f, client_order_id=None, listed_id=f.fill_id) for f in self.made if order_id in (None, f.order_id)
        )
        return FillListing(as_of_us=self._wall.now_us(), fills=chosen)

    async def stream(self, listener: StreamListener, tickers: Sequence[str]) -> None:
        self.listener = listener
        listener.connected()
        listener.book_snapshot(TICKER, [(price(48), count(500))], [(price(50), count(500))], None)
        while True:
            await trio.sleep(10)
            if self.stream_has_a_bug:
                raise RuntimeError("a bug in the stream")
            listener.heard()

    def watch(self, ticker: str) -> None:
        """There is one market, and all who stream hear of it."""

    unwatch = watch

    def stream_trouble(self) -> str | None:
        return None

    # What a test does and sees.

    def all(self) -> list[OrderReport]:
        return list(self.held.values())

    @property
    def resting(self) -> list[str]:
        return [o.client_order_id for o in self.all() if o.status == "resting"]

    @property
    def places(self) -> list[PlaceOrder]:
        return [write for _, write in self.requests if isinstance(write, PlaceOrder)]

    @property
    def cancels(self) -> list[CancelOrder]:
        return [write for _, write in self.requests if isinstance(write, CancelOrder)]

    def fill(self, contracts: int, client_order_id: str) -> FillReport:
        """Somebody trades with an order, whether it still rests or the exchange only says so late."""
        order = self.held[client_order_id]
        made = FillReport(
            fill_id=f"f-{len(self.made) + 1}",
            trade_id=f"f-{len(self.made) + 1}",
            order_id=order.order_id,
            client_order_id=client_order_id,
            ticker=order.ticker,
            outcome=order.outcome,
            price_e4=order.price_e4,
            count_e2=count(contracts),
            fee_e6=MoneyE6(0),
            is_taker=False,
            at_us=self._wall.now_us(),
        )
        self.made.append(made)
        filled = CountE2(order.filled_e2 + made.count_e2)
        if order.status == "resting":
            left = CountE2(order.count_e2 - filled)
            status: Literal["resting", "executed"] = "resting" if left else "executed"
            self._now_stands(replace(order, filled_e2=filled, remaining_e2=left, status=status))
        if self.listener is not None and not self.mute:
            self.listener.fill(made)
        return made

    def _now_stands(self, report: OrderReport) -> None:
        report = replace(report, at_us=self._wall.now_us())
        self.held[report.client_order_id] = report
        if self.listener is not None and not self.mute:
            self.listener.order(report)

    async def _arrived(self, write: PlaceOrder | CancelOrder, fates: deque[Fate]) -> Fate | None:
        """Handed over now; there after its way."""
        self.happened.append(f"asked {write.effect_id}")
        self.requests.append((self._wall.now_us(), write))
        fate = fates.popleft() if fates else None
        await trio.sleep(WAY_S)
        return fate


@dataclass
class Stage:
    """`lines()` are the log's, decoded."""

    engine: Engine
    exchange: SmallExchange
    store: Store
    database: SqliteStore
    wall: Wall
    log: io.StringIO

    def lines(self, event: str) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [entry for entry in entries if entry["event"] == event]

    async def submit(
        self, *, contracts: int = 10, horizon_s: int = 30, outcome: Outcome = "yes", cents: int = 48
    ) -> str:
        """Work a simple_limit; returns the execution's id."""
        chosen = method("simple_limit")
        return await self.engine.submit(
            Request(
                ticker=TICKER,
                outcome=outcome,
                target_e2=count(contracts),
                method=MethodRef(chosen.full_name, chosen),
                limits=resolve_limits(price(cents), LINEAR_CENT, FEES),
                horizon_us=horizon_s * 1_000_000,
            )
        )

    def order_of(self, execution_id: str) -> str:
        """Its one order that rests."""
        (order,) = [name for name in self.exchange.resting if f"-{execution_id}-" in name]
        return order

    async def ended(self, execution_id: str) -> Execution:
        """The execution once nobody works; its snapshot in the database is it, and the fold of its journal."""
        with trio.fail_after(PATIENCE_S):
            await self.engine.wait_idle()
        execution = self.engine.ended[execution_id].execution
        (stored,) = [e for e in await self.database.executions() if e.execution_id == execution_id]
        assert stored.snapshot == encode_snapshot(execution)
        journal = await self.database.journal(execution_id)
        assert fold(decode_entry(row.event, row.intents) for row in journal) == execution
        return execution

    async def history(self, execution_id: str) -> list[str]:
        """The states of its first order, as the journal tells them."""
        steps = "; ".join(row.steps for row in await self.database.journal(execution_id))
        moves = [step.split(": ")[1] for step in steps.split("; ") if step.startswith("child_order ")]
        return [moves[0].split(" ")[0], *(move.split(" ")[2] for move in moves)] if moves else []


class StoreBetween:
    """A store that passes everything on; tests override what they are about."""

    def __init__(self, inner: SqliteStore) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        return getattr(self.inner, name)


@asynccontextmanager
async def staged(between: type[StoreBetween] = StoreBetween) -> AsyncIterator[Stage]:
    """A running engine on a small exchange and a database in memory; needs a virtual clock."""
    wall = Wall(T0_US)
    log = io.StringIO()
    async with open_virtual_store(None, draw_instance=lambda: INSTANCE, at_us=T0_US) as database:
        exchange = SmallExchange(wall)
        store = between(database)
        async with open_engine(store, exchange, wall, open_log(log, wall), [TICKER], method) as engine:
            await trio.sleep(1)  # the stream has delivered its snapshot
            yield Stage(engine, exchange, store, database, wall, log)
