"""A webhook on loopback that records what it is sent, and answers as it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "hush-4711"


class Webhook:
    """`texts` has every line of every message, in order; `status` is its answer, and what it refuses it does not
    record. A `delay` is slept before the answer: the message is recorded by then."""

    def __init__(self) -> None:
        self.status = 200
        self.asked = 0  # how often
        self.lines: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.delay = threading.Event()  # never set: only waited for
        self.delay_s = 0.0
        self.port = 0

    @property
    def url(self) -> str:
        """Its address as apprise takes it, with a secret in it."""
        return f"json://user:{SECRET}@127.0.0.1:{self.port}/{SECRET}"

    def take(self, body: bytes) -> int:
        self.asked += 1
        if self.status != 200:
            return self.status
        told = json.loads(body)
        self.bodies.append(told)
        self.lines += told["message"].split("\n")
        if self.delay_s:
            self.delay.wait(self.delay_s)
        return 200


@contextmanager
def webhook(port: int = 0) -> Iterator[Webhook]:
    """A running one, on a free port."""
    hook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status = hook.take(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
            except OSError:
                return  # who asked was killed

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    hook.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
