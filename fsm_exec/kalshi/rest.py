"""The account and the markets over REST: writes whose outcome is data, reads that raise VenueError.

A write is sent once. It succeeded only if the status is the documented one and the body says what was done to the
very order we named; anything else goes through the table in `answers`. Listings go to the end through their cursors
and carry the moment up to which the exchange vouches for them, asked before the first page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec

from fsm_exec.core.errors import UnitError, UserError, VenueRefused, VenueUnavailable
from fsm_exec.core.market import MarketTerms
from fsm_exec.core.orders import (
    AmendAnswer,
    Amended,
    AmendOrder,
    CancelAnswer,
    Cancelled,
    CancelOrder,
    FillListing,
    FillReport,
    NotSent,
    OrderListing,
    OrderReport,
    PlaceAnswer,
    Placed,
    PlaceOrder,
    Refused,
    Unknown,
)
from fsm_exec.core.units import parse_count
from fsm_exec.kalshi import terms, translate
from fsm_exec.kalshi.answers import NETWORK_ERRORS, SUCCESS_STATUS, WriteKind, describe, judge, judge_network
from fsm_exec.kalshi.http import READ_TIMEOUT_S, WRITE_TIMEOUT_S, Answer, SignedHttp
from fsm_exec.kalshi.translate import Malformed
from fsm_exec.wire import rest as wire

ORDERS = "/portfolio/events/orders"  # V2 writes; the old family answers 410 (W0)
PAGE_ROWS: Final = 200  # rows a page: inside every limit the exchange documents (W4.4)
LIST_PAGES_MAX: Final = 500  # 100,000 rows; a listing beyond it is refused rather than cut
# A definite no to a read. All the rest (409 pauses, 429, 5xx) is worth asking again later.
READ_REFUSALS: Final = frozenset({400, 401, 403, 404, 410})
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Body = TypeVar("Body")
Success = TypeVar("Success")


class KalshiRest:
    """Implements the reads and writes of `core.ports.Exchange`; holds no state but its connections."""

    def __init__(self, http: SignedHttp, wall_us: Callable[[], int]) -> None:
        self._http = http
        self._wall_us = wall_us

    # Writes. Each sends at most one request and raises only translate.ImpossibleRequest, before sending.

    async def place(self, order: PlaceOrder) -> PlaceAnswer:
        body = msgspec.json.encode(translate.create_order(order))

        def placed(content: bytes) -> Placed:
            answer = _decode(content, wire.CreateOrderAnswer)
            if answer.client_order_id not in (None, order.client_order_id):
                raise Malformed(f"the answer is about client order id {answer.client_order_id!r}")
            filled, remaining = parse_count(answer.fill_count), parse_count(answer.remaining_count)
            if filled + remaining > order.count_e2:
                raise Malformed(f"filled {answer.fill_count} and remaining {answer.remaining_count} exceed the count")
            return Placed(
                order_id=translate.order_id_of(answer.order_id),
                filled_e2=filled,
                remaining_e2=remaining,
                at_us=translate.ms_to_us(answer.ts_ms),
            )

        return await self._write("place", "POST", ORDERS, placed, body=body)

    async def amend(self, order: AmendOrder) -> AmendAnswer:
        body = msgspec.json.encode(translate.amend_order(order))

        def amended(content: bytes) -> Amended:
            answer = _decode(content, wire.AmendOrderAnswer)
            _same_order(answer.order_id, order.order_id)
            return Amended(
                order_id=answer.order_id,
                filled_e2=None if answer.fill_count is None else parse_count(answer.fill_count),
                remaining_e2=None if answer.remaining_count is None else parse_count(answer.remaining_count),
                at_us=translate.ms_to_us(answer.ts_ms),
            )

        return await self._write("amend", "POST", f"{ORDERS}/{order.order_id}/amend", amended, body=body)

    async def cancel(self, order: CancelOrder) -> CancelAnswer:
        translate.check_cancel(order)

        def cancelled(content: bytes) -> Cancelled:
            answer = _decode(content, wire.CancelOrderAnswer)
            _same_order(answer.order_id, order.order_id)
            return Cancelled(
                order_id=answer.order_id,
                reduced_by_e2=parse_count(answer.reduced_by),
                at_us=translate.ms_to_us(answer.ts_ms),
            )

        # Without the ticker an order on another shard is not found (W6.5).
        query = {"market_ticker": order.ticker}
        return await self._write("cancel", "DELETE", f"{ORDERS}/{order.order_id}", cancelled, query=query)

    async def _write(
        self,
        kind: WriteKind,
        method: str,
        path: str,
        success: Callable[[bytes], Success],
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Success | Refused | NotSent | Unknown:
        try:
            answer = await self._http.ask(method, path, within_s=WRITE_TIMEOUT_S, query=query, body=body)
        except NETWORK_ERRORS as error:
            return judge_network(error)
        if answer.status != SUCCESS_STATUS[kind]:
            return judge(kind, answer.status, answer.body)
        try:
            return success(answer.body)
        except (Malformed, UnitError) as error:
            # Done, or so the status says, but not what: the order has to be looked up (L37).
            return Unknown(why=f"answered {answer.status} with an unusable body: {error}")

    # Reads. Each raises VenueRefused or VenueUnavailable.

    async def orders(self, ticker: str | None = None) -> OrderListing:
        query = _query(ticker)
        as_of_us = await self._user_data_as_of()
        rows: dict[str, OrderReport] = {}

        def take(content: bytes) -> str:
            page = _decode(content, wire.OrdersPage)
            # An order that moved between pages is listed twice; the later page is the later look.
            rows.update((row.order_id, translate.order_report(row, as_of_us)) for row in page.orders)
            return page.cursor

        await self._list("/portfolio/orders", query, take)
        return OrderListing(as_of_us=as_of_us, orders=tuple(rows.values()))

    async def fills(self, ticker: str | None = None, order_id: str | None = None) -> FillListing:
        query = _query(ticker, order_id)
        as_of_us = await self._user_data_as_of()
        rows: dict[tuple[str, str], FillReport] = {}

        def take(content: bytes) -> str:
            page = _decode(content, wire.FillsPage)
            rows.update(((row.order_id, row.fill_id), translate.fill_report(row, as_of_us)) for row in page.fills)
            return page.cursor

        await self._list("/portfolio/fills", query, take)
        return FillListing(as_of_us=as_of_us, fills=tuple(rows.values()))

    async def market_terms(self, ticker: str) -> MarketTerms:
        """Raises UserError too: for a ticker that is none, and for a market whose fees have no published formula."""
        if not translate.is_ticker(ticker):
            raise UserError(f"{ticker[:60]!r} is no market ticker; copy it from the market's page")
        market = _decode(await self._read(f"/markets/{ticker}"), wire.MarketSummaryBody).market
        if market.ticker != ticker:
            raise Malformed(f"asked for market {ticker}, got {market.ticker[:60]!r}")
        event_ticker = _path_part(market.event_ticker)
        event = _decode(await self._read(f"/events/{event_ticker}"), wire.EventBody).event
        series_ticker = _path_part(event.series_ticker)
        series = _decode(await self._read(f"/series/{series_ticker}"), wire.SeriesBody).series
        return terms.market_terms(market, event, series, self._wall_us())

    async def _user_data_as_of(self) -> int:
        """Asked before a listing, so that the listing shows at least what it promises (W6.6)."""
        content = await self._read("/exchange/user_data_timestamp")
        return translate.time_us(_decode(content, wire.UserDataTimestamp).as_of_time)

    async def _list(self, path: str, query: dict[str, str], take: Callable[[bytes], str]) -> None:
        """Read a listing to its end; `take` keeps a page's rows and returns its cursor."""
        seen: set[str] = set()
        for _ in range(LIST_PAGES_MAX):
            cursor = take(await self._read(path, query))
            if not cursor:
                return
            if cursor in seen:
                raise Malformed(f"GET {path}: the cursor leads back to a page already read")
            seen.add(cursor)
            query = {**query, "cursor": cursor}
        raise VenueUnavailable(f"GET {path}: more than {LIST_PAGES_MAX} pages of {PAGE_ROWS} rows")

    async def _read(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        try:
            answer = await self._http.ask("GET", path, within_s=READ_TIMEOUT_S, query=query)
        except NETWORK_ERRORS as error:
            raise VenueUnavailable(f"GET {path}: {judge_network(error).why}") from error
        if answer.status != 200:
            raise _read_error(path, answer)
        return answer.body


def _read_error(path: str, answer: Answer) -> VenueRefused | VenueUnavailable:
    detail = wire.error_detail(answer.body)
    if answer.status in READ_REFUSALS:
        return VenueRefused(answer.status, detail.code, f"{describe(detail)} (GET {path})")
    return VenueUnavailable(f"GET {path}: answered {answer.status} {detail.code}: {describe(detail)}")


def _decode(content: bytes, shape: type[Body]) -> Body:
    try:
        return msgspec.json.decode(content, type=shape)
    except UNREADABLE as error:
        raise Malformed(f"an answer does not fit {shape.__name__}: {error}") from error


def _same_order(named: str, meant: str) -> None:
    if named != meant:
        raise Malformed(f"the answer is about order {named[:40]!r}")


def _path_part(ticker: str) -> str:
    if not translate.is_ticker(ticker):
        raise Malformed(f"{ticker[:60]!r} is no ticker")
    return ticker


def _query(ticker: str | None, order_id: str | None = None) -> dict[str, str]:
    query = {"limit": str(PAGE_ROWS)}
    if ticker is not None:
        translate.check_ticker(ticker)
        query["ticker"] = ticker
    if order_id is not None:
        translate.check_order_id(order_id)
        query["order_id"] = order_id
    return query
