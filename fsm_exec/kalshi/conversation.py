"""The protocol of one WebSocket connection without the connection: frames in, facts to the listener, commands out.

Rules (wire/README.md 10): sequence numbers count per sid, from 1, over data and control answers alike. A number that is
not the next one makes the books of that sid suspect until their next snapshot, which is requested at once. A change of
a book whose snapshot is due is ignored: the snapshot will hold it. The account's channels have no numbers: a healthy
stream may lose fills unnoticed, so reconciliation reads them over REST; what the lifecycle channel lost, the poller
reads. Markets come and go on a live connection; after a market has gone the listener hears no more of it. No frame,
however broken, raises anything but `StreamLost`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Final

import msgspec

from fsm_exec.core.errors import UnitError
from fsm_exec.core.exchange_port import StreamListener
from fsm_exec.core.market.terms import MarketStatus
from fsm_exec.core.text import one_line
from fsm_exec.core.values.units import US_PER_MS, parse_change, parse_price
from fsm_exec.kalshi import translate
from fsm_exec.kalshi.fee_plan import Stated
from fsm_exec.kalshi.listener_guard import StreamLost, call_listener, log_listener_failure
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.market_poller import MarketPoller
from fsm_exec.kalshi.market_terms import grid_of
from fsm_exec.kalshi.subscriptions import Subscriptions
from fsm_exec.kalshi.translate import Malformed
from fsm_exec.wire import ws

# Errors that end a subscription (wire/README.md 10.3): channel error, authentication, time-out, buffer overflow.
FATAL_ERRORS: Final = frozenset({9, 10, 18, 25})
QUICK_START_LENGTH: Final = len(ws.QUICK_DELTA_START)
# What a lifecycle event makes of a market (wire/README.md 7, 10.6).
STATUS_AFTER_EVENT: Final[dict[str, MarketStatus]] = {
    "activated": "open",
    "deactivated": "paused",
    "determined": "closed",
    "settled": "closed",
}
IGNORED_EVENTS: Final = frozenset({"created", "metadata_updated"})
NO_COMMANDS: Final[Sequence[bytes]] = ()
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, UnitError, Malformed)


# The same few prices and sizes come again and again. A text that cannot be parsed raises, and is not cached.
_price = lru_cache(maxsize=16_384)(parse_price)
_change = lru_cache(maxsize=16_384)(parse_change)


class _TickerOnly(msgspec.Struct):
    market_ticker: str


class Conversation:
    """The state of one connection. `now_s` arguments are seconds of any steady clock; for `wanted` see `Subscriptions`.
    `poller` polls when a change of a market's status may have been missed; `wall_us` is the wall time in unix
    microseconds."""

    def __init__(
        self,
        listener: StreamListener,
        wanted: dict[str, None],
        wall_us: Callable[[], int],
        log: Log,
        poller: MarketPoller | None = None,
        subaccount: int | None = None,
    ) -> None:
        self._listener = listener
        self._subaccount = subaccount
        self._log = log
        self._wanted = wanted
        self._wall_us = wall_us
        self._poller = poller
        self._last_seq: dict[int, int] = {}
        self._subscriptions = Subscriptions(wanted, log)
        self._book = self._subscriptions.book
        self._due = self._subscriptions.due
        self.subscribe_all = self._subscriptions.subscribe_all
        self.sync = self._subscriptions.sync

    def receive(self, frame: str | bytes, now_s: float) -> Sequence[bytes]:
        """Take one frame. Returns the commands to send. Raises StreamLost."""
        if frame[:QUICK_START_LENGTH] == ws.QUICK_DELTA_START and self._take_quick_delta(frame):
            return NO_COMMANDS
        try:
            envelope = ws.decode_envelope(frame)
        except UNREADABLE as error:
            # If it had a number, the next frame of its sid will show the gap.
            self._log.warning("frame_unreadable", error=str(error)[:300], start=str(frame[:80]))
            return []
        if envelope.type == "subscribed":  # names its sid in the message; has no number
            return self._take_subscribed(envelope, now_s)
        if envelope.sid in self._subscriptions.retired:
            return []
        commands: list[bytes] = []
        if envelope.sid is not None and envelope.seq is not None:
            if envelope.type in ("orderbook_snapshot", "orderbook_delta"):
                self._subscriptions.guess_book_sid(envelope.sid)
            in_order, commands = self._check_number(envelope.sid, envelope.seq, now_s)
            if not in_order:
                return commands
        return commands + self._take_message(envelope, now_s)

    def _take_quick_delta(self, frame: str | bytes) -> bool:
        """Take the frame that nearly every frame is, the next change of a valid book, without the steps of the slow
        way. Returns False, with nothing changed, if anything at all is unusual."""
        try:
            change = ws.decode_quick_delta(frame)
            message = change.msg
            price, delta = _price(message.price_dollars), _change(message.delta_fp)
        except UNREADABLE:
            return False
        sid, seq, ticker, ts_ms = change.sid, change.seq, message.market_ticker, message.ts_ms
        book = self._book
        if sid != book.sid or seq != self._last_seq.get(sid, 0) + 1:
            return False
        if ticker not in book.tickers or ticker in self._due or not 0 <= ts_ms < translate.TIME_MAX_MS:
            return False
        self._last_seq[sid] = seq
        try:
            self._listener.book_change(ticker, message.side, price, delta, ts_ms * US_PER_MS)
        except Exception as error:  # as in `call_listener`, without a closure for each frame
            raise log_listener_failure(self._log, error) from error
        return True

    def request_overdue(self, now_s: float, patience_s: float) -> list[bytes]:
        """Return the commands that request overdue snapshots once more. (The first snapshots of a subscription are not
        requested: the exchange has none of a market it does not know.) Raises StreamLost if a subscription was not
        acknowledged within `patience_s`."""
        late = self._subscriptions.overdue_acks(now_s, patience_s)
        if late:
            raise StreamLost(f"subscription to {', '.join(late)} not acknowledged for {patience_s:g} s")
        return self._subscriptions.request_overdue(now_s, patience_s)

    # Numbers

    def _check_number(self, sid: int, seq: int, now_s: float) -> tuple[bool, list[bytes]]:
        """Return whether the frame may be used, and the commands its number makes necessary."""
        expected = self._last_seq.get(sid, 0) + 1
        self._last_seq[sid] = max(seq, expected - 1)
        if seq == expected:
            return True, []
        self._log.warning("sequence_gap", sid=sid, expected=expected, got=seq)
        commands: list[bytes] = []
        if sid not in (self._book.sid, self._subscriptions.trade.sid):
            self._poll_markets_soon()
        if sid == self._book.sid and self._book.tickers:
            suspect = tuple(self._book.tickers)
            call_listener(self._log, partial(self._listener.book_gap, suspect))
            commands = self._subscriptions.request_snapshots(suspect, now_s)
        # A number beyond the next one is a good frame after a hole, and is used: what it carries besides books (trades)
        # is complete in itself, and the changes of books are ignored until their snapshots. A number of the past is a
        # repeat or came late, so it is older than the snapshot just requested: nothing in it is worth having.
        return seq > expected, commands

    # Messages

    def _take_message(self, envelope: ws.Envelope, now_s: float) -> list[bytes]:
        if envelope.id is not None and envelope.type != "error":
            self._subscriptions.complete(envelope.id)
        try:
            fact = self._fact_in(envelope)
        except UNREADABLE as error:
            return self._recover_unreadable(envelope, str(error)[:300], now_s)
        if fact is not None:  # outside of the `try`: an error of the listener must not pass for one of the exchange
            call_listener(self._log, fact)
        return []

    def _fact_in(self, envelope: ws.Envelope) -> Callable[[], None] | None:
        """Return the listener's call that passes the message on, if any. Raises one of UNREADABLE, or StreamLost."""
        listener = self._listener
        match ws.decode_message(envelope):
            case ws.BookSnapshot() as snapshot if snapshot.market_ticker in self._book.tickers:
                yes = translate.levels(snapshot.yes_dollars_fp)
                no = translate.levels(snapshot.no_dollars_fp)
                self._subscriptions.mark_snapshot(snapshot.market_ticker)
                return partial(listener.book_snapshot, snapshot.market_ticker, yes, no, None)
            case ws.BookDelta() as delta if delta.market_ticker in self._book.tickers:
                if delta.market_ticker in self._due:
                    return None
                price, change = _price(delta.price_dollars), _change(delta.delta_fp)
                at_us = translate.delta_time_us(delta, self._sent_us(envelope))
                return partial(listener.book_change, delta.market_ticker, delta.side, price, change, at_us)
            case ws.Trade() as trade if trade.market_ticker in self._subscriptions.trade.tickers:
                return partial(listener.trade, *translate.public_trade(trade, self._sent_us(envelope)))
            case ws.MarketLifecycle() as change if change.market_ticker in self._wanted:
                return self._lifecycle_fact(change)
            case ws.EventFeeUpdate() as change:
                if self._poller is not None:
                    stated = Stated(change.fee_type_override, change.fee_multiplier_override)
                    self._poller.note_event_fees(change.event_ticker, stated)
            case ws.Fill() as fill if self._is_ours(fill.subaccount):
                return partial(listener.fill, translate.streamed_fill_report(fill, self._sent_us(envelope)))
            case ws.UserOrder() as order if self._is_ours(order.subaccount_number):
                return partial(listener.order, translate.streamed_order_report(order, self._sent_us(envelope)))
            case ws.GroupUpdate() as change:
                return partial(listener.order_group, one_line(change.order_group_id), one_line(change.event_type[:40]))
            case ws.StreamError() as error:
                self._take_error(envelope, error)
            case ws.Ok() | ws.Fill() | ws.UserOrder():  # the last two: of another subaccount
                pass
            case _:
                self._log.debug("frame_ignored", type=envelope.type[:40])
        return None

    def _is_ours(self, subaccount: int | None) -> bool:
        """Whether an order or a fill is of the subaccount that is worked. The stream carries those of all that a key
        may see; one that does not say whose it is may be ours."""
        return self._subaccount is None or subaccount is None or subaccount == self._subaccount

    def _sent_us(self, envelope: ws.Envelope) -> int:
        """Return when a frame was sent, or now if it does not say so: the time of a message that has none."""
        return translate.moment_us(self._wall_us(), envelope.sending_ts_ms)

    def _lifecycle_fact(self, change: ws.MarketLifecycle) -> Callable[[], None] | None:
        """Raises Malformed."""
        ticker = change.market_ticker
        if change.event_type == "price_level_structure_updated" and change.price_ranges is not None:
            return partial(self._listener.market_grid, ticker, grid_of(ticker, change.price_ranges))
        status = STATUS_AFTER_EVENT.get(change.event_type)
        if status is None:
            # Another time to close, a grid without its prices, a new word.
            if change.event_type not in IGNORED_EVENTS and self._poller is not None:
                self._poller.poll_soon()
            return None
        if self._poller is not None:
            self._poller.note_frame(ticker)
        return partial(self._listener.market_status, ticker, status)

    def _poll_markets_soon(self) -> None:
        """Have all that the lifecycle channel tells polled: something of it was missed."""
        if self._poller is not None:
            self._poller.read_fees_soon()

    def _recover_unreadable(self, envelope: ws.Envelope, why: str, now_s: float) -> list[bytes]:
        """Recover from a frame whose envelope can be read and whose message cannot. Returns the commands to send."""
        self._log.warning("message_unreadable", type=envelope.type[:40], sid=envelope.sid, error=why)
        if envelope.type in ("market_lifecycle_v2", "event_fee_update"):
            self._poll_markets_soon()
        if envelope.type not in ("orderbook_snapshot", "orderbook_delta"):
            # An order or a fill of the account will be read over REST; a public trade is lost.
            return []
        broken: Sequence[str] = list(self._book.tickers)
        try:
            ticker = msgspec.json.decode(envelope.msg, type=_TickerOnly).market_ticker
            broken = [ticker] if ticker in self._book.tickers else []
        except UNREADABLE:
            pass  # it may have been about any book
        for ticker in broken:
            call_listener(self._log, partial(self._listener.book_broken, ticker))
        return self._subscriptions.request_snapshots(broken, now_s)

    def _take_subscribed(self, envelope: ws.Envelope, now_s: float) -> list[bytes]:
        try:
            message = ws.decode_message(envelope)
        except UNREADABLE as error:
            raise StreamLost(f"a subscription's acknowledgement cannot be read: {error}") from error
        assert isinstance(message, ws.Subscribed)  # its type said so
        return self._subscriptions.acknowledge(envelope.id, message.channel, message.sid, now_s)

    def _take_error(self, envelope: ws.Envelope, error: ws.StreamError) -> None:
        is_terminal = error.code in FATAL_ERRORS
        if self._subscriptions.survives_refusal(envelope.id, error, is_terminal=is_terminal):
            return
        if is_terminal or envelope.id:  # with an id: a command of ours was refused
            # Without the subscription or the snapshot it asked for, this connection would be silently incomplete.
            raise StreamLost(f"error {error.code}: {(error.msg or '')[:200]}")
        self._log.warning("stream_error", code=error.code, message=(error.msg or "")[:200], sid=envelope.sid)
