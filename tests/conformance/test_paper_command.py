"""The same clients against `fsm-exec paper` itself, as anybody starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conformance.conftest import ROOT, Run


@pytest.fixture
def paper(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What the command printed when it was ready. It must end cleanly on a signal."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "fsm_exec", "paper", "--profile", "liquid"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            yield msgspec.json.decode(line)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()
    assert process.returncode == 0


def test_both_clients_work_against_the_command(run: Run, paper: dict[str, Any]) -> None:
    """On a market that moves, with latencies and a basic member's buckets."""
    found = run("live_paper.py", paper)
    assert len(found) == 5
    assert found == dict.fromkeys(found, "ok"), "\n\n".join(f"{n}: {r}" for n, r in found.items() if r != "ok")
