"""The load of the durable transitions with the page beside it: a real engine's books, the real server, and viewers in a
process of their own that read all they are sent.

    python -m tests.benchmarks.page_load PORT COOKIE PLACE VIEWERS

is such a process: it reads until it is ended, and says how many characters came.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx
import trio

from fsm_exec.algorithms import method
from fsm_exec.control.broadcast import Watchers
from fsm_exec.control.limits import ControlLimits
from fsm_exec.control.server import bind_socket, run_server
from fsm_exec.control.service import Control, DaemonInfo
from fsm_exec.core.execution.events import AnyEvent, OrderAccepted
from fsm_exec.core.store_port import Store
from fsm_exec.runtime.clock import WallClock, system_us
from fsm_exec.runtime.engine import Engine
from fsm_exec.runtime.feed import MarketFeed
from fsm_exec.runtime.health import Health
from fsm_exec.runtime.logs import open_log
from fsm_exec.runtime.markets import Markets
from fsm_exec.runtime.monitored_exchange import MonitoredExchange
from fsm_exec.runtime.order_names import OrderNames
from fsm_exec.runtime.own_orders import OwnOrders
from fsm_exec.runtime.services import Services
from fsm_exec.runtime.stream_state import StreamState
from fsm_exec.store import open_live_store
from fsm_exec.web.app import page_app
from fsm_exec.web.live.tickers import Ticker
from fsm_exec.web.server import page_parts
from tests.benchmarks.load import EXECUTIONS, MARKETS, Counterpart, WatchedStore, fills_of, live_feed, work
from tests.cli.support import ROOT, environment
from tests.web.served import place_of

READ_BYTES = 1_048_576
END_S = 60


@dataclass(frozen=True)
class Watched:
    """What one run did: durable transitions, processor time of this process and time on the clock in seconds, and what
    the viewers got."""

    transitions: int
    cpu_s: float
    seconds: float
    publications: int
    characters: int


async def run_watched(directory: Path, viewers: int) -> Watched:
    """All executions of the load from their submission to their end, with so many pages open; 0: no page is served."""
    wall = WallClock(system_us())
    database = directory / "engine.sqlite"
    async with open_live_store(database, draw_instance=lambda: "abcdefghij", at_us=system_us()) as store:
        saved = WatchedStore(store)
        with (directory / "engine.log").open("a", encoding="utf-8", buffering=1) as log_file:
            log, own, feeds = open_log(log_file, wall), OwnOrders(), dict[str, MarketFeed]()
            for number in range(MARKETS):
                feed = live_feed(f"KXBENCH-{number}", wall, own)
                feeds[feed.terms.ticker] = feed
            async with trio.open_nursery() as requests, trio.open_nursery() as executions:
                stream, health = StreamState(feeds, wall, log), Health(wall, log)
                exchange = MonitoredExchange(Counterpart(), health)
                services = Services(
                    cast("Store", saved), exchange, wall, own, log, requests, OrderNames(store.instance)
                )
                markets = Markets(exchange, cast("Store", saved), wall, own, stream, feeds, log)
                engine = Engine(services, markets, stream, method, executions, random.Random(1), health)
                about = DaemonInfo(version="1", environment="paper", database="bench", since_us=wall.now_us())
                control = Control(
                    engine, store, wall, Watchers(wall.now_us), ControlLimits(), about, method, Counterpart()
                )

                def deliver(execution_id: str, event: AnyEvent) -> None:
                    inbox = engine.actors[execution_id].inbox
                    inbox.offer(event)
                    if isinstance(event, OrderAccepted):
                        for fill in fills_of(event):
                            inbox.offer(fill)

                async with _viewers(control, database, wall, directory, viewers) as seen:
                    began, cpu = time.perf_counter(), time.process_time()
                    async with trio.open_nursery() as nursery:
                        every = list(feeds.values())
                        for number in range(EXECUTIONS):
                            feed = every[number % MARKETS]
                            nursery.start_soon(
                                work, f"e{number:06d}", store.instance, feed, services, engine.actors, deliver
                            )
                    cpu_s, seconds = time.process_time() - cpu, time.perf_counter() - began
    return Watched(len(saved.saves), cpu_s, seconds, *seen())


@asynccontextmanager
async def _viewers(
    control: Control, database: Path, wall: WallClock, directory: Path, viewers: int
) -> AsyncIterator[Callable[[], tuple[int, int]]]:
    """Serve the page to so many viewers while the block runs; the function says what they got, once it has ended: the
    publications, and the characters that all of them read."""
    if not viewers:
        yield lambda: (0, 0)
        return
    out = directory / "viewers.out"
    with (directory / "page.log").open("a", encoding="utf-8", buffering=1) as log_file:
        log = open_log(log_file, wall)
        async with page_parts(control, database, "paper", wall, log) as parts:
            listening = bind_socket(0)
            port = listening.getsockname()[1]
            async with run_server(page_app(parts, port), listening, log):
                session = parts.sessions.use_code(parts.sessions.draw_code(read_only=True), None)
                assert session is not None
                cookie = f"fsm_exec_{port}={session.secret}"
                async with httpx.AsyncClient() as browser:
                    page = await browser.get(f"http://127.0.0.1:{port}/", headers={"Cookie": cookie})
                place = place_of(page.text)
                with out.open("wb") as out_file:
                    process = await trio.lowlevel.open_process(
                        [sys.executable, "-m", "tests.benchmarks.page_load", str(port), cookie, place, str(viewers)],
                        cwd=ROOT,
                        env=environment(),
                        stdin=subprocess.DEVNULL,
                        stdout=out_file,
                    )
                    while len(parts.tickers) < viewers:  # noqa: ASYNC110 - another process is waited for
                        await trio.sleep(0.05)
                    with parts.tickers.watch("desk", _never) as ticker:
                        begun = ticker.board.place.version
                        seen = [0, 0]
                        try:
                            yield lambda: (seen[0], seen[1])
                        finally:
                            seen[0] = ticker.board.place.version - begun
                    parts.tickers.close()
                    with trio.fail_after(END_S):
                        assert await process.wait() == 0
                    seen[1] = int(out.read_bytes())


def _never() -> Ticker:
    raise AssertionError("the viewers have begun it")


async def _read(port: int, cookie: str, place: str) -> int:
    """One viewer: all that it is sent, until the end."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        head = f"GET /events/desk?after={place} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie}\r\n\r\n"
        await stream.send_all(head.encode())
        read = 0
        while chunk := await stream.receive_some(READ_BYTES):
            read += len(chunk)
        return read


async def _read_all(port: int, cookie: str, place: str, viewers: int) -> int:
    counts: list[int] = []

    async def read() -> None:
        counts.append(await _read(port, cookie, place))

    async with trio.open_nursery() as nursery:
        for _ in range(viewers):
            nursery.start_soon(read)
    return sum(counts)


if __name__ == "__main__":
    _, given_port, given_cookie, given_place, given_viewers = sys.argv
    sys.stdout.write(str(trio.run(_read_all, int(given_port), given_cookie, given_place, int(given_viewers))))
