"""Steps are encoded as server-sent events for a browser, curl and the client, one JSON document each.

The `id` of each is the reader's place: first that at which it begins, then the row's. A `quarantine` has none: it comes
when the stream begins and when one changes, and may come again. A comment is sent now and then, so that a reader can
tell quiet from dead. A quarantine is no row of the journal because it is no fact of the execution, whose fold must not
depend on it. The stream ends with an `end` event that says why; one without it was cut.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import msgspec
import trio
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from fsm_exec.control.api_errors import Refusal
from fsm_exec.control.responses import error_response
from fsm_exec.control.schema import Ended, QuarantineSeen, Transition

KEEP_ALIVE_S: Final = 15
Emit: TypeAlias = Callable[[bytes], Awaitable[None]]
Producer: TypeAlias = Callable[[Emit], Awaitable[None]]

ALIVE: Final = b": alive\n\n"


def encode_place(place: int) -> bytes:
    return b": from here on\nid: %d\n\n" % place


def encode_step(place: int, step: Transition) -> bytes:
    return b"id: %d\nevent: step\ndata: %s\n\n" % (place, msgspec.json.encode(step))


def encode_quarantine(quarantine: QuarantineSeen) -> bytes:
    return b"event: quarantine\ndata: %s\n\n" % msgspec.json.encode(quarantine)


def encode_end(why: str) -> bytes:
    return b"event: end\ndata: %s\n\n" % msgspec.json.encode(Ended(why=why))


class EventStream(Response):
    """The response runs `produce` until it returns or the reader goes. A Refusal raised before the first event is an
    answer of its own."""

    def __init__(self, produce: Producer) -> None:
        super().__init__()
        self._produce = produce

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def emit(chunk: bytes) -> None:
            nonlocal begun
            if not begun:
                begun = True
                await send(_start_message())
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when_gone, receive, nursery.cancel_scope)
            try:
                await self._produce(emit)
            except Refusal as refusal:
                if begun:
                    await emit(encode_end(refusal.message))
                else:
                    await error_response(refusal)(scope, receive, send)
            if begun:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            nursery.cancel_scope.cancel()


async def _cancel_when_gone(receive: Receive, scope: trio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _start_message() -> Message:
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    return {"type": "http.response.start", "status": 200, "headers": headers}
