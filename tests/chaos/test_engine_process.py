"""The launcher that kills its own process at a crash point."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from fsm_exec.core.journal import crashpoints
from tests.chaos.engine_process import start

DEMO = ("demo", "--executions", "2", "--horizon", "10", "--speed", "max", "--db", "d.sqlite", "--json")
TEN_S_OF_DEMO = {"decision.before", "commit.after", "send.after", "answer.after"}


@pytest.mark.parametrize("point", ["commit.before", "send.after"])
def test_it_dies_at_the_nth_visit_of_a_point(tmp_path: Path, point: crashpoints.CrashpointName) -> None:
    """By SIGKILL, and not a visit later."""
    visits = tmp_path / "visits"
    process = start(
        DEMO, kill=(point, 3), visits=visits, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    seen = visits.read_text(encoding="utf-8").split()
    assert seen.count(point) == 3
    assert seen[-1] == point


def test_without_a_kill_the_command_is_itself(tmp_path: Path) -> None:
    """It ends as always, and the visits tell which points it passed."""
    visits = tmp_path / "visits"
    process = start(DEMO, visits=visits, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    seen = set(visits.read_text(encoding="utf-8").split())
    assert seen >= TEN_S_OF_DEMO
    assert seen <= set(crashpoints.NAMES)
