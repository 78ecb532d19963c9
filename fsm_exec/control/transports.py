"""A client waits in one of two ways: on a loop (trio or asyncio, by anyio), or by blocking its thread.

Both are the same protocol of coroutines, so what is asked and when it is asked again is written once (`remote`). The
coroutines of `BlockingTransport` never suspend: `run` drives a coroutine built of them alone to its end at the first
step, with no loop and no thread, and so anywhere: in a script, in a thread, in a notebook whose loop runs already.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import anyio
import anyio.to_thread
import httpx

CONNECT_S: Final = 5.0
ANSWER_S: Final = 60.0  # a submission may wait for the exchange's terms and for a first book
QUIET_S: Final = 45.0  # of a stream: three comments in a row did not come
KEPT_S: Final = 2.0  # an idle connection: the daemon closes it after 5 s, and a request must not meet that
T = TypeVar("T")

_TIMEOUT: Final = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
_STREAM_TIMEOUT: Final = httpx.Timeout(QUIET_S, connect=CONNECT_S)
_LIMITS: Final = httpx.Limits(keepalive_expiry=KEPT_S)


class OutgoingRequest(NamedTuple):
    """A request as it goes out: to this machine only and through no proxy, for its headers have the token."""

    method: str
    url: str
    headers: dict[str, str]
    params: dict[str, str]
    content: bytes | None = None


class Reply(NamedTuple):
    status: int
    content: bytes


class Stream(NamedTuple):
    """An answer that is read line by line. If it is no stream (`status` is not 200), `content` is all of it."""

    status: int
    content: bytes
    lines: AsyncIterator[str]


class Transport(Protocol):
    """All that a client needs of the world. `fetch` and `stream` raise httpx.TransportError."""

    async def fetch(self, sent: OutgoingRequest) -> Reply: ...
    def stream(self, sent: OutgoingRequest) -> AbstractAsyncContextManager[Stream]: ...
    async def read_files(self, read: Callable[[], T]) -> T:
        """Return the result of `read`, which reads a few small files."""

    async def sleep(self, seconds: float) -> None: ...
    def now_s(self) -> float:
        """A clock that only counts on; its zero means nothing."""

    async def close(self) -> None: ...


class LoopTransport:
    """Waits on the loop that runs, be it trio's or asyncio's. With `http` no socket is opened."""

    def __init__(self, http: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(timeout=_TIMEOUT, limits=_LIMITS, trust_env=False, transport=http)

    async def fetch(self, sent: OutgoingRequest) -> Reply:
        answer = await self._http.request(
            sent.method, sent.url, params=sent.params, content=sent.content, headers=sent.headers
        )
        return Reply(answer.status_code, answer.content)

    @asynccontextmanager
    async def stream(self, sent: OutgoingRequest) -> AsyncIterator[Stream]:
        async with self._http.stream(
            sent.method, sent.url, params=sent.params, headers=sent.headers, timeout=_STREAM_TIMEOUT
        ) as answer:
            content = b"" if answer.status_code == 200 else await answer.aread()
            lines = answer.aiter_lines()
            try:
                yield Stream(answer.status_code, content, lines)
            finally:
                # httpx reads through a chain of generators. Closed here, the connection ends them all: one that is
                # only forgotten is, under trio, a warning.
                await answer.aclose()
                with suppress(httpx.HTTPError, httpx.StreamError):
                    async for _ in lines:
                        pass

    async def read_files(self, read: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(read)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    def now_s(self) -> float:
        return anyio.current_time()

    async def close(self) -> None:
        await self._http.aclose()


class BlockingTransport:
    """Blocks the thread. None of its coroutines suspends."""

    def __init__(self) -> None:
        self._http = httpx.Client(timeout=_TIMEOUT, limits=_LIMITS, trust_env=False)

    async def fetch(self, sent: OutgoingRequest) -> Reply:
        answer = self._http.request(
            sent.method, sent.url, params=sent.params, content=sent.content, headers=sent.headers
        )
        return Reply(answer.status_code, answer.content)

    @asynccontextmanager
    async def stream(self, sent: OutgoingRequest) -> AsyncIterator[Stream]:
        with self._http.stream(
            sent.method, sent.url, params=sent.params, headers=sent.headers, timeout=_STREAM_TIMEOUT
        ) as answer:
            content = b"" if answer.status_code == 200 else answer.read()
            yield Stream(answer.status_code, content, _AsyncLines(answer.iter_lines()))

    async def read_files(self, read: Callable[[], T]) -> T:
        return read()

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - there is no loop that this could hold up

    def now_s(self) -> float:
        return time.monotonic()

    async def close(self) -> None:
        self._http.close()


class _AsyncLines:
    """An iterator as an asynchronous one."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines

    def __aiter__(self) -> _AsyncLines:
        return self

    async def __anext__(self) -> str:
        for line in self._lines:
            return line
        raise StopAsyncIteration


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that waits for a BlockingTransport alone; return its result. Raises what it raises."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a blocking transport must not suspend")
