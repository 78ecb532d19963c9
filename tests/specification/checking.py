"""The check that hears everything the exchange says in a test: each answer of REST and each frame against the tables.

With the exchange's own specification at hand (official.py) each is validated by that too.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import httpx
import msgspec

from fsm_exec.wire.rest import API_PREFIX
from tests.specification import bodies as _bodies  # noqa: F401 - makes the shapes known
from tests.specification import frames, official
from tests.specification.operations import OPERATIONS, Operation
from tests.specification.shapes import complaints

HEARD: Final[Counter[str]] = Counter()
"""How many answers of each operation and frames of each type were checked in this process."""

_ROUTES: Final = [
    (operation, re.compile(re.sub(r"\{\w+\}", "[^/]+", API_PREFIX + operation.path))) for operation in OPERATIONS
]


def operation_of(method: str, path: str) -> Operation | None:
    """The one that a path calls. The table has words before names, as the exchange looks them up."""
    return next((op for op, route in _ROUTES if op.method == method and route.fullmatch(path)), None)


class Checker:
    """Collects what is wrong with what the exchange says. A client may swallow an exception raised under it, so
    nothing is raised until `verify`."""

    def __init__(self) -> None:
        self.wrong: list[str] = []

    def verify(self) -> None:
        """Raises AssertionError if anything was wrong."""
        assert not self.wrong, "the exchange said what the specification does not have:\n" + "\n".join(self.wrong[:20])

    def body(self, method: str, path: str, status: int, raw: bytes) -> None:
        """One answer. Refusals have shapes of their own; a path that no operation has is not looked at."""
        operation = operation_of(method, path)
        if operation is not None:
            self.wrong += _wrong_answer(operation, status, raw)

    def frame(self, raw: str | bytes) -> None:
        frame: dict[str, Any] = msgspec.json.decode(raw)
        kind, wanted = str(frame.get("type")), frames.shape_of(frame)
        if wanted is None:
            self.wrong.append(f"no frame has the type {kind!r}")
            return
        HEARD[kind] += 1
        self.wrong += complaints(frame, wanted.name, kind)
        self.wrong += official.frame_errors(wanted.name, frame)

    async def response(self, response: httpx.Response) -> None:
        """As an event hook of httpx."""
        request = response.request
        self.body(request.method, request.url.path, response.status_code, await response.aread())

    def tap(self, frame: str | bytes, _: int) -> None:
        """As the tap of a client's stream."""
        self.frame(frame)

    def transport(self, inner: httpx.AsyncBaseTransport | None) -> httpx.AsyncBaseTransport:
        """A transport whose answers are checked. `inner` None: sockets."""
        return _CheckedTransport(self, httpx.AsyncHTTPTransport() if inner is None else inner)


def _wrong_answer(operation: Operation, status: int, raw: bytes) -> list[str]:
    name = operation.name
    if status >= 400 and not (name == "GetExchangeStatus" and status == 503):
        HEARD["refusals"] += 1
        return [f"{name}: {wrong}" for wrong in _wrong_refusal(status, raw)]
    HEARD[name] += 1
    if status not in (operation.status, 503):
        return [f"{name} answered {status}, not {operation.status}"]
    if operation.answer is None:
        return [f"{name} answered with a body"] if raw else []
    body = msgspec.json.decode(raw)
    return [*complaints(body, operation.answer, name), *official.body_errors(operation, status, body)]


def _wrong_refusal(status: int, raw: bytes) -> list[str]:
    """One of the four shapes on the wire, or plain text where there is nothing to read."""
    if status == 404 and raw == b"404 page not found":
        return []
    body = msgspec.json.decode(raw)
    inner = body.get("error", body)
    if status == 429:
        return [] if inner == "too many requests" else [f"429 says {body}"]
    if "msg" in body:
        return [] if set(body) == {"msg"} and status == 400 else [f"{status} says {body}"]
    return [*complaints(inner, "ErrorResponse", str(status)), *([] if inner.get("code") else [f"{status} has no code"])]


class _CheckedTransport(httpx.AsyncBaseTransport):
    """Listens to answers while the client reads them, and changes nothing about how it does."""

    def __init__(self, checker: Checker, inner: httpx.AsyncBaseTransport) -> None:
        self._checker, self._inner = checker, inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)

        def ended(raw: bytes) -> None:
            content = httpx.Response(response.status_code, headers=response.headers, content=raw).content
            self._checker.body(request.method, request.url.path, response.status_code, content)

        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Overheard(response.stream, ended)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Overheard(httpx.AsyncByteStream):
    """A body as it passes; `ended` is told the whole of it. For everything else it is the stream it stands for."""

    def __init__(self, inner: httpx.AsyncByteStream, ended: Callable[[bytes], None]) -> None:
        self._inner, self._ended = inner, ended

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._inner, name)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts: list[bytes] = []
        async for part in self._inner:
            parts.append(part)
            yield part
        self._ended(b"".join(parts))

    async def aclose(self) -> None:
        await self._inner.aclose()
