"""Watches an algorithm while it decides: does it read a clock, throw dice, open or print anything?

The interpreter tells of every call that Python code makes (`sys.setprofile`), so it is what really runs that is judged,
whatever it is called in the source; what compiled code of others does inside is not seen.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any, Final, TypeVar

from fsm_exec.algorithms import Method

R = TypeVar("R")

OUTSIDE: Final = frozenset({"time", "_time", "random", "_random", "secrets", "uuid", "_uuid", "numpy.random"}) | {
    *("os", "posix", "nt", "io", "_io", "pathlib", "shutil", "tempfile", "socket", "_socket", "ssl", "_ssl"),
    *("subprocess", "_posixsubprocess", "threading", "_thread", "asyncio", "trio", "logging", "sqlite3", "urllib"),
    *("http", "httpx", "warnings", "_warnings", "gc", "structlog"),
}
"""Modules whose functions answer by the moment, or act on the world."""

OF_THE_MOMENT: Final = frozenset({"now", "utcnow", "today"})  # of a date or a datetime
BUILTINS: Final = frozenset({"print", "input", "open", "breakpoint", "exec", "eval", "id", "hash"})


class Impure(Exception):
    """The message names what was called."""


def watched(method: Method) -> Method:
    """The same method; both of its functions raise Impure when they have called what they may not."""
    return replace(
        method,
        plan_bound=_watched("plan", method.plan_bound),
        replan_bound=_watched("replan", method.replan_bound),
    )


def _watched(name: str, function: Callable[..., R]) -> Callable[..., R]:
    def ask(*arguments: object) -> R:
        calls: list[str] = []
        with _told_of_calls(calls):
            answer = function(*arguments)
        if calls:
            raise Impure(f"{name} calls {calls[0]}: the same arguments must give the same answer, at any time")
        return answer

    return ask


@contextmanager
def _told_of_calls(calls: list[str]) -> Iterator[None]:
    def note(frame: FrameType, event: str, argument: Any) -> None:  # noqa: ANN401 - as the interpreter has it
        if event == "c_call":
            found = _forbidden(argument)
        elif event == "call" and _is_outside(frame.f_globals.get("__name__")):
            found = f"{frame.f_globals['__name__']}.{frame.f_code.co_name}"
        else:
            return
        if found is not None:
            calls.append(found)

    # A collection may fall anywhere, and its callbacks (of a test's library, say) are no calls of the algorithm.
    before, collects = sys.getprofile(), gc.isenabled()
    gc.disable()
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    del calls[1:]


def _forbidden(function: Any) -> str | None:  # noqa: ANN401 - any built-in function
    """Its name, if it may not be called."""
    owner = getattr(function, "__self__", None)
    name = function.__name__
    if isinstance(owner, type):
        if owner.__module__ == "datetime" and name in OF_THE_MOMENT:
            return f"{owner.__name__}.{name}"
        return None
    module = getattr(function, "__module__", None) or type(owner).__module__
    if module == "builtins" and name in BUILTINS and type(owner).__name__ == "module":
        return str(name)
    return f"{module}.{name}" if _is_outside(module) else None


def _is_outside(module: object) -> bool:
    return isinstance(module, str) and (module in OUTSIDE or module.partition(".")[0] in OUTSIDE)
