"""A client waits in one of two ways: on a loop (trio or asyncio, by anyio), or by blocking its thread.

Both (`loop_transport`, `blocking_transport`) are the same protocol of coroutines, so what is asked and when it is asked
again is written once (`remote`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, NamedTuple, Protocol, TypeVar

CONNECT_S: Final = 5.0
ANSWER_S: Final = 60.0  # a submission may wait for the exchange's terms and for a first book
QUIET_S: Final = 45.0  # of a stream: three comments in a row did not come
KEPT_S: Final = 2.0  # an idle connection: the daemon closes it after 5 s, and a request must not meet that
T = TypeVar("T")


class NotConnected(Exception):
    """Nobody answers at the address: nothing was sent."""


class AnswerLost(Exception):
    """The connection broke or stayed silent: what was asked may be done. The text is the name of the cause."""


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
    """All that a client needs of the world. `fetch` and `stream` raise NotConnected and AnswerLost."""

    async def fetch(self, sent: OutgoingRequest) -> Reply: ...
    def stream(self, sent: OutgoingRequest) -> AbstractAsyncContextManager[Stream]: ...
    async def read_files(self, read: Callable[[], T]) -> T:
        """Return the result of `read`, which reads a few small files."""

    async def sleep(self, seconds: float) -> None: ...
    def now_s(self) -> float:
        """A clock that only counts on; its zero means nothing."""

    async def close(self) -> None: ...
