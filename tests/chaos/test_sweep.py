"""A SIGKILL at every commit, send and answer of a scenario, for every algorithm that may run live."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.sweep import LIVE, START, sweep, table

RATE, HORIZON_S, AT_ONCE = 10, 6, 8


def test_no_moment_of_a_scenario_is_a_bad_one_to_die(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before every other commit, send and answer, and after the others: the next life ends everything, and the
    exchange's accounts are the database's. (Before and after each: `python -m tests.chaos.sweep`.)"""
    results = sweep(tmp_path, LIVE, rate=RATE, sides="alternate", horizon_s=HORIZON_S, at_once=AT_ONCE)
    with capsys.disabled():
        sys.stdout.write(f"\n{table(results)}\n")
    assert [(result.case, line) for result in results for line in result.wrong] == []
    killed = [result for result in results if result.died]
    assert {result.case.scenario for result in killed} == {START, *LIVE}
    points = Counter((result.case.scenario, result.case.point.partition(".")[0]) for result in killed)
    assert len(points) == 3 * (1 + len(LIVE)), "no commit, no send or no answer was met"
    assert len(killed) > 10 * (1 + len(LIVE))
    assert {kind for result in killed for kind in result.met} >= {"live", "unknown", "cancelling"}
    assert sum(result.fills for result in results) > len(LIVE)
