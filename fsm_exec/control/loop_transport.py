"""A client waits on the loop it runs in, trio's or asyncio's: httpx, by anyio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, TypeVar

import anyio
import anyio.to_thread
import httpx

from fsm_exec.control.transports import (
    ANSWER_S,
    CONNECT_S,
    KEPT_S,
    QUIET_S,
    AnswerLost,
    NotConnected,
    OutgoingRequest,
    Reply,
    Stream,
)

T = TypeVar("T")

_TIMEOUT: Final = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
_STREAM_TIMEOUT: Final = httpx.Timeout(QUIET_S, connect=CONNECT_S)
_LIMITS: Final = httpx.Limits(keepalive_expiry=KEPT_S)


class LoopTransport:
    """Waits on the loop that runs, be it trio's or asyncio's. With `http` no socket is opened."""

    def __init__(self, http: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = httpx.AsyncClient(timeout=_TIMEOUT, limits=_LIMITS, trust_env=False, transport=http)

    async def fetch(self, sent: OutgoingRequest) -> Reply:
        with _map_errors():
            answer = await self._http.request(
                sent.method, sent.url, params=sent.params, content=sent.content, headers=sent.headers
            )
        return Reply(answer.status_code, answer.content)

    @asynccontextmanager
    async def stream(self, sent: OutgoingRequest) -> AsyncIterator[Stream]:
        stream = self._http.stream(
            sent.method, sent.url, params=sent.params, headers=sent.headers, timeout=_STREAM_TIMEOUT
        )
        with _map_errors():
            async with stream as answer:
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


@contextmanager
def _map_errors() -> Iterator[None]:
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise NotConnected from error
    except httpx.TransportError as error:
        raise AnswerLost(type(error).__name__) from error
