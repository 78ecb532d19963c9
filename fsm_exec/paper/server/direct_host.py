"""The shortest way between an exchange and a client in one process: whole frames, in the task that advances time.

The application, what a connection's commands do and every frame's text are the same as over sockets; handshakes, pings
and framing are missing. For many short sessions on virtual time, where they are most of the cost. What happens at the
exchange is executed when it can first be seen from outside, a leg of latency later: at its own time all the same, and
in its own order, since whoever looks earlier advances the timeline first. So an event and its frame are one waking.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import trio

from fsm_exec.paper.server.asgi_transport import MemoryTransport
from fsm_exec.paper.server.auth import Authenticator
from fsm_exec.paper.server.frame_pair import FrameEnd
from fsm_exec.paper.server.hosting import MEMORY_HOST
from fsm_exec.paper.server.latency_gateway import LatencyGateway
from fsm_exec.paper.server.outbox import Outbox
from fsm_exec.paper.server.rest import RestApp
from fsm_exec.paper.server.ws import MemberSession
from fsm_exec.paper.timing.clock import Clock
from fsm_exec.paper.timing.latency import Latency
from fsm_exec.paper.timing.timeline import Timeline
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.wire.rest import API_PREFIX, WS_PATH


class DirectHost:
    """An exchange in this process. `base_url`, `transport` and `dial` are what a client needs."""

    base_url = f"http://{MEMORY_HOST}{API_PREFIX}"

    def __init__(self, nursery: trio.Nursery, gateway: LatencyGateway, gate: Authenticator, carrier: Carrier) -> None:
        self._nursery, self._gateway, self._gate, self._carrier = nursery, gateway, gate, carrier
        self.transport: httpx.AsyncBaseTransport = MemoryTransport(nursery, RestApp(gateway, gate).answer)

    async def dial(self, _: trio.Nursery, headers: list[tuple[bytes, bytes]]) -> FrameEnd:
        """Open a connection. Raises ApiError where a handshake would be refused."""
        shown = {name.decode().lower(): value.decode() for name, value in headers}
        account = self._gate.authenticate(shown, "GET", WS_PATH)
        client, server = FrameEnd.pair()
        self._nursery.start_soon(MemberSession(self._gateway, account, server, self._carrier.carry).run)
        await trio.lowlevel.checkpoint()
        return client


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
        yield DirectHost(nursery, gateway, gate, carrier)
        nursery.cancel_scope.cancel()
