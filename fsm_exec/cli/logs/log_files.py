"""The files of one log in the order of time, and what is added to it while one reads."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from io import BufferedReader
from itertools import islice, takewhile
from pathlib import Path
from typing import IO, Final, cast

from fsm_exec.cli.logs.entries import Entry, parse_entry, parse_lines
from fsm_exec.core.errors import UserError

ENCODING: Final = "utf-8"
HEAD_BYTES: Final = 200  # by which a file is known again: its first line, with its time
FIRST_LINES: Final = 20  # of a file, of which one at least should be whole


def find_log_files(log: Path) -> list[Path]:
    """Return the files of the log, the oldest first: by the first time in each, since whatever else renames and packs
    them has names of its own. Raises UserError if there is none, or if one cannot be read."""
    found = [path for path in log.parent.glob(f"{_escaped(log.name)}*") if _is_of(log, path)]
    if not found:
        raise UserError(f"no log {log}; give the database it lies beside with --db")
    dated = [(at, path) for path in found if (at := _first_time(path)) is not None]
    return [path for _, path in sorted(dated, key=lambda each: (each[0], each[1] == log))]


def read_entries(files: Sequence[Path], since: str, unread: list[str]) -> Iterator[Entry]:
    """Yield the entries from the time `since` on (ISO 8601, "" for all). Lines that cannot be read are added to
    `unread`. Raises UserError for a file that cannot be read."""
    starts = [_first_time(path) or "" for path in files[1:]]
    for number, path in enumerate(files):
        if number < len(starts) and starts[number] <= since:
            continue  # the next file begins no later than what is wanted
        yield from parse_lines(_lines(path), since, unread)


class LogTail:
    """The newest file of a log and what is added to it: renamed, deleted or cut, it is followed to where it goes on."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._rest = self._head = b""
        self._file: BufferedReader | None = self._open()

    def older_than(self, files: Sequence[Path]) -> list[Path]:
        """Return those of the log's files that are older than the one read here."""
        if self._file is None:
            return list(files)
        mine = os.fstat(self._file.fileno())
        return list(takewhile(lambda path: not os.path.samestat(os.stat(path), mine), files))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def read_lines(self) -> list[str]:
        """Return the whole lines that were added since the last call; at the first, those that are there."""
        lines = [] if self._file is None else self._rest_of(self._file)
        if self._has_moved():
            if self._file is not None:
                lines += self._rest_of(self._file)  # what came between the two
                self._file.close()
            self._rest = self._head = b""
            self._file = self._open()
            lines += [] if self._file is None else self._rest_of(self._file)
        return lines

    def _rest_of(self, file: BufferedReader) -> list[str]:
        if os.pread(file.fileno(), len(self._head), 0) != self._head:  # cut: it goes on from its beginning
            file.seek(0)
            self._rest = b""
        *whole, self._rest = (self._rest + file.read()).split(b"\n")
        self._head = os.pread(file.fileno(), min(file.tell(), HEAD_BYTES), 0)
        return [line.decode(ENCODING, "replace") for line in whole]

    def _has_moved(self) -> bool:
        try:
            named = os.stat(self._log)
        except OSError:
            return False
        return self._file is None or not os.path.samestat(named, os.fstat(self._file.fileno()))

    def _open(self) -> BufferedReader | None:
        try:
            return open(self._log, "rb")  # closed by `close`
        except OSError:
            return None


def _is_of(log: Path, path: Path) -> bool:
    """Whether a name is that of the log, or what a rotation makes of it: NAME.3, NAME.3.gz, NAME-20261001.gz."""
    ending = path.name[len(log.name) :].removesuffix(".gz")
    return path.is_file() and (not ending or (ending[0] in ".-" and ending[1:].replace("-", "").isdigit()))


def _first_time(path: Path) -> str | None:
    with closing(_lines(path)) as lines:
        entries = map(parse_entry, islice(lines, FIRST_LINES))
        return next((entry.at for entry in entries if entry is not None), None)


def _open_text(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return cast("IO[str]", gzip.open(path, "rt", encoding=ENCODING, errors="replace"))
    return open(path, encoding=ENCODING, errors="replace")


def _lines(path: Path) -> Generator[str]:
    """Yield the lines of a file, packed or not. Raises UserError."""
    try:
        with _open_text(path) as file:
            yield from file
    except FileNotFoundError:
        return  # rotated away since it was found
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"log {path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _escaped(name: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in name)
