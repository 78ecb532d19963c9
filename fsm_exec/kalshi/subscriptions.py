"""The subscriptions of one connection, and the commands that make them match the wanted markets (wire/README.md 10.2,
10.3).

The account's channels, the lifecycle channel and that of order groups are subscribed once; the connection can do
without the last two. The channels of markets follow a set of wanted
tickers that may change at any time: markets are added to and removed from a live subscription; it begins with the first
and ends with the last of them. This module also keeps which books have no valid snapshot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from fsm_exec.kalshi.log import Log
from fsm_exec.wire import ws

BOOK_CHANNEL: Final = "orderbook_delta"
TRADE_CHANNEL: Final = "trade"
ACCOUNT_CHANNELS: Final = ("fill", "user_orders")
LIFECYCLE_CHANNEL: Final = "market_lifecycle_v2"
GROUP_CHANNEL: Final = "order_group_updates"
NO_SUCH_MARKET: Final = frozenset({11, 16})  # invalid parameter; 16, market not found, is retired


class Channel:
    """One channel of markets: its sid, and the markets it carries or was asked to carry."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sid: int | None = None
        self.is_subscribing = False
        self.tickers: dict[str, None] = {}


class Subscriptions:
    """Methods that return bytes return commands to send. `now_s` arguments are seconds of any steady clock. `wanted`
    belongs to the owner and may change at any time; a market the exchange refuses is removed from it."""

    def __init__(self, wanted: dict[str, None], log: Log) -> None:
        self.book = Channel(BOOK_CHANNEL)
        self.trade = Channel(TRADE_CHANNEL)
        self.due: set[str] = set()  # markets whose book has no valid snapshot
        self.retired: set[int] = set()  # sids given up; their late frames are ignored
        self._channels = (self.book, self.trade)
        self._wanted = wanted
        self._log = log
        self._last_id = 0
        # Subscriptions the connection can do without, by command: what the markets' says is polled as well, and that a
        # group takes no more is seen at the next order.
        self._optional: dict[int, str] = {}
        self._awaiting_ack: dict[tuple[int, str], float] = {}  # (command, channel) -> when it was sent
        self._updates: dict[int, str | None] = {}  # commands whose refusal the connection survives -> the market added
        self._asked: dict[str, float] = {}  # those of the due that were requested again, and when
        self._seen: set[str] = set()  # markets that had a snapshot

    def subscribe_all(self, now_s: float) -> list[bytes]:
        """Return the first commands of a connection. The account's channels come first: nothing of ours may happen
        before we listen."""
        commands = [self._subscribe(ACCOUNT_CHANNELS, None, now_s), *self.sync(now_s)]
        # These take no filter: the first carries every market there is (wire/README.md 10.4).
        for channel in (LIFECYCLE_CHANNEL, GROUP_CHANNEL):
            commands.append(self._subscribe((channel,), None, now_s))
            self._optional[self._last_id] = channel
        return commands

    def sync(self, now_s: float) -> list[bytes]:
        """Return the commands that make the subscriptions match the wanted markets. A channel whose acknowledgement is
        due waits for it."""
        commands: list[bytes] = []
        unsubscribed = [c for c in self._channels if c.sid is None and not c.is_subscribing]
        if self._wanted and unsubscribed:
            tickers = list(self._wanted)
            commands.append(self._subscribe(tuple(c.name for c in unsubscribed), tickers, now_s))
            for channel in unsubscribed:
                channel.is_subscribing = True
                channel.tickers = dict.fromkeys(tickers)
                if channel is self.book:
                    self.due.update(tickers)
        for channel in self._channels:
            if channel.sid is not None:
                commands += self._sync_channel(channel, channel.sid, now_s)
        return commands

    def acknowledge(self, command_id: int | None, name: str, sid: int, now_s: float) -> list[bytes]:
        """Take in that the exchange has begun a subscription. Returns commands for what became wanted or unwanted since
        it was asked for."""
        if command_id is None:  # left out: take the command that waits for this channel
            command_id = next((waiting for waiting, channel in self._awaiting_ack if channel == name), 0)
        if self._awaiting_ack.pop((command_id, name), None) is None:
            return []  # not asked for, or acknowledged twice
        for channel in self._channels:
            if channel.name == name:
                channel.sid, channel.is_subscribing = sid, False
                return self.sync(now_s)
        return []

    def guess_book_sid(self, sid: int) -> None:
        """Take the sid of the book channel from a book that comes before the acknowledgement: a gap could not be
        assigned to the books otherwise."""
        if self.book.is_subscribing and self.book.sid is None and sid not in self.retired:
            self.book.sid = sid

    def overdue_acks(self, now_s: float, patience_s: float) -> list[str]:
        """Return the channels whose subscription has had no answer for `patience_s`, without those that the connection
        can do without: these are given up."""
        late = [waiting for waiting, sent_s in self._awaiting_ack.items() if now_s - sent_s >= patience_s]
        for command_id, _ in late:
            if command_id in self._optional:
                self._give_up(command_id, "it was not acknowledged")
        return [channel for command_id, channel in late if command_id not in self._optional]

    def complete(self, command_id: int) -> None:
        """Take in that a command was answered."""
        self._updates.pop(command_id, None)

    def survives_refusal(self, command_id: int | None, error: ws.StreamError, *, is_terminal: bool) -> bool:
        """Take in that a command was refused. Returns False if the connection is no good without it. `is_terminal`: the
        error is one that ends a subscription."""
        if command_id is not None and command_id in self._optional:
            refused = self._give_up(command_id, f"error {error.code}: {(error.msg or '')[:200]}")
            return refused or not is_terminal
        if is_terminal or command_id not in self._updates:
            return False
        ticker = self._updates.pop(command_id)
        if ticker is not None and error.code not in NO_SUCH_MARKET:
            return False
        self._log.warning("update_refused", ticker=ticker, code=error.code, message=(error.msg or "")[:200])
        if ticker is not None:  # the exchange does not carry it: wanting it on would have every connection refused
            self._wanted.pop(ticker, None)
            for channel in self._channels:
                channel.tickers.pop(ticker, None)
            self._forget_book(ticker)
        return True

    def _give_up(self, command_id: int, why: str) -> bool:
        """Do without a subscription until the next connection. Returns False if it was acknowledged before."""
        channel = self._optional[command_id]
        if self._awaiting_ack.pop((command_id, channel), None) is None:
            return False
        self._log.warning("channel_missing", channel=channel, why=why)
        return True

    def mark_snapshot(self, ticker: str) -> None:
        """Take in that a book has its snapshot."""
        self._forget_book(ticker)
        self._seen.add(ticker)

    def request_overdue(self, now_s: float, patience_s: float) -> list[bytes]:
        """Request once more the snapshots that were requested `patience_s` ago and did not come."""
        return self.request_snapshots([t for t, asked_s in self._asked.items() if now_s - asked_s >= patience_s], now_s)

    def request_snapshots(self, tickers: Sequence[str], now_s: float) -> list[bytes]:
        """Distrust these books until their next snapshot, and request it."""
        self.due.update(tickers)
        self._asked.update(dict.fromkeys(tickers, now_s))
        sid = self.book.sid
        if sid is None:
            return []  # not acknowledged yet; requested again when overdue
        commands: list[bytes] = []
        known = [ticker for ticker in tickers if ticker in self._seen]
        if known:
            params = ws.CommandParams(sid=sid, action="get_snapshot", market_tickers=known)
            commands.append(self._command("update_subscription", params))
        # For a market that never had a snapshot a refusal says that the market does not exist, not that the connection
        # is no good: so one command each.
        commands += [self._change_markets(sid, "get_snapshot", [t], about=t) for t in tickers if t not in self._seen]
        return commands

    def _sync_channel(self, channel: Channel, sid: int, now_s: float) -> list[bytes]:
        """Add and remove markets of a live subscription."""
        added = [ticker for ticker in self._wanted if ticker not in channel.tickers]
        gone = [ticker for ticker in channel.tickers if ticker not in self._wanted]
        commands: list[bytes] = []
        # Added first, and one by one: a subscription is never left without a market, and one that the exchange
        # refuses takes no other with it.
        for ticker in added:
            channel.tickers[ticker] = None
            commands.append(self._change_markets(sid, "add_markets", [ticker], about=ticker))
            if channel is self.book:
                self.due.add(ticker)
                self._asked[ticker] = now_s  # its snapshot comes by itself, or is asked for when it is overdue
                self._seen.discard(ticker)
        for ticker in gone:
            del channel.tickers[ticker]
            if channel is self.book:
                self._forget_book(ticker)
        if gone and channel.tickers:
            commands.append(self._change_markets(sid, "delete_markets", gone))
        elif gone:
            # Without any market some channels carry all of them (wire/README.md 10.4): better none at all.
            commands.append(self._command("unsubscribe", ws.CommandParams(sids=[sid])))
            self._updates[self._last_id] = None
            self.retired.add(sid)
            channel.sid = None
        return commands

    def _forget_book(self, ticker: str) -> None:
        self.due.discard(ticker)
        self._asked.pop(ticker, None)

    def _subscribe(self, channels: tuple[str, ...], tickers: list[str] | None, now_s: float) -> bytes:
        # The default of `use_yes_price` is announced to change; NO's book would then be read at the wrong prices.
        no_prices = False if "orderbook_delta" in channels else None
        params = ws.CommandParams(channels=list(channels), market_tickers=tickers, use_yes_price=no_prices)
        command = self._command("subscribe", params)
        self._awaiting_ack.update({(self._last_id, channel): now_s for channel in channels})
        return command

    def _change_markets(self, sid: int, action: str, tickers: list[str], about: str | None = None) -> bytes:
        """Return a command whose refusal concerns one market (`about`) or nothing that matters, never the
        connection."""
        params = ws.CommandParams(sid=sid, action=action, market_tickers=tickers)
        command = self._command("update_subscription", params)
        self._updates[self._last_id] = about
        return command

    def _command(self, name: str, params: ws.CommandParams) -> bytes:
        self._last_id += 1
        return msgspec.json.encode(ws.Command(id=self._last_id, cmd=name, params=params))
