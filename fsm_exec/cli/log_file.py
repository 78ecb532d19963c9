"""The log of a command that works a database is one file beside it, and those that were full before."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fsm_exec.cli.logs.journal import JournalCopy
from fsm_exec.cli.logs.rotating_file import RotatingFile
from fsm_exec.cli.logs.settings import LogSettings
from fsm_exec.core.errors import UserError
from fsm_exec.runtime.logs import LogFile


def log_path(db: Path) -> Path:
    return db.with_name(db.name + ".log")


@contextmanager
def open_log_file(db: Path, settings: LogSettings | None = None, *, to_journal: bool = False) -> Iterator[LogFile]:
    """Open the log beside the database; a new one in which nothing was written does not stay. `to_journal`: its lines
    go to standard error too, as systemd's journal takes them. Raises UserError; a disk that is full when it is closed
    is not worth an error."""
    path, settings = log_path(db), settings or LogSettings()
    is_new = not os.path.lexists(path)
    try:
        file = RotatingFile(path, max_bytes=settings.max_bytes, keep=settings.keep)
    except OSError as error:
        raise UserError(
            f"cannot use the database {db}: {path.name} beside it cannot be written ({error.strerror}); "
            "give a path in a directory that exists and can be written to"
        ) from error
    log = JournalCopy(file, sys.stderr.fileno()) if to_journal else file
    try:
        yield log
    finally:
        with suppress(OSError):
            log.close()
        with suppress(OSError):
            if is_new and path.stat().st_size == 0:
                path.unlink()
