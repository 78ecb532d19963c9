"""Who may see the page: one-time codes that `fsm-exec open` draws, and the sessions they open. All in memory.

A restart asks for `open` again. A code is used once, within a minute. Who comes with a used one and without the session
it opened may have stolen it, or may have come after the thief: it is refused, and the session that it opened ends.
"""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

SECRET_BYTES: Final = 32
NAME_BYTES: Final = 3  # of the short name in the audit
CODE_S: Final = 60
SESSION_S: Final = 12 * 3_600
CODES_MAX: Final = 100
SESSIONS_MAX: Final = 100


@dataclass(frozen=True)
class Session:
    """A browser that was let in. `name` is its short name in the audit, `secret` the value of its cookie. `action`
    is the second secret, which a page sends with what changes something; None: it may only look."""

    name: str
    secret: str = field(repr=False)
    action: str | None = field(repr=False)
    until_s: float

    @property
    def is_read_only(self) -> bool:
        return self.action is None


@dataclass
class _Code:
    value: str
    is_read_only: bool
    until_s: float
    opened: Session | None = None


class Sessions:
    """All codes and sessions. `now_s` is a clock that goes on while the process runs, in seconds."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._codes: OrderedDict[str, _Code] = OrderedDict()  # oldest first, used ones too
        self._sessions: OrderedDict[str, Session] = OrderedDict()  # oldest first

    def __len__(self) -> int:
        return len(self._sessions)

    def draw_code(self, *, read_only: bool) -> str:
        """Draw a code that opens one session; the oldest is dropped when there are too many."""
        code = _Code(secrets.token_urlsafe(SECRET_BYTES), read_only, self._now_s() + CODE_S)
        self._codes[code.value] = code
        while len(self._codes) > CODES_MAX:
            self._codes.popitem(last=False)
        return code.value

    def use_code(self, given: str, present: Session | None) -> Session | None:
        """Return the session that a code opens; None: it is unknown, too old, or used. `present` is the session of
        the browser that comes with it: a used code takes nothing from the one it opened."""
        code = self._find_code(given)
        if code is None:
            return None
        if code.opened is not None:
            if code.opened is present:
                return present
            self.end(code.opened)
            return None
        if self._now_s() >= code.until_s:
            return None
        code.opened = self._open(read_only=code.is_read_only)
        return code.opened

    def find(self, secret: str) -> Session | None:
        """Return the session of this cookie; None: there is none, or it is over."""
        session = self._sessions.get(secret)
        if session is None or not hmac.compare_digest(session.secret, secret):
            return None
        if self._now_s() >= session.until_s:
            self.end(session)
            return None
        return session

    def is_open(self, session: Session) -> bool:
        """Return whether a session that was found once still holds: a stream outlives the request that began it."""
        return self.find(session.secret) is session

    def end(self, session: Session) -> None:
        self._sessions.pop(session.secret, None)

    def _find_code(self, given: str) -> _Code | None:
        """Find a code by comparing all in constant time: how long it takes tells nothing of any."""
        found = None
        wanted = given.encode("utf-8", errors="replace")
        for code in self._codes.values():
            if hmac.compare_digest(code.value.encode(), wanted):
                found = code
        return found

    def _open(self, *, read_only: bool) -> Session:
        session = Session(
            name=secrets.token_hex(NAME_BYTES),
            secret=secrets.token_urlsafe(SECRET_BYTES),
            action=None if read_only else secrets.token_urlsafe(SECRET_BYTES),
            until_s=self._now_s() + SESSION_S,
        )
        self._sessions[session.secret] = session
        while len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)
        return session
