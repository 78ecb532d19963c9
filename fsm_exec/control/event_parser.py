"""The parser turns the lines of the daemon's stream into server-sent events, one step at a time."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from fsm_exec.control.calls import decode
from fsm_exec.control.client_errors import DaemonAbsent
from fsm_exec.control.schema import Ended, QuarantineSeen, Transition

Step: TypeAlias = Transition | QuarantineSeen
HAS_ENDED = "has ended"


class ParsedEvent(NamedTuple):
    """An event of the stream. `place` is the row to go on after. `step` None: the stream says only that, or that the
    daemon lives. `is_end`: the execution has ended, and no more will come."""

    place: int | None
    step: Step | None
    is_end: bool = False


class EventParser:
    """Parses the lines of one stream that began after row `place`."""

    def __init__(self, place: int | None) -> None:
        self._place = place
        self._kind = self._data = ""

    def feed(self, line: str) -> ParsedEvent | None:
        """Return the event that this line completes, if it does. An event is whole only with its blank line; one that
        was cut is none. Raises DaemonAbsent if the daemon says that it stops, DaemonFailed for what no daemon says."""
        name, _, value = line.partition(": ")
        if name == "id" and value.isdecimal():
            self._place = int(value)
        elif name == "event":
            self._kind = value
        elif name == "data":
            self._data = value
        if line:
            return None
        kind, data = self._kind, self._data.encode()
        self._kind = self._data = ""
        match kind:
            case "step":
                return ParsedEvent(self._place, decode(data, Transition))
            case "quarantine":
                return ParsedEvent(self._place, decode(data, QuarantineSeen))
            case "end":
                why = decode(data, Ended).why
                if not why.endswith(HAS_ENDED):
                    raise DaemonAbsent(why)
                return ParsedEvent(self._place, None, is_end=True)
            case _:
                return ParsedEvent(self._place, None)
