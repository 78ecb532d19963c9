"""A sample of `python -m tests.bending.kills`: real processes, SIGKILL, a proxy that bends what they hear, and lies."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.bending.kills import kill_again_and_again, table

SEED, KILLS, CHAINS = 3, 12, 3


def test_nothing_is_doubled_orphaned_or_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dozen kills, each with an order at work; at the end the exchange's listings are the database."""
    outcomes = kill_again_and_again(KILLS, SEED, tmp_path, chains=CHAINS, lying=True, say=lambda _: None)
    with capsys.disabled():
        sys.stdout.write(f"\nseed {SEED}\n{table(outcomes)}\n")
    assert [f"{outcome.name}: {finding}" for outcome in outcomes for finding in outcome.wrong] == []
    assert [line for outcome in outcomes for line in outcome.quarantined] == []
    assert sum(len(outcome.kills) for outcome in outcomes) >= KILLS
    assert sum(outcome.fills for outcome in outcomes) > 0
