"""The mark of a file: an attribute beside its content that says when it was last opened, as its `meta` does too.

Path and inode alone do not tell a database from its copy: a file system gives a removed file's inode to the next one,
and a copy written over a file has both. So each opening writes its time into the database and into an extended
attribute of the file, which ordinary copying leaves behind. A database whose file has no mark, or the mark of another
opening, is a copy. Where there are no such attributes, path and inode must do.

What this cannot see: a bare copy of the file, made since the engine's last start and written over the file without
another start between. The copies of `fsm-exec db backup` and `restore` are known always.

Named by path, never by a descriptor: closing one would drop SQLite's locks on the file.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

ATTRIBUTE: Final = "user.fsm-exec.opened"
SEPARATOR: Final = "|"


def is_copy(path: Path, opened_at: str) -> bool:
    """Return whether the file's mark is missing, or of another opening than the database in it knows."""
    if not hasattr(os, "getxattr"):
        return False
    try:
        found = os.getxattr(path, ATTRIBUTE).decode(errors="replace")
    except OSError as error:
        return error.errno == errno.ENODATA  # else there are no attributes here, and nothing is known
    return opened_at not in found.split(SEPARATOR)


def write_mark(path: Path, *openings: str) -> None:
    """Write the given opening times into the file's attribute: two until the later one is committed, that one alone
    afterwards. Where it cannot be written nothing happens; on a full disk the next opening may take the file for a
    copy, which costs the user a question."""
    if hasattr(os, "setxattr"):
        with suppress(OSError):
            os.setxattr(path, ATTRIBUTE, SEPARATOR.join(openings).encode())
