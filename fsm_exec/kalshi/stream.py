"""One WebSocket connection's conversation, without the connection: frames in, facts to the listener, commands out.

Rules (W10): numbers count per sid, from 1, over data and control answers alike; a number that is not the next one
makes the books of that sid suspect until their next snapshot, which is asked for at once. A change of a book whose
snapshot is due is ignored: the snapshot will hold it. The account's own channels have no numbers: what is lost there
is found by reading (L22). No frame, however broken, raises anything but `StreamLost`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from fsm_exec.core.errors import UnitError
from fsm_exec.core.ports import StreamListener
from fsm_exec.core.units import parse_change, parse_count, parse_price
from fsm_exec.kalshi import translate
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.translate import Malformed
from fsm_exec.wire import ws

BOOK_CHANNEL: Final = "orderbook_delta"
ACCOUNT_CHANNELS: Final = ("fill", "user_orders")
# Errors after which a subscription is dead (W10.3): channel error, authentication, time-out, buffer overflow.
TERMINAL_ERRORS: Final = frozenset({9, 10, 18, 25})
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, UnitError, Malformed)


class StreamLost(Exception):
    """This connection can no longer be relied on: dial again."""


class _TickerOnly(msgspec.Struct):
    market_ticker: str


class Conversation:
    """The state of one connection. `now_s` arguments are seconds of any steady clock."""

    def __init__(self, listener: StreamListener, tickers: Sequence[str], log: Log) -> None:
        self._listener = listener
        self._tickers = tuple(dict.fromkeys(tickers))
        self._log = log
        self._last_id = 0
        self._last_seq: dict[int, int] = {}
        self._book_sid: int | None = None
        self._unacknowledged: dict[tuple[int, str], float] = {}  # (command, channel) -> when it was sent
        self._due: set[str] = set()  # markets whose book has no valid snapshot
        self._asked: dict[str, float] = {}  # of these, the ones asked for again, and when

    def opening(self, now_s: float) -> list[bytes]:
        """The subscriptions. The account's come first: nothing of ours may happen before we listen."""
        commands = [self._subscribe(ACCOUNT_CHANNELS, None, now_s)]
        if self._tickers:
            commands.append(self._subscribe((BOOK_CHANNEL, "trade"), list(self._tickers), now_s))
            self._due.update(self._tickers)
        return commands

    def receive(self, frame: str | bytes, now_s: float) -> list[bytes]:
        """Take one frame; returns the commands to send. Raises StreamLost."""
        try:
            envelope = ws.decode_envelope(frame)
        except UNREADABLE as error:
            # If it had a number, the next frame of its sid will show the gap.
            self._log.warning("frame_unreadable", error=str(error), start=str(frame[:80]))
            return []
        if envelope.type == "subscribed":  # names its sid in the message; has no number
            self._subscribed(envelope)
            return []
        commands: list[bytes] = []
        if envelope.sid is not None and envelope.seq is not None:
            if envelope.type in ("orderbook_snapshot", "orderbook_delta"):
                self._book_sid = envelope.sid
            in_order, commands = self._check_number(envelope.sid, envelope.seq, now_s)
            if not in_order:
                return commands
        return commands + self._message(envelope, now_s)

    def overdue(self, now_s: float, patience_s: float) -> list[bytes]:
        """Commands for what has been awaited for `patience_s`: snapshots are asked for once more. (The first snapshot
        of a subscription is not asked for: the exchange has none of a market it does not know.) Raises StreamLost if
        a subscription was never acknowledged."""
        late = [channel for (_, channel), sent_s in self._unacknowledged.items() if now_s - sent_s >= patience_s]
        if late:
            raise StreamLost(f"subscription to {', '.join(late)} not acknowledged for {patience_s:g} s")
        return self._ask_snapshots([t for t, asked_s in self._asked.items() if now_s - asked_s >= patience_s], now_s)

    # Numbers

    def _check_number(self, sid: int, seq: int, now_s: float) -> tuple[bool, list[bytes]]:
        """Whether the frame may be used, and what its number makes necessary."""
        expected = self._last_seq.get(sid, 0) + 1
        self._last_seq[sid] = max(seq, expected - 1)
        if seq == expected:
            return True, []
        self._log.warning("sequence_gap", sid=sid, expected=expected, got=seq)
        commands: list[bytes] = []
        if sid == self._book_sid:
            self._listener.book_gap(self._tickers)
            commands = self._ask_snapshots(self._tickers, now_s)
        # A number beyond the next is a good frame after a hole. One of the past is a repeat or came late: of a book
        # whose snapshot was just asked for, nothing in it is worth having.
        return seq > expected, commands

    # Messages

    def _message(self, envelope: ws.Envelope, now_s: float) -> list[bytes]:
        try:
            tell = self._read(envelope)
        except UNREADABLE as error:
            return self._unreadable(envelope, str(error), now_s)
        if tell is not None:  # outside of the `try`: an error of the listener's is not the exchange's
            tell()
        return []

    def _read(self, envelope: ws.Envelope) -> Callable[[], None] | None:
        """What to tell the listener. Raises one of UNREADABLE, or StreamLost."""
        listener = self._listener
        match ws.decode_message(envelope):
            case ws.BookSnapshot() as snapshot if snapshot.market_ticker in self._tickers:
                yes = translate.levels(snapshot.yes_dollars_fp)
                no = translate.levels(snapshot.no_dollars_fp)
                self._due.discard(snapshot.market_ticker)
                self._asked.pop(snapshot.market_ticker, None)
                return partial(listener.book_snapshot, snapshot.market_ticker, yes, no, None)
            case ws.BookDelta() as delta if delta.market_ticker in self._tickers:
                if delta.market_ticker in self._due:
                    return None
                price, change = parse_price(delta.price_dollars), parse_change(delta.delta_fp)
                at_us = translate.delta_time_us(delta)
                return partial(listener.book_change, delta.market_ticker, delta.side, price, change, at_us)
            case ws.Trade() as trade if trade.market_ticker in self._tickers:
                taker = translate.own_outcome(trade.taker_outcome_side, trade.taker_book_side)
                price, count = parse_price(trade.yes_price_dollars), parse_count(trade.count_fp)
                return partial(
                    listener.trade, trade.market_ticker, taker, price, count, translate.ms_to_us(trade.ts_ms)
                )
            case ws.Fill() as fill:
                return partial(listener.fill, translate.streamed_fill(fill))
            case ws.UserOrder() as order:
                return partial(listener.order, translate.streamed_order(order))
            case ws.StreamError() as error:
                self._error(envelope, error)
            case ws.Ok():
                pass
            case _:
                self._log.debug("frame_ignored", type=envelope.type[:40])
        return None

    def _unreadable(self, envelope: ws.Envelope, why: str, now_s: float) -> list[bytes]:
        """A frame whose envelope is sound and whose message is not."""
        self._log.warning("message_unreadable", type=envelope.type[:40], sid=envelope.sid, error=why)
        if envelope.type not in ("orderbook_snapshot", "orderbook_delta"):
            # An order or a fill of the account is found by reading; a public trade is lost.
            return []
        broken: Sequence[str] = self._tickers
        try:
            ticker = msgspec.json.decode(envelope.msg, type=_TickerOnly).market_ticker
            broken = [ticker] if ticker in self._tickers else []
        except UNREADABLE:
            pass  # it may have been about any of them
        for ticker in broken:
            self._listener.book_broken(ticker)
        return self._ask_snapshots(broken, now_s)

    def _subscribed(self, envelope: ws.Envelope) -> None:
        try:
            message = ws.decode_message(envelope)
        except UNREADABLE as error:
            raise StreamLost(f"a subscription's acknowledgement cannot be read: {error}") from error
        assert isinstance(message, ws.Subscribed)  # its type said so
        if message.channel == BOOK_CHANNEL:
            self._book_sid = message.sid
        if envelope.id is not None:
            self._unacknowledged.pop((envelope.id, message.channel), None)

    def _error(self, envelope: ws.Envelope, error: ws.StreamError) -> None:
        text = f"error {error.code}: {error.msg[:200]}"
        if error.code in TERMINAL_ERRORS or envelope.id:  # with an id: a command of ours was refused
            # Be it a subscription or a snapshot: without it this connection is not what was promised.
            raise StreamLost(text)
        self._log.warning("stream_error", code=error.code, message=error.msg[:200], sid=envelope.sid)

    # Commands

    def _subscribe(self, channels: tuple[str, ...], tickers: list[str] | None, now_s: float) -> bytes:
        command = self._command("subscribe", ws.CommandParams(channels=list(channels), market_tickers=tickers))
        self._unacknowledged.update({(self._last_id, channel): now_s for channel in channels})
        return command

    def _ask_snapshots(self, tickers: Sequence[str], now_s: float) -> list[bytes]:
        if not tickers:
            return []
        self._due.update(tickers)
        self._asked.update(dict.fromkeys(tickers, now_s))
        if self._book_sid is None:
            return []  # not acknowledged yet; asked again when overdue
        params = ws.CommandParams(sid=self._book_sid, action="get_snapshot", market_tickers=list(tickers))
        return [self._command("update_subscription", params)]

    def _command(self, name: str, params: ws.CommandParams) -> bytes:
        self._last_id += 1
        return msgspec.json.encode(ws.Command(id=self._last_id, cmd=name, params=params))
