"""What the scripts in Python share: the control line, and a list of named checks. Runs under the clients' own
interpreter, so it imports the standard library alone."""

from __future__ import annotations

import json
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any


class Control:
    """The line to the exchange's operator."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._file = self._socket.makefile("rw")

    def __call__(self, line: str) -> None:
        self._file.write(line + "\n")
        self._file.flush()
        answer = self._file.readline()
        assert answer == "ok\n", f"{line}: {answer!r}"

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def exchange_given() -> dict[str, Any]:
    given: dict[str, Any] = json.loads(sys.argv[1])
    return given


def report(checks: list[tuple[str, Callable[[], None]]]) -> None:
    """Run them in order and print one JSON line: "ok" or the last lines of what went wrong, for each."""
    found = {}
    for name, check in checks:
        try:
            check()
            found[name] = "ok"
        except BaseException:  # whatever it is, it is the check's result
            found[name] = "".join(traceback.format_exc().splitlines(keepends=True)[-12:])
    sys.stdout.write(json.dumps(found) + "\n")
