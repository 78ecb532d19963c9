"""The commands of one WebSocket connection, and the subscriptions they make (wire/README.md 10).

Answers that carry a `sid` go the way of the frames of that `sid`, so that their sequence numbers arrive in order. What
a second subscription to a channel does is not confirmed by any source: here it is one more, with a sid of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.server.rate_limit import Rate, TokenBucket
from fsm_exec.paper.timing.clock import TimeSource
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.publisher import snapshot_body, ticker_body
from fsm_exec.paper.venue.subscriptions import CHANNELS, NEEDS_MARKET, TAKES_NO_MARKET, Channel, Sink, Subscription
from fsm_exec.wire.ws import Command, CommandParams, Ok, StreamError, Subscribed

COMMAND_RATE = Rate(10_000, 10_000)
MARKETS_MAX = 500_000  # of all subscriptions of a connection together
ACTIONS = ("add_markets", "delete_markets", "get_snapshot")

_ENCODER = msgspec.json.Encoder()
_COMMAND = msgspec.json.Decoder(Command)


class CommandError(Exception):
    """A command that is answered with an error code of the wire; `about` the subscription it is about, if it is."""

    def __init__(self, code: int, message: str, ticker: str | None = None, about: Subscription | None = None) -> None:
        super().__init__(message)
        self.error = StreamError(code=code, msg=message, market_ticker=ticker)
        self.about = about


class CommandHandler:
    """Synchronous: `obey` reads one message and puts every answer into the connection's sink."""

    def __init__(self, exchange: Exchange, account: Account, sink: Sink, wall: TimeSource) -> None:
        self._exchange = exchange
        self._account = account
        self._sink = sink
        self._wall = wall
        self._bucket = TokenBucket(COMMAND_RATE, wall.now_us())
        self._subscriptions: dict[int, Subscription] = {}
        self._sids = 0
        self._commands: dict[str, Callable[[int, CommandParams], None]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "update_subscription": self._update_subscription,
        }

    def handle(self, message: str | bytes) -> None:
        command: Command | None
        try:
            command = _COMMAND.decode(message)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            command = None
        if command is None or command.id < 0:  # an id is a number that can be given back
            self._answer({"type": "error", "msg": StreamError(code=1, msg="Unable to process message")})
            return
        try:
            self._act(command)
        except CommandError as refused:
            if refused.about is None:
                self._answer({"type": "error", "id": command.id, "msg": refused.error})
            else:
                refused.about.send("error", _ENCODER.encode(refused.error), self._now_us(), command_id=command.id)

    def close_all(self) -> None:
        """End all subscriptions of a connection that has gone."""
        for subscription in self._subscriptions.values():
            self._exchange.publisher.remove(subscription)

    def _now_us(self) -> int:
        return self._exchange.timeline.now_us()

    def _act(self, command: Command) -> None:
        if not self._bucket.take(1, self._wall.now_us()):
            raise CommandError(27, "Too many requests")
        if command.cmd == "list_subscriptions":
            listing = [Subscribed(channel=s.channel, sid=s.sid) for s in self._subscriptions.values()]
            self._answer({"type": "ok", "id": command.id, "msg": listing})
            return
        action = self._commands.get(command.cmd)
        if action is None:
            raise CommandError(5, "Unknown command")
        if command.params is None:
            raise CommandError(2, "Params required")
        action(command.id, command.params)

    def _answer(self, frame: dict[str, object]) -> None:
        """Send an answer that belongs to no subscription; an id of 0 counts as none."""
        shown = {name: value for name, value in frame.items() if name != "id" or value}
        self._sink.public(_ENCODER.encode(shown), self._now_us())

    # Subscribing

    def _subscribe(self, command_id: int, params: CommandParams) -> None:
        if not params.channels:
            raise CommandError(3, "Channels required")
        channels: list[Channel] = []
        for name in params.channels:
            channel = next((known for known in CHANNELS if known == name), None)
            if channel is None:
                raise CommandError(8, "Unknown channel name")
            channels.append(channel)
        if (params.market_id or params.market_ids) and set(channels) != {"ticker"}:
            raise CommandError(11, "Invalid parameter")
        tickers = self._tickers(params)
        if tickers is None and any(channel in NEEDS_MARKET for channel in channels):
            raise CommandError(14, "Market ticker required")
        self._check_room(len(tickers or ()) * len(channels))
        for channel in channels:
            self._open_subscription(command_id, channel, None if channel in TAKES_NO_MARKET else tickers, params)

    def _open_subscription(
        self, command_id: int, channel: Channel, tickers: list[str] | None, params: CommandParams
    ) -> None:
        self._sids += 1
        subscription = Subscription(
            self._sids,
            channel,
            self._account.account_id,
            self._sink,
            None if tickers is None else dict.fromkeys(tickers),
            yes_prices=bool(params.use_yes_price),
            on_overflow=self._on_overflow,
        )
        self._subscriptions[subscription.sid] = subscription
        self._exchange.publisher.add(subscription)
        self._answer({"type": "subscribed", "id": command_id, "msg": Subscribed(channel=channel, sid=subscription.sid)})
        self._send_initial_state(subscription, list(self._exchange.markets) if tickers is None else tickers, params)

    def _send_initial_state(
        self, subscription: Subscription, tickers: list[str], params: CommandParams, *, command_id: int = 0
    ) -> None:
        """Send the state of markets that are new to a subscription: the book always, the ticker on request."""
        now_us = self._now_us()
        for ticker in tickers:
            market = self._exchange.markets[ticker]
            if subscription.channel == "orderbook_delta":
                body = snapshot_body(market, yes_prices=subscription.yes_prices)
                subscription.send("orderbook_snapshot", body, now_us, command_id=command_id)
            elif subscription.channel == "ticker" and params.send_initial_snapshot:
                subscription.send("ticker", ticker_body(market, now_us), now_us)

    def _unsubscribe(self, command_id: int, params: CommandParams) -> None:
        sids = params.sids or ([] if params.sid is None else [params.sid])
        if not sids:
            raise CommandError(4, "Subscription IDs required")
        for subscription in [self._subscription(sid) for sid in dict.fromkeys(sids)]:
            self._drop_subscription(subscription)
            subscription.send("unsubscribed", None, self._now_us(), command_id=command_id)

    def _on_overflow(self, subscription: Subscription) -> None:
        """End the subscription of a consumer that is too slow, with an error frame of its own."""
        self._drop_subscription(subscription)
        error = StreamError(code=25, msg="Subscription buffer overflow")
        subscription.send_despite_overflow("error", _ENCODER.encode(error), self._now_us())

    def _drop_subscription(self, subscription: Subscription) -> None:
        self._subscriptions.pop(subscription.sid, None)
        self._exchange.publisher.remove(subscription)

    # Changing

    def _update_subscription(self, command_id: int, params: CommandParams) -> None:
        sids = params.sids or ([] if params.sid is None else [params.sid])
        if len(sids) != 1:
            raise CommandError(12, "Exactly one subscription ID required")
        subscription = self._subscription(sids[0])
        if params.action is None:
            raise CommandError(15, "Action required", about=subscription)
        if params.action not in ACTIONS or subscription.channel in TAKES_NO_MARKET:
            raise CommandError(13, "Unsupported action", about=subscription)
        tickers = self._tickers(params, subscription)
        if tickers is None:
            raise CommandError(14, "Market ticker required", about=subscription)
        if params.action == "get_snapshot":
            if subscription.channel != "orderbook_delta":
                raise CommandError(13, "Unsupported action", about=subscription)
            self._send_initial_state(subscription, tickers, params, command_id=command_id)
            return
        added = self._change_markets(subscription, params.action, tickers)
        shown = None if params.skip_ticker_ack else list(subscription.tickers or ())
        body = _ENCODER.encode(Ok(market_tickers=shown))
        subscription.send("ok", body, self._now_us(), command_id=command_id)
        self._send_initial_state(subscription, added, params)

    def _change_markets(self, subscription: Subscription, action: str, tickers: list[str]) -> list[str]:
        """Add or delete markets. Returns those that are new to the subscription; one of all markets has none to add."""
        held = subscription.tickers
        if action == "delete_markets":
            kept = self._exchange.markets if held is None else held
            subscription.tickers = {ticker: None for ticker in kept if ticker not in tickers}
            return []
        if held is None:
            return []
        added = [ticker for ticker in tickers if ticker not in held]
        self._check_room(len(added), subscription)
        subscription.tickers = {**held, **dict.fromkeys(added)}
        return added

    # Checks

    def _subscription(self, sid: int) -> Subscription:
        subscription = self._subscriptions.get(sid)
        if subscription is None:
            raise CommandError(7, "Unknown subscription ID")
        return subscription

    def _tickers(self, params: CommandParams, about: Subscription | None = None) -> list[str] | None:
        """Return the markets of a command, each once; None if it names none. An unknown market is an invalid
        parameter."""
        markets = self._exchange.markets
        named = [*(params.market_tickers or ()), *((params.market_ticker,) if params.market_ticker else ())]
        for ticker in named:
            if ticker not in markets:
                raise CommandError(11, "Invalid parameter", ticker, about)
        wanted = {*(params.market_ids or ()), *((params.market_id,) if params.market_id else ())}
        by_id = [ticker for ticker, market in markets.items() if market.market_id in wanted] if wanted else []
        if len(by_id) != len(wanted):
            raise CommandError(11, "Invalid parameter", about=about)
        return list(dict.fromkeys([*named, *by_id])) or None

    def _check_room(self, more: int, about: Subscription | None = None) -> None:
        if more + sum(len(s.tickers or ()) for s in self._subscriptions.values()) > MARKETS_MAX:
            raise CommandError(26, "Subscription market limit exceeded", about=about)
