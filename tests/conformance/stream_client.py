"""kalshi-sdk 22.4.0, a WebSocket client not written here, against the paper exchange. Not a test file: it runs under
its own interpreter and prints what each check found."""

# ruff: noqa: ANN401 - this client's types are not installed where the project's code is checked

from __future__ import annotations

import asyncio
import json
import logging
import sys
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

from checks import Control, exchange_given
from kalshi import AsyncKalshiClient, KalshiConfig
from kalshi.auth import KalshiAuth
from kalshi.errors import KalshiOrderbookUnavailableError
from kalshi.models.orders import CreateOrderV2Request
from kalshi.ws import KalshiWebSocket

GIVEN = exchange_given()
A, B, CLOSING = GIVEN["markets"]
CONTROL = Control(GIVEN["control_port"])
MEMBER = GIVEN["members"]["rich"]
AUTH = KalshiAuth.from_key_path(MEMBER["api_key_id"], MEMBER["private_key_path"])
CONFIG = KalshiConfig(base_url=GIVEN["rest_url"], ws_base_url=GIVEN["ws_url"])
WAIT_S = 10
Book = dict[str, list[tuple[str, str]]]


class Gaps(logging.Handler):
    """Counts what the client says of sequence gaps."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += "Triggering resync" in record.getMessage()


class Follower:
    """The client's own book of one market, as it comes."""

    def __init__(self, books: AsyncIterator[Any]) -> None:
        self._books = books
        self.book: Book = {}
        self.updates = 0

    async def run(self) -> None:
        while True:
            try:
                book = await self._books.__anext__()
            except KalshiOrderbookUnavailableError:
                continue  # between a gap and the snapshot that mends it
            self.updates += 1
            self.book = {
                side: sorted((f"{level.price:.4f}", f"{level.quantity:.2f}") for level in levels)
                for side, levels in (("yes", book.yes), ("no", book.no))
            }

    async def until_same_as_rest(self, ticker: str) -> None:
        deadline = asyncio.get_running_loop().time() + WAIT_S
        while True:
            shown = await asyncio.to_thread(rest_book, ticker)
            if self.book == shown:
                return
            assert asyncio.get_running_loop().time() < deadline, f"stream {self.book}, REST {shown}"
            await asyncio.sleep(0.02)


def rest_book(ticker: str) -> Book:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{GIVEN['rest_url']}/markets/{ticker}/orderbook", timeout=WAIT_S) as answer:
        found = json.load(answer)["orderbook_fp"]
    return {side: sorted((p, c) for p, c in found[f"{side}_dollars"]) for side in ("yes", "no")}


async def next_of(stream: AsyncIterator[Any]) -> Any:
    return (await asyncio.wait_for(anext(stream), WAIT_S)).msg


def order(client_order_id: str, **changes: Any) -> CreateOrderV2Request:
    fields = {
        "ticker": A,
        "client_order_id": client_order_id,
        "side": "bid",
        "count": "1.00",
        "price": "0.3000",
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
        **changes,
    }
    return CreateOrderV2Request(**fields)


async def the_book_is_the_one_rest_shows() -> None:
    """Through changes of the market and of the client's own orders."""
    async with KalshiWebSocket(auth=AUTH, config=CONFIG).connect() as session, client() as rest:
        follower = Follower(await session.orderbook(A))
        following = asyncio.create_task(follower.run())
        await follower.until_same_as_rest(A)
        for change in ("yes 0.46 3.5", "no 0.48 -5", "yes 0.44 -20", "no 0.46 12.34"):
            CONTROL(f"delta {A} {change}")
        created = await rest.orders.create_v2(request=order("ws-1", price="0.4000", count="7"))
        await rest.orders.create_v2(request=order("ws-2", price="0.53", count="2", time_in_force="immediate_or_cancel"))
        await follower.until_same_as_rest(A)
        await rest.orders.cancel_v2(created.order_id, market_ticker=A)
        await follower.until_same_as_rest(A)
        assert follower.updates >= 6, follower.updates
        following.cancel()


async def a_gap_is_seen_and_mended() -> None:
    """One frame is never sent: the client notices by seq, asks anew and ends with the book REST shows."""
    gaps = Gaps()
    logging.getLogger("kalshi").addHandler(gaps)
    async with KalshiWebSocket(auth=AUTH, config=CONFIG).connect() as session:
        follower = Follower(await session.orderbook(B))
        following = asyncio.create_task(follower.run())
        await follower.until_same_as_rest(B)
        CONTROL("lose orderbook_delta")
        CONTROL(f"delta {B} yes 0.41 6")
        await asyncio.sleep(0.2)
        assert follower.book != await asyncio.to_thread(rest_book, B), "no frame was lost"
        assert gaps.count == 0
        CONTROL(f"delta {B} no 0.40 9")
        await follower.until_same_as_rest(B)
        assert gaps.count == 1, gaps.count
        CONTROL(f"delta {B} yes 0.41 -1")
        await follower.until_same_as_rest(B)
        following.cancel()


async def every_channel_has_frames_it_can_read() -> None:
    """Trade, ticker, fill, order, position, group and lifecycle, each as the client's own typed message."""
    async with KalshiWebSocket(auth=AUTH, config=CONFIG).connect() as session, client() as rest:
        trades = await session.subscribe_trade(tickers=[A])
        tickers = await session.subscribe_ticker(tickers=[A])
        fills = await session.subscribe_fill()
        orders = await session.subscribe_user_orders()
        positions = await session.subscribe_market_positions()
        groups = await session.subscribe_order_group()
        lifecycle = await session.subscribe_market_lifecycle()

        price = str(1 - Decimal(rest_book(A)["no"][-1][0]))
        taken = await rest.orders.create_v2(
            request=order("ws-3", price=price, count="1.00", time_in_force="immediate_or_cancel")
        )
        assert str((await next_of(trades)).taker_outcome_side) == "yes"
        assert str((await next_of(tickers)).market_ticker) == A
        fill = await next_of(fills)
        assert (fill.order_id, fill.client_order_id, fill.is_taker) == (taken.order_id, "ws-3", True)
        assert (await next_of(orders)).status == "executed"
        assert (await next_of(positions)).market_ticker == A
        group = await rest.order_groups.create(contracts_limit=5)
        assert (await next_of(groups)).order_group_id == group.order_group_id
        CONTROL(f"close {CLOSING}")
        assert (await next_of(lifecycle)).event_type == "close_date_updated"
        CONTROL(f"determine {CLOSING} no")
        assert [(await next_of(lifecycle)).event_type for _ in range(2)] == ["determined", "settled"]


def client() -> AsyncKalshiClient:
    return AsyncKalshiClient(auth=AUTH, config=CONFIG)


CHECKS: list[Callable[[], Awaitable[None]]] = [
    the_book_is_the_one_rest_shows,
    a_gap_is_seen_and_mended,
    every_channel_has_frames_it_can_read,
]


async def main() -> dict[str, str]:
    found = {}
    for check in CHECKS:
        try:
            await check()
            found[check.__name__] = "ok"
        except Exception as error:  # whatever it is, it is the check's result
            found[check.__name__] = f"{type(error).__name__}: {error}"
    return found


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main())) + "\n")
    CONTROL.close()
