"""Real processes, SIGKILL, again and again: `fsm-exec serve` on `fsm-exec paper`, calm and with faults."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from fsm_exec.core.journal.crashpoints import NAMES
from tests.chaos.kills import kill_again_and_again, table
from tests.chaos.states import KINDS

SEED = 4
KILLS, EACH, CHAINS = 200, 5, 8


def test_nothing_is_lost_doubled_or_orphaned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """200 kills, each with an order live, unknown, being amended, cancelled or settled; every crash point at least 5
    times. Every engine starts again on what the one before left, and at the end the exchange's own orders and fills
    are those of the database: none doubled, none orphaned, no fill lost or counted twice, nothing quarantined."""
    outcomes = kill_again_and_again(KILLS, SEED, tmp_path, chains=CHAINS, each=EACH, say=lambda _: None)
    with capsys.disabled():
        sys.stdout.write(f"\nseed {SEED}\n{table(outcomes)}\n")
    assert [f"{outcome.name}: {line}" for outcome in outcomes for line in outcome.wrong] == []
    kills = [kill for outcome in outcomes for kill in outcome.kills]
    assert len(kills) >= KILLS
    often = Counter(kill.where for kill in kills)
    assert [name for name in NAMES if often[name] < EACH] == []
    assert {kind for kill in kills for kind in kill.met} == set(KINDS)
    verdicts = [outcome.verdict for outcome in outcomes if outcome.verdict is not None]
    assert sum(verdict.fills for verdict in verdicts) > CHAINS
