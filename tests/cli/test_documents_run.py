"""Every block of every document that says it is run, run: in its order, by one user, in a copy of this checkout."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.house.documents import ROOT, Block, Document, documents

BLOCK_S = 900
READY_S = 120
END_S = 120
NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", "__pycache__", ".*_cache", ".hypothesis", "*.egg-info", "dist")
RUN = [document for document in documents() if any(block.is_run for block in document.blocks)]


class Desk:
    """One user: a home, a checkout to stand in, `fsm-exec` and `python` on the path, and terminals left open."""

    def __init__(self, directory: Path) -> None:
        self.checkout, tools, home = directory / "checkout", directory / "bin", directory / "home"
        shutil.copytree(ROOT, self.checkout, ignore=NOT_COPIED)
        for folder in (tools, home):
            folder.mkdir()
        for name, command in {"python": "", "fsm-exec": "-m fsm_exec", "pytest": "-m pytest"}.items():
            (tools / name).write_text(f'#!/bin/sh\nexec {sys.executable} {command} "$@"\n')
            (tools / name).chmod(0o755)
        self.database = home / ".local/share/fsm-exec/paper.sqlite"
        path = os.pathsep.join((str(tools), os.environ["PATH"]))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        self.environment = {**inherited, "HOME": str(home), "PATH": path, "PYTHONPATH": str(self.checkout)}
        self.terminals: list[subprocess.Popen[bytes]] = []
        self._ports = {port: str(free_port()) for port in ("8765", "8766")}

    def run(self, block: Block) -> None:
        """Wait for the end of a block, or for the first line of a terminal. Asserts that it goes well."""
        text = block.text
        for port, free in self._ports.items():
            text = text.replace(port, free)
        if block.kind == "sh terminal":
            self._open_terminal(text)
            return
        command = [sys.executable, "-"] if block.kind == "python script" else ["bash", "-euo", "pipefail", "-s"]
        done = subprocess.run(
            command,
            input=text,
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=BLOCK_S,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"

    def _open_terminal(self, text: str) -> None:
        said = self.checkout.parent / f"terminal-{len(self.terminals)}"
        with said.open("wb") as out:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {text}"],
                cwd=self.checkout,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.terminals.append(process)
        ready_by = time.monotonic() + READY_S
        while b"\n" not in said.read_bytes():
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < ready_by, f"{text}: said nothing"
            time.sleep(0.1)

    def leave(self) -> list[int]:
        """Ctrl-C in every terminal, the last one first; how each ended."""
        codes = []
        for process in reversed(self.terminals):
            process.send_signal(signal.SIGINT)
            try:
                codes.append(process.wait(END_S))
            finally:
                process.kill()
        return codes


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    try:
        yield desk
    finally:
        for process in desk.terminals:
            process.kill()


@pytest.mark.parametrize("document", RUN, ids=str)
def test_the_commands_of_a_document_run(document: Document, desk: Desk) -> None:
    """Each block ends with exit code 0, and every terminal but one that was killed at Ctrl-C as it should."""
    for block in document.blocks:
        if block.is_run:
            desk.run(block)
    assert set(desk.leave()) <= {0, 130, -signal.SIGKILL}
    if document.path == ROOT / "README.md":
        with closing(sqlite3.connect(desk.database)) as database:
            ((state,),) = database.execute("SELECT state FROM execution_state WHERE execution_id = 'e000001'")
        assert state == "filled"  # what a newcomer submits first
