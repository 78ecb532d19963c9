"""Litestream, an existing tool, copies a database as it is written; here its program is found, and asked to make copies
of what it has stored.

The engine's own host runs `litestream replicate` beside the engine, as a process of its own. Nothing of its protocol is
known here: a standby needs its command `restore` alone, once, or following for ever.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from fsm_exec.core.errors import ExecError, UserError
from fsm_exec.core.text import one_line

NAME: Final = "litestream"
OLDEST: Final = (0, 5, 8)  # the first whose restore follows
END_S: Final = 10.0
END_POLL_S: Final = 0.02
PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded before any fork
WORDS_MAX: Final = 300
_VERSION: Final = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")
_LOGGED: Final = re.compile(r'^time=\S+ level=\S+ msg="?|"? ?(?:error=)?$')


class CopyFailed(ExecError):
    """A copy could not be made; the message has the tool's own words."""


class Litestream:
    """The program at `path`. What it copies is named by a URL, or by a file of its own settings, which has the database
    `database` among others: that is how it is told what does not stand in a URL, such as the key of an SFTP server."""

    def __init__(self, path: Path, database: Path | None = None) -> None:
        self.path, self._database = path, database

    @classmethod
    def find(cls, wanted: Path | None, database: Path | None = None) -> Litestream:
        """Find the program: where it is said to be, on the path, or beside the Python that runs this. Raises
        UserError."""
        if wanted is not None:
            if not wanted.is_file():
                raise UserError(f"--litestream {wanted} is not there; give the path of the program {NAME}")
            return cls(wanted, database)
        found = shutil.which(NAME) or shutil.which(NAME, path=str(Path(sys.executable).parent))
        if found is None:
            raise UserError(f"the program {NAME} is not on the path; install it, or give --litestream PATH")
        return cls(Path(found), database)

    async def load_version(self) -> str:
        """Load its version. Raises UserError for one that is too old, or is no Litestream."""
        try:
            done = await trio.run_process([self.path, "version"], capture_stdout=True, capture_stderr=True, check=False)
            said = done.stdout.decode(errors="replace").strip()
        except OSError as error:
            raise UserError(f"{self.path} cannot be run: {error.strerror}") from error
        found = _VERSION.search(said)
        if found is None:
            raise UserError(f"{self.path} does not say a version; give the path of the program {NAME}")
        if tuple(map(int, found.groups())) < OLDEST:
            oldest = ".".join(map(str, OLDEST))
            raise UserError(f"{self.path} is version {found[0]}; following needs {oldest} or later")
        return found[0]

    async def restore(self, source: str, target: Path) -> None:
        """Make `target`, which must not be there, of everything that `source` has, and check it. Raises CopyFailed."""
        command = [str(self.path), "restore", "-o", str(target), "-integrity-check", "quick", *self._named(source)]
        try:
            done = await trio.run_process(command, capture_stdout=True, stderr=subprocess.STDOUT, check=False)
        except OSError as error:
            raise CopyFailed(f"{self.path} cannot be run: {error.strerror}") from error
        if done.returncode != 0:
            raise CopyFailed(_last_words(source, done.stdout))

    @asynccontextmanager
    async def follow(self, source: str, target: Path) -> AsyncIterator[FollowingProcess]:
        """Keep `target` at what `source` has, as long as the block runs; it goes on with the file that an earlier one
        left. The process ends before if it fails. Raises CopyFailed."""
        try:
            process = _start([str(self.path), "restore", "-f", "-o", str(target), *self._named(source)])
        except OSError as error:
            raise CopyFailed(f"{self.path} cannot be run: {error.strerror}") from error
        following = FollowingProcess(process, source)
        try:
            yield following
        finally:
            with trio.CancelScope(shield=True):
                await following.aclose()

    def _named(self, source: str) -> list[str]:
        """Return the arguments that name what is copied."""
        return [source] if "://" in source else ["-config", source, str(self._database)]


class FollowingProcess:
    """A process that follows. It dies with this one: left alone it would write the file that the next one writes."""

    def __init__(self, process: subprocess.Popen[bytes], source: str) -> None:
        assert process.stdout is not None
        self._process, self._source = process, source
        self._output = trio.lowlevel.FdStream(os.dup(process.stdout.fileno()))
        process.stdout.close()

    async def read_failure(self) -> str:
        """Read what it says until it ends, and return its last words."""
        kept = b""
        async for chunk in self._output:
            kept = (kept + chunk)[-4_096:]
        return _last_words(self._source, kept)

    async def aclose(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.terminate()
            with trio.move_on_after(END_S):
                while self._process.poll() is None:  # noqa: ASYNC110 - it takes some milliseconds
                    await trio.sleep(END_POLL_S)
        if self._process.poll() is None:
            self._process.kill()
            await trio.to_thread.run_sync(self._process.wait)
        await self._output.aclose()


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    """Start a process from this very thread: the kernel ends it when the thread that started it ends, so none of a
    pool will do."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=_die_with_parent,
    )


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _last_words(source: str, said: bytes) -> str:
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    words = _LOGGED.sub("", lines[-1]) if lines else "it said nothing"
    return one_line(f"{source} could not be copied: {NAME} says: {words[:WORDS_MAX]}")
