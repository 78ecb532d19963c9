"""Describe a network error on one line: what transports raise is often empty, and its cause says why."""

from __future__ import annotations

from fsm_exec.core.text import one_line

TEXT_MAX = 200  # characters that are kept
CAUSES_MAX = 5


def describe_error(error: BaseException) -> str:
    """Return the error's kind and message, and the messages of its causes as far as they add something."""
    words = f"{type(error).__name__}: {one_line(str(error))}" if str(error).strip() else type(error).__name__
    cause = error.__cause__ or error.__context__
    for _ in range(CAUSES_MAX):
        if cause is None:
            break
        reason = _reason_of(cause)
        if reason and reason not in words:
            words += f": {reason}"
        cause = cause.__cause__ or cause.__context__
    return words[:TEXT_MAX]


def _reason_of(cause: BaseException) -> str:
    """Return what an error says; of several that came together (one of each address that was tried) what they say."""
    if isinstance(cause, BaseExceptionGroup):
        return ", ".join(dict.fromkeys(_reason_of(one) for one in cause.exceptions))
    return one_line(getattr(cause, "strerror", None) or str(cause))
