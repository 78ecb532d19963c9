"""Trouble that goes on, as the log tells it: at once, then ever more rarely with how often it was met, and its end."""

from __future__ import annotations

from typing import Final, Protocol

WORDS_MAX: Final = 4  # different words for one trouble that are each told at once


class TroubleLog(Protocol):
    """What is needed of a log."""

    def info(self, event: str, **values: object) -> object: ...
    def warning(self, event: str, **values: object) -> object: ...


class Trouble:
    """One kind of trouble: `event` names its lines, and `field` is where their words stand. It is told when it is met
    for the first, second, fourth, eighth time and so on, and whenever its words are new; an exchange that is down for
    half an hour is tried hundreds of times."""

    def __init__(self, log: TroubleLog, event: str, field: str = "error") -> None:
        self._log, self._event, self._field = log, event, field
        self._times = 0
        self._words: set[str] = set()

    def record(self, words: str, **values: object) -> None:
        """Record that it was met."""
        self._times += 1
        is_new = words not in self._words and len(self._words) < WORDS_MAX
        if is_new:
            self._words.add(words)
        if is_new or self._times & (self._times - 1) == 0:
            counted = {"times": self._times} if self._times > 1 else {}
            self._log.warning(self._event, **{self._field: words}, **values, **counted)

    def end(self) -> None:
        """Record that it is over, which is told if it was met more than once."""
        if self._times > 1:
            self._log.info("trouble_over", what=self._event, times=self._times)
        self._times = 0
        self._words.clear()
