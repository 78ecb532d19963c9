"""Orders and the terms of markets over REST: the calls of `core.exchange_port.Exchange`.

The writes are here; the reads have modules of their own (`listings`, `terms_reader`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fsm_exec.core.market.orders import (
    AllCancelled,
    AmendAnswer,
    Amended,
    AmendOrder,
    CancelAllAnswer,
    CancelAnswer,
    Cancelled,
    CancelOrder,
    DecreaseAnswer,
    Decreased,
    DecreaseOrder,
    FillListing,
    OrderListing,
    PlaceAnswer,
    PlaceOrder,
)
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import parse_count
from fsm_exec.kalshi import batches, translate
from fsm_exec.kalshi.endpoints import Endpoints, check_same_order, decode
from fsm_exec.kalshi.listings import Listings
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.routes import Routes
from fsm_exec.kalshi.signed_http import SignedHttp
from fsm_exec.kalshi.terms_reader import TermsReader
from fsm_exec.kalshi.token_costs import Rank
from fsm_exec.wire import client_bodies
from fsm_exec.wire.field_values import required_text

ORDERS = "/portfolio/events/orders"  # V2 writes; the old family answers 410 (wire/README.md 0)


class KalshiRest:
    """Implements the reads and writes of `core.exchange_port.Exchange`; holds no state but its connections. `wall_us`
    is the wall time in unix microseconds: an answer without a time of its own gets the time of its receipt. All
    calls are about `subaccount`; None: the key's own."""

    def __init__(
        self, http: SignedHttp, wall_us: Callable[[], int], log: Log, *, subaccount: int | None = None
    ) -> None:
        self.endpoints = Endpoints(http, Routes(subaccount))
        self._address = self.endpoints.routes.address
        self._wall_us = wall_us
        self.listings = Listings(self.endpoints, wall_us, log)
        self.terms = TermsReader(self.endpoints, wall_us, log)

    # Writes. Each sends at most one request and raises only translate.ImpossibleRequest, before sending.

    async def place(self, order: PlaceOrder) -> PlaceAnswer:
        def placed(content: bytes) -> PlaceAnswer:
            return translate.place_answer(decode(content, client_bodies.Placed), order, self._wall_us())

        body = translate.create_order(order, self._address(order.ticker))
        return await self.endpoints.send_write(
            "place", "POST", ORDERS, placed, body=body, not_after_us=order.not_after_us
        )

    async def amend(self, order: AmendOrder) -> AmendAnswer:
        def amended(content: bytes) -> Amended:
            answer = decode(content, client_bodies.Amended)
            check_same_order(answer.order_id, order.order_id)
            return Amended(
                order_id=order.order_id,
                filled_e2=None if answer.fill_count is None else parse_count(answer.fill_count),
                remaining_e2=None if answer.remaining_count is None else parse_count(answer.remaining_count),
                at_us=translate.moment_us(self._wall_us(), answer.ts_ms),
            )

        body = translate.amend_order(order, self._address(order.ticker))
        path = f"{ORDERS}/{order.order_id}/amend"
        rank: Rank | None = "renewal" if order.can_wait else None
        return await self.endpoints.send_write(
            "amend", "POST", path, amended, body=body, not_after_us=order.not_after_us, rank=rank
        )

    async def decrease(self, order: DecreaseOrder) -> DecreaseAnswer:
        def decreased(content: bytes) -> Decreased:
            answer = decode(content, client_bodies.Decreased)
            check_same_order(answer.order_id, order.order_id)
            return Decreased(
                order_id=order.order_id,
                remaining_e2=parse_count(required_text(answer.remaining_count, "remaining_count")),
                at_us=translate.moment_us(self._wall_us(), answer.ts_ms),
            )

        body = translate.decrease_order(order, self._address(order.ticker))
        return await self.endpoints.send_write(
            "decrease", "POST", f"{ORDERS}/{order.order_id}/decrease", decreased, body=body
        )

    async def cancel(self, order: CancelOrder) -> CancelAnswer:
        translate.check_cancel(order)

        def cancelled(content: bytes) -> Cancelled:
            answer = decode(content, client_bodies.Cancelled)
            check_same_order(answer.order_id, order.order_id)
            return Cancelled(
                order_id=order.order_id,
                reduced_by_e2=parse_count(required_text(answer.reduced_by, "reduced_by")),
                at_us=translate.moment_us(self._wall_us(), answer.ts_ms),
            )

        # Without the ticker an order on another shard is not found (wire/README.md 6.5).
        query = {"market_ticker": order.ticker}
        exchange_index = self._address(order.ticker).exchange_index
        if exchange_index is not None:
            query["exchange_index"] = str(exchange_index)
        return await self.endpoints.send_write("cancel", "DELETE", f"{ORDERS}/{order.order_id}", cancelled, query=query)

    async def place_batch(self, orders: Sequence[PlaceOrder]) -> tuple[PlaceAnswer, ...]:
        """Place several orders with one request. Returns one answer for each, in their order. Raises ImpossibleRequest
        also for a batch that does not fit the write bucket as a whole."""
        body = batches.create_batch(orders, self._address)

        def placed(content: bytes) -> tuple[PlaceAnswer, ...]:
            return batches.place_answers(decode(content, client_bodies.BatchItems), orders, self._wall_us())

        path = f"{ORDERS}/batched"
        # One late order makes the batch late: the orders that are still good can be sent again.
        last_us = min((order.not_after_us for order in orders if order.not_after_us is not None), default=None)
        answer = await self.endpoints.send_write(
            "batch_place", "POST", path, placed, body=body, orders=len(orders), not_after_us=last_us
        )
        return answer if isinstance(answer, tuple) else (answer,) * len(orders)

    async def cancel_batch(self, orders: Sequence[CancelOrder]) -> tuple[CancelAnswer, ...]:
        """Cancel several orders with one request. Returns and raises like `place_batch`."""
        body = batches.cancel_batch(orders, self._address)

        def cancelled(content: bytes) -> tuple[CancelAnswer, ...]:
            return batches.cancel_answers(decode(content, client_bodies.BatchItems), orders, self._wall_us())

        path = f"{ORDERS}/batched"
        answer = await self.endpoints.send_write(
            "batch_cancel", "DELETE", path, cancelled, body=body, orders=len(orders)
        )
        return answer if isinstance(answer, tuple) else (answer,) * len(orders)

    async def cancel_all(self) -> CancelAllAnswer:
        """Cancel every resting order of the account, ours or not."""
        return await self.endpoints.send_write("cancel_all", "DELETE", ORDERS, lambda _: AllCancelled())

    # Reads. Each raises VenueRefused or VenueUnavailable.

    async def fetch_orders(
        self, ticker: str | None = None, *, since_us: int | None = None, resting: bool = False
    ) -> OrderListing:
        """See `Listings.fetch_orders`."""
        return await self.listings.fetch_orders(ticker, since_us, resting=resting)

    async def fetch_fills(
        self, ticker: str | None = None, order_id: str | None = None, *, since_us: int | None = None
    ) -> FillListing:
        """See `Listings.fetch_fills`."""
        return await self.listings.fetch_fills(ticker, order_id, since_us)

    async def fetch_market_terms(self, ticker: str) -> MarketTerms:
        """Raises UserError too: for a ticker that is none, and for a market whose fees have no published formula."""
        return await self.terms.fetch_one(ticker)

    async def fetch_markets(self, tickers: Sequence[str]) -> dict[str, MarketTerms]:
        """See `TermsReader.fetch_many`."""
        return await self.terms.fetch_many(tickers)
