"""Why the network failed, on one line: what transports raise is often empty, and its cause says it."""

from __future__ import annotations

from fsm_exec.core.text import one_line

TEXT_MAX = 200  # characters that are kept
CAUSES_MAX = 5


def describe_error(error: BaseException) -> str:
    """The error's kind and words, and those of its causes as far as they add something."""
    told = f"{type(error).__name__}: {one_line(str(error))}" if str(error).strip() else type(error).__name__
    cause = error.__cause__ or error.__context__
    for _ in range(CAUSES_MAX):
        if cause is None:
            break
        words = one_line(str(cause))
        if words and words not in told:
            told += f": {words}"
        cause = cause.__cause__ or cause.__context__
    return told[:TEXT_MAX]
