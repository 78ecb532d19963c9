"""The frames of a recording, as the exchange's words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.recordings.format import Header
from fsm_exec.recordings.lines import read_header
from fsm_exec.wire.ws import Envelope

YEAR_9999_US = 253_370_764_800_000_000  # later times have no text


class FrameLine(msgspec.Struct, kw_only=True):
    recv_us: Annotated[int, msgspec.Meta(ge=0, lt=YEAR_9999_US)]
    frame: Envelope


def read_recording(path: Path) -> tuple[Header, Iterator[FrameLine]]:
    """Read the header, and the frames one by one. Raises UserError as `read_header` does, and for a damaged line."""
    header, lines = read_header(path)
    return header, _decode_frames(path, lines)


def _decode_frames(path: Path, lines: Iterator[tuple[int, bytes]]) -> Iterator[FrameLine]:
    decoder = msgspec.json.Decoder(FrameLine)
    for number, line in lines:
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UserError(f"recording {path}: line {number} is damaged ({error}); use a whole recording") from error
