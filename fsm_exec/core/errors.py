"""The errors of fsm_exec, sorted by whose fault they are and what follows.

ExecError
  x UserError          the user's input: what, where, what to do. One line, exit code 2
      - UnitError          a price, count or amount that is not one
      - RiskRefused        a limit of the account's risk forbids it: which, its value, what is used, what was asked
  x LocalError         our bug, or a fact that contradicts what we hold: the draft is dropped, the execution stops
      - IllegalTrigger     no row of the table applies
      - IllegalEvent       an event that cannot be about this execution
          - Implausible        one that may simply be wrong: it is not believed, and a later listing tells
      - CorruptSnapshot    bytes that cannot be loaded; kept, never deleted
          - AlgorithmMissing   its algorithm cannot be had here: the message says what to install
          - DamagedRow         a row of the database that no fsm-exec wrote so
      - StoreFailed        a save whose outcome is not known to be good: the engine halts
          - SaveRefused        a definite no for one save: its execution is quarantined, the store goes on
          - DatabaseLost       the database is not where it was opened: the engine halts and saves nothing more
      - OverCapacity       a submission that could not be ended in time: it is refused
      - NotNoted           a submission that could not be noted for the standby: it is refused
      - ServiceFailed      a task the engine cannot do without ended: the engine halts
          - Fenced             another engine has taken over: this one stops
  x VenueError         the exchange, or the way to it, on reads (the outcome of a write is data: see core.exchange_port)
      - VenueRefused       a definite no
      - VenueUnavailable   no usable answer
          - VenueUnreadable    an answer that cannot be understood
  x NotDelivered       a channel did not take an alert, or it is not known that it did: it is told again
"""

from __future__ import annotations

from typing import TypeVar

from fsm_exec.core.text import one_line


class ExecError(Exception):
    """Base of all; never raised itself."""


class UserError(ExecError):
    """The message is shown as it is, on one line; it says what is wrong and what to do."""


class UnitError(UserError):
    """`text` is no exact price, count or amount."""


class RiskRefused(UserError):
    """A request was refused by `limit` of the account's risk, which allows `allowed`; `used` is what stands now and
    `asked` what the request adds. All four are words for a person, with their units."""

    def __init__(self, limit: str, allowed: str, used: str, asked: str) -> None:
        super().__init__(f"refused by {limit}: allowed {allowed}, used {used}, asked {asked}")
        self.limit, self.allowed, self.used, self.asked = limit, allowed, used, asked


class LocalError(ExecError):
    """Base of our own faults and of contradictions."""


class IllegalTrigger(LocalError):
    def __init__(self, table: str, state: str, trigger: str) -> None:
        super().__init__(f"{table}: no row for trigger {trigger!r} in state {state!r}")
        self.table, self.state, self.trigger = table, state, trigger


class IllegalEvent(LocalError):
    """The event contradicts the execution; the execution is unchanged."""


class Implausible(IllegalEvent):
    """A statement that contradicts what we hold and may be wrong itself: what the listings show later is the truth."""


class CorruptSnapshot(LocalError):
    """A stored snapshot that cannot be loaded."""


class AlgorithmMissing(CorruptSnapshot):
    """A stored method whose algorithm is not installed, or cannot be used. It is left by installing it: an execution
    that was quarantined for it goes on at the next start."""

    PREFIX = "no algorithm: "

    def __init__(self, why: str) -> None:
        super().__init__(f"{self.PREFIX}{why}")

    @classmethod
    def is_reason(cls, quarantine: str) -> bool:
        """Whether this error is why an execution was quarantined: its text is all that the database keeps."""
        return quarantine.startswith(cls.PREFIX)


class DamagedRow(CorruptSnapshot):
    """A row of the database as no fsm-exec wrote it; the message names it, on one line."""

    def __init__(self, table: str, key: object, column: str, why: str) -> None:
        super().__init__(one_line(f"row {key} of {table} is damaged, column {column}: {why}"))


class StoreFailed(LocalError):
    """A transaction failed, or may have; what is on disk is the truth, what is in memory is not."""


class OverCapacity(LocalError):
    """Accepted, it could not be ended in time: the exchange lets us write too little for all there would be."""


class NotNoted(LocalError):
    """What sets to work could not be noted beside the lease record: it might be lost with this host, unseen."""


class SaveRefused(StoreFailed):
    """The database does not take this one save; nothing of it is stored, and the saves of others are untouched."""


class DatabaseLost(StoreFailed):
    """The database is not where it was opened: what is saved from now on would never be read."""


class ServiceFailed(LocalError):
    """A task the engine cannot do without (the stream, reconciliation) ended in a bug: the engine halts."""


class Fenced(ServiceFailed):
    """Another engine leads, and the exchange takes no order of this one any more: it stops."""


class VenueError(ExecError):
    """Base of what the exchange does to a read."""


class VenueRefused(VenueError):
    """`status` and `code` as the exchange sent them."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"the exchange answered {status} {code}: {message}")
        self.status, self.code = status, code


class VenueUnavailable(VenueError):
    """No answer, or one that cannot be understood; reading again later is safe."""


class VenueUnreadable(VenueUnavailable):
    """An answer came; the message says what in it cannot be read."""


class NotDelivered(ExecError):
    """A channel of alerts did not take a message, or may not have. The text never has its address."""


E = TypeVar("E", bound=BaseException)


def first_of(group: BaseExceptionGroup[E]) -> E:
    """The first error of a group, which a nursery makes even of one."""
    failure = group.exceptions[0]
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
