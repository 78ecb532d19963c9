"""A failing history made small: fewer steps, then fewer actions, then no faults. What is left still fails.

First the shortest prefix of the actions that fails, found by halving (a longer one may pass, so the result is checked,
not trusted), then actions are left out, in ever smaller groups, as long as the same kind of finding remains.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from fsm_exec.lab.simulation.scenario import CALM, Scenario, only
from fsm_exec.lab.simulation.world import HistoryReport, simulate
from fsm_exec.paper.faults import FaultProfile

RUNS_MAX = 120


class Small(msgspec.Struct, frozen=True, kw_only=True):
    """What is left: the first `steps` actions, without those numbered in `without`; `calm`: without any fault."""

    steps: int
    without: tuple[int, ...]
    calm: bool
    report: HistoryReport

    def command(self) -> str:
        """The line that shows it again."""
        parts = [f"fsm-exec simulate --seed {self.report.seed} --steps {self.steps}"]
        if self.without:
            parts.append(f"--without {','.join(map(str, self.without))}")
        if self.calm:
            parts.append(f"--faults {CALM}")
        return " ".join(parts)


def shrink(scenario: Scenario, report: HistoryReport, *, run: Callable[[Scenario], HistoryReport] = simulate) -> Small:
    """The smallest failing part of `scenario` that RUNS_MAX runs find. `report` is that of the whole."""
    kind = _kind(report)
    runs = 0
    best = report

    def fails(candidate: Scenario) -> bool:
        nonlocal runs, best
        if runs >= RUNS_MAX:
            return False
        runs += 1
        seen = run(candidate)
        if _kind(seen) == kind:
            best = seen
            return True
        return False

    steps = _shortest_prefix(scenario, fails)
    kept = only(scenario, steps, frozenset())
    without: frozenset[int] = frozenset()
    size = max(1, len(kept.steps) // 2)
    while True:
        removed = False
        numbers = [number for number, _ in kept.steps if number not in without]
        for start in range(0, len(numbers), size):
            tried = without | frozenset(numbers[start : start + size])
            if fails(only(scenario, steps, tried)):
                without, removed = tried, True
        if size == 1 and not removed:
            break
        size = max(1, size // 2)
        if runs >= RUNS_MAX:
            break
    small = only(scenario, steps, without)
    unfaulty = msgspec.structs.replace(small, faults=FaultProfile(), faults_name=CALM, late_fills_per_mille=0)
    calm = scenario.faults_name != CALM and fails(unfaulty)
    return Small(steps=steps, without=tuple(sorted(without)), calm=calm, report=best)


def _shortest_prefix(scenario: Scenario, fails: Callable[[Scenario], bool]) -> int:
    low, high = 0, len(scenario.steps)  # `high` is known to fail
    while low < high:
        middle = (low + high) // 2
        if fails(only(scenario, middle, frozenset())):
            high = middle
        else:
            low = middle + 1
    return high


def _kind(report: HistoryReport) -> str | None:
    """What the first finding is about: its invariant, or its first words."""
    if not report.findings:
        return None
    first = report.findings[0]
    return first.partition(":")[0] if first[:1].isdigit() else " ".join(first.split()[:4])
