"""The README's chapter on writing an algorithm: its text is run as it stands there."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from random import Random
from types import ModuleType

from fsm_exec.algorithms import Family, Method
from fsm_exec.core.units import LINEAR_CENT
from fsm_exec.lab.algorithm_checks.cases import tape
from fsm_exec.lab.algorithm_checks.stage import OVERTIME_US, STEP_US, Stage, submitted

README = Path(__file__).parents[2] / "README.md"
HEADING = "Write a new algorithm in 30 lines"
NAME = "bid_follower"
HORIZON_US = 20_000_000


def chapter() -> str:
    """The chapter's first block of Python."""
    _, found, text = README.read_text(encoding="utf-8").partition(HEADING)
    assert found, f"the README has no chapter {HEADING!r}"
    block = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert block is not None, "the chapter has no example"
    return block[1]


def test_the_example_is_thirty_lines_and_works_on_any_tape() -> None:
    """Registered as the chapter says; every invariant holds on fifty tapes with faults and restarts."""
    text = chapter()
    assert len([line for line in text.splitlines() if line.strip()]) <= 30
    module = ModuleType(NAME)
    sys.modules[NAME] = module  # where msgspec looks annotations up
    try:
        exec(compile(text, NAME, "exec"), module.__dict__)
        family = Family(NAME, module.Config, module.plan, module.replan)
        for seed in range(50):
            dice = Random(seed)
            frames = tape(dice, LINEAR_CENT, (HORIZON_US + OVERTIME_US) // STEP_US + 1, 10)

            def fresh() -> Method:
                return family.method(NAME, 1, {})

            stage = Stage(
                first=submitted(2_000, frames[0], horizon_us=HORIZON_US, target_e4=5_000, worst_e4=5_600),
                frame_at=frames.__getitem__,
                fresh=fresh,
                dice=dice,
                faults_in_100=5,
                restarts_in_100=2,
                hits_in_100=10,
            )
            stage.run()
            assert stage.sent
    finally:
        del sys.modules[NAME]
