"""New files that only their owner may read, whole or not at all; what is there stays as it is."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from fsm_exec.core.errors import UserError
from fsm_exec.owner_only import OWNER_ONLY

OWNER_ONLY_DIRECTORY = 0o700


def make_private_directory(directory: Path) -> None:
    """Make a directory for its owner alone, if it is not there. Raises UserError."""
    try:
        directory.mkdir(mode=OWNER_ONLY_DIRECTORY, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the directory {directory} ({error.strerror}); give --config in one that can be written to"
        ) from error


def save_new(path: Path, text: bytes, *, mode: int = OWNER_ONLY) -> None:
    """Save a file that is not there yet, under its name only once all of it is on the disk. Raises UserError."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), mode)  # whatever the umask
                os.fsync(file.fileno())
            os.link(aside, path)  # fails where there is one
        finally:
            os.unlink(aside)
    except FileExistsError:
        raise UserError(f"{path} is there already and stays as it is; remove it, or give another path") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path}: cannot be written ({reason}); give a path in a directory that can be") from None
