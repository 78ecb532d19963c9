"""The tapes of an experiment: recordings by their path, a glob or a directory, generated flow as PROFILE:SEED."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path
from typing import NamedTuple

from fsm_exec.core.errors import UserError
from fsm_exec.core.text import suggestion
from fsm_exec.lab.products import ALL_TAPES
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.profiles import PROFILES
from fsm_exec.paper.tapes.reading import read_tape
from fsm_exec.paper.tapes.tape import Tape, Trade
from fsm_exec.recordings.day_files import MANIFEST

RECORDINGS = (".jsonl", ".jsonl.gz")  # what counts as one in a directory, and among what a glob matches
GENERATED_S = 23_400  # six and a half hours: a trading day of the recorded index markets
GENERATED_START_US = 1_767_625_200_000_000  # Monday 2026-01-05, 15:00 UTC: the same for every run


class NamedTape(NamedTuple):
    """`name` is what the user called it."""

    name: str
    tape: Tape


def expand_tapes(names: Iterable[str]) -> tuple[str, ...]:
    """The names with directories (and those below them) and globs replaced by the recordings there, sorted; others as
    they are. Raises UserError for a directory or a glob without any, and for an empty name: it would be here."""
    if not all(names := tuple(names)):
        raise UserError("tape '': give a recording, a directory or a glob of them, or PROFILE:SEED")
    return tuple(found for name in names for found in _expanded(name))


def _expanded(name: str) -> Iterator[str]:
    path = Path(name)
    if path.is_dir():
        found = [str(below) for below in path.rglob("*")]
    elif has_magic(name) and not path.exists():
        found = [
            each
            for match in glob(name, recursive=True)
            for each in (map(str, Path(match).rglob("*")) if Path(match).is_dir() else (match,))
        ]
    else:
        yield name
        return
    recordings = sorted({each for each in found if is_recording(Path(each), RECORDINGS)})
    if not recordings:
        kind = "directory" if path.is_dir() else "pattern"
        raise UserError(f"tape {name}: no recording ({' or '.join(RECORDINGS)}) in that {kind}; give another --tape")
    yield from recordings


def is_recording(path: Path, endings: tuple[str, ...]) -> bool:
    """Say whether a file that nobody named is one by its name: the manifest beside the files of days is none."""
    return path.name.endswith(endings) and path.name != MANIFEST and path.is_file()


def open_tape(name: str) -> NamedTape:
    """The recording at a path, or the flow of PROFILE:SEED. Raises UserError."""
    profile, colon, seed = name.rpartition(":")
    if colon and seed.isascii() and seed.isdigit() and profile not in PROFILES and not Path(name).exists():
        nearly = suggestion(profile, PROFILES)
        raise UserError(
            f"tape {name!r}: no profile {profile!r}, and no such file{nearly} give one of: {', '.join(PROFILES)}"
        )
    if not colon or profile not in PROFILES:
        return NamedTape(name, read_tape(Path(name)))
    if not (seed.isascii() and seed.isdigit()):
        raise UserError(f"tape {name!r}: {seed!r} is no seed; give {profile}:SEED with a whole number")
    return NamedTape(name, generate(int(seed), GENERATED_S, profile=profile, start_us=GENERATED_START_US))


def open_tapes(names: tuple[str, ...]) -> list[NamedTape]:
    """All of them. Raises UserError, also for a name that comes twice, and for one tape under two names: counted twice
    it would make every difference look surer than it is."""
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"tape {name} is given twice; give each tape once")
        if name == ALL_TAPES:
            raise UserError(f"tape {name}: that name stands for all tapes together; give ./{name}")
    opened = [open_tape(name) for name in names]
    for number, (name, tape) in enumerate(opened):
        for earlier, other in opened[:number]:
            if tape.events == other.events:
                raise UserError(f"tapes {earlier} and {name} are the same recording; give each tape once")
    return opened


def short_names(names: Iterable[str]) -> dict[str, str]:
    """What to call each tape in a table: a recording's file name without its endings, or the whole name where two would
    be called the same."""
    stems = {name: Path(name).name.removesuffix(".gz").removesuffix(".jsonl") or name for name in names}
    called = list(stems.values())
    return {name: stem if called.count(stem) == 1 else name for name, stem in stems.items()}


def count_trades(tape: Tape) -> int:
    """Return how many trades it holds: where there are none, nobody knows who would have traded with us."""
    return sum(isinstance(change, Trade) for _, change in tape.events)


def fingerprint(tape: Tape) -> str:
    """Return a hash of the events: it shows whether a name still means the same tape."""
    digest = hashlib.sha256(repr(tape.header).encode())
    for event in tape.events:
        digest.update(repr(event).encode())
    return digest.hexdigest()
