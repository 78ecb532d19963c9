"""Files for their owner alone: what an account holds and does is nobody else's to read.

The command makes every file so by its umask; what is made here says it once more, for whoever uses the store without
the command. SQLite gives a log the rights of its database. A database of before, or one that was copied by other means,
may be wider: it is narrowed when an engine opens it, and that is said.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

OWNER_ONLY: Final = 0o600
OTHERS_MAY: Final = 0o077  # any right of group or world
_OF_A_DATABASE: Final = ("", "-wal", "-shm", "-journal", ".log")


def owner_only(path: str, flags: int) -> int:
    """An opener for `open`: a new file is its owner's alone, whatever the umask."""
    return os.open(path, flags, OWNER_ONLY)


def narrow(database: Path) -> list[str]:
    """Take every right of others from an existing database, its logs and its copies; a line to say for each that had
    some. By path alone: closing a descriptor would drop the locks of an engine in this process."""
    beside = (database.with_name(database.name + suffix) for suffix in _OF_A_DATABASE)
    copies = sorted(database.parent.glob(f"{_literal(database.name)}.v*.backup"))
    return [line for path in (*beside, *copies) if (line := _narrowed(path)) is not None]


def _narrowed(path: Path) -> str | None:
    try:
        found = os.stat(path, follow_symlinks=False)
    except (OSError, ValueError):
        return None
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode) or not mode & OTHERS_MAY:
        return None
    told = f"{path} could be used by others (mode {mode:03o})"
    try:
        path.chmod(mode & ~OTHERS_MAY)
    except OSError as error:
        return f"{told} and cannot be made its owner's alone ({error.strerror}); run as its owner: chmod 600 {path}"
    return f"{told}; it is its owner's alone now"


def _literal(name: str) -> str:
    """`name` as a pattern that matches nothing else."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
