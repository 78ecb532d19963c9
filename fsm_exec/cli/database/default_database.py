"""A command without --db means the database of this user's daemon, if there is exactly one."""

from __future__ import annotations

from pathlib import Path

from fsm_exec.control.paths import data_directory
from fsm_exec.core.errors import UserError


def resolve_database(path: Path | None) -> Path:
    """Return `path`, or the one database there is. Raises UserError, with their names, if there are several or none."""
    if path is not None:
        return path
    found = sorted(data_directory().glob("*.sqlite"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(f"no database in {data_directory()}; name one with --db")
    raise UserError(f"several databases: {', '.join(map(str, found))}; choose one with --db")
