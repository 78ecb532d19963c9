"""Would simulation notice? Engines that are each wrong in one way are all found out."""

from __future__ import annotations

import re
import sys

import pytest

from fsm_exec.lab.simulation.failover_draws import EVERY, NTH
from fsm_exec.lab.simulation.scenario import draw
from fsm_exec.lab.simulation.world import simulate
from tests.lab.fee_mutants import FEE_MUTANTS
from tests.lab.fence_mutants import FENCE_MUTANTS
from tests.lab.mutants import MUTANTS, Mutant, alive

SEEDS_MAX = 250  # the slowest (fills_by_order_total) needed 191 when this was written, 87 with earlier draws
FEES_MAX = 200
TWO_MACHINES_MAX = 200  # the slowest (ids_go_on_in_a_copy) needed 87 when this was written


@pytest.mark.parametrize(("mutant", "breaks"), MUTANTS.items(), ids=lambda given: getattr(given, "__name__", ""))
def test_a_wrong_engine_is_found_out(mutant: Mutant, breaks: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By the first of the seeds 1, 2, 3, ... that shows it, for what it does wrong and not for falling over. Those that
    have an account are lived through without it, too."""
    with alive(mutant):
        for seed in range(1, SEEDS_MAX + 1):
            alone = [] if seed % 2 else simulate(draw(seed, account=False, failovers=False, fees=False)).findings
            findings = [*simulate(draw(seed, failovers=False, fees=False)).findings, *alone]
            assert not any("the engine ended in" in line for line in findings), findings
            if found := [line for line in findings if re.match(breaks, line)]:
                break
    assert found, f"{SEEDS_MAX} seeds did not notice"
    with capsys.disabled():
        sys.stdout.write(f"\n{mutant.__name__}: {seed} seeds, {found[0][:90]}\n")


@pytest.mark.parametrize(("mutant", "breaks"), FENCE_MUTANTS.items(), ids=lambda given: getattr(given, "__name__", ""))
def test_a_wrong_fence_is_found_out(mutant: Mutant, breaks: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By the first seed that shows it of those up to 200 that have two machines."""
    with alive(mutant):
        for seed in range(NTH, TWO_MACHINES_MAX + 1, EVERY):
            findings = simulate(draw(seed)).findings
            assert not any("the engine ended in" in line for line in findings), findings
            if found := [line for line in findings if re.match(breaks, line)]:
                break
    assert found, f"{TWO_MACHINES_MAX} seeds did not notice"
    with capsys.disabled():
        sys.stdout.write(f"\n{mutant.__name__}: seed {seed}, {found[0][:90]}\n")


@pytest.mark.parametrize(("mutant", "breaks"), FEE_MUTANTS.items(), ids=lambda given: getattr(given, "__name__", ""))
def test_wrong_fees_are_found_out(mutant: Mutant, breaks: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By the first seed that shows it of those up to 200 in which fees change."""
    found: list[str] = []
    with alive(mutant):
        for seed in range(1, FEES_MAX + 1):
            if not (scenario := draw(seed)).fees:
                continue
            findings = simulate(scenario).findings
            assert not any("the engine ended in" in line for line in findings), findings
            if found := [line for line in findings if re.match(breaks, line)]:
                break
    assert found, f"{FEES_MAX} seeds did not notice"
    with capsys.disabled():
        sys.stdout.write(f"\n{mutant.__name__}: seed {seed}, {found[0][:90]}\n")
