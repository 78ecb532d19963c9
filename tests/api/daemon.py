"""`fsm-exec paper` and `fsm-exec serve` in processes of their own, which can be killed and started again."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.cli.daemons import Ready
from tests.cli.support import COMMAND, environment
from tests.cli.test_paper_command import served

MARKET = "KXPAPER-DEMO-A"
END_S = 60
DIES_ONCE_DURABLE = """
import os, signal, sqlite3, sys
from fsm_exec.core.journal.crashpoints import install

database = sys.argv.pop(1)

def die(name):
    if name == "commit.after":
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            if connection.execute("SELECT count(*) FROM submissions").fetchone()[0]:
                os.kill(os.getpid(), signal.SIGKILL)

install(die)
from fsm_exec.__main__ import main
main()
"""  # a daemon whose first submission is durable, and never answered


class Daemon:
    """At most one process at a time, always of the same database; another port each time."""

    def __init__(self, directory: Path, paper_url: str) -> None:
        self.database = directory / "engine.sqlite"
        self._directory = directory
        self._arguments = ["serve", "--json", "--paper", paper_url, "--db", str(self.database)]
        self._process: subprocess.Popen[bytes] | None = None
        self.ready: Ready | None = None

    def start(self, *more: str, dies_once_durable: bool = False) -> Ready:
        assert self._process is None
        program = [*COMMAND]
        if dies_once_durable:
            program = [sys.executable, "-c", DIES_ONCE_DURABLE, str(self.database)]
        with (self._directory / "serve.err").open("ab") as errors:
            process = subprocess.Popen(
                [*program, *self._arguments, *more],
                cwd=self._directory,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self._process = process
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (self._directory / "serve.err").read_text()
        self.ready = msgspec.json.decode(line, type=Ready)
        return self.ready

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def end(self, by: signal.Signals) -> None:
        """Send it, unless the process has died already, and wait until it is gone."""
        process, self._process = self._process, None
        if process is not None:
            with process:
                process.send_signal(by)
                process.wait(END_S)

    def rows(self, execution_id: str) -> list[tuple[int, str]]:
        """Number and kind of each step that the journal of an execution has."""
        return self._read(
            "SELECT seq, event_type FROM execution_events WHERE execution_id = ? ORDER BY seq", execution_id
        )

    def executions(self) -> dict[str, tuple[str, str]]:
        """Id and state of the execution by its key."""
        query = "SELECT key, execution_id, state FROM submissions JOIN execution_state USING (execution_id)"
        return {key: (execution_id, state) for key, execution_id, state in self._read(query)}

    def _read(self, query: str, *values: str) -> list[Any]:
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(query, values).fetchall()


@contextmanager
def daemon_on_paper(directory: Path) -> Iterator[Daemon]:
    """A daemon that is not started yet; what runs at the end is killed."""
    with served(directory) as paper:
        daemon = Daemon(directory, paper.ready.rest_url)
        try:
            yield daemon
        finally:
            daemon.end(signal.SIGKILL)
        assert paper.end() == 0


def run_script(path: Path, directory: Path, out: Path) -> subprocess.Popen[bytes]:
    """A user's script in an interpreter of its own, with warnings as errors; what it says goes to the file `out`."""
    with out.open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-W", "error", str(path)],
            cwd=directory,
            env={**environment(), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
