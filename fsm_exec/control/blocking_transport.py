"""A client waits by blocking its thread: HTTP/1.1 by h11 over a socket.

The coroutines of `BlockingTransport` never suspend: `run` drives a coroutine built of them alone to its end at the
first step, with no loop and no thread, and so anywhere: in a script, in a thread, in a notebook whose loop runs
already. It is not httpx: each command that asks the daemon would wait for that to load, longer than for all the rest.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

import h11

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

READ_BYTES: Final = 65_536
T = TypeVar("T")


class BlockingTransport:
    """Blocks the thread. None of its coroutines suspends. A connection whose answer is whole is kept for the next
    request; several threads take several."""

    def __init__(self) -> None:
        self._idle: list[_Connection] = []

    async def fetch(self, sent: OutgoingRequest) -> Reply:
        connection = self._take(_place_of(sent.url))
        try:
            status = connection.ask(sent, ANSWER_S)
            reply = Reply(status, b"".join(connection.chunks()))
        except BaseException:
            connection.close()
            raise
        if connection.is_reusable():
            self._idle.append(connection)
        else:
            connection.close()
        return reply

    @asynccontextmanager
    async def stream(self, sent: OutgoingRequest) -> AsyncIterator[Stream]:
        connection = _Connection(_place_of(sent.url))
        try:
            status = connection.ask(sent, QUIET_S)
            content = b"" if status == 200 else b"".join(connection.chunks())
            yield Stream(status, content, _AsyncLines(_lines(connection.chunks() if status == 200 else iter(()))))
        finally:
            connection.close()

    def _take(self, place: tuple[str, int]) -> _Connection:
        """Return a connection that is idle and still good, or a new one. Raises NotConnected."""
        while (connection := self._pop_idle()) is not None:
            if connection.place == place and connection.is_fresh():
                return connection
            connection.close()
        return _Connection(place)

    def _pop_idle(self) -> _Connection | None:
        try:
            return self._idle.pop()  # not asked first whether there is one: another thread may take it in between
        except IndexError:
            return None

    async def read_files(self, read: Callable[[], T]) -> T:
        return read()

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - there is no loop that this could hold up

    def now_s(self) -> float:
        return time.monotonic()

    async def close(self) -> None:
        while (connection := self._pop_idle()) is not None:
            connection.close()


class _Connection:
    """One connection, one request after the other. Raises NotConnected when made, AnswerLost afterwards."""

    def __init__(self, place: tuple[str, int]) -> None:
        self.place = place
        try:
            self._socket = socket.create_connection(place, CONNECT_S)
        except OSError as error:
            raise NotConnected from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._http = h11.Connection(h11.CLIENT)
        self._process = os.getpid()
        self._idle_since_s = time.monotonic()

    def ask(self, sent: OutgoingRequest, quiet_s: float) -> int:
        """Send a request, and return the status of the answer. `quiet_s`: how long a silence may last."""
        parts = urlsplit(sent.url)
        target = f"{parts.path or '/'}?{urlencode(sent.params)}" if sent.params else parts.path or "/"
        body = sent.content or b""
        length = {"Content-Length": str(len(body))} if body or sent.method == "POST" else {}
        headers = {"Host": parts.netloc, "Accept": "*/*", **sent.headers, **length}
        request = h11.Request(method=sent.method, target=target, headers=list(headers.items()))
        parts_sent = (request, h11.Data(data=body), h11.EndOfMessage()) if body else (request, h11.EndOfMessage())
        try:
            self._socket.settimeout(quiet_s)
            self._socket.sendall(b"".join(self._http.send(part) or b"" for part in parts_sent))
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have answered before it closed
        except OSError as error:
            raise AnswerLost(type(error).__name__) from error
        while not isinstance(event := self._next_event(), h11.Response):
            pass
        return event.status_code

    def chunks(self) -> Iterator[bytes]:
        """Yield the body of the answer, as it comes."""
        while not isinstance(event := self._next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                yield bytes(event.data)

    def _next_event(self) -> h11.Event:
        try:
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    self._http.receive_data(self._socket.recv(READ_BYTES))
                elif isinstance(event, h11.Event) and not isinstance(event, h11.ConnectionClosed):
                    return event
                else:
                    raise AnswerLost("closed")
        except (OSError, h11.RemoteProtocolError) as error:
            raise AnswerLost(type(error).__name__) from error

    def is_reusable(self) -> bool:
        """Make it ready for the next request, if both sides are done with this one. What came behind the answer would
        be taken for that of the next."""
        if (
            self._http.our_state is not h11.DONE
            or self._http.their_state is not h11.DONE
            or self._http.trailing_data[0]
        ):
            return False
        self._http.start_next_cycle()
        self._idle_since_s = time.monotonic()
        return True

    def is_fresh(self) -> bool:
        """Return whether the other side has not closed it, as it does with one that is idle for long. One from before a
        fork is the parent's: each would read the other's answers."""
        if self._process != os.getpid() or time.monotonic() - self._idle_since_s > KEPT_S:
            return False
        self._socket.setblocking(False)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False  # it was closed, or says what nobody asked for

    def close(self) -> None:
        self._socket.close()


def _place_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Yield the lines of a body, each as soon as its end is there."""
    begun: list[bytes] = []
    for chunk in chunks:
        end, *begins = chunk.split(b"\n")
        begun.append(end)
        for begin in begins:
            yield b"".join(begun).removesuffix(b"\r").decode(errors="replace")
            begun = [begin]


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
