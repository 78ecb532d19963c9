"""One channel of one connection: what it wants, its number, and the count of its messages.

A subscription has the connection's next `sid`, and where the channel counts, a `seq` from 1 shared by all its markets
and by the control answers about it. One whose consumer is too slow is ended by its connection (error 25).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias, get_args

import msgspec

from fsm_exec.wire import ws

Channel: TypeAlias = Literal[
    "orderbook_delta",
    "trade",
    "ticker",
    "market_lifecycle_v2",
    "fill",
    "user_orders",
    "market_positions",
    "order_group_updates",
]
CHANNELS: tuple[Channel, ...] = get_args(Channel)
COUNTED: frozenset[Channel] = frozenset({"orderbook_delta", "trade", "market_lifecycle_v2", "order_group_updates"})
PRIVATE: frozenset[Channel] = frozenset({"fill", "user_orders", "market_positions", "order_group_updates"})
NEEDS_MARKET: frozenset[Channel] = frozenset({"orderbook_delta"})
TAKES_NO_MARKET: frozenset[Channel] = frozenset({"market_lifecycle_v2", "order_group_updates"})

_ENCODER = msgspec.json.Encoder()


class Sink(Protocol):
    """Where a connection's frames go: they leave when their leg of latency is over."""

    def public(self, frame: bytes, at_us: int) -> None: ...
    def private(self, frame: bytes, at_us: int) -> None: ...
    def is_full(self) -> bool: ...


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
        yes_prices: bool = False,
        on_overflow: Callable[[Subscription], None] | None = None,
    ) -> None:
        self.sid, self.channel, self.account_id, self.tickers = sid, channel, account_id, tickers
        self.yes_prices = yes_prices
        self._sink = sink
        self._on_overflow = on_overflow
        self._seq = 0
        self._to_lose = 0

    def wants(self, ticker: str) -> bool:
        return self.tickers is None or ticker in self.tickers

    def lose_next(self) -> None:
        """Count the next frame without sending it: a gap, for tests and demonstrations of its repair."""
        self._to_lose += 1

    def send(self, kind: str, body: bytes | None, at_us: int, *, command_id: int = 0) -> None:
        """Send one frame of this subscription, numbered if the channel counts."""
        if self._on_overflow is not None and self._sink.is_full():
            self._on_overflow(self)
            return
        self.send_despite_overflow(kind, body, at_us, command_id=command_id)

    def send_despite_overflow(self, kind: str, body: bytes | None, at_us: int, *, command_id: int = 0) -> None:
        """Send like `send`, also when the consumer is too slow: for the error frame that says so."""
        seq: int | None = None
        if self.channel in COUNTED or kind == "unsubscribed":  # which has a number on every channel
            self._seq += 1
            seq = self._seq
        if self._to_lose:
            self._to_lose -= 1
            return
        envelope = ws.Envelope(
            type=kind,
            id=command_id or None,
            sid=self.sid,
            seq=seq,
            msg=msgspec.Raw(body if body is not None else b""),
        )
        frame = _ENCODER.encode(envelope) if body is not None else _without_msg(envelope)
        if self.channel in PRIVATE:
            self._sink.private(frame, at_us)
        else:
            self._sink.public(frame, at_us)


def _without_msg(envelope: ws.Envelope) -> bytes:
    fields = {"type": envelope.type, "id": envelope.id, "sid": envelope.sid, "seq": envelope.seq}
    return _ENCODER.encode({name: value for name, value in fields.items() if value is not None})
