"""Who hears what: subscriptions, their sequence numbers, and the frames made for them.

A subscription is one channel of one connection: it has the connection's next `sid`, and where the channel counts, a
`seq` from 1 shared by all its markets and by the control answers about it. Bodies are encoded once per event, and
only when somebody listens. A book change caused by a member's own order names it, to that member only.
"""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import msgspec

from fsm_exec.core.units import CountE2, Outcome, PriceE4, complement, format_count, format_price
from fsm_exec.paper import bodies
from fsm_exec.paper.accounts import Account
from fsm_exec.paper.market import PaperMarket
from fsm_exec.paper.matching import LevelChange, Match
from fsm_exec.paper.orders import FillRecord, Order
from fsm_exec.paper.times import rfc3339
from fsm_exec.wire import ws

Channel: TypeAlias = Literal["orderbook_delta", "trade", "fill", "user_orders"]
CHANNELS: tuple[Channel, ...] = ("orderbook_delta", "trade", "fill", "user_orders")
COUNTED: frozenset[Channel] = frozenset({"orderbook_delta", "trade"})
NEEDS_MARKET: frozenset[Channel] = frozenset({"orderbook_delta"})

_ENCODER = msgspec.json.Encoder()


class Sink(Protocol):
    """Where a connection's frames go: they leave when their leg of latency is over."""

    def public(self, frame: bytes, at_us: int) -> None: ...
    def private(self, frame: bytes, at_us: int) -> None: ...


class Subscription:
    """`tickers` None = every market. A dict, not a set: its order is the order of subscribing."""

    def __init__(
        self,
        sid: int,
        channel: Channel,
        account_id: str,
        sink: Sink,
        tickers: dict[str, None] | None,
        *,
        yes_prices: bool,
    ) -> None:
        self.sid, self.channel, self.account_id, self.tickers = sid, channel, account_id, tickers
        self.yes_prices = yes_prices
        self._sink = sink
        self._seq = 0

    def wants(self, ticker: str) -> bool:
        return self.tickers is None or ticker in self.tickers

    def send(self, kind: str, body: bytes | None, at_us: int, *, command_id: int = 0) -> None:
        """One frame of this subscription, numbered if the channel counts."""
        counted = self.channel in COUNTED
        if counted:
            self._seq += 1
        envelope = ws.Envelope(
            type=kind,
            id=command_id or None,
            sid=self.sid,
            seq=self._seq if counted else None,
            msg=msgspec.Raw(body if body is not None else b""),
        )
        frame = _ENCODER.encode(envelope) if body is not None else _without_msg(envelope)
        if counted:
            self._sink.public(frame, at_us)
        else:
            self._sink.private(frame, at_us)


def _without_msg(envelope: ws.Envelope) -> bytes:
    fields = {"type": envelope.type, "id": envelope.id, "sid": envelope.sid, "seq": envelope.seq}
    return _ENCODER.encode({name: value for name, value in fields.items() if value is not None})


class Publisher:
    """Holds all subscriptions, in the order they were made."""

    def __init__(self) -> None:
        self._by_channel: dict[Channel, list[Subscription]] = {channel: [] for channel in CHANNELS}

    def add(self, subscription: Subscription) -> None:
        self._by_channel[subscription.channel].append(subscription)

    def remove(self, subscription: Subscription) -> None:
        self._by_channel[subscription.channel].remove(subscription)

    def book_changed(self, market: PaperMarket, change: LevelChange, at_us: int) -> None:
        plain: dict[bool, bytes] = {}
        for subscription in self._by_channel["orderbook_delta"]:
            if not subscription.wants(market.ticker):
                continue
            cause = change.cause
            if cause is not None and cause.account_id == subscription.account_id:
                body = _delta_body(market, change, at_us, cause, yes_prices=subscription.yes_prices)
            elif (known := plain.get(subscription.yes_prices)) is not None:
                body = known
            else:
                body = _delta_body(market, change, at_us, None, yes_prices=subscription.yes_prices)
                plain[subscription.yes_prices] = body
            subscription.send("orderbook_delta", body, at_us)

    def traded(self, market: PaperMarket, match: Match, trade_id: str, at_us: int) -> None:
        listeners = [s for s in self._by_channel["trade"] if s.wants(market.ticker)]
        if listeners:
            body = _ENCODER.encode(bodies.trade_frame(market.ticker, trade_id, match, at_us))
            for subscription in listeners:
                subscription.send("trade", body, at_us)

    def filled(self, account: Account, fill: FillRecord) -> None:
        for subscription in self._by_channel["fill"]:
            if subscription.account_id == account.account_id and subscription.wants(fill.order.ticker):
                subscription.send("fill", _ENCODER.encode(bodies.fill_frame(fill)), fill.at_us)

    def order_changed(self, account: Account, order: Order) -> None:
        for subscription in self._by_channel["user_orders"]:
            if subscription.account_id == account.account_id and subscription.wants(order.ticker):
                body = _ENCODER.encode(bodies.order_frame(order, account.user_id))
                subscription.send("user_order", body, order.updated_us)


def snapshot_body(market: PaperMarket, *, yes_prices: bool) -> bytes:
    """The whole displayed book. A side that is empty is absent."""
    yes = [(format_price(p), format_count(c)) for p, c in market.book.displayed("yes")]
    no = [
        (format_price(_shown("no", p, yes_prices=yes_prices)), format_count(c)) for p, c in market.book.displayed("no")
    ]
    return _ENCODER.encode(
        ws.BookSnapshot(
            market_ticker=market.ticker,
            market_id=market.market_id,
            yes_dollars_fp=yes or None,
            no_dollars_fp=(sorted(no) if yes_prices else no) or None,
        )
    )


def _delta_body(market: PaperMarket, change: LevelChange, at_us: int, own: Order | None, *, yes_prices: bool) -> bytes:
    return _ENCODER.encode(
        ws.BookDelta(
            market_ticker=market.ticker,
            market_id=market.market_id,
            price_dollars=format_price(_shown(change.outcome, change.price_e4, yes_prices=yes_prices)),
            delta_fp=format_count(CountE2(change.delta_e2)),
            side=change.outcome,
            client_order_id=None if own is None else own.client_order_id or None,
            subaccount=None if own is None else 0,
            ts=rfc3339(at_us),
            ts_ms=at_us // 1_000,
        )
    )


def _shown(outcome: Outcome, price: PriceE4, *, yes_prices: bool) -> PriceE4:
    """The `no` ladder's price as a subscriber asked for it: its own, or the YES price of the same offer."""
    return complement(price) if yes_prices and outcome == "no" else price
