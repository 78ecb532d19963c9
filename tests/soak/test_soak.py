"""Nothing accumulates: executions come and go, and what the engine holds on to stays the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from fsm_exec.runtime import ended_executions
from tests.soak.soaking import ROLLING, Soak, soak

KEPT = 40  # ended executions in memory, fewer than come and go between two samples


def test_executions_that_come_and_go_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Thirty at a time for three minutes: no container of engine, client or store grows from the first minute to the
    third, nor do tasks and open files."""
    monkeypatch.setattr(ended_executions, "ENDED_KEPT_MAX", KEPT)
    samples = soak(Soak(executions=30, markets=3, horizon_s=15, seconds=180, samples=3), tmp_path)
    first, last = samples[0], samples[-1]
    assert first.submitted > 2 * KEPT, "too few ended in the first third to fill what is kept"
    assert last.submitted > 2 * first.submitted
    grown = {
        name: (first.held[name], held)
        for name, held in last.held.items()
        if held > first.held[name] * 12 // 10 + 30 and name not in ROLLING
    }
    assert grown == {}
    assert last.tasks <= first.tasks + 30
    assert last.files <= first.files + 2
