"""The errors of the client, sorted by whose fault they are.

ControlError             `code` is the API's, for programs; the text is one line for people
  - Refused                the request as it is: the caller's to change. A UserError too
  - DaemonFailed           the daemon could not do it, which is not the caller's fault
  - DaemonAbsent           no daemon answers: nothing was asked, or the answer got lost. `code` is `absent`
"""

from __future__ import annotations

from typing import Final

import msgspec

from fsm_exec.control.schema import Failed
from fsm_exec.core.errors import ExecError, UserError

USERS_FAULT: Final = frozenset({400, 401, 403, 404, 405, 409, 413, 422})
ABSENT: Final = "absent"
UNREADABLE: Final = "unreadable"


class ControlError(ExecError):
    """Base of all; never raised itself."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Refused(ControlError, UserError):
    """The daemon refuses the request as it is."""


class DaemonFailed(ControlError):
    """The daemon could not do it; `code` is `unreadable` if what answers is no daemon of this version."""


class DaemonAbsent(ControlError):
    """No daemon answers. `may_be_done`: the answer got lost, and what was asked may be done; False: nothing was
    asked."""

    def __init__(self, message: str, *, may_be_done: bool = False) -> None:
        super().__init__(ABSENT, message)
        self.may_be_done = may_be_done


def error_of(status: int, content: bytes) -> Refused | DaemonFailed:
    """Return the error that an answer of the API stands for."""
    try:
        error = msgspec.json.decode(content, type=Failed).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return DaemonFailed(UNREADABLE, f"what answers there is no fsm-exec daemon (HTTP {status}); check --url")
    kind = Refused if status in USERS_FAULT else DaemonFailed
    return kind(error.code, error.message)
