"""The flaws of the reference walker in what surrounds a decision: tasks, time-outs, restarts, budgets, figures. Each
with the behaviour that took its place; numbers as in README.md, the others are in test_reference_flaws.py."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import trio
import trio.testing
from msgspec.structs import replace

from fsm_exec.algorithms import SHIPPED, SHIPPED_FAMILIES, Method, method
from fsm_exec.core.algorithm.algorithm import Action, Goal, Progress, Slice
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.costs.metrics import DeadlineBook, compute_metrics
from fsm_exec.core.execution.advance import advance
from fsm_exec.core.execution.events import (
    AnyEvent,
    DecisionDue,
    FillReported,
    MarketChanged,
    OrderAccepted,
    OrderNotFound,
    OrderRefused,
    OrderReported,
    PlaceUnconfirmed,
)
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.market.book import Book
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.market.orders import PlaceOrder, Write
from fsm_exec.core.signals.signal_tracker import SignalTracker
from fsm_exec.core.values.units import LINEAR_CENT, CountE2, MoneyE6, PriceE4
from fsm_exec.kalshi.log import SilentLog
from fsm_exec.kalshi.rate_budget import RateBudget
from fsm_exec.kalshi.translate import create_order
from fsm_exec.lab.algorithm_checks.stage import T0_US, Frame, Stage, submitted
from fsm_exec.lab.blocks import BlockId
from fsm_exec.lab.experiment.episode_runner import run_episode
from fsm_exec.lab.experiment.episodes import Conditions, EpisodeStart, Order
from fsm_exec.lab.statistics import compare
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Tape, tape_header
from fsm_exec.runtime.engine import ExecutionRequest, MethodRef
from fsm_exec.runtime.net_book import NetBook
from fsm_exec.runtime.own_orders import OwnOrders
from fsm_exec.wire.account import AccountLimits, BucketLimits
from tests.runtime.killed_engine import ended, open_restart_bench
from tests.runtime.support import FEES, TICKER, count, price
from tests.runtime.support import Stage as Life

if TYPE_CHECKING:
    from trio.testing import MockClock

S = 1_000_000
ROOT = Path(__file__).parents[2]
CALM = Frame(
    bids=((PriceE4(4_400), CountE2(3_000)), (PriceE4(4_300), CountE2(6_000))),
    asks=((PriceE4(5_000), CountE2(10_000)),),
)


class Told:
    """An execution of ten contracts at 0.45 under a shipped method, and the facts a test tells it."""

    def __init__(self, name: str = "simple_limit", outcome: str = "yes") -> None:
        self.method = SHIPPED[name]
        first = submitted(1_000, CALM, horizon_us=60 * S, target_e4=4_500, outcome="yes" if outcome == "yes" else "no")
        begun = advance(None, first, self.method)
        assert begun is not None
        self.execution: Execution = begun.execution
        self.at_us = first.at_us
        self.sent: list[Write] = []

    def tell(self, event: AnyEvent) -> tuple[Write, ...]:
        """What comes of it."""
        step = advance(self.execution, event, self.method)
        if step is None:
            return ()
        self.execution = step.execution
        self.sent += step.effects
        return tuple(step.effects)

    def look(self, after_s: int = 1, **changes: object) -> tuple[Write, ...]:
        """A decision is due, so much later, on the book of the arrival with these changes."""
        self.at_us += after_s * S
        view = replace(self.execution.arrival, at_us=self.at_us, **changes)
        return self.tell(DecisionDue(at_us=self.at_us, view=view))

    def accept(self) -> PlaceOrder:
        """The newest order rests."""
        order = self.sent[-1]
        assert isinstance(order, PlaceOrder)
        answer = OrderAccepted(
            at_us=self.at_us,
            client_order_id=order.client_order_id,
            order_id="o1",
            filled_e2=CountE2(0),
            remaining_e2=order.count_e2,
        )
        self.tell(answer)
        return order

    def fill(self, order: PlaceOrder, number: int, contracts: int, price_e4: int) -> None:
        fill = FillReported(
            at_us=self.at_us,
            client_order_id=order.client_order_id,
            order_id="o1",
            fill_id=f"f{number}",
            price_e4=PriceE4(price_e4),
            count_e2=CountE2(contracts * 100),
            fee_e6=MoneyE6(10_000),
            is_taker=False,
            traded_at_us=self.at_us,
            mid_e5=47_000,
        )
        self.tell(fill)

    def cancelled(self, order: PlaceOrder, filled: int) -> None:
        """The exchange's own end of the order."""
        self.tell(
            OrderReported(
                at_us=self.at_us,
                client_order_id=order.client_order_id,
                order_id="o1",
                outcome=order.outcome,
                status="canceled",
                price_e4=order.price_e4,
                count_e2=order.count_e2,
                filled_e2=CountE2(filled * 100),
                remaining_e2=CountE2(0),
                cause="CloseCancel",
                looked_up=True,
            )
        )


def book_at_deadline(ask: int) -> DeadlineBook:
    asks = ((PriceE4(ask), CountE2(10_000)),)
    return DeadlineBook(bids=CALM.bids, asks=asks, mid_e5=(4_400 + ask) * 5, fresh=True)


def test_flaw_14_own_orders_read_as_the_market() -> None:
    """Our sixty contracts in a thin book are no growth of it, and no view shows them."""
    told = Told()
    told.look()
    told.accept()
    own, tracker = OwnOrders(), SignalTracker()
    others = NetBook(told.execution.terms.ticker, own, tracker)
    book = Book([(PriceE4(4_400), CountE2(1_000))], [(PriceE4(4_400), CountE2(1_000))])
    others.start(book, T0_US)
    for second in range(1, 60):
        others.apply_change(book, "no", PriceE4(4_400), T0_US + second * S)
    own.update(told.execution)
    book.change("yes", PriceE4(4_500), CountE2(1_000))
    others.apply_change(book, "yes", PriceE4(4_500), T0_US + 60 * S)
    assert tracker.read("yes", T0_US + 61 * S).seed_momentum_ppm == 0
    ours = own.levels(told.execution.terms.ticker, "yes")
    assert ours == {4_500: 1_000}
    assert book.bids("yes", own=ours) == ((4_400, 1_000),)


class Raising:
    """An algorithm with a bug."""

    full_name = "raising@1"
    look_every_us: int | None = 1_000_000
    closing_lead_us: int | None = None
    resting_at_most = 1
    takes_only = False
    signals_read: frozenset[str] | None = None

    def plan(self, goal: Goal, view: MarketView) -> tuple[Slice, ...]:
        return (Slice(level=1, count_e2=goal.target_e2),)

    def replan(self, progress: Progress, view: MarketView) -> tuple[Action, ...]:
        raise ZeroDivisionError("a bug in an algorithm")


async def test_flaw_20_exceptions_swallowed(autojump_clock: MockClock) -> None:
    """An algorithm that raises is supervised: begun anew, then set aside with its reason, and the others go on."""
    async with open_restart_bench() as world:
        raising, known = Raising(), world.methods
        world.methods = lambda name: raising if name == raising.full_name else known(name)
        async with world.life() as life:
            neighbour = await life.submit(horizon_s=600)
            name = await life.engine.submit(
                ExecutionRequest(
                    ticker=TICKER,
                    outcome="yes",
                    target_e2=count(10),
                    method=MethodRef(raising.full_name, raising),
                    limits=resolve_limits(price(48), LINEAR_CENT, FEES),
                    horizon_us=600 * S,
                )
            )
            await trio.sleep(300)
            assert world.lines("restarting")
            assert "ZeroDivisionError: a bug in an algorithm" in (life.engine.status().quarantined[name] or "")
            world.exchange.fill(10, life.order_of(neighbour))
            await ended(life.engine)
        assert (await world.execution(neighbour)).state == "filled"


BLOCKING_MODULES = frozenset({"requests", "urllib3", "http", "sqlite3", "subprocess", "asyncio", "threading", "queue"})
MEANT_TO_BLOCK = {"pacer.py"}  # the demo's: it holds virtual time back, and everybody with it
BLOCKING_CALLS = frozenset({"time.sleep", "os.system", "httpx.Client", "httpx.get", "httpx.post", "socket.socket"})


def blocking(tree: ast.AST) -> Iterator[str]:
    """What in this code would hold up everybody else."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        yield from (name for name in names if name.split(".")[0] in BLOCKING_MODULES)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in BLOCKING_CALLS:
            yield ast.unparse(node.func)


def test_flaw_21_blocking_calls() -> None:
    """Nothing between a decision and the exchange waits in a way that stops the others."""
    planted = "import requests\nimport time\ndef f():\n    time.sleep(4)\n    httpx.Client().get('x')\n"
    assert sorted(blocking(ast.parse(planted))) == ["httpx.Client", "requests", "time.sleep"]
    files = [file for room in ("runtime", "kalshi") for file in (ROOT / "fsm_exec" / room).glob("*.py")]
    assert {file.name for file in files if list(blocking(ast.parse(file.read_text("utf-8"))))} == MEANT_TO_BLOCK


def test_flaw_22_retry_doubles() -> None:
    """After a time-out nothing is sent until the order is known to be absent, and then the same order with its name."""
    told = Told()
    (first,) = told.look()
    assert isinstance(first, PlaceOrder)
    told.tell(PlaceUnconfirmed(at_us=told.at_us, client_order_id=first.client_order_id, why="timeout"))
    assert [told.look() for _ in range(20)] == [()] * 20
    told.tell(OrderNotFound(at_us=told.at_us, client_order_id=first.client_order_id, as_of_us=told.at_us))
    (second,) = told.sent[1:] or told.look()
    assert isinstance(second, PlaceOrder)
    assert (second.client_order_id, second.count_e2) == (first.client_order_id, first.count_e2)


def test_flaw_23_an_order_cancelled_with_fills() -> None:
    """Fills are the truth: they survive the end of their order, and the average is over each of them."""
    told = Told()
    told.look()
    order = told.accept()
    told.fill(order, 1, 1, 4_400)
    told.fill(order, 2, 3, 4_480)
    told.fill(order, 2, 3, 4_480)
    told.cancelled(order, 4)
    row = compute_metrics(told.execution, book_at_deadline(5_000))
    assert (row.filled_quantity, row.average_fill_price) == ("4.00", "0.446000")


def test_flaw_24_failures_averaged_as_zero() -> None:
    """Nothing bought is no slippage of nought: it is missing, while its shortfall is not."""
    told = Told()
    told.look()
    told.cancelled(told.accept(), 0)
    row = compute_metrics(told.execution, book_at_deadline(5_000))
    assert (row.slippage, row.average_fill_price, row.time_to_first_fill) == (None, None, None)
    assert row.shortfall_e7 is not None
    assert row.shortfall_e7 > 0


def test_flaw_25_slippage_without_a_benchmark() -> None:
    """Cost is against the mid at arrival, fees in it, and what was not bought is priced at the deadline."""
    told = Told()
    told.look()
    order = told.accept()
    told.fill(order, 1, 6, 4_500)
    told.cancelled(order, 6)
    cheap, dear = (compute_metrics(told.execution, book_at_deadline(ask)).shortfall_e7 for ask in (4_600, 5_600))
    assert cheap is not None
    assert dear is not None
    paid = 600 * 4_500 * 10 + 10_000 * 10  # 6 contracts and their fee, in 10^-7 dollars
    rest = 400 * 4_600 * 10 + _fee_e7(4_600, 400)
    assert cheap == paid + rest - 1_000 * 47_000
    assert dear - cheap == 400 * 1_000 * 10 + _fee_e7(5_600, 400) - _fee_e7(4_600, 400)


def _fee_e7(price_e4: int, count_e2: int) -> int:
    """The taker's, 0.07 x count x price x (1 - price), in 10^-7 dollars."""
    return 7 * count_e2 * price_e4 * (10_000 - price_e4) // 10**5


def test_flaw_29_trading_with_oneself() -> None:
    """Every order forbids it to the exchange; and none is placed where our own order on the other outcome stands."""
    told = Told("market")
    (order,) = told.look()
    assert isinstance(order, PlaceOrder)
    assert create_order(order).self_trade_prevention_type == "taker_at_cross"
    resting = Told()
    (beside,) = resting.look(own_other_best_e4=PriceE4(5_600))
    assert isinstance(beside, PlaceOrder)
    assert beside.price_e4 == 4_300, "our NO bid at 0.56 is an offer at 0.44"


async def test_flaw_31_a_budget_for_each(autojump_clock: MockClock) -> None:
    """One bucket of the exchange's tokens for all; who waits for it is served by urgency, not by turn."""
    budget = RateBudget(SilentLog())
    bucket = BucketLimits(refill_rate=20, bucket_capacity=30)
    budget.set_limits(AccountLimits(usage_tier="basic", read=bucket, write=bucket))
    served: list[str] = []

    async def ask(name: str, verb: str, path: str) -> None:
        await budget.spend(verb, path)
        served.append(name)

    orders = "/portfolio/events/orders"
    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(ask, "first", "DELETE", f"{orders}/o")  # the bucket is empty after these
        await trio.testing.wait_all_tasks_blocked()
        served.clear()
        for name, verb, path in (
            ("create", "POST", orders),
            ("amend", "POST", f"{orders}/o/amend"),
            ("cancel", "DELETE", f"{orders}/o"),
        ):
            nursery.start_soon(ask, name, verb, path)
            await trio.testing.wait_all_tasks_blocked()
    assert [name for name in served if name != "first"] == ["cancel", "amend", "create"]


def thin_tape() -> tuple[Tape, EpisodeStart]:
    """Ten offered at 0.50; after twenty seconds at 0.60 instead. It goes on for three minutes."""
    levels = ((PriceE4(4_000), CountE2(10_000)),)
    book = BookSnapshot(levels, ((PriceE4(5_000), CountE2(1_000)),))
    header = tape_header("KXTHIN-1-A", "linear_cent", category="Testing")
    moves = (
        (T0_US + 25 * S, BookDelta("no", PriceE4(5_000), CountE2(-1_000))),
        (T0_US + 25 * S, BookDelta("no", PriceE4(4_000), CountE2(10_000))),
        (T0_US + 180 * S, BookDelta("yes", PriceE4(3_000), CountE2(100))),
    )
    tape = Tape(header=header, events=((T0_US, book), *moves))
    return tape, EpisodeStart(0, T0_US + 5 * S, book, 1, book)


def test_flaw_32_judged_at_different_times() -> None:
    """A policy that gives up at once is priced at the same deadline as one that waits for it."""
    tape, start = thin_tape()
    order = Order(outcome="yes", quantity_e2=CountE2(2_000), horizon_us=60 * S)
    at_once, patient = (run_episode(tape, start, order, method(name), Conditions()) for name in ("market", "join_bid"))
    assert (at_once.filled_e2, at_once.reason) == (1_000, "no_liquidity")
    assert (patient.filled_e2, patient.reason) == (0, "deadline")
    assert at_once.mid_e5 == patient.mid_e5 == 45_000
    bought = 1_000 * 5_000 * 10 + at_once.fees_e7 - 1_000 * 45_000
    assert 2 * (at_once.shortfall_e7 - bought) == patient.shortfall_e7, "ten left cost half of what twenty cost"
    assert at_once.shortfall_e7 - bought > 1_000 * (6_000 * 10 - 45_000), "at the 0.60 of the deadline"


async def test_flaw_33_live_orders_after_a_crash(autojump_clock: MockClock) -> None:
    """The next life finds the order of the one before, counts what it got, and places nothing beside it."""
    async with open_restart_bench() as world:
        names: list[str] = []

        async def until_it_rests(life: Life) -> None:
            names.append(await life.submit(horizon_s=600))
            await trio.sleep(3)

        await world.killed_after(until_it_rests)
        (order,) = world.exchange.resting
        world.exchange.fill(4, order)
        async with world.life() as life:
            await trio.sleep(60)
            assert world.exchange.resting == [order]
            assert (await world.execution(names[0])).filled_e2 == count(4)
            world.exchange.fill(6, order)
            await ended(life.engine)
        assert (await world.execution(names[0])).state == "filled"
        assert len(world.exchange.places) == 1


def test_flaw_34_compared_with_an_imagined_fill() -> None:
    """What one method saved against another is paired by episode: the weather they share cancels out."""
    dice = Random(34)
    weather = {n: dice.gauss(0, 5) for n in range(200)}
    base = {n: cost + dice.gauss(0, 0.1) for n, cost in weather.items()}
    better = {n: cost - 0.2 + dice.gauss(0, 0.1) for n, cost in weather.items()}
    found = compare(better | {999: -100.0}, base, {n: BlockId(n // 4, 0) for n in weather}, seed=34)
    assert found is not None
    assert found.estimate.episodes == 200, "an episode that only one of them worked says nothing"
    assert found.estimate.high is not None
    assert found.estimate.low is not None
    assert -0.3 < found.estimate.low < found.estimate.high < -0.1
    assert found.variance_ratio is not None
    assert found.variance_ratio < 0.01


def test_flaw_35_pauses_closes_and_empty_pockets() -> None:
    """A pause is waited for; a close and an empty account end it with their reason; a cap is a price of the grid."""

    def fresh() -> Method:
        return SHIPPED_FAMILIES["dynamic_depth_walker"].method("w", 1, {})

    def seen(step: int) -> Frame:
        return Frame(CALM.bids, CALM.asks, status="paused" if 10 <= step < 60 else "open")

    first = submitted(1_000, CALM, horizon_us=60 * S, worst_e4=6_000)
    waited = Stage(first=first, frame_at=seen, fresh=fresh, dice=Random(1))
    waited.run()
    assert waited.execution.reason == "completed"
    assert "HaltCancel" in {order.cause for order in waited.orders.values()}
    closed, poor = Told(), Told()
    (order,) = closed.look()
    closed.tell(MarketChanged(at_us=closed.at_us, status="closed"))
    assert closed.execution.ending is not None
    assert closed.execution.ending.reason == "market_closed"
    (order,) = poor.look()
    poor.tell(
        OrderRefused(
            at_us=poor.at_us, client_order_id=order.client_order_id, code="insufficient_balance", message="no cash"
        )
    )
    assert poor.execution.reason == "insufficient_balance"
    limits = resolve_limits(PriceE4(4_500), LINEAR_CENT, FeeTerms(700_000_000, 0), cap=MoneyE6(475_555))
    assert LINEAR_CENT.contains(limits.worst_e4)
