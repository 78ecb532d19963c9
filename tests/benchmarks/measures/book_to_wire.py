"""From the arrival of a frame to the first byte of our amend on the socket, beside the least that it can take.

    python book_to_wire.py --executions 500 --moves 60

The engine of this process, its database with `synchronous=FULL` in its own thread, and real sockets to an exchange in
another process. Every execution follows the best bid with one order. A move is one frame that changes the best bid of
one market, so all that work it amend at once; no market moves before it has come to rest from the last time.

The floor, in the same run, in its pauses: one commit of the same bytes (the rows of what one move decided, prepared,
written by plain statements in this thread), and one amend by the same client. `floor` is up to the first byte of that
request, as the issue of one order sees it; `burst` is the same for as many amends at once as the move had, and so what
a client needs whose engine costs nothing.
"""

from __future__ import annotations

import argparse
import gc
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import trio

import fsm_exec.store
from fsm_exec.algorithms.toolkit import cap_to_grid, single_slice
from fsm_exec.core.algorithm.algorithm import Action, AmendAction, Goal, PlaceAction, Progress, Slice
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.market.limits import resolve_limits
from fsm_exec.core.market.orders import AmendOrder, Placed, PlaceOrder
from fsm_exec.core.values.units import CountE2, PriceE4, parse_count, parse_price
from fsm_exec.kalshi.client import KalshiClient
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.runtime.clock import WallClock, system_us
from fsm_exec.runtime.logs import open_log
from fsm_exec.runtime.submission import ExecutionRequest, MethodRef
from fsm_exec.session import Access, Session, open_session
from fsm_exec.store import open_live_store
from fsm_exec.store.jobs import ORDER, rows_of

EXCHANGE = Path(__file__).parents[1] / "moving_exchange.py"
SCHEMA = Path(fsm_exec.store.__file__).parent / "schema"
MARKETS = 20
REST_S = 0.7  # of a market after it moved: two intervals between decisions, and the answers
WAIT_S = 10  # for the amends of one move
ANSWERS_S = 0.05  # after the last amend of a move: the answers are made durable, too
HORIZON_US = 1_200_000_000
TARGET = parse_price("0.5500")
QUANTITY = parse_count("10")
FLOOR_EVERY_MOVES = 3


class BestBid:
    """An algorithm with one order at the best bid of the others."""

    look_every_us: int | None = None
    closing_lead_us: int | None = None
    resting_at_most = 1
    takes_only = False
    signals_read: frozenset[str] | None = frozenset()

    def plan(self, goal: Goal, view: MarketView) -> tuple[Slice, ...]:
        """One slice of everything."""
        return single_slice(goal)

    def replan(self, progress: Progress, view: MarketView) -> tuple[Action, ...]:
        """To the best bid, whenever it is elsewhere and the order can be moved."""
        part = progress.slices[0]
        price = cap_to_grid(progress.goal, view.bids[0][0] if view.bids else TARGET)
        if part.working is None:
            return (PlaceAction(level=1, price_e4=price, count_e2=part.free_e2),) if part.free_e2 else ()
        if part.working.busy or part.working.price_e4 == price:
            return ()
        return (AmendAction(level=1, price_e4=price),)


@dataclass
class Wire:
    """What crossed the sockets. `arrived_s` is when the first frame of a market came since it was told to move,
    `sent_s` when the first amend of each order began to leave since then."""

    awaited: bytes | None = None
    arrived_s: float | None = None
    sent_s: dict[str, float] = field(default_factory=dict)
    orders: frozenset[str] = frozenset()
    all_sent: trio.Event = field(default_factory=trio.Event)

    def expect(self, ticker: str, orders: frozenset[str]) -> None:
        """Begin to wait for a move of this market, and for the amends of these orders."""
        self.awaited, self.arrived_s, self.sent_s = ticker.encode(), None, {}
        self.orders, self.all_sent = orders, trio.Event()

    def see_arrival(self, data: bytes | bytearray) -> None:
        """Take in what came on any socket."""
        if self.awaited is not None and b"orderbook_delta" in data and self.awaited in data:
            self.arrived_s, self.awaited = time.perf_counter(), None

    def see_departure(self, data: bytes) -> None:
        """Take in what is about to leave on any socket."""
        line = data[:160].partition(b"\r\n")[0]
        if line.startswith(b"POST ") and b"/amend " in line:
            order_id = line.split(b"/amend ")[0].rpartition(b"/")[2].decode()
            self.sent_s.setdefault(order_id, time.perf_counter())
            if len(self.sent_s) >= len(self.orders) and self.orders <= self.sent_s.keys():
                self.all_sent.set()


@contextmanager
def _watched_sockets(wire: Wire) -> Iterator[None]:
    """Have `wire` see the bytes of every socket of this process."""
    receive, send = trio.SocketStream.receive_some, trio.SocketStream.send_all

    async def received(self: trio.SocketStream, max_bytes: int | None = None) -> bytes | bytearray:
        data = await receive(self, max_bytes)
        wire.see_arrival(data)
        return data

    async def sent(self: trio.SocketStream, data: bytes) -> None:
        wire.see_departure(bytes(data[:160]))
        await send(self, data)

    trio.SocketStream.receive_some, trio.SocketStream.send_all = received, sent  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        trio.SocketStream.receive_some, trio.SocketStream.send_all = receive, send  # type: ignore[method-assign]


class Floor:
    """A database of the same rows beside the engine's, written by plain statements."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for script in sorted(SCHEMA.glob("*.sql")):
            self._connection.executescript(script.read_text(encoding="utf-8"))
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {pragma}")

    def write(self, saves: Sequence[ExecutionSave]) -> float:
        """Commit the rows of `saves` together; the seconds it took."""
        grouped = defaultdict[str, list[tuple[Any, ...]]](list)
        for save in saves:
            for statement, row in rows_of(save):
                grouped[statement].append(row)
        prepared = [(statement, grouped[statement]) for statement in ORDER if statement in grouped]
        began_s = time.perf_counter()
        self._connection.execute("BEGIN IMMEDIATE")
        for statement, rows in prepared:
            self._connection.executemany(statement, rows)
        self._connection.execute("COMMIT")
        return time.perf_counter() - began_s

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


@dataclass
class Times:
    """Seconds from the frame to the first byte: of every amend of the engine, of the floor, and of the floor with as
    many requests at once. `missing`: amends that did not come in time."""

    engine_s: list[float] = field(default_factory=list)
    floor_s: list[float] = field(default_factory=list)
    burst_s: list[float] = field(default_factory=list)
    missing: int = 0
    cpu_s: float = 0.0

    def figures(self) -> dict[str, float]:
        """The percentiles in milliseconds, and the ratios."""
        said = dict[str, float]()
        for name, values in (("engine", self.engine_s), ("floor", self.floor_s), ("burst", self.burst_s)):
            said[f"{name}_p50_ms"], said[f"{name}_p99_ms"] = (1_000 * each for each in percentiles(values))
        return {
            **said,
            "p50_of_floor": said["engine_p50_ms"] / said["floor_p50_ms"],
            "p99_of_floor": said["engine_p99_ms"] / said["floor_p99_ms"],
            "p50_of_burst": said["engine_p50_ms"] / said["burst_p50_ms"],
            "p99_of_burst": said["engine_p99_ms"] / said["burst_p99_ms"],
            "cpu_ms_of_an_amend": 1_000 * self.cpu_s / max(1, len(self.engine_s)),
            "amends": len(self.engine_s),
            "missing": self.missing,
        }


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """The median and the 99th percentile (of fewer than a hundred the greatest)."""
    ordered = sorted(values)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]


class Run:
    """One run: the engine at work, and its floor in the pauses."""

    def __init__(self, session: Session, wire: Wire, floor: Floor, move: Callable[[int], None]) -> None:
        self._session, self._wire, self._floor, self._move = session, wire, floor, move
        self._saves: list[ExecutionSave] = []
        session.store.on_saved(self._saves.append)
        self._tickers: tuple[str, ...] = ()
        self._spare: list[tuple[str, str, PriceE4]] = []  # client order id, order id, and price of the floor's orders
        self.times = Times()

    async def submit(self, count: int, tickers: tuple[str, ...]) -> None:
        """Submit so many executions, and wait until all their orders rest."""
        self._tickers = tickers
        engine = self._session.engine
        await _until(lambda: all(engine.view(ticker, "yes").trusted_mid_e5 is not None for ticker in tickers))
        for number in range(count):
            ticker = tickers[number % len(tickers)]
            await engine.submit(
                ExecutionRequest(
                    ticker=ticker,
                    outcome="yes",
                    target_e2=QUANTITY,
                    method=MethodRef("best_bid@1", BestBid()),
                    limits=resolve_limits(TARGET, engine.view(ticker, "yes").grid, engine.feeds[ticker].terms.fees),
                    horizon_us=HORIZON_US,
                )
            )
        actors = engine.actors
        await _until(lambda: all(a.execution.children and a.execution.children[-1].order_id for a in actors.values()))

    async def place_spare(self, count: int, ticker: str) -> None:
        """Place so many orders that the engine knows nothing of: the floor's."""
        for number in range(count):
            placed = await self._session.client.place(
                PlaceOrder(
                    effect_id=f"floor{number}",
                    client_order_id=f"floor-{number}",
                    ticker=ticker,
                    outcome="yes",
                    price_e4=parse_price("0.2000"),
                    count_e2=QUANTITY,
                    time_in_force="good_till_canceled",
                    post_only=False,
                    expiration_s=None,
                )
            )
            assert isinstance(placed, Placed), placed
            self._spare.append((f"floor-{number}", placed.order_id, parse_price("0.2000")))
        self._spare_ticker = ticker

    async def move(self, moves: int) -> None:
        """Move one market after the other, each when it has rested; a floor after every few."""
        worked = {number: set[str]() for number in range(len(self._tickers))}
        for actor in self._session.engine.actors.values():
            order_id = actor.execution.children[-1].order_id
            assert order_id is not None
            worked[self._tickers.index(actor.execution.terms.ticker)].add(order_id)
        busy = [number for number, orders in worked.items() if orders]
        moved_s = dict.fromkeys(busy, 0.0)
        await trio.sleep(REST_S)
        for done in range(moves):
            number = busy[done % len(busy)]
            await trio.sleep_until(max(trio.current_time(), moved_s[number] + REST_S))
            began = len(self._saves)
            await self._move_once(number, worked[number])
            moved_s[number] = trio.current_time()
            if done % FLOOR_EVERY_MOVES == 0:
                decided = [save for save in self._saves[began:] if save.journal.event_type == "DecisionDue"]
                await self._measure_floor(began, decided, len(worked[number]))

    async def _move_once(self, number: int, orders: set[str]) -> None:
        wire = self._wire
        wire.expect(self._tickers[number], frozenset(orders))
        cpu_s = time.process_time()
        self._move(number)
        with trio.move_on_after(WAIT_S):
            await wire.all_sent.wait()
        await trio.sleep(ANSWERS_S)
        self.times.cpu_s += time.process_time() - cpu_s
        arrived_s = wire.arrived_s
        times = [
            sent_s - arrived_s for order, sent_s in wire.sent_s.items() if arrived_s is not None and order in orders
        ]
        self.times.engine_s += times
        self.times.missing += len(orders) - len(times)

    async def _measure_floor(self, began: int, decided: list[ExecutionSave], count: int) -> None:
        first, last = (self._saves.index(each) for each in (decided[0], decided[-1]))
        self._floor.write(self._saves[:first])  # whatever came before, at once
        commit_s = self._floor.write(decided)
        self._floor.write([save for save in self._saves[first:] if save not in decided])
        self._saves.clear()
        assert began <= first <= last
        self.times.floor_s.append(commit_s + min((await self._amend_spare(1)).values()))
        self.times.burst_s += [commit_s + each for each in (await self._amend_spare(count)).values()]

    async def _amend_spare(self, count: int) -> dict[str, float]:
        """Amend so many of the floor's orders at once; the seconds to the first byte of each."""
        self._wire.expect("nothing", frozenset())
        client = self._session.client
        began_s = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(self._amend_one, client, number)
        return {order: sent_s - began_s for order, sent_s in self._wire.sent_s.items()}

    async def _amend_one(self, client: KalshiClient, number: int) -> None:
        name, order_id, price = self._spare[number]
        price = PriceE4(price + 100 if price < 3_000 else price - 100)
        self._spare[number] = name, order_id, price
        await client.amend(
            AmendOrder(
                effect_id=name,
                client_order_id=name,
                order_id=order_id,
                ticker=self._spare_ticker,
                outcome="yes",
                price_e4=price,
                total_e2=CountE2(QUANTITY),
            )
        )


async def _until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - no event tells
        await trio.sleep(0.05)


@asynccontextmanager
async def _exchange(markets: int) -> AsyncIterator[tuple[dict[str, Any], Callable[[int], None]]]:
    """The exchange in its process; the function moves a market."""
    process = subprocess.Popen(  # noqa: ASYNC220  # begins once, before anything is measured
        [sys.executable, "-P", str(EXCHANGE), str(markets)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    said = process.stdin
    try:
        reached = msgspec.json.decode(await trio.to_thread.run_sync(process.stdout.readline))

        def move(number: int) -> None:
            said.write(f"{number}\n")
            said.flush()

        yield reached, move
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(timeout=30)


async def run(directory: Path, executions: int, moves: int) -> Times:
    """One run in a new directory."""
    wire, wall = Wire(), WallClock(system_us())
    floor = Floor(directory / "floor.sqlite")
    with (directory / "engine.log").open("a", encoding="utf-8", buffering=1) as log_file, _watched_sockets(wire):
        async with (
            _exchange(MARKETS) as (reached, move),
            open_live_store(
                directory / "engine.sqlite", draw_instance=lambda: "abcdefghij", at_us=system_us()
            ) as store,
            open_session(
                Access.by_urls(
                    reached["rest_url"],
                    reached["ws_url"],
                    reached["api_key_id"],
                    SigningKey.from_pem(reached["private_key_pem"].encode()),
                ),
                store,
                wall,
                open_log(log_file, wall),
                tickers=reached["tickers"],
                true_us=system_us,
            ) as session,
        ):
            measured = Run(session, wire, floor, move)
            await measured.submit(executions, tuple(reached["tickers"]))
            await measured.place_spare(max(1, executions // MARKETS), reached["spare"])
            gc.collect()
            await measured.move(moves)
    floor.close()
    return measured.times


def measure(executions: int, moves: int) -> Times:
    """One run in a directory that does not stay."""
    with tempfile.TemporaryDirectory() as directory:
        return trio.run(run, Path(directory), executions, moves)


def main() -> None:
    """Print the figures of one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=100)
    parser.add_argument("--moves", type=int, default=60)
    chosen = parser.parse_args()
    figures = measure(chosen.executions, chosen.moves).figures()
    sys.stdout.write(msgspec.json.encode({"figures": figures}).decode() + "\n")


if __name__ == "__main__":
    main()
