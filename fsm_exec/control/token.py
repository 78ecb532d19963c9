"""The bearer token: a file that only its owner can read, made once, and never shown.

Whoever can read the file can trade. So it is refused, not repaired, when anybody else may touch it: what was readable
may have been read, and a new token is one `rm` away. No error and no log line carries the token.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from pathlib import Path
from typing import Final

from fsm_exec.core.errors import UserError

TOKEN_BYTES: Final = 32
FILE_BYTES_MAX: Final = 1_024
OTHERS_MAY: Final = 0o077  # any right of group or world
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32,256}", re.ASCII)


def read_token(path: Path) -> str:
    """The token of a file that is its owner's alone, and we are the owner. Raises UserError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise UserError(f"token file {path}: cannot be read ({error.strerror}); give that of fsm-exec serve") from None
    except ValueError:
        raise UserError(f"token file {str(path)!r}: is no path; give the path of a file") from None
    try:
        _check(os.fstat(descriptor), path)  # the open file, not the path: nobody can swap it in between
        text = os.read(descriptor, FILE_BYTES_MAX)
    finally:
        os.close(descriptor)
    token = text.decode("ascii", errors="replace").strip()
    if not _TOKEN.fullmatch(token):
        raise UserError(f"token file {path}: holds no token; remove it, fsm-exec serve makes a new one")
    return token


def ensure_token(path: Path) -> str:
    """The token of `path`; a new one is drawn if there is no such file. Raises UserError."""
    if not os.path.lexists(path):
        _create(path)
    return read_token(path)


def _check(status: os.stat_result, path: Path) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"token file {path}: is not a regular file; give the path of a file")
    if status.st_uid != os.geteuid():
        raise UserError(f"token file {path}: belongs to another user (id {status.st_uid}); give one of your own")
    if mode & OTHERS_MAY:
        raise UserError(
            f"token file {path}: others may use it (mode {mode:03o}); "
            "remove it, fsm-exec serve makes a new one that only you can read"
        )


def _create(path: Path) -> None:
    """A whole file or none, even if two daemons start at once: written aside, then given its name if that is free."""
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
