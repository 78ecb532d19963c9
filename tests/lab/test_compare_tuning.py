"""A search finds settings that were planted as better, believes only what it has not seen, and says so."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from fsm_exec.cli.lab.tune import tune
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import US_PER_S, CountE2
from fsm_exec.lab.experiment.compare import Field, Plan
from fsm_exec.lab.experiment.episode_runner import EpisodeRun
from fsm_exec.lab.experiment.episodes import Conditions
from fsm_exec.lab.experiment.fill_causes import FillsByCause
from fsm_exec.lab.experiment.results import EpisodeResult, open_results
from fsm_exec.lab.experiment.tuning import Search, draw_search, judge, parse_range

GOOD, LUCKY, DEFAULT = "deadline_walker[a0=0.7]", "deadline_walker[a0=0.9]", "deadline_walker"
TAPES = ("index:1", "index:2")


def planted(search: Search, costs: dict[str, dict[str, int]], directory: Path) -> tuple[Field, Plan]:
    """Results as if every method had cost this many 10^-7 dollars a hundredth of a contract on each tape, more or less
    by the quarter of an hour."""
    plan = Plan(
        tapes=TAPES,
        methods=search.methods,
        baseline=search.baseline,
        quantities_e2=(CountE2(2_000),),
        horizons_us=(45 * US_PER_S,),
        outcomes=("yes",),
        every_us=600 * US_PER_S,
        conditions=Conditions(),
    )
    field = Field(plan)
    with open_results(directory, resume=False) as results:
        results.agree(plan.stated(), field.known_tapes())
        for number, key in enumerate(field.episodes()):
            runs = {
                full: run((costs[name][key.tape] + (number % 7) * 40 + number % (3 + len(name))) * 2_000)
                for name, full in plan.full_names.items()
            }
            results.add(
                EpisodeResult(
                    key=key,
                    mid_e5=50_000,
                    spread_e4=200,
                    touch_e2=1_000,
                    bound_e7=0,
                    static_e7=0,
                    runs=runs,
                )
            )
    return field, plan


def run(shortfall_e7: int) -> EpisodeRun:
    return EpisodeRun(
        mid_e5=50_000,
        spread_e4=200,
        touch_e2=1_000,
        filled_e2=2_000,
        fills=FillsByCause(crossing_e2=CountE2(2_000)),
        before_close_e2=2_000,
        shortfall_e7=shortfall_e7,
        fees_e7=0,
        writes=1,
        walks=0,
        state="filled",
        reason="completed",
        flags="",
    )


def test_settings_that_are_better_everywhere_are_chosen(tmp_path: Path) -> None:
    """Planted a fifth of a cent below the defaults on both tapes: found by both folds, and offered."""
    search = Search(algorithm=DEFAULT, baseline="passive_mid", candidates={1: (DEFAULT, GOOD, LUCKY)})
    both = dict.fromkeys(TAPES, 0)
    costs = {"passive_mid": both, DEFAULT: both, GOOD: dict.fromkeys(TAPES, -200), LUCKY: both}
    field, _ = planted(search, costs, tmp_path)
    with open_results(tmp_path, resume=True) as results:
        found = judge(search, field, results)
    assert [fold.chosen for fold in found.folds] == [GOOD, GOOD]
    assert (found.wins, found.chosen) == (True, GOOD)
    assert Decimal(found.differences[0].delta) == pytest.approx(Decimal("-0.2"), abs=Decimal("0.02"))


def test_settings_that_were_only_lucky_are_not(tmp_path: Path) -> None:
    """Better on one tape by as much as they are worse on the other: whoever chose them by the one pays on the other."""
    search = Search(algorithm=DEFAULT, baseline="passive_mid", candidates={1: (DEFAULT, LUCKY)})
    both = dict.fromkeys(TAPES, 0)
    costs = {"passive_mid": both, DEFAULT: both, LUCKY: {"index:1": -300, "index:2": 300}}
    field, _ = planted(search, costs, tmp_path)
    with open_results(tmp_path, resume=True) as results:
        found = judge(search, field, results)
    assert [fold.chosen for fold in found.folds] == [DEFAULT, LUCKY]
    assert (found.wins, found.chosen) == (False, None)
    assert Decimal(found.differences[0].delta) > 0


def test_candidates_are_drawn_by_seed() -> None:
    """The same for the same seed, within the bounds, with their decimals, the defaults first."""
    ranges = [parse_range("a0=0.35:0.85"), parse_range("up_ticks=1:3")]
    one, two = (draw_search(DEFAULT, "passive_mid", ranges, 9, [seed]).candidates[seed] for seed in (1, 2))
    assert one == draw_search(DEFAULT, "passive_mid", ranges, 9, [1]).candidates[1]
    assert one != two
    assert one[0] == DEFAULT
    for name in one[1:]:
        a0, up = (part.partition("=")[2] for part in name[len(DEFAULT) + 1 : -1].split(";"))
        assert Decimal("0.35") <= Decimal(a0) <= Decimal("0.85")
        assert len(a0) == len("0.35")
        assert up in ("1", "2", "3")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--vary", "a0=0.9:0.1"), "LOW below HIGH"),
        (("--vary", "a0=low:high"), "two numbers"),
        (("--vary", "a9=1:2"), "a9"),
        (("--vary", "a0=1:99"), "a0 99"),
        (("--vary", "a0=0.1:0.9", "--seeds", "x"), "--seeds"),
        (("--vary", "a0=0.1:0.9", "--candidates", "1"), "--candidates 1"),
    ],
)
def test_bad_searches_are_refused(tmp_path: Path, arguments: tuple[str, ...], why: str) -> None:
    """Before anything is opened or written."""
    common = ["--tape", "index:1", "--tape", "index:2", "--algorithm", DEFAULT, "--out", str(tmp_path / "out")]
    with pytest.raises(UserError, match=why):
        tune.main([*common, *arguments], standalone_mode=False)
    assert not (tmp_path / "out").exists()


def test_one_tape_is_not_enough(tmp_path: Path) -> None:
    """There would be nothing left to judge by."""
    with pytest.raises(UserError, match="at least two"):
        tune.main(["--tape", "index:1", "--algorithm", DEFAULT, "--vary", "a0=0.1:0.9"], standalone_mode=False)


def test_a_small_search_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command works its episodes and prints a verdict; resumed, it says the same without working any."""
    arguments = ["--tape", "index:1", "--tape", "index:2", "--algorithm", DEFAULT, "--vary", "a0=0.35:0.85"]
    arguments += ["--candidates", "3", "--seeds", "1", "--every", "9000", "--horizon", "30", "--workers", "1", "--json"]
    arguments += ["--out", str(tmp_path / "out")]
    tune.main(arguments, standalone_mode=False)
    first = json.loads(capsys.readouterr().out)
    assert [fold["held_out"] for fold in first["folds"]] == list(TAPES)
    assert [d["against"] for d in first["differences"]] == [DEFAULT, "passive_mid"]
    assert (tmp_path / "out" / "method.json").exists() == (first["chosen"] is not None)
    tune.main([*arguments, "--resume"], standalone_mode=False)
    assert json.loads(capsys.readouterr().out) == first
