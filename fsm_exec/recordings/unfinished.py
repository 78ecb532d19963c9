"""Frames that a kill left in PATH.part become a recording of their own before the next one begins."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from fsm_exec.core.errors import UserError
from fsm_exec.owner_only import owner_only
from fsm_exec.recordings.lines import HeaderCutOff, read_header, read_lines
from fsm_exec.recordings.writer import lock, part_of

ENDINGS = (".jsonl.gz", ".gz", "")


class Recovered(NamedTuple):
    """A recording that a kill had left unfinished. `kept` is where its frames are now; None if it held none."""

    part: Path
    kept: Path | None
    frames: int
    price_level_structure: str


def recover_unfinished(path: Path) -> Recovered | None:
    """Make the frames of `PATH.part` a recording of their own, if there is such a file and no process writes it. Raises
    UserError for one that is being written or that cannot be read, OSError for a file that cannot be written."""
    part = part_of(path)
    try:
        raw = part.open("r+b")
    except FileNotFoundError:
        return None
    with raw:
        if not lock(raw):
            raise UserError(f"--out {path}: another `record` is writing {part}; give another path")
        structure = ""
        if part.stat().st_size:
            with suppress(HeaderCutOff):
                # Only its header: a file that is none of ours is left alone.
                structure = read_header(part)[0].price_level_structure
        frames, making = -1, part.with_name(part.name + ".new")
        with (
            open(making, "wb", opener=owner_only) as out,
            gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as whole,
        ):
            for line in read_lines(part):
                whole.write(line)
                frames += 1
        kept = None
        if frames > 0:
            kept = _free_name(path)
            making.rename(kept)
        else:
            making.unlink()
        part.unlink()
        return Recovered(part, kept, max(0, frames), structure)


def _free_name(path: Path) -> Path:
    """`day.jsonl.gz` -> `day.cut-1.jsonl.gz`, or the next number that is free."""
    ending = next(ending for ending in ENDINGS if path.name.endswith(ending))
    stem = path.name.removesuffix(ending)
    number = 1
    while (name := path.with_name(f"{stem}.cut-{number}{ending}")).exists():
        number += 1
    return name
