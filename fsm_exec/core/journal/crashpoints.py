"""Named places where a process may die: calls of `point` that do nothing, at every boundary that durability rests on.

In production no hook is installed and a call is a look at one attribute. Tests install a hook that kills the process at
the n-th visit of a name; simulation installs one that ends an engine's life there. A hook may raise a BaseException;
nothing else of it is looked at. The list is closed: a name that is not on it is a bug, and a test looks for both calls
of unknown names and names that no scenario visits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

CrashpointName: TypeAlias = Literal[
    "decision.before",  # a fact was taken from the inbox; nothing is computed
    "decision.after",  # what it means is computed, in memory only
    "commit.before",  # all rows are written, the transaction is open
    "commit.after",  # durable; no waiting task knows yet
    "send.before",  # a request is signed and about to be handed to the socket
    "send.after",  # its last byte is with the socket
    "answer.before",  # the head of an answer has come, its body is not read
    "answer.after",  # the whole answer is there, not yet read
    "fill.before",  # a fill was taken from the inbox
    "fill.after",  # the fill is durable and counted
    "cancel.before",  # a durable cancel is about to be asked for
    "cancel.after",  # its answer is there, and journaled nowhere
    "migrate.before",  # the schema or a snapshot is about to be raised to a newer version
    "migrate.after",  # it has been
    "lock.before",  # the database's lock is about to be taken
    "lock.after",  # it is ours; nothing is recovered yet
]
MoveName: TypeAlias = Literal[  # of moves into archives, where nothing is ordered: tests of their own visit these
    "copy.before",  # executions are written into their archive, the transaction is open
    "copy.after",  # they are there for good, and in the database too
    "move.before",  # the database says that they are in the archive, and has lost their rows; the transaction is open
    "move.after",  # that is durable; rows of a large one may be left
    "clear.before",  # rows that were left are deleted, the transaction is open
    "clear.after",  # so many of them are gone
]
PointName: TypeAlias = CrashpointName | MoveName
Hook: TypeAlias = Callable[[PointName], None]

NAMES: tuple[CrashpointName, ...] = get_args(CrashpointName)
MOVE_NAMES: tuple[MoveName, ...] = get_args(MoveName)


class _Listener:
    """The hook of this process: a fork inherits it, so it cannot be an argument."""

    __slots__ = ("hook",)

    def __init__(self) -> None:
        self.hook: Hook | None = None


_LISTENER = _Listener()


def crashpoint(name: PointName) -> None:
    """The process may die here. May raise whatever an installed hook raises; without one, nothing happens."""
    if _LISTENER.hook is not None:
        _LISTENER.hook(name)


def install(hook: Hook | None) -> Hook | None:
    """Install `hook` for every visit in this process; None: no hook. Return the one before. For tests and simulation
    only: nothing in production calls it."""
    before, _LISTENER.hook = _LISTENER.hook, hook
    return before


def is_watched() -> bool:
    """Whether a hook is installed: for places where even looking for the moment would cost something."""
    return _LISTENER.hook is not None
