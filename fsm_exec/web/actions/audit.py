"""Every action of the page stands in the daemon's log: who asked, when, for what, and what came of it.

Two lines each. The first is written before anything is done, so an action that the daemon does not survive is seen all
the same; the second before the answer is given, so nothing is answered that is not in the log. What an execution does
is in its journal, whoever asked for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from structlog.typing import FilteringBoundLogger

from fsm_exec.core.text import one_line
from fsm_exec.web.sessions import Session

ASKED: Final = "page_action_asked"
ANSWERED: Final = "page_action"


def who_of(session: Session) -> str:
    """Return the name of a session in the audit."""
    return f"page {session.name}"


class AuditedAction:
    """One action of a session, which is written down from its beginning to its answer."""

    def __init__(self, log: FilteringBoundLogger, session: Session, action: str, fields: Mapping[str, str]) -> None:
        self._log = log.bind(
            who=who_of(session),
            action=action,
            fields={name: one_line(value) for name, value in fields.items() if value},
        )
        self._log.info(ASKED)

    def record_done(self, answer: str) -> None:
        """Write down that it was done, before its answer is given."""
        self._log.info(ANSWERED, outcome="done", answer=one_line(answer))

    def record_refused(self, code: str, message: str) -> None:
        """Write down why it was not done, before that is answered."""
        self._log.info(ANSWERED, outcome="refused", code=code, answer=one_line(message))

    def record_unknown(self, why: str) -> None:
        """Write down that nobody was there for the answer any more, or that it failed: it may have been done."""
        self._log.warning(ANSWERED, outcome="unknown", answer=one_line(why))
