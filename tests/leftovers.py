"""Processes that a test run has started and that outlive it: they are found by a variable of their environment.

A run that is told to end (SIGTERM, Ctrl-C) gives its tests no time to end what they started, and a daemon that a test
has started, or the fork server of tests/chaos, is nobody's child then. Linux shows every process's environment; where
there is no /proc nothing is found.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

VARIABLE = "FSM_EXEC_TEST_RUN"


def find_leftovers(run: str) -> list[int]:
    """The pids, this process's own left out, whose environment says `run`."""
    mark = f"{VARIABLE}={run}".encode()
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile, or is another user's
            if mark in (directory / "environ").read_bytes().split(b"\0"):
                found.append(int(directory.name))
    return [pid for pid in found if pid != os.getpid()]


def kill_leftovers(run: str) -> None:
    """Kill them, and what they start while this goes on."""
    while pids := find_leftovers(run):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


@contextmanager
def open_threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that an error, and so Ctrl-C, leaves at once: `ThreadPoolExecutor` itself would end its work first."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
