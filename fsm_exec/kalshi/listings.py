"""The account's orders and fills, listed to the end of the listing (W4.1, W4.2).

Rows are read one by one, for the account may hold what this engine has nothing to do with: a row of somebody else's
that cannot be read is left out and logged. A row of ours never is. A listing with such a row left out could prove an
order absent that is there, so it is no listing at all. Ours is what carries one of our client order ids; a fill carries
none, and is ours until its order says otherwise.
"""

from __future__ import annotations

from typing import Final

import msgspec

from fsm_exec.core.orders import FillListing, FillReport, OrderListing, OrderReport
from fsm_exec.kalshi import translate
from fsm_exec.kalshi.calls import UNREADABLE, Calls, decode
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.translate import Malformed
from fsm_exec.wire import listings as wire
from fsm_exec.wire import rest

PAGE_ROWS: Final = 1_000  # fills: the documented maximum (W4.2); orders: that of every listing here that has one
OUR_MARK: Final = b'"fx'  # how a client order id of any engine's of this kind starts, in whatever field it stands
FOREIGN_MAX: Final = 10_000  # order ids of others to remember


class Listings:
    """Each listing carries the moment up to which the exchange vouches for it, asked before the first page (W6.6)."""

    def __init__(self, calls: Calls, log: Log) -> None:
        self._calls = calls
        self._log = log
        self._foreign: dict[str, None] = {}  # orders that are proven to be somebody else's

    async def orders(self, ticker: str | None, since_us: int | None, *, resting: bool) -> OrderListing:
        """Raises VenueError, also for a row of ours that cannot be read."""
        query = _query(ticker, since_us=since_us)
        if resting:
            query["status"] = "resting"
        as_of_us = await self._as_of_us()
        rows: dict[str, OrderReport] = {}

        def take(content: bytes) -> str:
            page = decode(content, wire.RawOrdersPage)
            for raw in page.orders:
                try:
                    row = translate.order_report(decode(raw, rest.Order), as_of_us)
                except Malformed as error:
                    if OUR_MARK in bytes(raw):
                        raise
                    self._left_out(raw, error)
                else:
                    rows[row.order_id] = row  # listed twice if it moved between pages; the later is the later look
            return page.cursor

        await self._calls.pages("/portfolio/orders", query, take, rows=PAGE_ROWS)
        return OrderListing(as_of_us=as_of_us, orders=tuple(rows.values()))

    async def fills(self, ticker: str | None, order_id: str | None, since_us: int | None) -> FillListing:
        """Raises VenueError, also for a row that cannot be read unless its order is proven to be somebody else's."""
        query = _query(ticker, order_id, since_us)
        as_of_us = await self._as_of_us()
        rows: dict[tuple[str, str], FillReport] = {}
        unreadable: list[tuple[msgspec.Raw, Malformed]] = []

        def take(content: bytes) -> str:
            page = decode(content, wire.RawFillsPage)
            for raw in page.fills:
                try:
                    row = translate.fill_report(decode(raw, rest.Fill), as_of_us)
                except Malformed as error:
                    unreadable.append((raw, error))
                else:
                    rows[row.order_id, row.fill_id] = row
            return page.cursor

        await self._calls.pages("/portfolio/fills", query, take, rows=PAGE_ROWS)
        for raw, error in unreadable:
            if order_id is not None or not await self._is_foreign(raw):
                raise error
            self._left_out(raw, error)
        return FillListing(as_of_us=as_of_us, fills=tuple(rows.values()))

    async def _is_foreign(self, fill: msgspec.Raw) -> bool:
        """Whether the order of a fill says that it is not ours. Raises VenueError if it cannot be asked."""
        try:
            row = msgspec.json.decode(fill, type=wire.FillOrder)
        except UNREADABLE:
            return False
        if row.order_id in self._foreign:
            return True
        # Without the ticker an order on another shard is not found (W4.1).
        query = {"market_ticker": row.market_ticker} if translate.is_ticker(row.market_ticker) else None
        content = await self._calls.read(f"/portfolio/orders/{translate.order_id_of(row.order_id)}", query)
        order = decode(content, wire.OrderNameBody).order
        if order.order_id != row.order_id or OUR_MARK in content:
            return False
        if len(self._foreign) >= FOREIGN_MAX:
            self._foreign.clear()
        self._foreign[row.order_id] = None
        return True

    def _left_out(self, raw: msgspec.Raw, error: Exception) -> None:
        self._log.warning("row_left_out", error=str(error)[:300], start=bytes(raw)[:120].decode("utf-8", "replace"))

    async def _as_of_us(self) -> int:
        content = await self._calls.read("/exchange/user_data_timestamp")
        return translate.time_us(decode(content, rest.UserDataTimestamp).as_of_time)


def _query(ticker: str | None, order_id: str | None = None, since_us: int | None = None) -> dict[str, str]:
    query: dict[str, str] = {}
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
