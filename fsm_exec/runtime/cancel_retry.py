"""When a lost cancel is sent again: by the clock alone, so that no read has to be up for it.

A look-up usually shows first where the order stands. Where reads are down as well, or the exchange refuses for a while
(no connection, no tokens, a signature it does not accept), the cancel is repeated: it can do nothing twice, and an
order that is to be cancelled may be cancelled at any moment.
"""

from __future__ import annotations

import math

from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.execution.order_checks import resend_cancel_intents

FIRST_US = 3_000_000  # a look-up that is answered has settled it by then
PAUSE_MAX_US = 15_000_000


class CancelRetry:
    """The retry schedule of one execution. The pause doubles until all of its cancels have been answered."""

    __slots__ = ("_due_us", "_tries")

    def __init__(self) -> None:
        self._due_us: int | None = None
        self._tries = 0

    def due_us(self, execution: Execution, now_us: int) -> float:
        """Return the wall time at which the lost cancels are due; infinity if there are none."""
        if not any(child.state == "cancelling" for child in execution.children):
            self._due_us, self._tries = None, 0
            return math.inf
        if not resend_cancel_intents(execution):
            self._due_us = None  # sent, and not answered yet
            return math.inf
        if self._due_us is None:
            self._due_us = now_us + min(FIRST_US << min(self._tries, 10), PAUSE_MAX_US)
            self._tries += 1
        self._due_us = min(self._due_us, now_us + PAUSE_MAX_US)  # the clock may have been put back
        return self._due_us
