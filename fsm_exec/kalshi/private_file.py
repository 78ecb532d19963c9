"""Read files that grant the right to trade: the private key, and the token of the control API.

A file that another user may read, change or replace is refused, not repaired: what was readable may have been read. The
checks are made on the open file, not on its path, so that it cannot be swapped in between.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from fsm_exec.core.errors import UserError

GROUP_OR_WORLD: Final = 0o077  # any right of group or world
GROUP_OR_WORLD_WRITE: Final = 0o022


def read_private(
    path: Path, what: str, *, bytes_max: int, if_absent: str, if_others_may: str, links: bool = True
) -> bytes:
    """Read the file's first `bytes_max` bytes. `what` begins each error, `if_absent` and `if_others_may` end theirs.
    With `links` the path may be a symbolic link. Raises UserError."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if links else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"{what} {path}: cannot be read ({reason}); {if_absent}") from None
    except ValueError:
        raise UserError(f"{what} {str(path)!r}: is no path; give the path of a file") from None
    try:
        _check_file(os.fstat(descriptor), f"{what} {path}", if_others_may)
        _check_directory(path, f"{what} {path}")
        return os.read(descriptor, bytes_max)
    except OSError as error:
        raise UserError(f"{what} {path}: cannot be read ({error.strerror}); {if_absent}") from None
    finally:
        os.close(descriptor)


def _check_file(status: os.stat_result, called: str, if_others_may: str) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{called}: is not a regular file; give the path of a file")
    if status.st_uid != os.geteuid():
        raise UserError(f"{called}: belongs to another user (id {status.st_uid}); give one of your own")
    if mode & GROUP_OR_WORLD:
        raise UserError(f"{called}: others may use it (mode {mode:03o}); {if_others_may}")


def _check_directory(path: Path, called: str) -> None:
    """Raise UserError if another user may write to the file's directory: he could put another file in its place. A
    directory with the sticky bit lets each user replace only his own files."""
    directory = path.resolve().parent
    status = os.stat(directory)
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid not in (os.geteuid(), 0):
        raise UserError(f"{called}: its directory belongs to another user (id {status.st_uid}); move it to your own")
    if mode & GROUP_OR_WORLD_WRITE and not mode & stat.S_ISVTX:
        raise UserError(
            f"{called}: others may replace it (its directory has mode {mode:03o}); run: chmod go-w {directory}"
        )
