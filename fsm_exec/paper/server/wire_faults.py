"""Faults of the wire: answers that never come, or end in the middle, and connections that are cut.

`FaultyApp` wraps the application, which knows nothing of faults. `Relay` stands between the client and the HTTP server,
because an application has no way to cut its server's connection without an answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias

import trio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fsm_exec.paper.faults import FaultPlan
from fsm_exec.paper.server.request_context import CURRENT_CALL, Call, kind_of
from fsm_exec.paper.timing.clock import Clock

Serve: TypeAlias = Callable[[trio.abc.Stream], Awaitable[None]]
RELAY_BYTES = 65_536
GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class FaultyApp:
    """An ASGI application whose answers suffer what the gateway decided. `cut` ends the connection of a request;
    without it (in memory) an application that returns without an answer is a connection that was cut."""

    def __init__(self, app: ASGIApp, clock: Clock, cut: Callable[[Scope], None] | None = None) -> None:
        self._app = app
        self._clock = clock
        self._cut = cut

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = Call(kind_of(scope["method"], scope["path"]))
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        token = CURRENT_CALL.set(call)
        try:
            await self._app(scope, receive, keep)
        finally:
            CURRENT_CALL.reset(token)
        await self._clock.sleep_until(self._clock.now_us() + call.slow_us)
        if call.fate == "whole":
            for message in answer:
                await send(message)
            return
        if call.fate == "cut":
            await _send_half(answer, send)
        else:
            await self._clock.sleep_until(self._clock.now_us() + call.hold_us)
        if self._cut is not None:
            self._cut(scope)


async def _send_half(answer: list[Message], send: Send) -> None:
    """The head of the answer and the first half of its body."""
    start, *rest = answer
    body = b"".join(message.get("body", b"") for message in rest)
    await send(start)
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})


class Relay:
    """Carries bytes between clients and the HTTP server on `port`; `cut` ends one connection."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._clients: dict[Any, trio.SocketStream] = {}

    def cut(self, scope: Scope) -> None:
        """End the connection of a request, as the client sees it: with a reset, and no more bytes."""
        client = self._clients.pop(tuple(scope["client"] or ()), None)
        if client is not None:
            # Lingering for nothing makes the kernel answer with a reset instead of an orderly end.
            client.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            client.socket.close()

    async def serve(self, client: trio.SocketStream) -> None:
        """Serve one connection to its end."""
        with suppress(OSError):
            server = await trio.open_tcp_stream(self._host, self._port)
            name = server.socket.getsockname()[:2]
            self._clients[name] = client
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_relay, client, server, nursery.cancel_scope)
                    nursery.start_soon(_relay, server, client, nursery.cancel_scope)
            finally:
                self._clients.pop(name, None)
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(server)
                    await trio.aclose_forcefully(client)


async def _relay(source: trio.SocketStream, sink: trio.SocketStream, both: trio.CancelScope) -> None:
    """Relay until either end has gone; then the other direction ends too, since HTTP clients do not half-close."""
    with suppress(*GONE):
        while data := await source.receive_some(RELAY_BYTES):
            await sink.send_all(data)
    both.cancel()


def with_limited_life(serve: Serve, plan: FaultPlan, clock: Clock) -> Serve:
    """Return `serve` with connections that are cut when the plan says so."""

    async def serve_a_while(stream: trio.abc.Stream) -> None:
        end_us = plan.stream_end_us(clock.now_us())
        with trio.CancelScope() as life:
            if end_us is not None:
                life.deadline = clock.deadline_s(end_us)
            await serve(stream)
        plan.counts["stream cut"] += life.cancelled_caught

    return serve_a_while
