"""The host of an engine dies, is frozen or is replaced, with the real Litestream between two hosts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.chaos.failovers import fail_over_again_and_again, table

SEED = 2
FAILOVERS = 3


def test_nothing_is_doubled_orphaned_or_lost_unsaid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three failovers between two hosts: at the end the exchange's own orders and fills are those of the last database,
    no execution bought too much, nothing rests, and every acknowledged key is known or reported as lost."""
    outcomes = fail_over_again_and_again(FAILOVERS, SEED, tmp_path, chains=1, say=lambda _: None)
    with capsys.disabled():
        sys.stdout.write(f"\nseed {SEED}\n{table(outcomes)}\n")
    assert [line for outcome in outcomes for line in outcome.wrong] == []
    assert sum(len(outcome.failovers) for outcome in outcomes) == FAILOVERS
    assert sum(outcome.acknowledged for outcome in outcomes) > FAILOVERS
