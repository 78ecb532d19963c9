"""The exchange as core knows it (`core.exchange_port.Exchange`), over REST and the stream, and the rest of its API
beside."""

from __future__ import annotations

import random
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import httpx
import trio

from fsm_exec.core.exchange_port import StreamListener
from fsm_exec.core.market.account import (
    Balance,
    BudgetFacts,
    EventShape,
    MarketFacts,
    MarketSearch,
    Position,
    QueuePosition,
    Settlement,
)
from fsm_exec.core.market.book import Book
from fsm_exec.core.market.incentives import IncentiveListing
from fsm_exec.core.market.orders import (
    AmendAnswer,
    AmendOrder,
    CancelAllAnswer,
    CancelAnswer,
    CancelOrder,
    DecreaseAnswer,
    DecreaseOrder,
    FillListing,
    OrderListing,
    PlaceAnswer,
    PlaceOrder,
)
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import CountE2
from fsm_exec.kalshi.account import KalshiAccount, with_value
from fsm_exec.kalshi.direct_wire import DirectTransport, DirectWire
from fsm_exec.kalshi.environment import refuse_real_money
from fsm_exec.kalshi.http_wire import HttpWire
from fsm_exec.kalshi.log import Log, SilentLog
from fsm_exec.kalshi.market_facts import MarketFactsReader
from fsm_exec.kalshi.market_poller import MarketPoller
from fsm_exec.kalshi.markets import KalshiMarkets
from fsm_exec.kalshi.order_groups import KalshiGroups
from fsm_exec.kalshi.rate_budget import BudgetStatistics, RateBudget
from fsm_exec.kalshi.rest import KalshiRest
from fsm_exec.kalshi.signed_http import HTTP_LIMITS, HTTP_TIMEOUT, SignedHttp, Wire
from fsm_exec.kalshi.signing import Signer, SigningKey, ignore_expired_signature
from fsm_exec.kalshi.tls import shared_context
from fsm_exec.kalshi.websocket import KalshiStream, Tap
from fsm_exec.kalshi.websocket_dial import Dial

BATCHES_MAX: Final = 4  # connections that cancel batches at the same time: the others stay free for everything else
BUDGET_INTERVAL_S: Final = 600  # an account's tier changes rarely


class KalshiClient:
    """See `core.exchange_port.Exchange` for what its calls promise. Beside them: batches of new orders, decrease and
    cancel-all, and in `account`, `groups` and `public` what the rest of the API offers."""

    def __init__(
        self,
        rest: KalshiRest,
        stream: KalshiStream,
        account: KalshiAccount,
        groups: KalshiGroups,
        public: KalshiMarkets,
        facts: MarketFactsReader,
        budget: RateBudget,
        signer: Signer,
    ) -> None:
        self._rest = rest
        self._stream = stream
        self._facts = facts
        self._budget, self._signer = budget, signer
        self.account, self.groups, self.public = account, groups, public

    async def fetch_market_terms(self, ticker: str) -> MarketTerms:
        return await self._rest.fetch_market_terms(ticker)

    async def fetch_markets(self, tickers: Sequence[str]) -> dict[str, MarketTerms]:
        return await self._rest.fetch_markets(tickers)

    async def place(self, order: PlaceOrder) -> PlaceAnswer:
        return await self._rest.place(order)

    async def place_batch(self, orders: Sequence[PlaceOrder]) -> tuple[PlaceAnswer, ...]:
        return await self._rest.place_batch(orders)

    async def amend(self, order: AmendOrder) -> AmendAnswer:
        return await self._rest.amend(order)

    async def decrease(self, order: DecreaseOrder) -> DecreaseAnswer:
        return await self._rest.decrease(order)

    async def cancel(self, order: CancelOrder) -> CancelAnswer:
        return await self._rest.cancel(order)

    async def cancel_batch(self, orders: Sequence[CancelOrder]) -> tuple[CancelAnswer, ...]:
        answers: dict[str, CancelAnswer] = {}
        waiting = deque(orders)

        async def cancel_some() -> None:
            while waiting:
                most = min(len(waiting), self._budget.cancels_at_once())
                some = [waiting.popleft() for _ in range(most)]
                ended = await self._rest.cancel_batch(some)
                answers.update((order.order_id, answer) for order, answer in zip(some, ended, strict=True))

        async with trio.open_nursery() as nursery:
            for _ in range(BATCHES_MAX):
                nursery.start_soon(cancel_some)
        return tuple(answers[order.order_id] for order in orders)

    async def cancel_all(self) -> CancelAllAnswer:
        return await self._rest.cancel_all()

    async def fetch_orders(
        self, ticker: str | None = None, *, since_us: int | None = None, resting: bool = False
    ) -> OrderListing:
        return await self._rest.fetch_orders(ticker, since_us=since_us, resting=resting)

    async def fetch_fills(
        self, ticker: str | None = None, order_id: str | None = None, *, since_us: int | None = None
    ) -> FillListing:
        return await self._rest.fetch_fills(ticker, order_id, since_us=since_us)

    async def fetch_positions(self) -> tuple[Position, ...]:
        return await self.account.fetch_positions()

    async def fetch_balance(self) -> Balance:
        return await self.account.fetch_balance()

    async def fetch_settlements(self, since_us: int | None = None) -> tuple[Settlement, ...]:
        settled = await self.account.fetch_settlements(since_us)
        unclear = [each.ticker for each in settled if each.value_e4 is None]
        if not unclear:
            return settled
        # The market itself states the value of a contract to the last digit, as long as it is listed.
        markets = await self.fetch_market_facts(unclear)
        return tuple(
            with_value(each, markets[each.ticker].settlement_value_e4)
            if each.value_e4 is None and each.ticker in markets
            else each
            for each in settled
        )

    async def fetch_event_shape(self, event: str) -> EventShape:
        return await self._facts.fetch_event_shape(event)

    async def fetch_market_facts(self, tickers: Sequence[str]) -> dict[str, MarketFacts]:
        return await self._facts.fetch_facts(tickers)

    async def search_markets(self, text: str = "", *, only_open: bool = True, limit: int = 50) -> MarketSearch:
        return await self._facts.search(text, only_open=only_open, limit=limit)

    async def fetch_order_book(self, ticker: str) -> Book:
        return await self.public.fetch_order_book(ticker)

    async def fetch_queue_positions(self, tickers: Sequence[str]) -> tuple[QueuePosition, ...]:
        return await self.account.fetch_queue_positions(tickers)

    async def fetch_incentives(self) -> IncentiveListing:
        return await self.public.fetch_incentives()

    async def stream(self, listener: StreamListener, tickers: Sequence[str]) -> None:
        # A client that streams is there to stay: now it pays to fetch the account's rate limits, and to keep them
        # fresh.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_budget_fresh)
            await self._stream.run(listener, tickers)

    def watch(self, ticker: str) -> None:
        self._stream.watch(ticker)

    def stream_trouble(self) -> str | None:
        return self._stream.trouble

    def unwatch(self, ticker: str) -> None:
        self._stream.unwatch(ticker)
        self._rest.terms.forget(ticker)

    async def _keep_budget_fresh(self) -> None:
        while True:
            await self.account.refresh_budget()
            await trio.sleep(BUDGET_INTERVAL_S)

    def change_key(self, api_key_id: str, key: SigningKey) -> None:
        """Ask as the same member by another key from now on; a stream that is open stays. Raises UserError for an id
        that is none."""
        self._signer.change(api_key_id, key)

    def volume_24h(self, ticker: str) -> CountE2 | None:
        return self._rest.terms.volume_24h(ticker)

    def budget(self) -> BudgetFacts:
        return self._budget.facts()

    def statistics(self) -> BudgetStatistics:
        """Return the state of the rate budget."""
        return self._budget.statistics()


@asynccontextmanager
async def open_client(
    *,
    base_url: str,
    api_key_id: str,
    key: SigningKey,
    dial: Dial,
    wall_us: Callable[[], int],
    rng: random.Random,
    transport: httpx.AsyncBaseTransport | DirectTransport | None = None,
    log: Log | None = None,
    allow_real_money: bool = False,
    tap: Tap | None = None,
    on_expired_signature: Callable[[], None] = ignore_expired_signature,
    subaccount: int | None = None,
) -> AsyncIterator[KalshiClient]:
    """Open a client whose REST connections live as long as the context.

    `base_url` ends with the API's prefix. `wall_us` is the wall time in unix microseconds, for signatures and fee
    waivers, and `on_expired_signature` is called when the exchange refuses a signature as expired; `rng` spreads
    reconnections; `tap` sees the stream's frames as they come. With a `transport` no socket is opened for REST, with a
    direct one nothing is put into HTTP either; without one, an address that may be real money is refused unless
    allowed. All calls are about `subaccount`; None: the key's own. Raises UserError.
    """
    if transport is None:
        refuse_real_money(base_url, allow_real_money=allow_real_money)
    signer = Signer(api_key_id, key)
    chosen_log = log if log is not None else SilentLog()
    # Of the environment only the certificates to trust are read, for REST and the stream alike, never proxies, .netrc
    # or log files of TLS keys: the stream knows no proxy, and a client whose halves take different routes is worse than
    # one that fails. Redirects are not followed: a write is sent once. No compression is requested: a small answer
    # could inflate without end.
    async with AsyncExitStack() as stack:
        wire: Wire
        if transport is None or isinstance(transport, httpx.AsyncBaseTransport):
            secure = transport is None and base_url.startswith("https:")
            http = httpx.AsyncClient(
                base_url=base_url,
                transport=transport,
                # An empty context: it trusts no certificate.
                verify=shared_context() if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                headers={"Accept-Encoding": "identity"},
                timeout=HTTP_TIMEOUT,
                limits=HTTP_LIMITS,
                trust_env=False,
                follow_redirects=False,
            )
            wire = HttpWire(await stack.enter_async_context(http), signer, chosen_log)
        else:
            wire = DirectWire(transport, signer)
        budget = RateBudget(chosen_log)
        rest = KalshiRest(
            SignedHttp(wire, wall_us, chosen_log, budget, on_expired_signature),
            wall_us,
            chosen_log,
            subaccount=subaccount,
        )
        poller = MarketPoller(rest.terms, wall_us, chosen_log)
        yield KalshiClient(
            rest,
            KalshiStream(dial, signer, wall_us, rng, chosen_log, tap, poller, on_expired_signature, subaccount),
            KalshiAccount(rest.endpoints, budget, wall_us, chosen_log),
            KalshiGroups(rest.endpoints),
            KalshiMarkets(rest.endpoints, chosen_log),
            MarketFactsReader(rest.endpoints, chosen_log),
            budget,
            signer,
        )
