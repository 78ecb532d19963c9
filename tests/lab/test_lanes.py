"""Episodes on drawn tapes, under drawn conditions: the same runs over the whole wire, and in a process of its own."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from fsm_exec.algorithms import SHIPPED
from fsm_exec.core.values.units import US_PER_S, CountE2
from fsm_exec.lab.experiment.episode_runner import EpisodeRun, run_episode
from fsm_exec.lab.experiment.episodes import Conditions, EpisodeStart, Order, find_starts
from fsm_exec.paper.matching_engine.fill_models import FillModel
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.profiles import PROFILES
from fsm_exec.paper.tapes.tape import Tape
from fsm_exec.paper_session import PaperExchange
from tests.lab.test_order_of_tasks import over_the_whole_wire

SEED, EPISODES = 20_261_130, 6
ROOT = Path(__file__).parents[2]


class Drawn:
    """A short tape, conditions, and the episodes to work on it."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.conditions = Conditions(
            queue_model=rng.choice(["proportional", "conservative"]),
            latency_us=rng.choice([0, 1_000, 200_000, 1_000_000]),
            maker_fee=rng.choice([None, "1.75"]),
            fill_model=rng.choice(get_args(FillModel)),
        )
        self.tape: Tape = generate(seed, 1_500, profile=rng.choice(sorted(PROFILES)), ticker="KXLANE-1")
        starts = find_starts(self.tape, 30 * US_PER_S, self.conditions)
        orders = [
            Order(
                outcome=rng.choice(["yes", "no"]),
                quantity_e2=CountE2(rng.choice([100, 2_000, 30_000])),
                horizon_us=rng.choice([20, 45, 180]) * US_PER_S,
            )
            for _ in starts
        ]
        both = [
            (start, order)
            for start, order in zip(starts, orders, strict=True)
            if start.has_room(self.tape, order.horizon_us)
        ]
        self.episodes: list[tuple[EpisodeStart, Order]] = rng.sample(both, min(EPISODES, len(both)))


def runs_of(seed: int, method: str, *, whole_wire: bool = False) -> list[EpisodeRun]:
    drawn = Drawn(seed)
    serve = over_the_whole_wire if whole_wire else PaperExchange.directly
    return [
        run_episode(drawn.tape, start, order, SHIPPED[method], drawn.conditions, serve)
        for start, order in drawn.episodes
    ]


@pytest.mark.parametrize("method", SHIPPED)
def test_the_whole_wire_gives_the_same_runs(method: str) -> None:
    """Every figure of every episode, for each method that ships, on three drawn tapes."""
    worked = 0
    for seed in range(SEED, SEED + 3):
        runs = runs_of(seed, method)
        assert runs_of(seed, method, whole_wire=True) == runs, f"seed {seed}"
        worked += len(runs)
    assert worked >= EPISODES, f"seed {SEED}: hardly any episode was drawn"


def test_another_process_with_other_hashes_gives_the_same_runs() -> None:
    """Neither the order of a set nor anything else of a process decides."""
    here = [repr(runs_of(SEED, method)) for method in SHIPPED]
    code = (
        "from fsm_exec.algorithms import SHIPPED\n"
        "from tests.lab.test_lanes import SEED, runs_of\n"
        "print(*[repr(runs_of(SEED, method)) for method in SHIPPED], sep='\\n')"
    )
    for hashes in ("1", "77"):
        environment = {**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines() == here, f"hashes {hashes}"
