"""The text of a snapshot's head, checked: never store what cannot be loaded.

What is encoded is decoded again at once and compared. What an execution was accepted as never changes and is more than
half of the text (terms, limits, the arrival's book), so it is encoded and checked once and remembered, for the newest
REMEMBERED executions; of each step only the rest is. What is remembered counts only if every single field it was made
of is the very same object still: an equal one may be encoded otherwise (1 and True, 1 and 1.0), and one that was left
out could be stored wrong unseen. The text is the same either way, byte for byte.
"""

from __future__ import annotations

from operator import attrgetter, is_
from typing import Any, Final

import msgspec

from fsm_exec.core.errors import CorruptSnapshot
from fsm_exec.core.execution.execution import Execution

REMEMBERED = 2_048

_LAST_FIXED: Final = "reduce_only"  # the last field of what an execution was accepted as
_NAMES: Final = Execution.__struct_fields__
_SPLIT: Final = _NAMES.index(_LAST_FIXED) + 1
FIXED: Final = _NAMES[:_SPLIT]
MOVING: Final = _NAMES[_SPLIT:]

_fixed_of = attrgetter(*FIXED)
_moving_of = attrgetter(*MOVING)

_Moving: Any = msgspec.defstruct(
    "Moving",
    [(field.name, field.type) for field in msgspec.structs.fields(Execution)[_SPLIT:]],
    frozen=True,
    gc=False,
    forbid_unknown_fields=True,
)
_ENCODER = msgspec.json.Encoder()
_EXECUTION = msgspec.json.Decoder(Execution)
_MOVING: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_Moving)


class _Remembered:
    """The fixed fields of executions by their ids, and the text that they make, without its last bracket."""

    __slots__ = ("by_id",)

    def __init__(self) -> None:
        self.by_id: dict[str, tuple[tuple[object, ...], bytes]] = {}

    def add(self, execution_id: str, fields: tuple[object, ...], text: bytes) -> None:
        """Remember these; the oldest are forgotten."""
        self.by_id.pop(execution_id, None)
        while len(self.by_id) >= REMEMBERED:
            del self.by_id[next(iter(self.by_id))]
        self.by_id[execution_id] = fields, text


_REMEMBERED: Final = _Remembered()


def encode_head(head: Execution) -> bytes:
    """Raises CorruptSnapshot if the bytes would not give the same execution back: a constructor was misused."""
    fields = _fixed_of(head)
    known = _REMEMBERED.by_id.get(head.execution_id)
    try:
        if known is not None and all(map(is_, known[0], fields)):
            moving = _Moving(*_moving_of(head))
            text = _ENCODER.encode(moving)
            if _MOVING.decode(text) != moving:
                raise CorruptSnapshot(f"{head.execution_id} does not survive its own encoding")
            return b"%b,%b" % (known[1], text[1:])
        text = _ENCODER.encode(head)
        if _EXECUTION.decode(text) != head:
            raise CorruptSnapshot(f"{head.execution_id} does not survive its own encoding")
    except msgspec.DecodeError as error:
        raise CorruptSnapshot(f"{head.execution_id} cannot be decoded again: {error}") from error
    moving_text = _ENCODER.encode(_Moving(*_moving_of(head)))
    _REMEMBERED.add(head.execution_id, fields, text[: -len(moving_text)])
    return text
