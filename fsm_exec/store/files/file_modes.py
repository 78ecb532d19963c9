"""Restricts the modes of a database that other users can read: one of an earlier version, or copied by other means.

It happens when an engine opens the database, and the engine says so."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from fsm_exec.store.files.acknowledged import SUFFIX
from fsm_exec.store.files.held_file import SQLITE_MAGIC
from fsm_exec.store.files.migrations import APPLICATION_ID

GROUP_OR_WORLD: Final = 0o077  # any right of group or world
_OF_A_DATABASE: Final = ("", "-wal", "-shm", "-journal", ".log", SUFFIX)
_HEADER_BYTES: Final = 100
_APPLICATION_ID: Final = slice(68, 72)  # in the header, as SQLite's file format has it


def restrict_modes(database: Path) -> list[str]:
    """Take every right of others from an existing database, its logs and its copies; a line to say for each that had
    some. Asked before this process opens it: closing a descriptor drops the locks that SQLite has on it."""
    if not _is_ours(database):
        return []
    beside = (database.with_name(database.name + suffix) for suffix in _OF_A_DATABASE)
    copies = sorted(database.parent.glob(f"{_literal(database.name)}.v*.backup"))
    return [line for path in (*beside, *copies) if (line := _restrict(path)) is not None]


def _is_ours(database: Path) -> bool:
    """Return whether the file is a database of ours: any other file, given by mistake, keeps its modes and is refused
    when it is opened."""
    try:
        if not stat.S_ISREG(os.stat(database).st_mode):
            return False
        with open(database, "rb") as file:
            header = file.read(_HEADER_BYTES)
    except (OSError, ValueError):
        return False
    return header.startswith(SQLITE_MAGIC) and int.from_bytes(header[_APPLICATION_ID], "big") == APPLICATION_ID


def _restrict(path: Path) -> str | None:
    try:
        found = os.stat(path, follow_symlinks=False)
    except (OSError, ValueError):
        return None
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode) or not mode & GROUP_OR_WORLD:
        return None
    found_open = f"{path} could be used by others (mode {mode:03o})"
    try:
        path.chmod(mode & ~GROUP_OR_WORLD)
    except OSError as error:
        return (
            f"{found_open} and cannot be made its owner's alone ({error.strerror}); run as its owner: chmod 600 {path}"
        )
    return f"{found_open}; it is its owner's alone now"


def _literal(name: str) -> str:
    """`name` as a pattern that matches nothing else."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
