"""Real order books: the engine works them whole, and its figures are those of the reference implementation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RECORDINGS = Path(os.environ.get("FSM_EXEC_RECORDINGS", ROOT.parent / "shared" / "recordings"))
INDEX_DAY = RECORDINGS / "index-2023-04-10.jsonl.gz"
GAME = RECORDINGS / "nba-cha.jsonl.gz"

pytestmark = pytest.mark.skipif(
    not INDEX_DAY.is_file(), reason="no recordings here: set FSM_EXEC_RECORDINGS to their folder"
)


def demo(tmp_path: Path, recording: Path, *options: str) -> list[dict[str, Any]]:
    """The executions of one run; the demo itself compares its fills with the exchange's and exits 1 on a difference."""
    command = [sys.executable, "-m", "fsm_exec", "demo", "--recording", str(recording), "--speed", "max", "--json"]
    done = subprocess.run(
        [*command, "--db", str(tmp_path / "day.sqlite"), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=1_800,  # minutes of one core, which others may need
    )
    assert (done.returncode, done.stderr) == (0, "")
    executions: list[dict[str, Any]] = json.loads(done.stdout)["executions"]
    return executions


def mean(values: list[Decimal]) -> Decimal:
    return sum(values, Decimal(0)) / len(values)


def test_a_passive_limit_on_the_index_day_costs_what_the_reference_says(tmp_path: Path) -> None:
    """Fill rate 0.34 +- 0.08 and all-in shortfall 2.3 +- 0.5 cents: 350 orders of 20 at the mid for 45 seconds."""
    executions = demo(
        tmp_path,
        INDEX_DAY,
        *("--algorithm", "simple_limit", "--outcome", "yes"),
        *("--quantity", "20", "--horizon", "45", "--executions", "350"),
    )
    assert len(executions) == 350
    fill_rate = mean([Decimal(e["fill_rate"]) for e in executions])
    shortfall = mean([Decimal(e["shortfall"]) for e in executions if e["shortfall"] is not None])
    assert abs(fill_rate - Decimal("0.34")) <= Decimal("0.08"), fill_rate
    assert abs(shortfall * 100 - Decimal("2.3")) <= Decimal("0.5"), shortfall
    ends = {(e["state"], e["reason"]) for e in executions}
    assert {("filled", "completed"), ("cancelled", "deadline")} <= ends
    assert any(Decimal(0) < Decimal(e["fill_rate"]) < 1 for e in executions), "no partial fill in a whole day"


def test_a_marketable_order_at_the_default_cap_mostly_fills(tmp_path: Path) -> None:
    """At least 0.8 of 20 contracts within two per cent of the best ask, both outcomes; takers pay fees."""
    executions = demo(
        tmp_path,
        INDEX_DAY,
        *("--algorithm", "market", "--quantity", "20", "--horizon", "45", "--executions", "200"),
    )
    assert mean([Decimal(e["fill_rate"]) for e in executions]) >= Decimal("0.8")
    assert all(Decimal(e["fees"]) > 0 for e in executions if Decimal(e["fill_rate"]) > 0)


def test_a_game_in_play_runs_whole(tmp_path: Path) -> None:
    """Twelve minutes of a market in play, two snapshots, forty events a second: every execution ends."""
    executions = demo(tmp_path, GAME, "--executions", "40", "--horizon", "30")
    assert len(executions) == 40
    assert {e["state"] for e in executions} <= {"filled", "cancelled"}
    assert {e["outcome"] for e in executions} == {"yes", "no"}
