"""Bends for requests and handshakes; see `bends`. Each function here makes one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import trio

from tests.bending.bends import Bends, Cut, Forward, Headers, Reply, Request, RequestBend, wait
from tests.bending.editing import GONE, edited

JSON: Headers = ((b"content-type", b"application/json"),)


def hold(until: float | trio.Event, *, answered: bool = False) -> RequestBend:
    """Let it wait, for seconds or until the event; `answered`: the exchange has it, and its answer waits."""

    async def bend(request: Request, forward: Forward) -> Reply:
        if answered:
            reply = await forward(request)
            await wait(until)
            return reply
        await wait(until)
        return await forward(request)

    return bend


def drop(*, arrives: bool = False) -> RequestBend:
    """Never answer; `arrives`: the exchange gets it."""

    async def bend(request: Request, forward: Forward) -> Reply:
        if arrives:
            await forward(request)
        await trio.sleep_forever()

    return bend


def cut(*, arrives: bool = False, half: bool = False) -> RequestBend:
    """End the connection without an answer; `arrives`: the exchange gets it; `half`: after half of its answer."""

    async def bend(request: Request, forward: Forward) -> Reply:
        reply = await forward(request) if arrives or half else None
        raise Cut(reply if half else None)

    return bend


def answer(status: int, body: object = b"", headers: Headers = JSON, *, arrives: bool = False) -> RequestBend:
    """Answer this; `arrives`: the exchange gets it, and what it answered is thrown away (accepted, then 503)."""
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)

    async def bend(request: Request, forward: Forward) -> Reply:
        if arrives:
            await forward(request)
        return Reply(status, content, headers)

    return bend


def error(status: int, code: str = "internal_error", *, arrives: bool = False) -> RequestBend:
    """Answer with an error in the exchange's own form."""
    return answer(status, {"error": {"code": code, "message": code.replace("_", " ")}}, arrives=arrives)


def sent_twice(*, first: bool = False) -> RequestBend:
    """Send it on twice, one after the other, and answer with the second answer (or the `first`)."""

    async def bend(request: Request, forward: Forward) -> Reply:
        replies = (await forward(request), await forward(request))
        return replies[0 if first else 1]

    return bend


def answered_twice() -> RequestBend:
    """Write the same whole answer to the connection twice: the second stands where nobody asked."""

    async def bend(request: Request, forward: Forward) -> Reply:
        return (await forward(request))._replace(copies=2)

    return bend


def changed(path: str, to: Any) -> RequestBend:  # noqa: ANN401 - whatever JSON holds
    """Change one field of the answer's body, as `editing.edited` does; a body that is no JSON passes."""

    async def bend(request: Request, forward: Forward) -> Reply:
        reply = await forward(request)
        try:
            return reply._replace(body=edited(reply.body, path, to))
        except msgspec.DecodeError:
            return reply

    return bend


def removed(path: str) -> RequestBend:
    """Take one field out of the answer's body."""
    return changed(path, GONE)


def rewritten(change: Callable[[Reply], Reply]) -> RequestBend:
    """Let a function make the answer of the answer."""

    async def bend(request: Request, forward: Forward) -> Reply:
        return change(await forward(request))

    return bend


def changed_request(change: Callable[[Request], Request]) -> RequestBend:
    """Send something else on than what was asked. (The signature covers the method and the path only.)"""

    async def bend(request: Request, forward: Forward) -> Reply:
        return await forward(change(request))

    return bend


def stale(bends: Bends, method: str = "*", path: str | None = None, *, oldest: bool = False) -> RequestBend:
    """Send it on, and answer with what was answered earlier: to the same method and path, or to another question that
    `method` and `path` name. Where there is nothing earlier the true answer passes."""

    async def bend(request: Request, forward: Forward) -> Reply:
        wanted = request.path if path is None else path
        earlier = [
            asked.forwarded[0]
            for asked in bends.requests_made(method if path is not None else request.method, wanted)
            if asked.forwarded
        ]
        reply = await forward(request)
        return (earlier[0] if oldest else earlier[-1]) if earlier else reply

    return bend
