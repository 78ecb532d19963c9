"""The blocking client's own HTTP, against a server that answers with bytes of the test's choice."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from fsm_exec.control import blocking_transport
from fsm_exec.control.blocking_transport import BlockingTransport, run
from fsm_exec.control.transports import AnswerLost, NotConnected, OutgoingRequest, Reply

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST = GOOD.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok"
EARLY = b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD
STREAM = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"6\r\none\ntw\r\n4\r\no\nth\r\n4\r\nree\xc3\r\n3\r\n\xa9\nx\r\n0\r\n\r\n"
)


class Server:
    """Answers each request with `answer`, and keeps the connection if `is_kept`; `connections` counts them."""

    def __init__(self, answer: bytes, *, is_kept: bool = True) -> None:
        self._answer, self._is_kept = answer, is_kept
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.connections = 0
        self.heads: list[bytes] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._threads.append(threading.Thread(target=self._answer_all, args=(caller,)))
            self._threads[-1].start()

    def _answer_all(self, caller: socket.socket) -> None:
        with caller, suppress(OSError):
            while head := caller.recv(65_536):
                self.heads.append(head)
                caller.sendall(self._answer)
                if not self._is_kept:
                    return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def transport() -> Iterator[BlockingTransport]:
    made = BlockingTransport()
    yield made
    run(made.close())


def fetch(transport: BlockingTransport, url: str) -> Reply:
    return run(transport.fetch(OutgoingRequest("GET", f"{url}/v1/x", {"Authorization": "Bearer t"}, {"a": "b c"})))


def test_a_connection_is_used_again(transport: BlockingTransport) -> None:
    """One connection, two requests, each with its parameters and headers."""
    server = Server(EARLY)
    try:
        assert [fetch(transport, server.url) for _ in range(2)] == [Reply(200, b"ok")] * 2
        run(transport.close())
        assert (server.connections, len(server.heads)) == (1, 2)
        assert server.heads[0].startswith(b"GET /v1/x?a=b+c HTTP/1.1\r\n")
        assert b"\r\nAuthorization: Bearer t\r\n" in server.heads[0]
    finally:
        server.close()


@pytest.mark.parametrize(("answer", "is_kept"), [(GOOD, False), (LAST, True)])
def test_one_that_the_server_ended_is_not(transport: BlockingTransport, answer: bytes, is_kept: bool) -> None:
    """Whether it said so or just closed it: the next request goes over a new one, and is sent once."""
    server = Server(answer, is_kept=is_kept)
    try:
        for _ in range(3):
            assert fetch(transport, server.url) == Reply(200, b"ok")
            time.sleep(0.05)  # until the close has come
        run(transport.close())
        assert (server.connections, len(server.heads)) == (3, 3)
    finally:
        server.close()


def test_nor_one_on_which_more_came_than_the_answer(transport: BlockingTransport) -> None:
    """Taken for the answer to the next request, it would say what became of another one."""
    server = Server(GOOD + GOOD.replace(b"ok", b"no"))
    try:
        assert [fetch(transport, server.url) for _ in range(3)] == [Reply(200, b"ok")] * 3
        assert (server.connections, len(server.heads)) == (3, 3)
    finally:
        run(transport.close())
        server.close()


def test_nor_one_from_before_a_fork(transport: BlockingTransport) -> None:
    """The child takes one of its own, and the parent's stays good: two on one would read each other's answers."""
    server = Server(GOOD)
    try:
        fetch(transport, server.url)
        if (child := os.fork()) == 0:
            try:
                os._exit(fetch(transport, server.url) != Reply(200, b"ok"))
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert fetch(transport, server.url) == Reply(200, b"ok")
        assert server.connections == 2
    finally:
        run(transport.close())
        server.close()


def test_nor_one_that_was_idle_for_long(transport: BlockingTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon is about to close it."""
    monkeypatch.setattr(blocking_transport, "KEPT_S", 0.01)
    server = Server(GOOD)
    try:
        fetch(transport, server.url)
        time.sleep(0.02)
        fetch(transport, server.url)
        run(transport.close())
        assert server.connections == 2
    finally:
        server.close()


def test_threads_do_not_share_a_connection(transport: BlockingTransport) -> None:
    """Eight at once get eight whole answers each."""
    server = Server(GOOD)
    replies: list[Reply] = []

    def ask_often() -> None:
        replies.extend(fetch(transport, server.url) for _ in range(8))

    threads = [threading.Thread(target=ask_often) for _ in range(8)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        run(transport.close())
        assert replies == [Reply(200, b"ok")] * 64
    finally:
        server.close()


@pytest.mark.parametrize("answer", [b"", CUT, b"what?\r\n\r\n"])
def test_an_answer_that_is_none_may_have_been_done(transport: BlockingTransport, answer: bytes) -> None:
    """Nothing, half of one, no HTTP: the request was sent."""
    server = Server(answer, is_kept=False)
    try:
        with pytest.raises(AnswerLost):
            fetch(transport, server.url)
        assert len(server.heads) == 1
    finally:
        server.close()


def test_a_silence_ends(transport: BlockingTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the name of what it was."""
    monkeypatch.setattr(blocking_transport, "ANSWER_S", 0.05)
    server = Server(b"")
    try:
        with pytest.raises(AnswerLost, match="TimeoutError"):
            fetch(transport, server.url)
    finally:
        run(transport.close())
        server.close()


def test_where_nobody_listens_nothing_is_sent(transport: BlockingTransport) -> None:
    """It is another error: the request may be sent again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(NotConnected):
        fetch(transport, url)


@pytest.mark.parametrize(("answer", "is_whole"), [(STREAM, True), (STREAM[:-13], False)])
def test_lines_come_whole_however_they_are_cut(transport: BlockingTransport, answer: bytes, is_whole: bool) -> None:
    """In chunks, within a line and within a character; a stream that breaks off raises after its last whole line."""
    server = Server(answer, is_kept=False)
    lines: list[str] = []

    async def read_all() -> None:
        sent = OutgoingRequest("GET", f"{server.url}/v1/events", {}, {})
        async with transport.stream(sent) as stream:
            assert (stream.status, stream.content) == (200, b"")
            async for line in stream.lines:
                lines.append(line)  # noqa: PERF401 - what came before an error counts

    try:
        if is_whole:
            run(read_all())
            assert lines == ["one", "two", "threeé"]
        else:
            with pytest.raises(AnswerLost):
                run(read_all())
            assert lines == ["one", "two"]
    finally:
        server.close()
