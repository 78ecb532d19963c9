"""The account's orders and fills, listed to the end of the listing (W4.1, W4.2).

Rows are read one by one. A row of somebody else's that cannot be read is left out and logged; one that is ours, or may
be, is named in the listing as unread, with what can be told of it: the others are as true as ever, but whatever that
row may be about is not proven absent. Ours is what carries one of our client order ids; a fill carries none, and may be
ours unless its order is known to be somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from fsm_exec.core.orders import FillListing, FillReport, OrderListing, OrderReport, UnreadRow
from fsm_exec.core.times import to_iso
from fsm_exec.kalshi import translate
from fsm_exec.kalshi.endpoints import UNREADABLE, Endpoints, decode, log_left_out
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.translate import Malformed
from fsm_exec.wire import listings as wire
from fsm_exec.wire import reading, rest

ORDERS: Final = "/portfolio/orders"
FILLS: Final = "/portfolio/fills"
PAGE_ROWS: Final = 1_000  # fills: the documented maximum (W4.2); orders: that of every listing here that has one
OUR_MARK: Final = b'"fx'  # how a client order id of any engine's of this kind starts, in whatever field it stands
FUTURE_US: Final = 30_000_000
UNREAD_MAX: Final = 1_000  # a listing with more of them is no listing
_OUR_NAME: Final = re.compile(rb'"(fx[a-z2-7]{10}-[-\w]{1,50})"')


class Listings:
    """Each listing carries the moment up to which the exchange vouches for it, asked before the first page (W6.6).
    `wall_us` is the wall time in unix microseconds."""

    def __init__(self, endpoints: Endpoints, wall_us: Callable[[], int], log: Log) -> None:
        self._endpoints = endpoints
        self._wall_us = wall_us
        self._log = log

    async def fetch_orders(self, ticker: str | None, since_us: int | None, *, resting: bool) -> OrderListing:
        """Raises VenueError."""
        query = _query(ticker, since_us=since_us)
        if resting:
            query["status"] = "resting"
        as_of_us = await self._fetch_as_of_us()
        rows: dict[str, OrderReport] = {}
        unread: list[UnreadRow] = []

        def take(content: bytes) -> str | None:
            page = decode(content, wire.RawOrdersPage)
            for raw in page.orders:
                try:
                    row = translate.order_report(decode(raw, reading.Order), as_of_us)
                except Malformed as error:
                    if OUR_MARK in bytes(raw):
                        self._add_unread(
                            unread, UnreadRow(client_order_id=_name_in(raw), order_id=_order_in(raw), why=str(error))
                        )
                    else:
                        log_left_out(self._log, raw, error)
                else:
                    rows[row.order_id] = row  # listed twice if it moved between pages; the later is the later look
            self._check_last_page(ORDERS, page.cursor, len(page.orders), unread)
            return page.cursor

        await self._endpoints.fetch_pages(ORDERS, query, take, rows=PAGE_ROWS)
        self._check_not_future(as_of_us)
        return OrderListing(as_of_us=as_of_us, orders=tuple(rows.values()), unread=tuple(unread))

    async def fetch_fills(self, ticker: str | None, order_id: str | None, since_us: int | None) -> FillListing:
        """Raises VenueError."""
        query = _query(ticker, order_id, since_us)
        as_of_us = await self._fetch_as_of_us()
        rows: dict[tuple[str, str], FillReport] = {}
        unread: list[UnreadRow] = []

        def take(content: bytes) -> str | None:
            page = decode(content, wire.RawFillsPage)
            for raw in page.fills:
                try:
                    row = translate.fill_report(decode(raw, reading.Fill), as_of_us)
                except Malformed as error:
                    self._add_unread(unread, UnreadRow(order_id=_order_in(raw), why=str(error)))
                else:
                    rows[row.order_id, row.fill_id] = row
            self._check_last_page(FILLS, page.cursor, len(page.fills), unread)
            return page.cursor

        await self._endpoints.fetch_pages(FILLS, query, take, rows=PAGE_ROWS)
        self._check_not_future(as_of_us)
        return FillListing(as_of_us=as_of_us, fills=tuple(rows.values()), unread=tuple(unread))

    def _check_last_page(self, path: str, cursor: str | None, rows: int, unread: list[UnreadRow]) -> None:
        """A full page that leaves its cursor out may not be the last: what is not on it is not proven absent."""
        if cursor is None and rows >= self._endpoints.page_rows(path, PAGE_ROWS):
            self._add_unread(unread, UnreadRow(why=f"GET {path}: a full page of {rows} rows without a cursor"))

    def _add_unread(self, unread: list[UnreadRow], row: UnreadRow) -> None:
        if len(unread) == UNREAD_MAX:
            raise Malformed(f"more than {UNREAD_MAX} rows cannot be read, the last for: {row.why}")
        unread.append(row)
        self._log.warning("row_unread", order=row.client_order_id, order_id=row.order_id, why=row.why[:300])

    async def _fetch_as_of_us(self) -> int:
        content = await self._endpoints.fetch("/exchange/user_data_timestamp")
        with translate.malformed_as("GET /exchange/user_data_timestamp: as_of_time"):
            return translate.time_us(decode(content, rest.UserDataTimestamp).as_of_time)

    def _check_not_future(self, as_of_us: int) -> None:
        """Raises Malformed for a time to come: it would prove absent what has not arrived yet. Asked after the pages,
        for if it is our clock that is wrong they are refused, and that puts it right."""
        if as_of_us > self._wall_us() + FUTURE_US:
            raise Malformed(f"GET /exchange/user_data_timestamp: as_of_time {to_iso(as_of_us)} lies in the future")


def _name_in(raw: msgspec.Raw) -> str:
    """The one client order id of ours that a row holds, in whatever field; empty if it holds several, or none whole."""
    names = set(_OUR_NAME.findall(bytes(raw)))
    return names.pop().decode("ascii") if len(names) == 1 else ""


def _order_in(raw: msgspec.Raw) -> str:
    """The id of the order a row is about; empty if there is none that can be read."""
    try:
        return msgspec.json.decode(raw, type=wire.OrderOf).order_id or ""
    except UNREADABLE:
        return ""


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
