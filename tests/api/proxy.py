"""A way to the daemon that loses answers: what is asked is done, and the caller never hears of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

BYTES = 65_536


class Proxy:
    """`loses` says of each request line whether its answer gets lost; `asked` has all of them."""

    def __init__(self, port: int, loses: Callable[[str], bool]) -> None:
        self._port, self._loses = port, loses
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.asked: list[str] = []
        self._thread = threading.Thread(target=self._serve)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        """One request after the other, each on a connection of its own."""
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return  # closed: the test is over
            with caller, suppress(OSError):
                self._pass_on(caller)

    def _pass_on(self, caller: socket.socket) -> None:
        request = _whole(caller)
        line = request.partition(b"\r\n")[0].decode().rpartition(" ")[0]
        self.asked.append(line)
        with socket.create_connection(("127.0.0.1", self._port)) as daemon:
            daemon.sendall(request)
            answer = _whole(daemon)
        if not self._loses(line):
            caller.sendall(answer.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def _whole(connection: socket.socket) -> bytes:
    """A head and the body that it announces."""
    read = b""
    while b"\r\n\r\n" not in read:
        more = connection.recv(BYTES)
        if not more:
            return read
        read += more
    head, _, body = read.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(BYTES)
    return head + b"\r\n\r\n" + body


@contextmanager
def losing(daemon_url: str, loses: Callable[[str], bool]) -> Iterator[Proxy]:
    proxy = Proxy(int(daemon_url.rpartition(":")[2]), loses)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.close()
