"""One WebSocket connection, from the handshake to its end: commands in, frames out, a heartbeat every 10 s.

Serves any trio-websocket connection, whatever stream is under it. Answers that carry a `sid` go the way of the
frames of that `sid`, so that their sequence numbers arrive in order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, wrap_server_stream

from fsm_exec.paper.accounts import Account
from fsm_exec.paper.auth import Gate
from fsm_exec.paper.desk import Desk
from fsm_exec.paper.encoding import encoded, error_body
from fsm_exec.paper.errors import ApiError
from fsm_exec.paper.outbox import Outbox
from fsm_exec.paper.publishing import snapshot_body
from fsm_exec.paper.subscriptions import CHANNELS, NEEDS_MARKET, Channel, Subscription
from fsm_exec.wire.rest import WS_PATH
from fsm_exec.wire.ws import Command, CommandParams, Ok, StreamError, Subscribed

HEARTBEAT = b"heartbeat"
HEARTBEAT_S = 10
HANDSHAKE_S = 60
CLOSE_S = 5
MESSAGE_BYTES_MAX = 1_048_576
_ENCODER = msgspec.json.Encoder()
_COMMAND = msgspec.json.Decoder(Command)


class CommandError(Exception):
    """A command that is answered with an error code of the wire."""

    def __init__(self, code: int, message: str, ticker: str | None = None) -> None:
        super().__init__(message)
        self.error = StreamError(code=code, msg=message, market_ticker=ticker)


class WsHandler:
    """Serves connections; one instance for all of them."""

    def __init__(self, desk: Desk, gate: Gate) -> None:
        self._desk = desk
        self._gate = gate

    async def serve(self, stream: trio.abc.Stream) -> None:
        """One connection, to its end. Returns when the client has gone or was refused."""
        async with trio.open_nursery() as nursery:
            try:
                with trio.fail_after(HANDSHAKE_S):
                    request = await wrap_server_stream(nursery, stream, max_message_size=MESSAGE_BYTES_MAX)
                    account = await self._admit(request)
                if account is not None:
                    connection = await request.accept()
                    await _Session(self._desk, account, connection).run()
                    with trio.move_on_after(CLOSE_S):  # a dead client never answers the closing handshake
                        await connection.aclose()
            except (ConnectionClosed, trio.TooSlowError):
                pass  # the client has gone, or never finished its handshake: nothing is owed to it
            finally:
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(stream)

    async def _admit(self, request: WebSocketRequest) -> Account | None:
        """The member behind a handshake, or None after it was refused."""
        if request.path.split("?")[0] != WS_PATH:
            await request.reject(404, body=b"404 page not found")
            return None
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers}
        try:
            return self._gate.member(headers, "GET", WS_PATH)
        except ApiError as refusal:
            body = encoded(error_body(refusal))
            await request.reject(refusal.status, extra_headers=[(b"Content-Type", b"application/json")], body=body)
            return None


class _Session:
    """An admitted connection: its subscriptions by sid and its outbox."""

    def __init__(self, desk: Desk, account: Account, connection: WebSocketConnection) -> None:
        self._exchange = desk.exchange
        self._publisher = desk.exchange.publisher
        self._account = account
        self._connection = connection
        self._outbox = Outbox(desk.clock, desk.legs, desk.faults)
        self._subscriptions: dict[int, Subscription] = {}
        self._sids = 0
        self._commands: dict[str, Callable[[int, CommandParams], None]] = {
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
            "update_subscription": self._update,
        }

    async def run(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_closed, nursery, self._listen)
                nursery.start_soon(self._until_closed, nursery, self._send)
                nursery.start_soon(self._until_closed, nursery, self._beat)
                nursery.start_soon(self._until_closed, nursery, self._outbox.overflowed.wait)
        finally:
            for subscription in self._subscriptions.values():
                self._publisher.remove(subscription)

    async def _until_closed(self, nursery: trio.Nursery, part: Callable[[], Awaitable[None]]) -> None:
        """Run one part of the session; when it ends, or the client has gone, the session ends."""
        with suppress(ConnectionClosed):
            await part()
        nursery.cancel_scope.cancel()

    async def _send(self) -> None:
        await self._outbox.run(self._connection.send_message)

    async def _beat(self) -> None:
        """Ends when a ping stays unanswered for a whole interval: the client is dead."""
        while True:
            await trio.sleep(HEARTBEAT_S)
            with trio.move_on_after(HEARTBEAT_S) as waiting:
                await self._connection.ping(HEARTBEAT)
            if waiting.cancelled_caught:
                return

    async def _listen(self) -> None:
        while True:
            message = await self._connection.get_message()
            self._exchange.timeline.advance()
            self._obey(message)

    # Commands

    def _obey(self, message: str | bytes) -> None:
        try:
            command = _COMMAND.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._answer({"type": "error", "msg": StreamError(code=1, msg="Unable to process message")})
            return
        try:
            self._act(command)
        except CommandError as refused:
            self._answer({"type": "error", "id": command.id, "msg": refused.error})

    def _act(self, command: Command) -> None:
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
        """An answer about no subscription; an id of 0 is none."""
        shown = {name: value for name, value in frame.items() if name != "id" or value}
        self._outbox.public(_ENCODER.encode(shown), self._exchange.timeline.now_us())

    def _subscribe(self, command_id: int, params: CommandParams) -> None:
        if not params.channels:
            raise CommandError(3, "Channels required")
        channels: list[Channel] = []
        for name in params.channels:
            channel = next((known for known in CHANNELS if known == name), None)
            if channel is None:
                raise CommandError(8, "Unknown channel name")
            channels.append(channel)
        tickers = self._tickers(params)
        if tickers is None and any(channel in NEEDS_MARKET for channel in channels):
            raise CommandError(14, "Market ticker required")
        now_us = self._exchange.timeline.now_us()
        for channel in channels:
            self._sids += 1
            subscription = Subscription(
                self._sids,
                channel,
                self._account.account_id,
                self._outbox,
                None if tickers is None else dict.fromkeys(tickers),
                yes_prices=params.use_yes_price,
            )
            self._subscriptions[subscription.sid] = subscription
            self._publisher.add(subscription)
            answer = Subscribed(channel=channel, sid=subscription.sid)
            self._answer({"type": "subscribed", "id": command_id, "msg": answer})
            if channel == "orderbook_delta":
                self._send_snapshots(subscription, tickers or (), now_us)

    def _unsubscribe(self, command_id: int, params: CommandParams) -> None:
        sids = params.sids or ([] if params.sid is None else [params.sid])
        if not sids:
            raise CommandError(4, "Subscription IDs required")
        chosen = [self._subscription(sid) for sid in dict.fromkeys(sids)]
        for subscription in chosen:
            del self._subscriptions[subscription.sid]
            self._publisher.remove(subscription)
            subscription.send("unsubscribed", None, self._exchange.timeline.now_us(), command_id=command_id)

    def _update(self, command_id: int, params: CommandParams) -> None:
        sids = params.sids or ([] if params.sid is None else [params.sid])
        if len(sids) != 1:
            raise CommandError(12, "Exactly one subscription ID required")
        subscription = self._subscription(sids[0])
        if params.action is None:
            raise CommandError(15, "Action required")
        if params.action not in ("add_markets", "delete_markets", "get_snapshot"):
            raise CommandError(13, "Unsupported action")
        tickers = self._tickers(params)
        if tickers is None:
            raise CommandError(14, "Market ticker required")
        now_us = self._exchange.timeline.now_us()
        if params.action == "get_snapshot":
            if subscription.channel != "orderbook_delta":
                raise CommandError(13, "Unsupported action")
            self._send_snapshots(subscription, tickers, now_us, command_id=command_id)
            return
        held = subscription.tickers or {}
        added: list[str] = []
        if params.action == "add_markets":
            added = [ticker for ticker in tickers if ticker not in held]
            subscription.tickers = {**held, **dict.fromkeys(added)}
        else:
            subscription.tickers = {ticker: None for ticker in held if ticker not in tickers}
        body = _ENCODER.encode(Ok(market_tickers=list(subscription.tickers)))
        subscription.send("ok", body, now_us, command_id=command_id)
        if subscription.channel == "orderbook_delta":
            self._send_snapshots(subscription, added, now_us)

    def _subscription(self, sid: int) -> Subscription:
        subscription = self._subscriptions.get(sid)
        if subscription is None:
            raise CommandError(7, "Unknown subscription ID")
        return subscription

    def _tickers(self, params: CommandParams) -> list[str] | None:
        """The markets of a command, each once; None if it names none. An unknown market is an invalid parameter."""
        named = [*(params.market_tickers or ()), *(() if params.market_ticker is None else (params.market_ticker,))]
        for ticker in named:
            if ticker not in self._exchange.markets:
                raise CommandError(11, "Invalid parameter", ticker)
        return list(dict.fromkeys(named)) or None

    def _send_snapshots(
        self, subscription: Subscription, tickers: list[str] | tuple[str, ...], now_us: int, *, command_id: int = 0
    ) -> None:
        for ticker in tickers:
            body = snapshot_body(self._exchange.markets[ticker], yes_prices=subscription.yes_prices)
            subscription.send("orderbook_snapshot", body, now_us, command_id=command_id)
