"""Publishes events to the subscriptions: which of them get a frame, and the frames.

Bodies are encoded once per event, and only if there is a subscription. A book change caused by a member's own order
names it, to that member only.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, PriceGrid, complement, format_count, format_price
from fsm_exec.paper.ids import is_of
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.matching_engine.market import PaperMarket
from fsm_exec.paper.matching_engine.market_book import LevelChange, Match
from fsm_exec.paper.matching_engine.order_groups import OrderGroup
from fsm_exec.paper.matching_engine.orders import FillRecord, Order
from fsm_exec.paper.rfc3339 import rfc3339
from fsm_exec.paper.venue import serializers
from fsm_exec.paper.venue.subscriptions import CHANNELS, Channel, Subscription
from fsm_exec.wire import feeds, rest

COMBOS = "KXMVE"  # combos have a lifecycle channel of their own

_ENCODER = msgspec.json.Encoder(decimal_format="number")


class Publisher:
    """Holds all subscriptions, in the order they were made. The lists are replaced, never changed, so that one may
    end while its frame is being sent."""

    def __init__(self) -> None:
        self._by_channel: dict[Channel, list[Subscription]] = {channel: [] for channel in CHANNELS}
        self._last_ticker: dict[str, tuple[object, ...]] = {}

    def add(self, subscription: Subscription) -> None:
        self._by_channel[subscription.channel] = [*self._by_channel[subscription.channel], subscription]

    def remove(self, subscription: Subscription) -> None:
        kept = [each for each in self._by_channel[subscription.channel] if each is not subscription]
        self._by_channel[subscription.channel] = kept

    def lose_next(self, channel: Channel) -> None:
        """Have every subscription of `channel` lose its next frame."""
        for subscription in self._by_channel[channel]:
            subscription.lose_next()

    # The market

    def publish_book_change(self, market: PaperMarket, change: LevelChange, at_us: int) -> None:
        plain: dict[bool, bytes] = {}
        for subscription in self._by_channel["orderbook_delta"]:
            if not subscription.wants(market.ticker):
                continue
            cause = change.cause
            if cause is not None and is_of(cause.account_id, subscription.account_id):
                body = _delta_body(market, change, at_us, cause, yes_prices=subscription.yes_prices)
            elif (known := plain.get(subscription.yes_prices)) is not None:
                body = known
            else:
                body = _delta_body(market, change, at_us, None, yes_prices=subscription.yes_prices)
                plain[subscription.yes_prices] = body
            subscription.send("orderbook_delta", body, at_us)

    def publish_trade(self, market: PaperMarket, match: Match, trade_id: str, at_us: int) -> None:
        listeners = [s for s in self._by_channel["trade"] if s.wants(market.ticker)]
        if listeners:
            body = _ENCODER.encode(serializers.trade_frame(market.ticker, trade_id, match, at_us))
            for subscription in listeners:
                subscription.send("trade", body, at_us)

    def publish_ticker(self, market: PaperMarket, at_us: int) -> None:
        """Publish the ticker if best prices, their sizes or the last trade differ from what was last published."""
        listeners = [s for s in self._by_channel["ticker"] if s.wants(market.ticker)]
        if not listeners:
            return
        now = (market.book.best("yes"), market.book.best("no"), market.last_price_e4, market.volume_e2)
        if self._last_ticker.get(market.ticker) != now:
            self._last_ticker[market.ticker] = now
            body = ticker_body(market, at_us)
            for subscription in listeners:
                subscription.send("ticker", body, at_us)

    def publish_market_created(self, market: PaperMarket, at_us: int) -> None:
        ends_s = market.close_us // 1_000_000
        self.publish_lifecycle(market, "created", {"open_ts": at_us // 1_000_000, "close_ts": ends_s}, at_us)

    def publish_event_fees(self, event: str, fee_type: str | None, multiplier: Decimal | None, at_us: int) -> None:
        """Publish what an event overrides of its series' fees from now on; None twice: nothing any more."""
        body = _ENCODER.encode(
            {"event_ticker": event, "fee_type_override": fee_type, "fee_multiplier_override": multiplier}
        )
        for subscription in self._by_channel["market_lifecycle_v2"]:
            subscription.send("event_fee_update", body, at_us)

    def publish_lifecycle(
        self, market: PaperMarket, event: feeds.LifecycleEvent, fields: Mapping[str, object], at_us: int
    ) -> None:
        listeners = self._by_channel["market_lifecycle_v2"]
        if not listeners or market.ticker.startswith(COMBOS):
            return
        message = feeds.Lifecycle(market_ticker=market.ticker, event_type=event, exchange_index=market.exchange_index)
        body = _ENCODER.encode(msgspec.structs.replace(message, **fields))
        for subscription in listeners:
            subscription.send("market_lifecycle_v2", body, at_us)

    # The members

    def publish_fill(self, account: Account, fill: FillRecord) -> None:
        for subscription in self._of(account, "fill", fill.order.ticker):
            subscription.send("fill", _ENCODER.encode(serializers.fill_frame(fill)), fill.at_us)

    def publish_order(self, account: Account, order: Order) -> None:
        for subscription in self._of(account, "user_orders", order.ticker):
            body = _ENCODER.encode(serializers.order_frame(order, account.user_id))
            subscription.send("user_order", body, order.updated_us)

    def publish_position(self, account: Account, ticker: str, at_us: int) -> None:
        for subscription in self._of(account, "market_positions", ticker):
            body = _ENCODER.encode(serializers.position_frame(account, ticker))
            subscription.send("market_position", body, at_us)

    def publish_group(self, group: OrderGroup, event: feeds.GroupEvent, at_us: int) -> None:
        for subscription in self._by_channel["order_group_updates"]:
            if is_of(group.account_id, subscription.account_id):
                message = feeds.GroupUpdate(
                    event_type=event,
                    order_group_id=group.group_id,
                    ts_ms=at_us // 1_000,
                    contracts_limit_fp=format_count(group.limit_e2) if event in ("created", "limit_updated") else None,
                )
                subscription.send("order_group_updates", _ENCODER.encode(message), at_us)

    def _of(self, account: Account, channel: Channel, ticker: str) -> list[Subscription]:
        return [s for s in self._by_channel[channel] if is_of(account.account_id, s.account_id) and s.wants(ticker)]


def snapshot_body(market: PaperMarket, *, yes_prices: bool) -> bytes:
    """The whole displayed book. A side that is empty is absent."""
    yes = [(format_price(p), format_count(c)) for p, c in market.book.displayed("yes")]
    no = [
        (format_price(_subscriber_price("no", p, yes_prices=yes_prices)), format_count(c))
        for p, c in market.book.displayed("no")
    ]
    return _ENCODER.encode(
        serializers.PublicSnapshot(
            market_ticker=market.ticker,
            market_id=market.market_id,
            clock=market.clock,
            yes_dollars_fp=yes or None,
            no_dollars_fp=(sorted(no) if yes_prices else no) or None,
        )
    )


def ticker_body(market: PaperMarket, at_us: int) -> bytes:
    """Best prices and the last trade. A side without quotes shows 0 for a bid and 1 for an ask, of size 0."""
    bid, bid_size = market.book.best("yes") or (PriceE4(0), CountE2(0))
    no_bid, ask_size = market.book.best("no") or (PriceE4(0), CountE2(0))
    volume = CountE2(market.volume_e2)
    return _ENCODER.encode(
        feeds.Ticker(
            market_ticker=market.ticker,
            market_id=market.market_id,
            price_dollars=format_price(market.last_price_e4 or PriceE4(0)),
            yes_bid_dollars=format_price(bid),
            yes_ask_dollars=format_price(complement(no_bid)),
            yes_bid_size_fp=format_count(bid_size),
            yes_ask_size_fp=format_count(ask_size),
            last_trade_size_fp=format_count(CountE2(market.last_size_e2)),
            volume_fp=format_count(volume),
            open_interest_fp=format_count(volume),  # a tape does not carry it; see public_reads.market_body
            dollar_volume=volume // 100,
            dollar_open_interest=volume // 100,
            ts=at_us // 1_000_000,
            ts_ms=at_us // 1_000,
            time=rfc3339(at_us),
        )
    )


def price_ranges(grid: PriceGrid) -> list[rest.PriceRange]:
    return [
        rest.PriceRange(start=format_price(r.start_e4), end=format_price(r.end_e4), step=format_price(r.step_e4))
        for r in grid.ranges
    ]


def _delta_body(market: PaperMarket, change: LevelChange, at_us: int, own: Order | None, *, yes_prices: bool) -> bytes:
    return _ENCODER.encode(
        serializers.PublicDelta(
            market_ticker=market.ticker,
            market_id=market.market_id,
            clock=market.clock,
            price_dollars=format_price(_subscriber_price(change.outcome, change.price_e4, yes_prices=yes_prices)),
            delta_fp=format_count(CountE2(change.delta_e2)),
            side=change.outcome,
            client_order_id=None if own is None else own.client_order_id or None,
            subaccount=None if own is None else own.subaccount,
            ts=rfc3339(at_us),
            ts_ms=at_us // 1_000,
        )
    )


def _subscriber_price(outcome: Outcome, price: PriceE4, *, yes_prices: bool) -> PriceE4:
    """Return a price of the `no` ladder as the subscriber wants it: its own, or the YES price of the same offer."""
    return complement(price) if yes_prices and outcome == "no" else price
