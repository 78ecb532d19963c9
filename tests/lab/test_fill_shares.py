"""What filled the orders: counted by the exchange, stored by cause, pooled as every other figure is."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fsm_exec.core.values.units import CountE2, Outcome
from fsm_exec.lab.experiment.compare import Field, Plan
from fsm_exec.lab.experiment.episode_runner import LabError, run_episode
from fsm_exec.lab.experiment.episodes import Conditions, Order, find_starts
from fsm_exec.lab.experiment.fill_causes import FillsByCause
from fsm_exec.lab.experiment.fill_shares import fill_rows
from fsm_exec.lab.experiment.ground import Task
from fsm_exec.lab.experiment.groups import Scope, groups_of
from fsm_exec.lab.experiment.methods import resolve
from fsm_exec.lab.experiment.results import EpisodeResult, KnownTape, open_results
from fsm_exec.paper.matching_engine.fill_models import FILL_MODELS, FillModel
from fsm_exec.paper.tapes.generator import generate
from tests.lab.test_products import episode

AT_US = 1_767_625_200_000_000
TAPE = generate(11, 2_400, profile="index", start_us=AT_US)
OUTCOMES: tuple[Outcome, ...] = ("yes", "no")


def fills(*counts: int) -> FillsByCause:
    """Of trade, queue, crossing, through and taken, in contracts."""
    return FillsByCause(*(CountE2(count * 100) for count in counts))


def with_fills(of: EpisodeResult, base: FillsByCause, other: FillsByCause) -> EpisodeResult:
    runs = {
        "base": msgspec.structs.replace(of.runs["base"], fills=base),
        "other": msgspec.structs.replace(of.runs["other"], fills=other),
    }
    return msgspec.structs.replace(of, runs=runs)


EPISODES = [
    with_fills(episode("gold-1", 0, 1), fills(), fills(1, 2, 3, 4, 10)),
    with_fills(episode("gold-1", 1, 1), fills(), fills(3, 0, 1, 2, 14)),
    with_fills(episode("day", 0, 1), fills(), fills(0, 0, 0, 0, 20)),
]


def test_shares_are_of_what_was_filled() -> None:
    """Means of episodes within a product and of products in all; nothing where nothing was filled, and nothing is
    assumed of a method that only takes."""
    scope = Scope({"gold-1": "KXGOLD", "day": "KXINX"}, ("base", "other"), "base", (CountE2(2_000),), (45_000_000,))
    rows = {(row.product, row.method): row for row in fill_rows(scope, groups_of(scope, EPISODES))}
    gold = rows["KXGOLD", "other"]
    assert (gold.trade, gold.queue, gold.crossing, gold.through, gold.taken) == (
        *("0.1000", "0.0500", "0.1000", "0.1500", "0.6000"),
    )
    assert gold.assumed == "0.6250"  # 10 of 16
    assert (rows["KXINX", "other"].taken, rows["KXINX", "other"].assumed) == ("1.0000", None)
    assert (rows["all", "other"].trade, rows["all", "other"].taken) == ("0.0500", "0.8000")
    assert (rows["all", "base"].trade, rows["all", "base"].taken, rows["all", "base"].assumed) == (None, None, None)


def test_what_was_filled_by_what_is_stored(tmp_path: Path) -> None:
    """Each cause in a column of its own."""
    with open_results(tmp_path, resume=False) as results:
        results.agree({}, {"gold-1": KnownTape("-", "KXGOLD", 1), "day": KnownTape("-", "KXINX", 0)})
        for each in EPISODES:
            results.add(each)
        assert sorted(results.read(["base", "other"]), key=lambda e: e.key) == sorted(EPISODES, key=lambda e: e.key)
        assert results.without_trades() == ["day"]


def test_less_crosses_under_a_harsher_model() -> None:
    """A bid at the mid on the same starts: nothing crosses under `trades`, nothing at its own price under `through`,
    and trades fill it under each; `recorded` is what is measured where nothing is said."""
    starts = find_starts(TAPE, 200_000_000, Conditions())[:8]
    found: dict[FillModel, FillsByCause] = {}
    for model in FILL_MODELS:
        runs = [
            run_episode(TAPE, start, order, resolve("passive_mid"), Conditions(fill_model=model))
            for start in starts
            for order in (Order(outcome=o, quantity_e2=CountE2(10_000), horizon_us=180_000_000) for o in OUTCOMES)
        ]
        assert all(run.fills.total_e2 == run.filled_e2 for run in runs)
        counts = (sum(each) for each in zip(*(msgspec.structs.astuple(run.fills) for run in runs), strict=True))
        found[model] = FillsByCause(*map(CountE2, counts))
    assert found["trades"].crossing_e2 == found["trades"].through_e2 == found["through"].crossing_e2 == 0
    assert 0 < found["coin"].crossing_e2 < found["recorded"].crossing_e2
    assert all(each.trade_e2 + each.queue_e2 > 0 for each in found.values())
    assert Conditions().fill_model == "recorded"


def test_fills_that_nobody_counted_end_the_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange and the engine must agree on what was filled; here the exchange's count is falsified."""
    monkeypatch.setattr("fsm_exec.lab.experiment.episode_runner.count_by_cause", lambda _: fills(1))
    field = Field(
        Plan(
            tapes=("index:1",),
            methods=("market",),
            baseline="market",
            quantities_e2=(CountE2(2_000),),
            horizons_us=(30_000_000,),
            outcomes=("yes",),
            every_us=3_600_000_000,
            conditions=Conditions(),
        )
    )
    with pytest.raises(LabError, match="by cause"):
        field.work(Task(next(field.episodes()), ("market@1",)))
