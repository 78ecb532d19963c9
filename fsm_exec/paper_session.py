"""A paper exchange in this process, and an engine on it: composed here, and nowhere else.

In virtual time, in one call:

    async def work() -> None:
        paper = PaperExchange.starting_at(tape.first_us)
        paper.play(tape)
        async with open_paper_session(paper) as session:
            await session.engine.submit(...)
            await session.engine.wait_idle()

    run_virtual(work, seed=1)  # of fsm_exec.runtime.determinism

In parts, where one lives longer than another or something stands between them:

    async with (
        open_virtual_store(path, draw_instance=draw_instance, at_us=wall.now_us()) as store,
        paper.in_memory() as host,  # or on_loopback
        open_session(access_to(host, credentials), store, wall, log, tickers=[...], seed=1) as session,
    ): ...
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import httpx

from fsm_exec.algorithms import method
from fsm_exec.core.values.units import CountE2, MoneyE6, PriceE4, parse_count, parse_price
from fsm_exec.kalshi.direct_wire import DirectTransport
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.kalshi.websocket_dial import Dial
from fsm_exec.paper.faults import FaultPlan
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.matching_engine.fill_models import FillModel
from fsm_exec.paper.matching_engine.market import PaperMarket
from fsm_exec.paper.server.auth import Authenticator, Credentials, KeyType
from fsm_exec.paper.server.direct_host import DirectHost, host_directly
from fsm_exec.paper.server.hosting import LOOPBACK, LoopbackHost, MemoryHost, host_in_memory, host_on_loopback
from fsm_exec.paper.server.rate_limit import BASIC, Tier
from fsm_exec.paper.tapes.tape import BookSnapshot, Tape, tape_header
from fsm_exec.paper.timing.clock import Clock, TimeSource
from fsm_exec.paper.timing.latency import Latency
from fsm_exec.paper.timing.timeline import Timeline
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.tape_player import TapePlayer
from fsm_exec.runtime.book_recorder import DepthSettings
from fsm_exec.runtime.clock import WallClock, system_us
from fsm_exec.runtime.logs import LogFile, open_log
from fsm_exec.runtime.stored_executions import Methods
from fsm_exec.runtime.tape_recorder import TapeSetup
from fsm_exec.session import Access, Session, open_session
from fsm_exec.store import SqliteStore, open_virtual_store

PLAY_CASH_E6: Final = MoneyE6(1_000_000 * 1_000_000)  # a million dollars of play money: no demo runs out
PAPER_INSTANCE: Final = "a" * 10  # one database a paper session, as a rule gone with it: its name need not differ


Levels: TypeAlias = Sequence[tuple[str, str]]
"""Price in dollars and count in contracts, as text: ("0.45", "10")."""


class Reachable(Protocol):
    """What a host of an exchange, or anything between it and a client, gives a client."""

    @property
    def base_url(self) -> str: ...
    @property
    def transport(self) -> httpx.AsyncBaseTransport | DirectTransport | None: ...
    @property
    def dial(self) -> Dial: ...


def levels_of(levels: Levels) -> tuple[tuple[PriceE4, CountE2], ...]:
    """Levels of a book. Raises UnitError for a price or a count that is none."""
    return tuple((parse_price(price), parse_count(count)) for price, count in levels)


def access_to(host: Reachable, credentials: Credentials) -> Access:
    """The access of a member to an exchange that this process serves."""
    return Access(
        base_url=host.base_url,
        dial=host.dial,
        api_key_id=credentials.api_key_id,
        key=SigningKey.from_pem(credentials.private_key_pem),
        transport=host.transport,
    )


@dataclass(frozen=True)
class PaperExchange:
    """A paper exchange that nobody reaches yet: markets and tapes may go in, and accounts be opened (`gate`)."""

    clock: Clock
    exchange: Exchange
    gate: Authenticator

    @classmethod
    def starting_at(
        cls,
        now_us: int,
        *,
        seed: int = 1,
        tier: Tier = BASIC,
        speed: int = 1,
        signatures_by: TimeSource | None = None,
    ) -> PaperExchange:
        """An exchange where it is `now_us` now, and `speed` seconds pass in one of trio's. `signatures_by` is the clock
        that signatures and rate budgets are held against: the exchange's own unless given. Needs a running trio."""
        clock = Clock.starting_at(now_us, speed)
        exchange = Exchange(Timeline(clock), seed=seed)
        return cls(clock, exchange, Authenticator(exchange, signatures_by or clock, tier=tier))

    def open_market(
        self,
        ticker: str,
        *,
        yes: Levels,
        no: Levels,
        price_structure: str = "linear_cent",
        category: str = "Testing",
        exchange_index: int = 0,
    ) -> PaperMarket:
        """Open a market with these orders of other people resting in it, on either side, the queue of a price one
        order; on the shard `exchange_index`. Raises UnitError for a price or a count that is none."""
        header = tape_header(ticker, price_structure, category=category)
        market = self.exchange.add_market(header, exchange_index=exchange_index)
        self.exchange.apply(ticker, BookSnapshot(levels_of(yes), levels_of(no)))
        return market

    def play(
        self,
        tape: Tape,
        start_us: int | None = None,
        *,
        fill_model: FillModel = "recorded",
        exchange_index: int = 0,
    ) -> TapePlayer:
        """Open the market of `tape` and play its first event at `start_us`, by default now. `fill_model`: which of its
        limit orders cross to ours; `exchange_index`: the shard it is on."""
        player = TapePlayer(self.exchange, tape, fill_model, exchange_index)
        player.start(self.clock.now_us() if start_us is None else start_us)
        return player

    def in_memory(
        self, *, latency: Latency | None = None, faults: FaultPlan | None = None
    ) -> AbstractAsyncContextManager[MemoryHost]:
        """Serve it to this process until the block ends."""
        return host_in_memory(self.exchange, self.clock, self.gate, latency=latency, faults=faults)

    def directly(self, latency: Latency) -> AbstractAsyncContextManager[DirectHost]:
        """Serve it to this process until the block ends, without handshakes, pings and framing."""
        return host_directly(self.exchange, self.clock, self.gate, latency)

    def on_loopback(
        self,
        *,
        latency: Latency | None = None,
        faults: FaultPlan | None = None,
        port: int = 0,
        ws_port: int = 0,
        address: str = LOOPBACK,
    ) -> AbstractAsyncContextManager[LoopbackHost]:
        """Serve it on two ports until the block ends; 0 is a free one. Raises OSError if one cannot be had."""
        return host_on_loopback(
            self.exchange,
            self.clock,
            self.gate,
            latency=latency,
            port=port,
            ws_port=ws_port,
            address=address,
            faults=faults,
        )


@dataclass(frozen=True)
class PaperSession(Session):
    """... on a paper exchange, in the account `account` of it."""

    account: Account


@asynccontextmanager
async def open_paper_session(
    paper: PaperExchange,
    *,
    store: SqliteStore | None = None,
    instance: str = PAPER_INSTANCE,
    live: bool = False,
    log_file: LogFile | None = None,
    methods: Methods = method,
    tickers: Sequence[str] | None = None,
    cash_e6: MoneyE6 = PLAY_CASH_E6,
    key_type: KeyType = "ed25519",
    latency: Latency | None = None,
    faults: FaultPlan | None = None,
    depth: DepthSettings | None = None,
    rewards: bool | None = None,
    seed: int = 1,
    tapes: TapeSetup | None = None,
) -> AsyncIterator[PaperSession]:
    """A running engine on `paper`, in an account of its own.

    In memory and for a virtual clock, or `live`: over sockets, in step with the machine's clock. `store` is by default
    a new one in memory of this `instance` (give one of the same lane); `tickers` are by default all markets that
    `paper` has; `log_file` takes the engine's log, one JSON object a line; `rewards`, `depth` and `tapes` as in
    `open_session`.
    """
    account, credentials = paper.gate.open_account(cash_e6, key_type)
    wall = WallClock(paper.clock.now_us())
    log = open_log(io.StringIO() if log_file is None else log_file, wall)
    async with AsyncExitStack() as stack:
        if store is None:
            opening = open_virtual_store(None, draw_instance=lambda: instance, at_us=wall.now_us())
            store = await stack.enter_async_context(opening)
        host: MemoryHost | LoopbackHost
        if live:
            host = await stack.enter_async_context(paper.on_loopback(latency=latency, faults=faults))
        else:
            host = await stack.enter_async_context(paper.in_memory(latency=latency, faults=faults))
        session = await stack.enter_async_context(
            open_session(
                access_to(host, credentials),
                store,
                wall,
                log,
                methods=methods,
                tickers=tuple(paper.exchange.markets) if tickers is None else tickers,
                depth=depth,
                true_us=system_us if live else None,
                seed=seed,
                tapes=tapes,
                rewards=rewards,
            )
        )
        yield PaperSession(**vars(session), account=account)
