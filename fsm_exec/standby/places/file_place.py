"""A place in a directory that both hosts see: a share, or a disk that is attached to both.

A write is made under the kernel's lock of one file there, and by renaming a whole file into its place: what stands
under a name is always whole.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from fsm_exec.owner_only import OWNER_ONLY
from fsm_exec.standby.places.place import PlaceChanged, PlaceUnreachable, Stored
from fsm_exec.standby.places.threads import PlaceThreads

LOCK_NAME: Final = ".lock"
HIDDEN: Final = "."  # of names: what is being written here, and what a share keeps there for itself
TEMPORARY: Final = f"{HIDDEN}new-"

T = TypeVar("T")


class FilePlace:
    """Implements `Place`. The directory must be there: one that was made because a share is not mounted would be
    shared with nobody. Raises PlaceUnreachable: the share may be mounted a moment later."""

    def __init__(self, directory: Path) -> None:
        if not directory.is_dir():
            raise PlaceUnreachable(
                f"the lease's directory {directory} is not there; mount the share, or make the directory on it"
            )
        self._directory = directory
        self._threads = PlaceThreads(str(directory))

    @property
    def url(self) -> str:
        return self._directory.as_uri()

    async def load(self, name: str) -> Stored | None:
        return await self._run(lambda: self._load(name))

    async def save(self, name: str, content: bytes, over: str | None) -> str:
        return await self._run(lambda: self._save(name, content, over))

    async def load_names(self, folder: str) -> list[str]:
        return await self._run(lambda: self._load_names(folder))

    async def delete(self, name: str) -> None:
        await self._run(lambda: (self._directory / name).unlink(missing_ok=True))

    def _load(self, name: str) -> Stored | None:
        try:
            content = (self._directory / name).read_bytes()
        except FileNotFoundError:
            if not self._directory.is_dir():  # the share is gone, which is no answer
                raise
            return None
        return Stored(content, _tag(content))

    def _save(self, name: str, content: bytes, over: str | None) -> str:
        path = self._directory / name
        path.parent.mkdir(exist_ok=True)
        lock = os.open(self._directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            there = self._load(name)
            if (None if there is None else there.tag) != over:
                raise PlaceChanged(f"{path} was changed meanwhile")
            _replace(path, content)
        finally:
            os.close(lock)
        return _tag(content)

    def _load_names(self, folder: str) -> list[str]:
        try:
            names = os.listdir(self._directory / folder)
        except FileNotFoundError:
            if not self._directory.is_dir():
                raise
            return []
        return sorted(f"{folder}/{name}" for name in names if not name.startswith(HIDDEN))

    async def _run(self, work: Callable[[], T]) -> T:
        """Do `work` in a thread. Raises PlaceUnreachable."""
        try:
            return await self._threads.run(work)
        except OSError as error:
            words = error.strerror or errno.errorcode.get(error.errno or 0, type(error).__name__)
            raise PlaceUnreachable(f"{error.filename or self._directory} cannot be used: {words}") from error


def _tag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _replace(path: Path, content: bytes) -> None:
    """Put `content` under the name, durably, in one step. Its file is its owner's alone."""
    descriptor, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)  # all of it: os.write may write less
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
