"""Where an engine keeps the tapes of the markets it works in: DATABASE.tapes/TICKER/BEGIN.jsonl.gz.

BEGIN is when its first frame came, in UTC. One that a kill left ends in .part and reads as far as it goes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

from fsm_exec.core.values.times import from_iso, to_iso
from fsm_exec.recordings.format import PART

SUFFIX: Final = ".tapes"
ENDING: Final = ".jsonl.gz"
_NAME = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d\.\d{6}Z)\.jsonl\.gz(?:\.part)?", re.ASCII)
_TICKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", re.ASCII)


class KeptTape(NamedTuple):
    """One file. `is_whole`: it was closed."""

    path: Path
    began_us: int
    is_whole: bool


def tapes_directory(database: Path) -> Path:
    """The directory of the tapes kept beside a database."""
    return database.with_name(database.name + SUFFIX)


def can_be_directory(ticker: str) -> bool:
    """Whether a market's ticker may name a directory."""
    return _TICKER.fullmatch(ticker) is not None


def tape_name(began_us: int) -> str:
    """The file name of a tape that began then."""
    return to_iso(began_us).replace("-", "").replace(":", "") + ENDING


def find_kept_tapes(directory: Path, ticker: str) -> list[KeptTape]:
    """The tapes of one market, oldest first; none where there is no such directory or it cannot be read."""
    if not can_be_directory(ticker):
        return []
    try:
        paths = sorted((directory / ticker).iterdir())
    except OSError:
        return []
    return [tape for path in paths if (tape := _tape_at(path)) is not None]


def find_all_kept_tapes(directory: Path) -> list[KeptTape]:
    """Those of every market, oldest first."""
    try:
        tickers = sorted(path.name for path in directory.iterdir())
    except OSError:
        return []
    return sorted((tape for ticker in tickers for tape in find_kept_tapes(directory, ticker)), key=_began_us)


def _tape_at(path: Path) -> KeptTape | None:
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    year, month, day, hour, minute, seconds = match.groups()
    try:
        began_us = from_iso(f"{year}-{month}-{day}T{hour}:{minute}:{seconds}")
    except ValueError:
        return None
    return KeptTape(path, began_us, not path.name.endswith(PART))


def _began_us(tape: KeptTape) -> int:
    return tape.began_us
