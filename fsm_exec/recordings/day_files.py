"""The files of a recorder that goes on for days: one a market and UTC day, named DIRECTORY/TICKER.DAY.jsonl.gz, and a
manifest that says of each finished file what it is.

A file that is begun again on the same day, after a restart or a rotation, has a number behind the day. Each begins with
a whole book, so each is a recording of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from fsm_exec.core.market.fees import FeeWords
from fsm_exec.core.values.times import to_iso
from fsm_exec.owner_only import owner_only
from fsm_exec.recordings.format import FORMAT, PART, Header
from fsm_exec.recordings.unfinished import Recovered, recover_unfinished
from fsm_exec.recordings.writer import RecordingWriter, part_of

ENDING: Final = ".jsonl.gz"
MANIFEST: Final = "manifest.jsonl"
DAY: Final = slice(len("2026-08-05"))

EndedBy: TypeAlias = Literal["day", "rotation", "market", "end", "kill"]
PathOf: TypeAlias = Callable[[str, int], Path]
"""Where the file of a market begins that starts at a time, in unix microseconds: a name that is free."""


class ManifestRow(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a manifest. `ended_by`: its day was over, a signal asked for new files, its market was, or the
    recorder; `kill`: found unfinished by a later start, which does not know its times and gaps."""

    file: str
    market: str
    price_level_structure: str
    began_at: str | None
    ended_at: str | None
    frames: int
    gaps: int | None
    ended_by: EndedBy


def day_of(at_us: int) -> str:
    """The UTC day of a time."""
    return to_iso(at_us)[DAY]


def day_paths(directory: Path) -> PathOf:
    """Names by market and day in a directory."""
    return lambda ticker, at_us: _free(directory / f"{ticker}.{day_of(at_us)}{ENDING}")


def numbered_paths(path: Path) -> PathOf:
    """One name, then numbered ones beside it."""
    return lambda ticker, at_us: _free(path)


def _free(path: Path) -> Path:
    ending = next(ending for ending in (ENDING, ".gz", "") if path.name.endswith(ending))
    stem = path.name.removesuffix(ending)
    number, name = 1, path
    while name.exists() or part_of(name).exists():
        number += 1
        name = path.with_name(f"{stem}.{number}{ending}")
    return name


def append_manifest(directory: Path, row: ManifestRow) -> None:
    """Append a row, in one write and on a line of its own, also after a line that a crash cut off. Raises OSError."""
    with open(directory / MANIFEST, "a+b", buffering=0, opener=owner_only) as file:
        size = file.seek(0, os.SEEK_END)
        is_cut = False
        if size:
            file.seek(size - 1)
            is_cut = file.read(1) != b"\n"
        file.write(b"\n" * is_cut + msgspec.json.encode(row) + b"\n")
        os.fsync(file.fileno())


def recover_market(directory: Path, ticker: str) -> list[Recovered]:
    """Make what kills have left of a market in a directory recordings of their own, and say so in the manifest. Raises
    UserError where another process is at it, OSError."""
    found = []
    name = re.compile(
        rf"({re.escape(ticker)}\.\d{{4}}-\d\d-\d\d(?:\.\d+)?{re.escape(ENDING)}){re.escape(PART)}", re.ASCII
    )
    matches = sorted(match[1] for path in directory.iterdir() if (match := name.fullmatch(path.name)) is not None)
    for unfinished in matches:
        recovered = recover_unfinished(directory / unfinished)
        if recovered is None:
            continue
        found.append(recovered)
        if recovered.kept is not None:
            row = ManifestRow(
                file=recovered.kept.name,
                market=ticker,
                price_level_structure=recovered.price_level_structure,
                began_at=None,
                ended_at=None,
                frames=recovered.frames,
                gaps=None,
                ended_by="kill",
            )
            append_manifest(directory, row)
    return found


class MarketFiles:
    """The files of one market, one after the other. `directory`: where the manifest is, if there is one. OSErrors come
    as they are."""

    def __init__(
        self, ticker: str, structure: str, path_of: PathOf, directory: Path | None, fees: FeeWords | None = None
    ) -> None:
        self.ticker = ticker
        self.finished: list[tuple[Path, ManifestRow]] = []
        self._header = Header(format=FORMAT, ticker=ticker, price_level_structure=structure).with_fees(fees)
        self._path_of, self._directory = path_of, directory
        self._writer: RecordingWriter | None = None
        self._began_us = self._last_us = self._gaps = 0

    @property
    def is_open(self) -> bool:
        """Whether there is a file to write to."""
        return self._writer is not None

    @property
    def path(self) -> Path | None:
        """The file that is written to."""
        return None if self._writer is None else self._writer.path

    def day_is_over(self, at_us: int) -> bool:
        """Whether a frame received at a time is of another day than the file."""
        return self._writer is not None and self._directory is not None and day_of(at_us) != day_of(self._began_us)

    def begin(self, at_us: int) -> None:
        """Begin a file. Its first frame must hold a whole book."""
        self._writer = RecordingWriter(self._path_of(self.ticker, at_us), self._header)
        self._began_us, self._gaps = at_us, 0

    def write(self, at_us: int, frame: str | bytes) -> None:
        """Write a frame to the file that was begun."""
        assert self._writer is not None
        self._writer.write(at_us, frame)
        self._last_us = max(self._last_us, at_us)

    def note_gap(self) -> None:
        """Count that frames are missing."""
        self._gaps += 1

    def flush(self) -> None:
        """Hand what was written to the system."""
        if self._writer is not None:
            self._writer.flush()

    def end(self, ended_by: EndedBy) -> None:
        """Make the file whole, if there is one, and note it."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.close()
        if not writer.frames:
            return
        row = ManifestRow(
            file=writer.path.name,
            market=self.ticker,
            price_level_structure=self._header.price_level_structure,
            began_at=to_iso(self._began_us),
            ended_at=to_iso(self._last_us),
            frames=writer.frames,
            gaps=self._gaps,
            ended_by=ended_by,
        )
        self.finished.append((writer.path, row))
        if self._directory is not None:
            append_manifest(self._directory, row)
