"""What reports are made from, at no cost: an experiment whose runs are drawn, and a database of a short demo."""

from __future__ import annotations

import random
from pathlib import Path

from fsm_exec.core.values.units import CountE2, Outcome
from fsm_exec.lab.experiment.episode_runner import EpisodeRun
from fsm_exec.lab.experiment.fill_causes import FillsByCause
from fsm_exec.lab.experiment.results import EpisodeKey, EpisodeResult, KnownTape, open_results
from tests.cli.invoking import invoke

METHODS = ("passive_mid@1", "deadline_walker@1", "join_bid@1")
HORIZONS_S, QUANTITIES, BLOCKS = (45, 180), (20, 100), 12
TAPES = ("days/index-1.jsonl.gz", "days/index-2.jsonl.gz")
KNOWN = {tape: KnownTape("-", "KXINX", 0) for tape in TAPES}
DEMO = ("--profile", "index", "--horizon", "40", "--executions", "12", "--speed", "max", "--quantity", "20")


def experiment(directory: Path, methods: tuple[str, ...] = METHODS, *, unfinished: int = 0, step: int = 1) -> Path:
    """Results of two tapes; each method is `step` tenths of a cent dearer than the one before it. Of the last
    `unfinished` episodes the last method is missing. Returns the file."""
    draw = random.Random(7)
    keys = [
        EpisodeKey(tape, block * 900_000_000 + start, outcome, CountE2(quantity * 100), horizon * 1_000_000)
        for tape in TAPES
        for block in range(BLOCKS)
        for start in range(2)
        for outcome in _outcomes()
        for quantity in QUANTITIES
        for horizon in HORIZONS_S
    ]
    with open_results(directory, resume=False) as results:
        results.agree(
            {"queue_model": "proportional", "latency_us": "200000", "maker_fee": "None"},
            KNOWN,
        )
        for number, key in enumerate(keys):
            worked = methods[:-1] if number >= len(keys) - unfinished else methods
            results.add(_episode(draw, key, worked, step))
    return results.path


def demo(directory: Path, *methods: str) -> Path:
    """The database of a demo on generated flow."""
    named = (word for name in methods for word in ("--algorithm", name))
    done = invoke(directory, "demo", *DEMO, *named, "--db", "demo.sqlite")
    assert done.returncode == 0, done.stderr
    return directory / "demo.sqlite"


def _outcomes() -> tuple[Outcome, Outcome]:
    return "yes", "no"


def _episode(draw: random.Random, key: EpisodeKey, methods: tuple[str, ...], step: int) -> EpisodeResult:
    cents = key.quantity_e2 * 1_000
    bound = draw.randint(0, 2 * cents)
    static = bound + draw.randint(0, cents)
    return EpisodeResult(
        key=key,
        mid_e5=50_000,
        spread_e4=draw.choice((100, 300, 500)),
        touch_e2=draw.choice((1_000, 5_000, 50_000)),
        bound_e7=bound,
        static_e7=static,
        runs={
            name: EpisodeRun(
                mid_e5=50_000,
                spread_e4=100,
                touch_e2=1_000,
                filled_e2=key.quantity_e2,
                fills=FillsByCause(crossing_e2=key.quantity_e2),
                before_close_e2=key.quantity_e2 * draw.randint(10, 90) // 100,
                shortfall_e7=static + draw.randint(0, cents) + cents * step * number // 10,
                fees_e7=cents // 4,
                writes=3 + number,
                walks=number,
                state="filled",
                reason="completed",
                flags="",
            )
            for number, name in enumerate(methods)
        },
    )
