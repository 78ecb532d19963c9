"""One line of a log: its time, its level, and what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, TypeAlias

import msgspec

from fsm_exec.core.market.client_order_id import parse_order_name

Level: TypeAlias = Literal["info", "warning", "error"]
RANKS: Final[dict[str, int]] = {"debug": 0, "info": 1, "warning": 2, "error": 3, "critical": 4}
_DECODER: Final = msgspec.json.Decoder(dict[str, Any])


class Entry(msgspec.Struct, frozen=True):
    """A line that could be read. `fields` are those beside time, level and event."""

    raw: str
    at: str
    level: str
    event: str
    fields: dict[str, Any]

    @property
    def rank(self) -> int:
        """How much it matters; a word nobody knows matters as much as an error."""
        return RANKS.get(self.level, RANKS["error"])

    def concerns(self, execution_id: str) -> bool:
        """Whether it names the execution, or one of its orders."""
        return any(_names(value, execution_id) for value in self.fields.values())

    def step(self) -> tuple[str, str, object] | None:
        """Return what all changes of one step of an execution have in common; None for any other line."""
        if self.event != "transition" or "event_type" not in self.fields:
            return None
        return self.execution_of_step(), str(self.fields["event_type"]), self.fields.get("seq")

    def execution_of_step(self) -> str:
        """Return the execution whose state or order changed."""
        subject = str(self.fields.get("subject", ""))
        named = parse_order_name(subject)
        return subject if named is None else named.execution_id


def parse_entry(line: str) -> Entry | None:
    """Return the entry of a line; None for one that is torn, or something else's."""
    raw = line.strip()
    try:
        fields = _DECODER.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    at, level, event = (fields.pop(name, None) for name in ("at", "level", "event"))
    if not isinstance(at, str) or not isinstance(event, str):
        return None
    return Entry(raw, at, level if isinstance(level, str) else "info", event, fields)


def parse_lines(lines: Iterable[str], since: str, unread: list[str]) -> Iterator[Entry]:
    """Yield the entries from the time `since` on (ISO 8601, "" for all). Lines that cannot be read are added to
    `unread`."""
    for line in lines:
        entry = parse_entry(line)
        if entry is not None:
            if entry.at >= since:
                yield entry
        elif line.strip():
            unread.append(line)


def _names(value: object, execution_id: str) -> bool:
    match value:
        case str():
            if value == execution_id:
                return True
            named = parse_order_name(value)
            return named is not None and named.execution_id == execution_id
        case list():
            return any(_names(each, execution_id) for each in value)
        case dict():
            return any(_names(each, execution_id) for each in value.values())
        case _:
            return False
