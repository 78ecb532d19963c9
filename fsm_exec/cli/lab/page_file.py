"""The file of a page: nothing is written over but another page, and then whole or not at all."""

from __future__ import annotations

from pathlib import Path

from fsm_exec.core.errors import UserError

PAGE_MAGIC = b"<!DOCTYPE html>"


def check_free(target: Path, *, force: bool) -> None:
    """Check the target. Raises UserError for a file that is there; if asked to write over it, for one that is no page:
    no slip may cost a database or a recording."""
    if not target.exists():
        return
    if not force:
        raise UserError(f"{target} is there already; give another --out, or --force to write over it")
    try:
        with target.open("rb") as opened:
            is_page = opened.read(len(PAGE_MAGIC)) == PAGE_MAGIC
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}; give another --out") from error
    if not is_page:
        raise UserError(f"{target} is no page, so it is not written over; give another --out")


def write_page(target: Path, content: bytes) -> None:
    """Write the whole file or nothing. Raises UserError."""
    part = target.with_name(target.name + ".part")
    try:
        try:
            part.write_bytes(content)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}; give another --out, or make room") from error
