"""One WebSocket connection's conversation, without the connection: frames in, facts to the listener, commands out.

Rules (W10): numbers count per sid, from 1, over data and control answers alike; a number that is not the next one
makes the books of that sid suspect until their next snapshot, which is asked for at once. A change of a book whose
snapshot is due is ignored: the snapshot will hold it. The account's own channels have no numbers: what is lost there
is found by reading (L22). Markets come and go on a live connection; of one that has gone nothing more is told. No
frame, however broken, raises anything but `StreamLost`.
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
MARKET_CHANNELS: Final = (BOOK_CHANNEL, "trade")
ACCOUNT_CHANNELS: Final = ("fill", "user_orders")
# Errors after which a subscription is dead (W10.3): channel error, authentication, time-out, buffer overflow.
TERMINAL_ERRORS: Final = frozenset({9, 10, 18, 25})
NO_SUCH_MARKET: Final = frozenset({11, 16})  # invalid parameter; 16, market not found, is retired
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, UnitError, Malformed)


class StreamLost(Exception):
    """This connection can no longer be relied on: dial again."""


def tell(log: Log, call: Callable[[], None]) -> None:
    """Tell the listener something. Raises StreamLost if it fails at that, whatever the error, and reports it: what it
    holds is not known any more, and a new connection gives it everything anew."""
    try:
        call()
    except Exception as error:  # of any kind: it must neither be taken for the exchange's nor end the reader unseen
        log.exception("listener_failed", error=f"{type(error).__name__}: {error}"[:300])
        raise StreamLost(f"the listener failed: {type(error).__name__}") from error


class _TickerOnly(msgspec.Struct):
    market_ticker: str


class _Channel:
    """One channel of markets: its number, and the markets it carries or was asked to carry."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sid: int | None = None
        self.is_subscribing = False
        self.tickers: dict[str, None] = {}


class Conversation:
    """The state of one connection. `now_s` arguments are seconds of any steady clock.

    `wanted` is the owner's, live: `settle` brings the subscriptions up to it, and a market the exchange refuses is
    taken out of it.
    """

    def __init__(self, listener: StreamListener, wanted: dict[str, None], log: Log) -> None:
        self._listener = listener
        self._wanted = wanted
        self._log = log
        self._last_id = 0
        self._last_seq: dict[int, int] = {}
        self._channels = {name: _Channel(name) for name in MARKET_CHANNELS}
        self._book = self._channels[BOOK_CHANNEL]
        self._unacknowledged: dict[tuple[int, str], float] = {}  # (command, channel) -> when it was sent
        self._updates: dict[int, str | None] = {}  # commands whose refusal the connection outlives; the market added
        self._due: set[str] = set()  # markets whose book has no valid snapshot
        self._asked: dict[str, float] = {}  # of these, the ones asked for again, and when
        self._seen: set[str] = set()  # markets that had a snapshot
        self._retired: set[int] = set()  # sids given up; their late frames tell nothing

    def opening(self, now_s: float) -> list[bytes]:
        """The subscriptions. The account's come first: nothing of ours may happen before we listen."""
        return [self._subscribe(ACCOUNT_CHANNELS, None, now_s), *self.settle(now_s)]

    def settle(self, now_s: float) -> list[bytes]:
        """What makes the subscriptions those that are wanted. A channel whose answer is due waits for it."""
        commands: list[bytes] = []
        unsubscribed = [c for c in self._channels.values() if c.sid is None and not c.is_subscribing]
        if self._wanted and unsubscribed:
            tickers = list(self._wanted)
            commands.append(self._subscribe(tuple(c.name for c in unsubscribed), tickers, now_s))
            for channel in unsubscribed:
                channel.is_subscribing = True
                channel.tickers = dict.fromkeys(tickers)
                if channel is self._book:
                    self._due.update(tickers)
        for channel in self._channels.values():
            if channel.sid is not None:
                commands += self._update(channel, channel.sid, now_s)
        return commands

    def receive(self, frame: str | bytes, now_s: float) -> list[bytes]:
        """Take one frame; returns the commands to send. Raises StreamLost."""
        try:
            envelope = ws.decode_envelope(frame)
        except UNREADABLE as error:
            # If it had a number, the next frame of its sid will show the gap.
            self._log.warning("frame_unreadable", error=str(error)[:300], start=str(frame[:80]))
            return []
        if envelope.type == "subscribed":  # names its sid in the message; has no number
            return self._subscribed(envelope, now_s)
        commands: list[bytes] = []
        if envelope.sid is not None and envelope.seq is not None:
            if envelope.type in ("orderbook_snapshot", "orderbook_delta") and self._book.is_subscribing:
                self._guess_book(envelope.sid)
            in_order, commands = self._check_number(envelope.sid, envelope.seq, now_s)
            if not in_order:
                return commands
        return commands + self._message(envelope, now_s)

    def overdue(self, now_s: float, patience_s: float) -> list[bytes]:
        """Commands for what has been awaited for `patience_s`: snapshots are asked for once more. (The first snapshots
        of a subscription are not asked for: the exchange has none of a market it does not know.) Raises StreamLost if
        a subscription was never acknowledged."""
        late = [channel for (_, channel), sent_s in self._unacknowledged.items() if now_s - sent_s >= patience_s]
        if late:
            raise StreamLost(f"subscription to {', '.join(late)} not acknowledged for {patience_s:g} s")
        return self._ask_snapshots([t for t, asked_s in self._asked.items() if now_s - asked_s >= patience_s], now_s)

    def _guess_book(self, sid: int) -> None:
        """Books may come before the answer that names their sid: it must be known, or a gap would be nobody's."""
        if self._book.sid is None and sid not in self._retired:
            self._book.sid = sid

    # Numbers

    def _check_number(self, sid: int, seq: int, now_s: float) -> tuple[bool, list[bytes]]:
        """Whether the frame may be used, and what its number makes necessary."""
        expected = self._last_seq.get(sid, 0) + 1
        self._last_seq[sid] = max(seq, expected - 1)
        if seq == expected:
            return True, []
        self._log.warning("sequence_gap", sid=sid, expected=expected, got=seq)
        commands: list[bytes] = []
        if sid == self._book.sid and self._book.tickers:
            suspect = tuple(self._book.tickers)
            tell(self._log, partial(self._listener.book_gap, suspect))
            commands = self._ask_snapshots(suspect, now_s)
        # A number beyond the next is a good frame after a hole. One of the past is a repeat or came late: of a book
        # whose snapshot was just asked for, nothing in it is worth having.
        return seq > expected, commands

    # Messages

    def _message(self, envelope: ws.Envelope, now_s: float) -> list[bytes]:
        if envelope.id is not None and envelope.type != "error":
            self._updates.pop(envelope.id, None)
        try:
            fact = self._read(envelope)
        except UNREADABLE as error:
            return self._unreadable(envelope, str(error)[:300], now_s)
        if fact is not None:  # outside of the `try`: an error of the listener's is not the exchange's
            tell(self._log, fact)
        return []

    def _read(self, envelope: ws.Envelope) -> Callable[[], None] | None:
        """What to tell the listener. Raises one of UNREADABLE, or StreamLost."""
        listener = self._listener
        match ws.decode_message(envelope):
            case ws.BookSnapshot() as snapshot if snapshot.market_ticker in self._book.tickers:
                yes = translate.levels(snapshot.yes_dollars_fp)
                no = translate.levels(snapshot.no_dollars_fp)
                self._due.discard(snapshot.market_ticker)
                self._asked.pop(snapshot.market_ticker, None)
                self._seen.add(snapshot.market_ticker)
                return partial(listener.book_snapshot, snapshot.market_ticker, yes, no, None)
            case ws.BookDelta() as delta if delta.market_ticker in self._book.tickers:
                if delta.market_ticker in self._due:
                    return None
                price, change = parse_price(delta.price_dollars), parse_change(delta.delta_fp)
                at_us = translate.delta_time_us(delta)
                return partial(listener.book_change, delta.market_ticker, delta.side, price, change, at_us)
            case ws.Trade() as trade if trade.market_ticker in self._channels["trade"].tickers:
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
        broken: Sequence[str] = list(self._book.tickers)
        try:
            ticker = msgspec.json.decode(envelope.msg, type=_TickerOnly).market_ticker
            broken = [ticker] if ticker in self._book.tickers else []
        except UNREADABLE:
            pass  # it may have been about any of them
        for ticker in broken:
            tell(self._log, partial(self._listener.book_broken, ticker))
        return self._ask_snapshots(broken, now_s)

    def _subscribed(self, envelope: ws.Envelope, now_s: float) -> list[bytes]:
        try:
            message = ws.decode_message(envelope)
        except UNREADABLE as error:
            raise StreamLost(f"a subscription's acknowledgement cannot be read: {error}") from error
        assert isinstance(message, ws.Subscribed)  # its type said so
        if envelope.id is None or self._unacknowledged.pop((envelope.id, message.channel), None) is None:
            return []  # not asked for, or told twice
        channel = self._channels.get(message.channel)
        if channel is None:
            return []
        channel.sid, channel.is_subscribing = message.sid, False
        return self.settle(now_s)  # what was wanted and not wanted in the meantime

    def _error(self, envelope: ws.Envelope, error: ws.StreamError) -> None:
        text = f"error {error.code}: {error.msg[:200]}"
        if envelope.id in self._updates and error.code not in TERMINAL_ERRORS:
            ticker = self._updates.pop(envelope.id)
            if ticker is None or error.code in NO_SUCH_MARKET:
                self._log.warning("update_refused", ticker=ticker, code=error.code, message=error.msg[:200])
                if ticker is not None:
                    self._forget(ticker)
                return
        if error.code in TERMINAL_ERRORS or envelope.id:  # with an id: a command of ours was refused
            # Be it a subscription or a snapshot: without it this connection is not what was promised.
            raise StreamLost(text)
        self._log.warning("stream_error", code=error.code, message=error.msg[:200], sid=envelope.sid)

    def _forget(self, ticker: str) -> None:
        """The exchange does not carry this market: wanting it would have every connection refused."""
        self._wanted.pop(ticker, None)
        for channel in self._channels.values():
            channel.tickers.pop(ticker, None)
        self._drop(ticker)

    def _drop(self, ticker: str) -> None:
        self._due.discard(ticker)
        self._asked.pop(ticker, None)

    # Commands

    def _subscribe(self, channels: tuple[str, ...], tickers: list[str] | None, now_s: float) -> bytes:
        command = self._command("subscribe", ws.CommandParams(channels=list(channels), market_tickers=tickers))
        self._unacknowledged.update({(self._last_id, channel): now_s for channel in channels})
        return command

    def _update(self, channel: _Channel, sid: int, now_s: float) -> list[bytes]:
        """Add and remove markets of a live subscription."""
        added = [ticker for ticker in self._wanted if ticker not in channel.tickers]
        gone = [ticker for ticker in channel.tickers if ticker not in self._wanted]
        commands: list[bytes] = []
        # Added first, and one by one: a subscription is never left without a market, and one that the exchange
        # refuses takes no other with it.
        for ticker in added:
            channel.tickers[ticker] = None
            commands.append(self._change(sid, "add_markets", [ticker], adds=ticker))
            if channel is self._book:
                self._due.add(ticker)
                self._asked[ticker] = now_s  # its snapshot comes by itself, or is asked for when it is overdue
                self._seen.discard(ticker)
        if not gone:
            return commands
        for ticker in gone:
            del channel.tickers[ticker]
            if channel is self._book:
                self._drop(ticker)
        if channel.tickers:
            commands.append(self._change(sid, "delete_markets", gone))
        else:
            # Without any market some channels carry all of them (W10.4): better none at all.
            commands.append(self._command("unsubscribe", ws.CommandParams(sids=[sid])))
            self._updates[self._last_id] = None
            self._retired.add(sid)
            channel.sid = None
        return commands

    def _change(self, sid: int, action: str, tickers: list[str], adds: str | None = None) -> bytes:
        params = ws.CommandParams(sid=sid, action=action, market_tickers=tickers)
        command = self._command("update_subscription", params)
        self._updates[self._last_id] = adds
        return command

    def _ask_snapshots(self, tickers: Sequence[str], now_s: float) -> list[bytes]:
        if not tickers:
            return []
        self._due.update(tickers)
        self._asked.update(dict.fromkeys(tickers, now_s))
        sid = self._book.sid
        if sid is None:
            return []  # not acknowledged yet; asked again when overdue
        commands: list[bytes] = []
        known = [ticker for ticker in tickers if ticker in self._seen]
        if known:
            params = ws.CommandParams(sid=sid, action="get_snapshot", market_tickers=known)
            commands.append(self._command("update_subscription", params))
        # Of a market that never had one a refusal says that there is none, not that the connection is no good.
        commands += [
            self._change(sid, "get_snapshot", [ticker], adds=ticker) for ticker in tickers if ticker not in self._seen
        ]
        return commands

    def _command(self, name: str, params: ws.CommandParams) -> bytes:
        self._last_id += 1
        return msgspec.json.encode(ws.Command(id=self._last_id, cmd=name, params=params))
