"""Both clients against `fsm-exec paper` as anybody starts it: a moving market, latencies, a basic member's buckets.
Not a test file: it runs under the clients' own interpreter and prints what each check found."""

# ruff: noqa: ANN401 - these clients' types are not installed where the project's code is checked

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import kalshi_python_sync as official
from checks import exchange_given, report
from kalshi import KalshiConfig
from kalshi.auth import KalshiAuth
from kalshi.errors import KalshiOrderbookUnavailableError
from kalshi.ws import KalshiWebSocket
from kalshi_python_sync.exceptions import ApiException

GIVEN = exchange_given()
TICKER = GIVEN["markets"][0]
WAIT_S = 20

CONFIGURATION = official.Configuration(host=GIVEN["rest_url"])
CONFIGURATION.api_key_id = GIVEN["api_key_id"]
CONFIGURATION.private_key_pem = Path(GIVEN["private_key_path"]).read_text()
CLIENT = official.KalshiClient(CONFIGURATION)


def patiently(call: Callable[..., Any], **arguments: Any) -> Any:
    """A basic member writes ten times a second: an empty bucket refills."""
    for _ in range(50):
        try:
            return call(**arguments)
        except ApiException as error:
            if error.status != 429:
                raise
            time.sleep(0.1)
    raise AssertionError("the bucket never refilled")


def order(price: str, **changes: Any) -> dict[str, Any]:
    return {
        "ticker": TICKER,
        "side": "bid",
        "count": "2.00",
        "price": price,
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
        **changes,
    }


def reading() -> None:
    assert CLIENT.get_exchange_status().trading_active
    assert CLIENT.get_balance().balance == 100_000_000
    assert CLIENT.get_market(ticker=TICKER).market.status == "active"
    book = CLIENT.get_market_orderbook(ticker=TICKER).orderbook_fp
    for side in (book.yes_dollars, book.no_dollars):
        assert side == sorted(side)
    assert CLIENT.get_account_api_limits().usage_tier == "basic"


def an_order_lives() -> None:
    created = patiently(CLIENT.create_order_v2, **order("0.0100", client_order_id="paper-1"))
    assert CLIENT.get_order(order_id=created.order_id).order.status == "resting"
    amended = patiently(
        CLIENT.amend_order_v2, order_id=created.order_id, ticker=TICKER, side="bid", price="0.0200", count="5.00"
    )
    assert amended.remaining_count == "5.00"
    decreased = patiently(CLIENT.decrease_order_v2, order_id=created.order_id, reduce_to="1", market_ticker=TICKER)
    assert decreased.remaining_count == "1.00"
    assert [each.client_order_id for each in CLIENT.get_orders(status="resting").orders] == ["paper-1"]
    cancelled = patiently(CLIENT.cancel_order_v2, order_id=created.order_id, market_ticker=TICKER)
    assert cancelled.reduced_by == "1.00"


def fills_and_positions() -> None:
    for _ in range(3):
        taken = patiently(CLIENT.create_order_v2, **order("0.9900", time_in_force="immediate_or_cancel"))
        assert Decimal(taken.fill_count) > 0, taken
    seen, cursor = [], None
    while True:
        page = CLIENT.get_fills(limit=1, cursor=cursor)
        seen += page.fills
        cursor = page.cursor
        if not cursor:
            break
    assert len({fill.fill_id for fill in seen}) == len(seen) >= 3
    held = sum(Decimal(fill.count_fp) for fill in seen)
    assert Decimal(CLIENT.get_positions().market_positions[0].position_fp) == held


def batches_and_groups() -> None:
    group = patiently(CLIENT.create_order_group, contracts_limit=10).order_group_id
    item = order("0.0100", order_group_id=group)
    answer = patiently(CLIENT.batch_create_orders_v2, orders=[item, order("1.0000"), item])
    assert [each.error and each.error.code for each in answer.orders] == [None, "invalid_price", None]
    assert len(CLIENT.get_order_group(order_group_id=group).orders) == 2
    patiently(CLIENT.trigger_order_group, order_group_id=group)
    assert CLIENT.get_orders(status="resting").orders == []
    patiently(CLIENT.delete_order_group, order_group_id=group)


def the_stream_has_the_book_of_rest() -> None:
    asyncio.run(_follow())


async def _follow() -> None:
    """The market moves: the book of the stream must be the one REST shows at some moment of each of three looks."""
    auth = KalshiAuth.from_key_path(GIVEN["api_key_id"], GIVEN["private_key_path"])
    config = KalshiConfig(base_url=GIVEN["rest_url"], ws_base_url=GIVEN["ws_url"])
    async with KalshiWebSocket(auth=auth, config=config).connect() as session:
        books = await session.orderbook(TICKER)
        seen: list[Any] = []

        async def listen() -> None:
            while True:
                try:
                    book = await books.__anext__()
                except KalshiOrderbookUnavailableError:
                    continue
                sides = (book.yes, book.no)
                seen.append([sorted((f"{x.price:.4f}", f"{x.quantity:.2f}") for x in side) for side in sides])

        listening = asyncio.create_task(listen())
        for _ in range(3):
            await asyncio.sleep(1)
            shown = await asyncio.to_thread(_rest_book)
            deadline = time.monotonic() + WAIT_S
            while shown not in seen:  # frames travel a leg of their own: REST may be ahead or behind
                assert time.monotonic() < deadline, (shown, seen[-1:])
                await asyncio.sleep(0.05)
        listening.cancel()


def _rest_book() -> list[list[tuple[str, str]]]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{GIVEN['rest_url']}/markets/{TICKER}/orderbook", timeout=WAIT_S) as answer:
        found = json.load(answer)["orderbook_fp"]
    return [sorted((p, c) for p, c in found[f"{side}_dollars"]) for side in ("yes", "no")]


CHECKS = [reading, an_order_lives, fills_and_positions, batches_and_groups, the_stream_has_the_book_of_rest]

if __name__ == "__main__":
    report([(check.__name__, check) for check in CHECKS])
