"""The stream: one WebSocket connection after another until cancelled, each with its own `Conversation`.

A connection is alive when a frame arrives or when it answers a ping of ours. The exchange pings every 10 s, but
trio-websocket answers those itself and hides them; so after a quiet moment we ping, and the pong is the sign of life.
Silence, an error or a close ends the connection; the next one is dialled after a growing, jittered pause.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, NoReturn, TypeAlias

import trio
import trio_websocket
from wsproto.utilities import ProtocolError

from fsm_exec.core.exchange_port import StreamListener
from fsm_exec.core.trouble import Trouble
from fsm_exec.core.values.units import US_PER_MS
from fsm_exec.kalshi import network_errors
from fsm_exec.kalshi.conversation import Conversation
from fsm_exec.kalshi.listener_guard import StreamLost, call_listener
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.market_poller import MarketPoller
from fsm_exec.kalshi.signing import EXPIRED, Signer, ignore_expired_signature
from fsm_exec.kalshi.websocket_dial import Dial, FrameConnection
from fsm_exec.wire.rest import WS_PATH, error_detail

Tap: TypeAlias = Callable[[str | bytes, int], None]
"""Receives every frame, and the wall time in unix microseconds."""

DIAL_TIMEOUT_S: Final = 15
SEND_TIMEOUT_S: Final = 10
CLOSE_TIMEOUT_S: Final = 2
QUIET_S: Final = 10  # then we ping: the exchange's own pings come as often, so a quiet market costs little more
SILENCE_S: Final = 25  # then the connection is given up: two and a half of the exchange's pings
PATIENCE_S: Final = 15  # for acknowledgements and for snapshots asked for
assert QUIET_S < SILENCE_S

PAUSE_FIRST_S: Final = 0.5
PAUSE_MAX_S: Final = 30.0
PAUSE_DOUBLINGS_MAX: Final = 10  # 0.5 s doubled ten times is beyond the maximum already
STEADY_S: Final = 60  # a connection that lived so long was a good one: the next pause is the first again


CONNECTION_ERRORS = (
    StreamLost,
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.TooSlowError,
    trio_websocket.HandshakeError,
    trio_websocket.ConnectionClosed,
    ProtocolError,
)


def pause_s(failures: int, rng: random.Random) -> float:
    """Return how long to wait before dialling again after `failures` failures in a row: exponential backoff with jitter
    between half and all of it, so that many clients do not come back together."""
    longest = min(PAUSE_MAX_S, PAUSE_FIRST_S * (1 << min(failures, PAUSE_DOUBLINGS_MAX)))
    return longest * (0.5 + 0.5 * rng.random())


class WantedMarkets:
    """The markets the stream is to carry, and an event whenever they change."""

    def __init__(self) -> None:
        self.tickers: dict[str, None] = {}
        self._changed = trio.Event()

    def add(self, ticker: str) -> None:
        self.tickers[ticker] = None
        self._changed.set()

    def remove(self, ticker: str) -> None:
        self.tickers.pop(ticker, None)
        self._changed.set()

    async def wait_changed(self) -> None:
        await self._changed.wait()
        self._changed = trio.Event()


class KalshiStream:
    """Implements `stream`, `watch` and `unwatch` of `core.exchange_port.Exchange`. One call of `run` at a time per
    object.

    `tap`, if given, sees every frame as it came and when, before anything else does: for recordings. `poller`, if
    given, reads what the stream does not carry of the markets' status; `on_expired_signature` is called when the
    exchange finds a handshake's signature expired. Orders and fills of other subaccounts than `subaccount` (None: of
    none) are left out.
    """

    def __init__(
        self,
        dial: Dial,
        signer: Signer,
        wall_us: Callable[[], int],
        rng: random.Random,
        log: Log,
        tap: Tap | None = None,
        poller: MarketPoller | None = None,
        on_expired_signature: Callable[[], None] = ignore_expired_signature,
        subaccount: int | None = None,
    ) -> None:
        self._dial = dial
        self._subaccount = subaccount
        self._signer = signer
        self._wall_us = wall_us
        self._rng = rng
        self._log = log
        self._tap = tap
        self._poller = poller
        self._on_expired_signature = on_expired_signature
        self._wanted = WantedMarkets()
        self._losses = Trouble(log, "stream_lost", "why")
        self.trouble: str | None = None  # why the last connection or dial ended; None: one is open, or none was tried

    def watch(self, ticker: str) -> None:
        self._wanted.add(ticker)
        if self._poller is not None:
            self._poller.poll_soon()  # a change between the reading of its terms and now reached no listener

    def unwatch(self, ticker: str) -> None:
        self._wanted.remove(ticker)

    async def run(self, listener: StreamListener, tickers: Sequence[str]) -> NoReturn:
        """Run the stream until cancelled. The listener's `connected` and `disconnected` are called in turns; a dial
        that fails is only logged. A listener that raises is logged as an error and costs the connection: its state is
        not known any more, and the next connection starts from snapshots."""
        for ticker in tickers:
            self._wanted.add(ticker)
        async with trio.open_nursery() as nursery:
            if self._poller is not None:
                nursery.start_soon(self._poller.run, listener, self._wanted.tickers)
            await self._reconnect_forever(listener)

    async def _reconnect_forever(self, listener: StreamListener) -> NoReturn:
        failures = 0
        while True:
            connection = _Connection(
                listener,
                self._wanted,
                self._wall_us,
                self._log,
                self._tap_frame,
                self._poller,
                self._clear_trouble,
                self._losses.end,
                self._subaccount,
            )
            began_s = trio.current_time()
            why = self.trouble = await self._run_connection(connection)
            if connection.open:
                with suppress(StreamLost):  # it is lost already
                    call_listener(self._log, partial(listener.disconnected, why))
            lived_s = trio.current_time() - began_s
            if connection.open and lived_s >= STEADY_S:
                failures = 0
            wait_s = pause_s(failures, self._rng)
            failures += 1
            self._losses.record(why, was_open=connection.open, failures=failures)
            await trio.sleep(wait_s)

    def _clear_trouble(self) -> None:
        self.trouble = None

    def _tap_frame(self, frame: str | bytes) -> None:
        if self._tap is not None:
            self._tap(frame, self._wall_us())

    async def _run_connection(self, connection: _Connection) -> str:
        """Dial and serve one connection to its end. Returns why it ended."""
        why = "ended"
        try:
            async with trio.open_nursery() as nursery:
                with trio.fail_after(DIAL_TIMEOUT_S):
                    socket = await self._dial(nursery, self._handshake_headers())
                try:
                    await connection.serve(socket)
                finally:
                    with trio.move_on_after(CLOSE_TIMEOUT_S):
                        await socket.aclose()
        except* CONNECTION_ERRORS as group:
            why = _describe_group(group)
            if group.subgroup(_is_expired) is not None:
                self._on_expired_signature()
        return why

    def _handshake_headers(self) -> list[tuple[bytes, bytes]]:
        # The path is signed as the exchange knows it, also where the dial leads to a proxy or a test server.
        signed = self._signer.signed_headers("GET", WS_PATH, self._wall_us() // US_PER_MS)
        return [(name.encode(), value.encode()) for name, value in signed.items()]


class _Connection:
    """One connection: reads frames, watches for silence, sends commands."""

    def __init__(
        self,
        listener: StreamListener,
        wanted: WantedMarkets,
        wall_us: Callable[[], int],
        log: Log,
        tap: Callable[[str | bytes], None],
        poller: MarketPoller | None,
        opened: Callable[[], None],
        steady: Callable[[], None],
        subaccount: int | None,
    ) -> None:
        self._listener = listener
        self._clear_trouble, self._end_losses = opened, steady
        self._wanted = wanted
        self._log = log
        self._tap = tap
        self._conversation = Conversation(listener, wanted.tickers, wall_us, log, poller, subaccount)
        self._poller = poller
        self._began_s = self._heard_s = trio.current_time()
        self._is_steady = False
        self._pings = 0
        self.open = False

    async def serve(self, socket: FrameConnection) -> NoReturn:
        """Serve the connection until it fails. Raises one of CONNECTION_ERRORS, alone or in a group."""
        self._began_s = self._heard_s = trio.current_time()
        await self._send(socket, self._conversation.subscribe_all(self._heard_s))
        self.open = True
        self._clear_trouble()
        call_listener(self._log, self._listener.connected)
        if self._poller is not None:
            self._poller.note_connection()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_for_silence, socket)
            nursery.start_soon(self._sync_subscriptions, socket)
            while True:
                frame = await socket.get_message()
                self._tap(frame)
                self._note_frame()
                await self._send(socket, self._conversation.receive(frame, self._heard_s))

    def _note_frame(self) -> None:
        self._heard_s = trio.current_time()
        if not self._is_steady and self._heard_s - self._began_s >= STEADY_S:
            self._is_steady = True
            self._end_losses()
        call_listener(self._log, self._listener.heard)

    async def _sync_subscriptions(self, socket: FrameConnection) -> NoReturn:
        """Keep the subscriptions in line with the wanted markets."""
        while True:
            await self._wanted.wait_changed()
            await self._send(socket, self._conversation.sync(trio.current_time()))

    async def _watch_for_silence(self, socket: FrameConnection) -> NoReturn:
        while True:
            await trio.sleep_until(self._heard_s + QUIET_S)
            now_s = trio.current_time()
            await self._send(socket, self._conversation.request_overdue(now_s, PATIENCE_S))
            # The very sum slept for: with a difference, rounding could make this loop spin while the clock stands.
            if now_s >= self._heard_s + QUIET_S:
                await self._probe(socket)

    async def _probe(self, socket: FrameConnection) -> None:
        """Ping and wait for a sign of life. Raises StreamLost when there is none for SILENCE_S."""
        self._pings += 1
        with trio.move_on_at(self._heard_s + SILENCE_S) as scope:
            await socket.ping(b"fx%d" % self._pings)
            self._note_frame()
        if scope.cancelled_caught and trio.current_time() >= self._heard_s + SILENCE_S:
            raise StreamLost(f"nothing heard for {SILENCE_S} s")

    async def _send(self, socket: FrameConnection, commands: Sequence[bytes]) -> None:
        if commands:
            with trio.fail_after(SEND_TIMEOUT_S):
                for command in commands:
                    await socket.send_message(command.decode())


def _is_expired(error: BaseException) -> bool:
    return isinstance(error, trio_websocket.ConnectionRejected) and error_detail(error.body or b"").code == EXPIRED


def _describe_group(group: BaseExceptionGroup[BaseException]) -> str:
    """Describe the errors of a connection on one line, without anything the handshake carried."""
    parts: list[str] = []
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            parts.append(_describe_group(error))
        elif isinstance(error, trio_websocket.ConnectionRejected):
            detail = error_detail(error.body or b"")
            parts.append(f"handshake refused: {error.status_code} {detail.code[:60]}")
        elif isinstance(error, trio.TooSlowError):
            parts.append("the other end does not answer")
        else:
            parts.append(network_errors.describe_error(error))
    return "; ".join(parts)
