"""Reads the account's orders and fills to the end of the listing (wire/README.md 4.1, 4.2), past the cutoff too.

Rows are decoded one by one. A row of another program that cannot be decoded is left out and logged. A row that is ours,
or may be, is reported in the listing as unread, with what can be read of it: the other rows stay valid, but what the
unread row may be about is not proven absent. An order is ours if it carries one of our client order ids; a fill carries
none, so every unread fill may be ours unless its order is known to be another program's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from fsm_exec.core.market.orders import FillListing, FillReport, OrderListing, OrderReport, UnreadRow
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.kalshi import translate
from fsm_exec.kalshi.endpoints import UNREADABLE, Endpoints, decode, log_left_out
from fsm_exec.kalshi.history import PATHS, History
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.translate import Malformed
from fsm_exec.wire import client_bodies, rest
from fsm_exec.wire import raw_listings as wire

ORDERS: Final = "/portfolio/orders"
FILLS: Final = "/portfolio/fills"
# Fills: the documented maximum (wire/README.md 4.2); orders: that of every listing here that has one.
PAGE_ROWS: Final = 1_000
OUR_MARK: Final = b'"fx'  # how a client order id of this engine starts, in whatever field
FUTURE_US: Final = 30_000_000
UNREAD_MAX: Final = 1_000  # a listing with more of them is refused
_OUR_NAME: Final = re.compile(rb'"(fx[a-z2-7]{10}-[-\w]{1,50})"')


class Listings:
    """Each listing carries the moment up to which the exchange vouches for it, asked before the first page
    (wire/README.md 6.6). `wall_us` is the wall time in unix microseconds."""

    def __init__(self, endpoints: Endpoints, wall_us: Callable[[], int], log: Log) -> None:
        self._endpoints = endpoints
        self._wall_us = wall_us
        self._log = log
        self._history = History(endpoints, wall_us, log)

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
                    row = translate.order_report(decode(raw, client_bodies.Order), as_of_us)
                except Malformed as error:
                    if OUR_MARK in bytes(raw):
                        self._add_unread(
                            unread, UnreadRow(client_order_id=_name_in(raw), order_id=_order_in(raw), why=str(error))
                        )
                    else:
                        log_left_out(self._log, raw, error)
                else:
                    rows[row.order_id] = row  # listed twice if it moved between pages: the later row is the newer one
            self._check_last_page(path, page.cursor, len(page.orders), unread)
            return page.cursor

        path = ORDERS
        await self._endpoints.fetch_pages(path, query, take, rows=PAGE_ROWS)
        # What rests is never put away.
        if not resting and await self._history.reaches_past_cutoff("orders", since_us):
            listed, path = dict(rows), PATHS["orders"]
            await self._endpoints.fetch_pages(path, query, take, rows=PAGE_ROWS)
            rows.update(listed)  # in both, a row of the normal listing is the newer one
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
                    row = translate.fill_report(decode(raw, client_bodies.Fill), as_of_us)
                except Malformed as error:
                    self._add_unread(unread, UnreadRow(order_id=_order_in(raw), why=str(error)))
                else:
                    if path == FILLS or order_id in (None, row.order_id):  # the other knows no such filter
                        rows[row.order_id, row.fill_id] = row
            self._check_last_page(path, page.cursor, len(page.fills), unread)
            return page.cursor

        path = FILLS
        await self._endpoints.fetch_pages(path, query, take, rows=PAGE_ROWS)
        if await self._history.reaches_past_cutoff("fills", since_us):
            listed, path = dict(rows), PATHS["fills"]
            query.pop("order_id", None)
            await self._endpoints.fetch_pages(path, query, take, rows=PAGE_ROWS)
            rows.update(listed)
        self._check_not_future(as_of_us)
        return FillListing(as_of_us=as_of_us, fills=tuple(rows.values()), unread=tuple(unread))

    def _check_last_page(self, path: str, cursor: str | None, rows: int, unread: list[UnreadRow]) -> None:
        """Add an unread row for a full page without a cursor: it may not be the last, so what is not on it is not
        proven absent."""
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
        """Raise Malformed for a time in the future: it would prove absent what has not arrived yet. Checked after the
        pages: if our clock is the wrong one, their signatures are refused, which corrects the clock."""
        if as_of_us > self._wall_us() + FUTURE_US:
            raise Malformed(f"GET /exchange/user_data_timestamp: as_of_time {to_iso(as_of_us)} lies in the future")


def _name_in(raw: msgspec.Raw) -> str:
    """Return the one client order id of ours in a row, in whatever field; empty if there are several, or none whole."""
    names = set(_OUR_NAME.findall(bytes(raw)))
    return names.pop().decode("ascii") if len(names) == 1 else ""


def _order_in(raw: msgspec.Raw) -> str:
    """Return the order id of a row; empty if there is none that can be read."""
    try:
        return msgspec.json.decode(raw, type=wire.OrderIdOnly).order_id or ""
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
        # Whole seconds, rounded down: a second too early repeats a row, a second too late loses one.
        query["min_ts"] = str(max(0, since_us // US_PER_S))
    return query
