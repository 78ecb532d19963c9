"""A paper exchange of one's own, served by the very command that its unit runs, for as long as it takes to set up."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from fsm_exec.cli.exchange.paper_file import PaperReady
from fsm_exec.core.errors import UserError

END_S: Final = 10


def paper_arguments(key: Path, port: int, ws_port: int) -> list[str]:
    """Return the arguments of `fsm-exec` that serve it: with the key and the ports it knows its clients again."""
    return ["paper", "--key", str(key), "--port", str(port), "--ws-port", str(ws_port)]


@contextmanager
def serve_paper(key: Path, port: int, ws_port: int) -> Iterator[PaperReady]:
    """Serve it while the block runs, with the account of `key`, which is made if it is not there. Raises UserError."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fsm_exec", *paper_arguments(key, port, ws_port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            _, said = process.communicate()
            why = said.strip().removeprefix("fsm-exec: ").replace("--ws-port", "--paper-ws-port")
            why = why.replace(", or none for a free one", "")  # the configuration names both
            raise UserError(why.replace("--port", "--paper-port") or "the paper exchange ended without a word")
        yield msgspec.json.decode(line, type=PaperReady)
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
