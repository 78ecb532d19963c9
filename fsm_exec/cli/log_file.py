"""The log of a command that works a database is one file beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from fsm_exec.core.errors import UserError
from fsm_exec.owner_only import owner_only


def log_path(db: Path) -> Path:
    return db.with_name(db.name + ".log")


@contextmanager
def open_log_file(db: Path) -> Iterator[TextIO]:
    """Open the log beside the database; a new one in which nothing was written does not stay. Raises UserError; a disk
    that is full when it is closed is not worth an error."""
    path = log_path(db)
    is_new = not os.path.lexists(path)
    try:
        file = open(path, "a", encoding="utf-8", buffering=1, opener=owner_only)  # noqa: SIM115  # closed below
    except OSError as error:
        raise UserError(
            f"cannot use the database {db}: {path.name} beside it cannot be written ({error.strerror}); "
            "give a path in a directory that exists and can be written to"
        ) from error
    try:
        yield file
    finally:
        with suppress(OSError):
            file.close()
        with suppress(OSError):
            if is_new and path.stat().st_size == 0:
                path.unlink()
