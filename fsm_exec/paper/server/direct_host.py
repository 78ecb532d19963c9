"""The shortest way between an exchange and a client in one process: requests that are calls, in the caller's own task,
and whole frames, in the task that advances time.

What endpoints and commands do and every body's and frame's text are the same as over sockets; HTTP, signatures of
requests, handshakes, pings and framing are missing. For many short sessions on virtual time, where they are most of the
cost. A caller that gives up stops nothing: a write is executed on the timeline, whoever waits for it. What happens at
the exchange is executed when it can first be seen from outside, a leg of latency later: at its own time all the same,
and in its own order, since whoever looks earlier advances the timeline first. So an event and its frame are one waking.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import httpx
import trio
from trio_websocket import ConnectionRejected

from fsm_exec.paper.errors import ApiError
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.server.auth import Authenticator, unknown_key
from fsm_exec.paper.server.frame_pair import FrameEnd
from fsm_exec.paper.server.hosting import MEMORY_HOST
from fsm_exec.paper.server.latency_gateway import LatencyGateway
from fsm_exec.paper.server.outbox import Outbox
from fsm_exec.paper.server.rest import RestApp
from fsm_exec.paper.server.ws import MemberSession
from fsm_exec.paper.timing.clock import Clock
from fsm_exec.paper.timing.latency import Latency
from fsm_exec.paper.timing.timeline import Timeline
from fsm_exec.paper.venue.encoding import encode, error_body
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.wire.answer import Answer
from fsm_exec.wire.rest import API_PREFIX, WS_PATH


class DirectTransport:
    """Carries requests to the application. Implements what the client calls by that name."""

    def __init__(self, app: RestApp, gate: Authenticator) -> None:
        self._app, self._gate = app, gate
        self.closed = False

    async def call(
        self, api_key_id: str, method: str, path: str, query: Sequence[tuple[str, str]], body: bytes | None
    ) -> Answer:
        """Serve one request of the member with that key. Raises httpx.ConnectError once the exchange has gone."""
        if self.closed:
            raise httpx.ConnectError("the exchange has gone")
        caller = _Member(self._gate.find_member(api_key_id))
        reply = await self._app.answer(method, API_PREFIX + path, query, body, caller)
        return Answer(reply.status, reply.body)


class _Member(NamedTuple):
    """Who calls. Nobody can call under another name, so nothing is signed."""

    account: Account | None

    def authenticate(self) -> Account:
        if self.account is None:
            raise unknown_key()
        return self.account

    def find_claimed(self) -> Account | None:
        return self.account


class DirectHost:
    """An exchange in this process. `base_url`, `transport` and `dial` are what a client needs."""

    base_url = f"http://{MEMORY_HOST}{API_PREFIX}"

    def __init__(self, nursery: trio.Nursery, gateway: LatencyGateway, gate: Authenticator, carrier: Carrier) -> None:
        self._nursery, self._gateway, self._gate, self._carrier = nursery, gateway, gate, carrier
        self.transport = DirectTransport(RestApp(gateway, gate), gate)

    async def dial(self, _: trio.Nursery, headers: list[tuple[bytes, bytes]]) -> FrameEnd:
        """Open a connection. Raises ConnectionRejected, as a refused handshake does."""
        shown = {name.decode().lower(): value.decode() for name, value in headers}
        try:
            self._gateway.exchange.require_up()
            account = self._gate.authenticate(shown, "GET", WS_PATH)
        except ApiError as refusal:
            raise ConnectionRejected(refusal.status, (), encode(error_body(refusal))) from None
        client, server = FrameEnd.pair()
        self._nursery.start_soon(self._serve, account, server)
        await trio.lowlevel.checkpoint()
        return client

    async def _serve(self, account: Account, server: FrameEnd) -> None:
        await MemberSession(self._gateway, account, server, self._carrier.carry).run()
        await server.aclose()


class Carrier:
    """Advances the exchange and hands out the frames that are due, all in one task. `unseen_us`: how long what happens
    at the exchange stays there before anybody outside can know of it."""

    def __init__(self, timeline: Timeline, clock: Clock, unseen_us: int) -> None:
        self._timeline, self._clock, self._unseen_us = timeline, clock, unseen_us
        self._lines: dict[Outbox, FrameEnd] = {}
        self._sleeping: trio.CancelScope | None = None

    async def carry(self, outbox: Outbox, connection: FrameEnd) -> None:
        """Carry an outbox's frames until cancelled."""
        self._lines[outbox] = connection
        outbox.on_earlier = self._wake
        self._wake()
        try:
            await trio.sleep_forever()
        finally:
            del self._lines[outbox]

    async def run(self) -> None:
        """Run for ever. Ends only by cancellation."""
        self._timeline.on_earlier = self._wake
        while True:
            due_us = self._next_due_us()
            if due_us is not None and due_us <= self._clock.now_us():
                await trio.lowlevel.checkpoint()
            else:
                with trio.CancelScope() as self._sleeping:
                    if due_us is not None:
                        self._sleeping.deadline = self._clock.deadline_s(due_us)
                    await trio.sleep_forever()
                self._sleeping = None
            self._timeline.advance()
            for outbox, connection in self._lines.items():
                for frame in outbox.take_due(self._clock.now_us()):
                    connection.put(frame)

    def _next_due_us(self) -> int | None:
        happens_us = self._timeline.next_due_us()
        dues = [due_us for outbox in self._lines if (due_us := outbox.next_due_us()) is not None]
        if happens_us is not None:
            dues.append(happens_us + self._unseen_us)
        return min(dues, default=None)

    def _wake(self) -> None:
        if self._sleeping is not None:
            self._sleeping.cancel()


@asynccontextmanager
async def host_directly(
    exchange: Exchange, clock: Clock, gate: Authenticator, latency: Latency
) -> AsyncIterator[DirectHost]:
    """Serve `exchange` to this process until the block ends."""
    gateway = LatencyGateway(exchange, clock, latency)
    legs = (latency.feed_us, latency.response_us)
    carrier = Carrier(exchange.timeline, clock, min(leg if isinstance(leg, int) else 0 for leg in legs))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(carrier.run)
        host = DirectHost(nursery, gateway, gate, carrier)
        try:
            yield host
        finally:
            host.transport.closed = True
        nursery.cancel_scope.cancel()
