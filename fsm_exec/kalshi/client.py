"""The exchange as core knows it (`core.ports.Exchange`), over REST and the stream."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import httpx

from fsm_exec.core.market import MarketTerms
from fsm_exec.core.orders import (
    AmendAnswer,
    AmendOrder,
    CancelAnswer,
    CancelOrder,
    FillListing,
    OrderListing,
    PlaceAnswer,
    PlaceOrder,
)
from fsm_exec.core.ports import StreamListener
from fsm_exec.kalshi.environment import refuse_real_money
from fsm_exec.kalshi.http import HTTP_LIMITS, HTTP_TIMEOUT, SignedHttp
from fsm_exec.kalshi.log import Log, SilentLog
from fsm_exec.kalshi.rest import KalshiRest
from fsm_exec.kalshi.signing import Signer, SigningKey
from fsm_exec.kalshi.websocket import Dial, KalshiStream


class KalshiClient:
    """See `core.ports.Exchange` for what each call promises."""

    def __init__(self, rest: KalshiRest, stream: KalshiStream) -> None:
        self._rest = rest
        self._stream = stream

    async def market_terms(self, ticker: str) -> MarketTerms:
        return await self._rest.market_terms(ticker)

    async def place(self, order: PlaceOrder) -> PlaceAnswer:
        return await self._rest.place(order)

    async def amend(self, order: AmendOrder) -> AmendAnswer:
        return await self._rest.amend(order)

    async def cancel(self, order: CancelOrder) -> CancelAnswer:
        return await self._rest.cancel(order)

    async def orders(self, ticker: str | None = None) -> OrderListing:
        return await self._rest.orders(ticker)

    async def fills(self, ticker: str | None = None, order_id: str | None = None) -> FillListing:
        return await self._rest.fills(ticker, order_id)

    async def stream(self, listener: StreamListener, tickers: Sequence[str]) -> None:
        await self._stream.run(listener, tickers)


@asynccontextmanager
async def open_client(
    *,
    base_url: str,
    api_key_id: str,
    key: SigningKey,
    dial: Dial,
    wall_us: Callable[[], int],
    rng: random.Random,
    transport: httpx.AsyncBaseTransport | None = None,
    log: Log | None = None,
    allow_real_money: bool = False,
) -> AsyncIterator[KalshiClient]:
    """A client whose REST connections live as long as the context.

    `base_url` ends with the API's prefix. `wall_us` is the wall time in unix microseconds, for signatures and fee
    waivers; `rng` spreads reconnections. With a `transport` no socket is opened for REST; without one, an address that
    may be real money is refused unless allowed. Raises UserError.
    """
    if transport is None:
        refuse_real_money(base_url, allow_real_money=allow_real_money)
    signer = Signer(api_key_id, key)
    chosen_log = log if log is not None else SilentLog()
    # The environment (proxies, .netrc, log files of TLS keys) has no say: the stream knows no proxy, and a client of
    # which one half goes another way is worse than one that fails. Redirects are not followed: a write is sent once.
    async with httpx.AsyncClient(
        base_url=base_url,
        transport=transport,
        timeout=HTTP_TIMEOUT,
        limits=HTTP_LIMITS,
        trust_env=False,
        follow_redirects=False,
    ) as http:
        rest = KalshiRest(SignedHttp(http, signer, wall_us, chosen_log), wall_us)
        yield KalshiClient(rest, KalshiStream(dial, signer, wall_us, rng, chosen_log))
