"""The account's orders and the terms of markets over REST: what `core.ports.Exchange` asks for.

Listings go to the end through their cursors and carry the moment up to which the exchange vouches for them, asked
before the first page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from fsm_exec.core.market import MarketTerms
from fsm_exec.core.orders import (
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
    FillReport,
    OrderListing,
    OrderReport,
    PlaceAnswer,
    PlaceOrder,
)
from fsm_exec.core.units import parse_count
from fsm_exec.kalshi import batches, translate
from fsm_exec.kalshi.calls import Calls, decode, same_order
from fsm_exec.kalshi.http import SignedHttp
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.terms_reader import TermsReader
from fsm_exec.wire import rest as wire
from fsm_exec.wire import writes

ORDERS = "/portfolio/events/orders"  # V2 writes; the old family answers 410 (W0)
PAGE_ROWS: Final = 200  # rows a page: inside every limit the exchange documents (W4.4)


class KalshiRest:
    """Implements the reads and writes of `core.ports.Exchange`; holds no state but its connections."""

    def __init__(self, http: SignedHttp, wall_us: Callable[[], int], log: Log) -> None:
        self.calls = Calls(http)
        self.terms = TermsReader(self.calls, wall_us, log)

    # Writes. Each sends at most one request and raises only translate.ImpossibleRequest, before sending.

    async def place(self, order: PlaceOrder) -> PlaceAnswer:
        def placed(content: bytes) -> PlaceAnswer:
            return translate.placed(decode(content, wire.CreateOrderAnswer), order)

        body = translate.create_order(order)
        return await self.calls.write("place", "POST", ORDERS, placed, body=body, not_after_us=order.not_after_us)

    async def amend(self, order: AmendOrder) -> AmendAnswer:
        def amended(content: bytes) -> Amended:
            answer = decode(content, wire.AmendOrderAnswer)
            same_order(answer.order_id, order.order_id)
            return Amended(
                order_id=answer.order_id,
                filled_e2=None if answer.fill_count is None else parse_count(answer.fill_count),
                remaining_e2=None if answer.remaining_count is None else parse_count(answer.remaining_count),
                at_us=translate.ms_to_us(answer.ts_ms),
            )

        body, path = translate.amend_order(order), f"{ORDERS}/{order.order_id}/amend"
        return await self.calls.write("amend", "POST", path, amended, body=body, not_after_us=order.not_after_us)

    async def decrease(self, order: DecreaseOrder) -> DecreaseAnswer:
        def decreased(content: bytes) -> Decreased:
            answer = decode(content, writes.DecreaseOrderAnswer)
            same_order(answer.order_id, order.order_id)
            return Decreased(
                order_id=answer.order_id,
                remaining_e2=parse_count(answer.remaining_count),
                at_us=translate.ms_to_us(answer.ts_ms),
            )

        body = translate.decrease_order(order)
        return await self.calls.write("decrease", "POST", f"{ORDERS}/{order.order_id}/decrease", decreased, body=body)

    async def cancel(self, order: CancelOrder) -> CancelAnswer:
        translate.check_cancel(order)

        def cancelled(content: bytes) -> Cancelled:
            answer = decode(content, wire.CancelOrderAnswer)
            same_order(answer.order_id, order.order_id)
            return Cancelled(
                order_id=answer.order_id,
                reduced_by_e2=parse_count(answer.reduced_by),
                at_us=translate.ms_to_us(answer.ts_ms),
            )

        # Without the ticker an order on another shard is not found (W6.5).
        query = {"market_ticker": order.ticker}
        return await self.calls.write("cancel", "DELETE", f"{ORDERS}/{order.order_id}", cancelled, query=query)

    async def place_batch(self, orders: Sequence[PlaceOrder]) -> tuple[PlaceAnswer, ...]:
        """One request for several orders, one answer for each, in their order. Raises ImpossibleRequest also for a
        batch that does not fit the write bucket as a whole."""
        body = batches.create_batch(orders)

        def placed(content: bytes) -> tuple[PlaceAnswer, ...]:
            return batches.placed(decode(content, writes.BatchCreateAnswer), orders)

        path = f"{ORDERS}/batched"
        # One late order makes the batch late: what is left of it can be sent anew.
        last_us = min((order.not_after_us for order in orders if order.not_after_us is not None), default=None)
        answer = await self.calls.write(
            "batch_place", "POST", path, placed, body=body, orders=len(orders), not_after_us=last_us
        )
        return answer if isinstance(answer, tuple) else (answer,) * len(orders)

    async def cancel_batch(self, orders: Sequence[CancelOrder]) -> tuple[CancelAnswer, ...]:
        """As `place_batch`."""
        body = batches.cancel_batch(orders)

        def cancelled(content: bytes) -> tuple[CancelAnswer, ...]:
            return batches.cancelled(decode(content, writes.BatchCancelAnswer), orders)

        path = f"{ORDERS}/batched"
        answer = await self.calls.write("batch_cancel", "DELETE", path, cancelled, body=body, orders=len(orders))
        return answer if isinstance(answer, tuple) else (answer,) * len(orders)

    async def cancel_all(self) -> CancelAllAnswer:
        """Every resting order of the account, ours or not."""
        return await self.calls.write("cancel_all", "DELETE", ORDERS, lambda _: AllCancelled())

    # Reads. Each raises VenueRefused or VenueUnavailable.

    async def orders(self, ticker: str | None = None, *, since_us: int | None = None) -> OrderListing:
        query = _query(ticker, since_us=since_us)
        as_of_us = await self._user_data_as_of()
        rows: dict[str, OrderReport] = {}

        def take(content: bytes) -> str:
            page = decode(content, wire.OrdersPage)
            # An order that moved between pages is listed twice; the later page is the later look.
            rows.update((row.order_id, translate.order_report(row, as_of_us)) for row in page.orders)
            return page.cursor

        await self.calls.pages("/portfolio/orders", query, take)
        return OrderListing(as_of_us=as_of_us, orders=tuple(rows.values()))

    async def fills(
        self, ticker: str | None = None, order_id: str | None = None, *, since_us: int | None = None
    ) -> FillListing:
        query = _query(ticker, order_id, since_us)
        as_of_us = await self._user_data_as_of()
        rows: dict[tuple[str, str], FillReport] = {}

        def take(content: bytes) -> str:
            page = decode(content, wire.FillsPage)
            rows.update(((row.order_id, row.fill_id), translate.fill_report(row, as_of_us)) for row in page.fills)
            return page.cursor

        await self.calls.pages("/portfolio/fills", query, take)
        return FillListing(as_of_us=as_of_us, fills=tuple(rows.values()))

    async def market_terms(self, ticker: str) -> MarketTerms:
        """Raises UserError too: for a ticker that is none, and for a market whose fees have no published formula."""
        return await self.terms.one(ticker)

    async def markets(self, tickers: Sequence[str]) -> dict[str, MarketTerms]:
        """See `TermsReader.many`."""
        return await self.terms.many(tickers)

    async def _user_data_as_of(self) -> int:
        """Asked before a listing, so that the listing shows at least what it promises (W6.6)."""
        content = await self.calls.read("/exchange/user_data_timestamp")
        return translate.time_us(decode(content, wire.UserDataTimestamp).as_of_time)


def _query(ticker: str | None, order_id: str | None = None, since_us: int | None = None) -> dict[str, str]:
    query = {"limit": str(PAGE_ROWS)}
    if ticker is not None:
        translate.check_ticker(ticker)
        query["ticker"] = ticker
    if order_id is not None:
        translate.check_order_id(order_id)
        query["order_id"] = order_id
    if since_us is not None:
        # Whole seconds, cut off: a second too early repeats a row, a second too late loses one.
        query["min_ts"] = str(max(0, since_us // translate.US_PER_S))
    return query
