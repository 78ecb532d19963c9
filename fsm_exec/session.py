"""One composition: client, store, clock and engine are put together here, and nowhere else.

`Access` says where an exchange is and as whom it is asked, `connect` opens a client there, `open_session` a client and
an engine. What is to be between engine and exchange goes in by `dataclasses.replace(access, transport=..., dial=...)`.
The paper exchange has its own half, in paper_session.py: a process that trades an account does not load it.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx
import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.algorithms import method
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.values.units import Outcome
from fsm_exec.kalshi.client import KalshiClient, open_client
from fsm_exec.kalshi.direct_wire import DirectTransport
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.signing import SigningKey
from fsm_exec.kalshi.websocket import Tap
from fsm_exec.kalshi.websocket_dial import Dial, dial_url
from fsm_exec.runtime.account.account import AccountSetup
from fsm_exec.runtime.book_recorder import DepthSettings
from fsm_exec.runtime.clock import WallClock, keep_synchronized
from fsm_exec.runtime.engine import Engine
from fsm_exec.runtime.fence import FenceSettings, FenceSetup
from fsm_exec.runtime.lifespan import open_engine
from fsm_exec.runtime.markouts import Results
from fsm_exec.runtime.observer import Observer
from fsm_exec.runtime.stored_executions import Methods
from fsm_exec.runtime.tape_recorder import TapeSetup, open_tape_recorder
from fsm_exec.store import SqliteStore

RESULTS: Final[Mapping[str, Outcome]] = {"yes": "yes", "no": "no"}


@dataclass(frozen=True, kw_only=True)
class Access:
    """Where an exchange is, and as whom it is asked. With a `transport` no socket is opened for REST.
    `subaccount`: None is the key's own."""

    base_url: str
    dial: Dial
    api_key_id: str
    key: SigningKey
    transport: httpx.AsyncBaseTransport | DirectTransport | None = None
    allow_real_money: bool = False
    subaccount: int | None = None

    @classmethod
    def by_urls(
        cls, rest_url: str, ws_url: str, api_key_id: str, key: SigningKey, *, allow_real_money: bool = False
    ) -> Access:
        """The access over real sockets. Raises UserError for an address that is none."""
        return cls(
            base_url=rest_url,
            dial=dial_url(ws_url),
            api_key_id=api_key_id,
            key=key,
            allow_real_money=allow_real_money,
        )


@dataclass(frozen=True)
class Session:
    """An engine at work, and what it works with. Tasks of the `nursery` are cancelled before the engine ends."""

    engine: Engine
    client: KalshiClient
    store: SqliteStore
    wall: WallClock
    observer: Observer | None
    nursery: trio.Nursery


def connect(
    access: Access, wall: WallClock, *, seed: int | str | None = None, log: Log | None = None, tap: Tap | None = None
) -> AbstractAsyncContextManager[KalshiClient]:
    """A client whose connections live as long as the block.

    `wall` stamps its signatures and is doubted when the exchange refuses one as expired; `seed` spreads reconnections
    (None: another one each time, since those of many clients must not fall together); `tap` sees the stream's frames
    before anything else does. Raises UserError for an address that may be real money and is not allowed to.
    """
    return open_client(
        base_url=access.base_url,
        api_key_id=access.api_key_id,
        key=access.key,
        dial=access.dial,
        wall_us=wall.now_us,
        rng=random.Random(seed),
        transport=access.transport,
        log=log,
        allow_real_money=access.allow_real_money,
        tap=tap,
        on_expired_signature=wall.request_resync,
        subaccount=access.subaccount,
    )


@asynccontextmanager
async def open_session(
    access: Access,
    store: SqliteStore,
    wall: WallClock,
    log: FilteringBoundLogger,
    *,
    methods: Methods = method,
    tickers: Sequence[str] = (),
    depth: DepthSettings | None = None,
    true_us: Callable[[], int] | None = None,
    other_engine_is_gone: str | None = None,
    wait: bool = True,
    seed: int | str | None = None,
    risk: RiskLimits | None = None,
    tapes: TapeSetup | None = None,
    rewards: bool | None = None,
    host_lease_s: int = 0,
    fence: FenceSettings | None = None,
    takeover: bool = False,
) -> AsyncIterator[Session]:
    """An engine on `store` and on the exchange that `access` leads to; leaving the block ends it (see `open_engine`,
    also for the errors, and `connect`).

    `methods` finds the algorithm of a stored method. With `depth` the markets are watched beside the executions, and
    depth, forecasts and markouts stored. With `risk` the account's books are kept and its limits hold. With `true_us`
    the wall follows that clock (`system_us`: the machine's). With `tapes` the frames of worked markets are kept.
    `rewards`: what the exchange's programmes pay is measured; None: if the markets are watched. `host_lease_s`: a
    resting order ends by itself at most so many seconds ahead; 0: when its execution is over. With `fence` every order
    is in an order group of this opening; `takeover` as in `open_engine`.
    """
    async with AsyncExitStack() as stack:
        recorder = None
        if tapes is not None:
            recorder = await stack.enter_async_context(open_tape_recorder(tapes, wall, log))
            store.on_saved(recorder.on_saved)
        tap = None if recorder is None else recorder.tap
        client = await stack.enter_async_context(connect(access, wall, seed=seed, log=log, tap=tap))
        observer = None if depth is None else Observer(store, wall, log, depth, results_of(client))
        async with (
            open_engine(
                store,
                client,
                wall,
                log,
                tickers,
                methods,
                other_engine_is_gone=other_engine_is_gone,
                wait=wait,
                observer=observer,
                account=None if risk is None else AccountSetup(store, risk),
                tape_recorder=recorder,
                rewards=store if (depth is not None if rewards is None else rewards) else None,
                host_lease_s=host_lease_s,
                fence=None if fence is None else _fence_setup(fence, client, store),
                takeover=takeover,
            ) as engine,
            trio.open_nursery() as nursery,
        ):
            if true_us is not None:
                nursery.start_soon(keep_synchronized, wall, engine.on_clock_jump, true_us)
            yield Session(engine, client, store, wall, observer, nursery)
            nursery.cancel_scope.cancel()


def _fence_setup(fence: FenceSettings, client: KalshiClient, store: SqliteStore) -> FenceSetup:
    return FenceSetup(
        groups=client.groups,
        store=store,
        contracts_in_15_s=fence.contracts_in_15_s,
        leadership=fence.leadership,
    )


def results_of(client: KalshiClient) -> Results:
    """How markets ended, as the exchange says. Only plain results count: a market that is void, or pays a scalar, has
    none here."""

    async def results(tickers: Sequence[str]) -> Mapping[str, Outcome]:
        rows = await client.public.fetch_markets(tickers=tickers)
        return {row.ticker: RESULTS[row.result] for row in rows if row.result is not None and row.result in RESULTS}

    return results
