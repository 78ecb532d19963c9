"""The frames of a recording, as the exchange's words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.recordings.format import PART, Header
from fsm_exec.recordings.lines import Lines, is_cut, read_header
from fsm_exec.wire.ws import Envelope

YEAR_9999_US = 253_370_764_800_000_000  # later times have no text


class FrameLine(msgspec.Struct, kw_only=True):
    recv_us: Annotated[int, msgspec.Meta(ge=0, lt=YEAR_9999_US)]
    frame: Envelope


class FrameLines(Iterator[FrameLine]):
    """The frames of a recording, one by one. `cut_off`, once all are read: the file ends within a line, as a crash
    leaves it, or is unfinished by its name and ends in damage; what was whole was read."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._decoder = msgspec.json.Decoder(FrameLine)
        self._ends_within_a_line = False

    @property
    def cut_off(self) -> bool:
        return self._lines.cut_off or self._ends_within_a_line

    def __next__(self) -> FrameLine:
        """Raises UserError as `read_header` does, and for a damaged line."""
        number, line = next(self._lines)
        try:
            return self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            path = self._lines.path
            if is_cut(line) or path.name.endswith(PART):  # after a power cut its end may be anything
                self._ends_within_a_line = True
                raise StopIteration from None
            raise UserError(f"recording {path}: line {number} is damaged ({error}); use a whole recording") from error


def read_recording(path: Path) -> tuple[Header, FrameLines]:
    """Read the header; the frames are left to read. Raises UserError as `read_header` does."""
    header, lines = read_header(path)
    return header, FrameLines(lines)
