"""pykalshi 2.0.0, unmodified, against the paper exchange: REST and stream. Not a test file: it runs under its own
interpreter and prints what each check found."""

# ruff: noqa: PT017 - pytest is not installed where this runs

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pykalshi
import pykalshi.feed
from checks import Control, exchange_given, report
from pykalshi.enums import BookSide, CandlestickPeriod, MarketStatus, OrderStatus, SelfTradePrevention, TimeInForce
from pykalshi.exceptions import InsufficientFundsError, KalshiAPIError, OrderRejectedError, ResourceNotFoundError
from pykalshi.orderbook import OrderbookManager

GIVEN = exchange_given()
A, B, CLOSING = GIVEN["markets"]
CONTROL = Control(GIVEN["control_port"])
WAIT_S = 10
# The client knows two addresses of the stream, the real ones, and lets nobody give another.
pykalshi.feed.DEFAULT_WS_BASE = GIVEN["ws_url"]
MEMBER = GIVEN["members"]["rich"]
CLIENT = pykalshi.KalshiClient(MEMBER["api_key_id"], MEMBER["private_key_path"], api_base=GIVEN["rest_url"])


def place(price: str, count: str = "2.00", **changes: Any) -> Any:  # noqa: ANN401
    arguments = {"self_trade_prevention": SelfTradePrevention.CANCEL_INCOMING, **changes}
    return CLIENT.portfolio.place_order(A, count_fp=count, book_side=BookSide.BID, price_dollars=price, **arguments)


def refused(kind: type[KalshiAPIError], code: str, call: Callable[[], object]) -> None:
    try:
        call()
    except KalshiAPIError as error:
        assert type(error) is kind, f"{type(error).__name__}: {error}"
        assert error.error_code == code, error
        return
    raise AssertionError("it was not refused")


def until(holds: Callable[[], bool], what: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


def the_market_is_read() -> None:
    """A market, with the field this client cannot do without; its book, events, series, status, trades."""
    market = CLIENT.get_market(A)
    assert market.status is MarketStatus.ACTIVE
    assert market.liquidity_dollars == "0.0000"
    assert {each.ticker for each in CLIENT.get_markets(status=MarketStatus.OPEN)} >= {A, B}
    book = market.get_orderbook()
    assert book.orderbook.yes_dollars == [("0.4400", "20.00"), ("0.4500", "10.00")]
    event = CLIENT.get_event(market.event_ticker, with_nested_markets=True)
    assert {each.ticker for each in event.get_markets()} == {A, B}
    assert len(CLIENT.get_events(status=MarketStatus.OPEN)) == 2
    assert event.get_series().category == "Testing"
    assert [each.ticker for each in CLIENT.get_all_series()] == ["KXTEST"]
    assert CLIENT.exchange.is_trading()


def candlesticks() -> None:
    """Of one market and of two."""
    CONTROL(f"trade {A} no 0.4500 3.00")
    now_s = int(time.time())
    one = CLIENT.get_market(A).get_candlesticks(now_s - 3_600, now_s + 60, CandlestickPeriod.ONE_MINUTE)
    assert one.candlesticks[-1].price.close_dollars == "0.4500"
    both = CLIENT.get_candlesticks_batch([A, B], now_s - 3_600, now_s + 60, CandlestickPeriod.ONE_MINUTE)
    assert set(both) == {A, B}


def an_order_lives() -> None:
    order = place("0.3000", client_order_id="py-1")
    assert order.status is OrderStatus.RESTING
    assert CLIENT.portfolio.get_order(order.order_id).data.client_order_id == "py-1"
    ahead = sum(float(count) for _, count in CLIENT.get_market(A).get_orderbook().orderbook.yes_dollars) - 2
    assert float(CLIENT.portfolio.get_queue_position(order.order_id).queue_position_fp) == ahead
    amended = CLIENT.portfolio.amend_order(order.order_id, price_dollars="0.3100", count_fp="5.00")
    assert amended.remaining_count_fp == "5.00"
    assert CLIENT.portfolio.decrease_order(order.order_id, reduce_by_fp="1.00").remaining_count_fp == "4.00"
    assert [each.order_id for each in CLIENT.portfolio.get_orders(status=OrderStatus.RESTING)] == [order.order_id]
    assert CLIENT.portfolio.cancel_order(order.order_id).status is OrderStatus.CANCELED


def fills_and_money() -> None:
    before = CLIENT.portfolio.get_balance()
    taken = place("0.5200", "3.00", time_in_force=TimeInForce.IOC)
    assert taken.fill_count_fp == "3.00"
    (fill,) = CLIENT.portfolio.get_fills(order_id=taken.order_id)
    assert (fill.count_fp, fill.is_taker) == ("3.00", True)
    (position,) = CLIENT.portfolio.get_positions()
    assert position.position_fp == "3.00"
    assert before.balance - CLIENT.portfolio.get_balance().balance in (161, 162)
    assert CLIENT.portfolio.get_settlements() == []


def batches_and_groups() -> None:
    group = CLIENT.portfolio.create_order_group("50.00").id
    item = {"ticker": A, "count_fp": "1.00", "book_side": "bid", "price_dollars": "0.3000"}
    placed = CLIENT.portfolio.batch_place_orders([{**item, "order_group_id": group}, item])
    assert len(placed) == 2
    CLIENT.portfolio.trigger_order_group(group)
    resting = CLIENT.portfolio.get_orders(status=OrderStatus.RESTING)
    assert [each.order_id for each in resting] == [placed[1].order_id]
    refused(KalshiAPIError, "exceeded_order_group_risk_limit", lambda: place("0.3000", order_group_id=group))
    CLIENT.portfolio.reset_order_group(group)
    CLIENT.portfolio.batch_cancel_orders([placed[1].order_id])
    assert CLIENT.portfolio.get_orders(status=OrderStatus.RESTING) == []


def keys_limits_and_history() -> None:
    assert [key.id for key in CLIENT.api_keys.list()] == [MEMBER["api_key_id"]]
    assert CLIENT.api_keys.get_limits().usage_tier == "prestige"
    assert CLIENT.history.get_cutoff().market_settled_ts
    assert CLIENT.history.get_fills() == CLIENT.history.get_orders() == []


def refusals_are_typed() -> None:
    place("0.3000", client_order_id="twice").cancel()
    refused(KalshiAPIError, "order_already_exists", lambda: place("0.3000", client_order_id="twice"))
    refused(OrderRejectedError, "invalid_price", lambda: place("0.3050"))
    refused(InsufficientFundsError, "insufficient_balance", lambda: place("0.4400", "9000000.00"))
    refused(ResourceNotFoundError, "market_not_found", lambda: CLIENT.get_market("KXNONE-1"))


def the_stream_builds_the_book_of_rest() -> None:
    """Snapshot, changes of the market and of an order, trades, fills and order updates, as the client reads them."""
    book, heard = OrderbookManager(A), []

    def follow(message: Any) -> None:  # noqa: ANN401
        if hasattr(message, "yes_dollars"):
            book.apply_snapshot(message.yes_dollars, message.no_dollars)
        else:
            book.apply_delta(message.side, message.price_dollars, message.delta_fp)

    feed = CLIENT.feed()
    feed.on("orderbook_delta", follow)
    for channel in ("trade", "fill", "user_orders", "ticker", "market_positions"):
        feed.on(channel, lambda message: heard.append(type(message).__name__))
    for channel in ("orderbook_delta", "trade", "fill", "user_orders", "ticker", "market_positions"):
        feed.subscribe(channel, market_ticker=A)
    feed.start()
    try:
        until(lambda: book.best_bid is not None, lambda: (feed.is_connected, feed.messages_received))
        CONTROL(f"delta {A} yes 0.4600 7.00")
        place("0.5200", "1.00", time_in_force=TimeInForce.IOC)
        shown = CLIENT.get_market(A).get_orderbook().orderbook
        wanted = {price: float(count) for price, count in shown.yes_dollars}
        until(lambda: {price: float(count) for price, count in book.yes.items()} == wanted, lambda: (book.yes, wanted))
        told = {"TradeMessage", "FillMessage", "UserOrderMessage", "TickerMessage", "PositionMessage"}
        until(lambda: set(heard) == told, lambda: set(heard))
    finally:
        feed.stop()


CHECKS = [
    the_market_is_read,
    candlesticks,
    an_order_lives,
    fills_and_money,
    batches_and_groups,
    keys_limits_and_history,
    refusals_are_typed,
    the_stream_builds_the_book_of_rest,
]

if __name__ == "__main__":
    report([(check.__name__, check) for check in CHECKS])
