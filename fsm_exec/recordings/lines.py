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
HEADER_START = b'{"header"'


class HeaderCutOff(UserError):
    """There is nothing in a recording: it was cut off before its first frame."""


class Lines(Iterator[tuple[int, bytes]]):
    """The lines of a file with their numbers, one by one; blank ones are left out. `cut_off`, once all are read: the
    file ended before its compression did."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cut_off = False
        self._lines = self._read()

    def __next__(self) -> tuple[int, bytes]:
        """Raises UserError for a file that cannot be read or is damaged: it names the file and the remedy."""
        return next(self._lines)

    def _read(self) -> Iterator[tuple[int, bytes]]:
        path = self.path
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
        except EOFError:
            self.cut_off = True
        except (zlib.error, gzip.BadGzipFile) as error:
            if not path.name.endswith(PART):  # after a power cut its end may be anything
                raise UserError(f"recording {path}: the file is damaged ({error}); copy it again") from error
            self.cut_off = True
        except OSError as error:
            raise UserError(f"recording {path}: cannot be read ({error.strerror or error}); check the path") from error


def is_cut(line: bytes) -> bool:
    """Return whether a line may lack its end: only a file's last one does, if it was cut off there."""
    return not line.endswith(b"\n") and len(line) < LINE_MAX_BYTES


def read_header(path: Path) -> tuple[Header, Lines]:
    """Read the header; the further lines are left to read. Raises UserError, from here or while iterating, for an
    unreadable, damaged or foreign file; the message names the file, the line and the remedy. A file that was cut off is
    none of these: it ends early."""
    lines = Lines(path)
    first = next(lines, None)
    if first is None and not lines.cut_off:
        raise UserError(f"recording {path}: the file is empty; give a {FORMAT} file")
    nothing = HeaderCutOff(f"recording {path}: it was cut off within its header, no frame is in it; use another")
    if first is None:
        raise nothing
    try:
        header = msgspec.json.decode(first[1], type=HeaderLine).header
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if is_cut(first[1]) and first[1].startswith(HEADER_START):
            raise nothing from error
        remedy = f"give a {FORMAT} file; fsm-exec import makes one of a raw log"
        raise UserError(f"recording {path}: line 1 is no recording header; {remedy}") from error
    if header.format != FORMAT:
        raise UserError(f"recording {path}: format {header.format[:40]!r} is not {FORMAT}; give a file of that format")
    return header, lines


def read_lines(path: Path) -> Iterator[bytes]:
    """Read the lines as they are, with their ends, header first. Raises UserError as `read_header` does."""
    return (line for _, line in Lines(path))
