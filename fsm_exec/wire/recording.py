"""Recordings: gzipped JSON Lines of WebSocket frames with their times of receipt, format `kalshi-ws-recording/1`.

First line {"header": {"format", "ticker", "price_level_structure", "note"?}}, then {"recv_us", "frame"} a line.
Plain (not gzipped) files are read too.
"""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.wire.ws import Envelope

FORMAT = "kalshi-ws-recording/1"
PART = ".part"  # ends the name of a recording that is not whole, or not yet: it is read as far as it goes
LINE_MAX_BYTES = 16 * 1024 * 1024
YEAR_9999_US = 253_370_764_800_000_000  # later times have no text


class Header(msgspec.Struct, kw_only=True, omit_defaults=True):
    format: str
    ticker: str
    price_level_structure: str
    note: str | None = None


class HeaderLine(msgspec.Struct, kw_only=True):
    header: Header


class FrameLine(msgspec.Struct, kw_only=True):
    recv_us: Annotated[int, msgspec.Meta(ge=0, lt=YEAR_9999_US)]
    frame: Envelope


def read_recording(path: Path) -> tuple[Header, Iterator[FrameLine]]:
    """Read the header, and the frames one by one. Raises UserError, from here or while iterating, for an unreadable,
    truncated or foreign file; the message names the file, the line and the remedy. One that a kill left unfinished, by
    its name, is no truncated one: it ends early."""
    lines = _numbered_lines(path)
    first = next(lines, None)
    if first is None:
        raise UserError(f"recording {path}: the file is empty; give a {FORMAT} file")
    try:
        header = msgspec.json.decode(first[1], type=HeaderLine).header
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"recording {path}: line 1 is no recording header; give a {FORMAT} file") from error
    if header.format != FORMAT:
        raise UserError(f"recording {path}: format {header.format[:40]!r} is not {FORMAT}; give a file of that format")
    return header, _decode_frames(path, lines)


def read_lines(path: Path) -> Iterator[bytes]:
    """Read the lines as they are, with their ends, header first. Raises UserError as `read_recording` does."""
    return (line for _, line in _numbered_lines(path))


def header_line(header: Header) -> bytes:
    """The first line of a recording, without its end."""
    return msgspec.json.encode(HeaderLine(header=header))


def frame_line(recv_us: int, frame: str | bytes) -> bytes:
    """A frame as it came, on one line, without its end."""
    raw = frame.encode() if isinstance(frame, str) else frame
    return b'{"recv_us":%d,"frame":%b}' % (recv_us, msgspec.json.format(raw, indent=-1))


def _decode_frames(path: Path, lines: Iterator[tuple[int, bytes]]) -> Iterator[FrameLine]:
    decoder = msgspec.json.Decoder(FrameLine)
    for number, line in lines:
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UserError(f"recording {path}: line {number} is damaged ({error}); use a whole recording") from error


def _numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as probe:
            zipped = probe.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else path.open("rb") as file:
            number = 0
            while line := file.readline(LINE_MAX_BYTES):
                number += 1
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)  # of an editor that means well
                if line.strip():
                    yield number, line
    except (EOFError, zlib.error) as error:
        if path.name.endswith(PART):
            return  # what was being written when it ended is lost; all before it was read
        what = "the file is truncated" if isinstance(error, EOFError) else f"the file is damaged ({error})"
        raise UserError(f"recording {path}: {what}; copy it again") from error
    except OSError as error:
        raise UserError(f"recording {path}: cannot be read ({error.strerror or error}); check the path") from error
