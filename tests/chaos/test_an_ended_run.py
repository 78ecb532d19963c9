"""A test run that is ended leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.leftovers import find_leftovers

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60


@pytest.mark.parametrize("workers", [["-n", "1"], ["-p", "no:xdist"]], ids=["with workers", "alone"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
def test_a_run_that_is_ended_leaves_no_process(tmp_path: Path, how: signal.Signals, workers: list[str]) -> None:
    """Neither fork servers nor daemons that a test has started: SIGTERM and Ctrl-C while engines are being killed."""
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", *workers, "tests/chaos/test_kills.py"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    began = time.monotonic()
    while len(_of_the_run(tmp_path)) < 3 and run.poll() is None:  # a fork server, an exchange, an engine
        assert time.monotonic() - began < PATIENCE_S
        time.sleep(0.1)
    assert run.poll() is None, "it ended by itself"
    run.send_signal(how)
    run.wait(PATIENCE_S)
    assert _of_the_run(tmp_path) == []


def _of_the_run(directory: Path) -> list[int]:
    return [pid for homes in directory.glob("fsm-exec-tests-*") for pid in find_leftovers(str(homes))]
