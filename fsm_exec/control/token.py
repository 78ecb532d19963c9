"""The bearer token: a file that only its owner can read, made once, and never shown.

A process that can read the file can trade. So a file that others may touch is refused, not repaired: what was readable
may have been read, and a new token is one `rm` away. No error and no log line carries the token.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Final

from fsm_exec.core.errors import UserError
from fsm_exec.kalshi.private_file import read_private

TOKEN_BYTES: Final = 32
FILE_BYTES_MAX: Final = 1_024
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32,256}", re.ASCII)


def read_token(path: Path) -> str:
    """Read the token of a file that only this user may touch. Raises UserError."""
    text = read_private(
        path,
        "token file",
        bytes_max=FILE_BYTES_MAX,
        if_absent="give that of fsm-exec serve",
        if_others_may="remove it, fsm-exec serve makes a new one that only you can read",
        links=False,
    )
    token = text.decode("ascii", errors="replace").strip()
    if not _TOKEN.fullmatch(token):
        raise UserError(f"token file {path}: holds no token; remove it, fsm-exec serve makes a new one")
    return token


def ensure_token(path: Path) -> str:
    """Read the token of `path`; draw a new one if there is no such file. Raises UserError."""
    if not os.path.lexists(path):
        _create(path)
    return read_token(path)


def _create(path: Path) -> None:
    """Create a whole file or none, even if two daemons start at once: write it aside, then link it to its name if that
    is free."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, (secrets.token_urlsafe(TOKEN_BYTES) + "\n").encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(aside, path)
        except FileExistsError:
            pass  # the other daemon was first; its token will do
        finally:
            os.unlink(aside)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"token file {path}: cannot be made ({reason}); give a path in a directory that can be written to"
        ) from None
