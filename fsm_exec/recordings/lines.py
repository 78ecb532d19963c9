"""The lines of a recording, one by one: a day of it is too much for memory."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.recordings.format import FORMAT, PART, Header, HeaderLine

LINE_MAX_BYTES = 16 * 1024 * 1024


def read_header(path: Path) -> tuple[Header, Iterator[tuple[int, bytes]]]:
    """Read the header, and the further lines one by one with their numbers. Raises UserError, from here or while
    iterating, for an unreadable, truncated or foreign file; the message names the file, the line and the remedy. One
    that a kill left unfinished, by its name, is no truncated one: it ends early."""
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
    return header, lines


def read_lines(path: Path) -> Iterator[bytes]:
    """Read the lines as they are, with their ends, header first. Raises UserError as `read_header` does."""
    return (line for _, line in _numbered_lines(path))


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
