"""The estimator's table: fitted to what an experiment measured, judged on what it was not fitted on."""

from __future__ import annotations

import json
import math
import random
import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path
from statistics import NormalDist

import pytest
from click.testing import CliRunner

from fsm_exec.algorithms.catalogue import row_of
from fsm_exec.cli.main import cli
from fsm_exec.control.estimate_table import load_estimate_table
from fsm_exec.core.costs.estimate import weigh_features
from fsm_exec.core.costs.estimate_table import TapeSource, decode_table, encode_table
from fsm_exec.core.costs.market_features import MarketFeatures
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import PPM, CountE2
from fsm_exec.lab.estimation.calibration import calibrations, judge_held_out, judge_table
from fsm_exec.lab.estimation.fitting import fit_methods, fit_table
from fsm_exec.lab.estimation.regression import dot, fit_chance, fit_mean, fit_quantile
from fsm_exec.lab.estimation.samples import Sample, SampleSet, load_samples, settings_hash
from fsm_exec.lab.estimation.stored_executions import load_stored
from fsm_exec.lab.experiment.methods import resolve

S = 1_000_000
NORMAL = NormalDist()


def rows_of(seed: int, number: int) -> list[tuple[float, ...]]:
    draw = random.Random(seed)
    return [(1.0, draw.gauss(2, 1), draw.uniform(0, 3)) for _ in range(number)]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_quantiles_and_means_of_a_planted_sum_are_found(seed: int) -> None:
    """Values spread more where the second feature is large: each quantile has weights of its own."""
    draw, rows = random.Random(seed + 100), rows_of(seed, 1_000)
    values = [1 + 2 * x + (1 + z) * draw.gauss(0, 1) for _, x, z in rows]
    for share in (0.1, 0.5, 0.9):
        reach, found = NORMAL.inv_cdf(share), fit_quantile(rows, values, share)
        assert found == pytest.approx([1 + reach, 2, reach], abs=0.5)
        below = sum(value <= dot(found, row) for row, value in zip(rows, values, strict=True))
        assert below / len(rows) == pytest.approx(share, abs=0.02)
    assert fit_mean(rows, values) == pytest.approx([1, 2, 0], abs=0.5)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_planted_chances_are_found(seed: int) -> None:
    """Also where all but a few of the outcomes are the same, and where they can be told apart without error."""
    draw, rows = random.Random(seed + 100), rows_of(seed, 1_000)
    happened = [float(draw.random() < NORMAL.cdf(0.5 * x - 1)) for _, x, _ in rows]
    assert fit_chance(rows, happened) == pytest.approx([-1, 0.5, 0], abs=0.3)
    for sure in ([1.0] * len(rows), [float(x > 2) for _, x, _ in rows]):
        weights = fit_chance(rows, sure)
        assert all(map(math.isfinite, weights))
        assert sum(
            (NORMAL.cdf(dot(weights, row)) - one) ** 2 for row, one in zip(rows, sure, strict=True)
        ) < 0.02 * len(rows)


def planted(seed: int, tapes: int, each: int, *, atom: bool = False) -> list[Sample]:
    """Executions whose cost is half of what taking costs, and noise that grows with the unrest of the market and has a
    level of its own on each tape. With an atom a third of them cost the same: minus half the spread."""
    draw = random.Random(seed)
    found: list[Sample] = []
    for tape in range(tapes):
        level = draw.gauss(0, 100)
        for number in range(each):
            taking, half, unrest = draw.randrange(500, 4_000), draw.choice((500, 1_000, 1_500)), draw.randrange(6_000)
            cost = taking / 2 + level + draw.gauss(0, 300 + unrest / 4)
            rested = draw.random() < NORMAL.cdf(half / 500 - 2)
            found.append(
                Sample(
                    source=f"tape {tape}",
                    at_us=number,
                    outcome="yes",
                    product="KXPLANTED",
                    method="passive_mid@1",
                    settings="0",
                    horizon_us=60 * S,
                    quantity_e2=CountE2(draw.choice((1_000, 5_000))),
                    spread_e4=half // 5,
                    mid_e5=50_000,
                    room_e4=600,
                    features=MarketFeatures(
                        taking_e5=taking, half_e5=half, unrest_e5=unrest, size_ppm=0, pace_ppm=PPM, room_ppm=PPM
                    ),
                    cost_e5=-half if atom and draw.random() < 1 / 3 else round(cost),
                    filled_ppm=PPM if rested else PPM // 2,
                    complete=rested,
                    resting=rested,
                )
            )
    return found


@pytest.mark.parametrize("atom", [False, True])
@pytest.mark.parametrize("seed", [1, 2])
def test_four_in_five_of_unseen_outcomes_are_inside(seed: int, atom: bool) -> None:
    """Held out tape by tape; where many outcomes are the same, one end may miss more and the share inside is the same.
    The chance of filling is better than its rate."""
    (one,) = calibrations(judge_held_out(planted(seed, tapes=6, each=150, atom=atom)))
    assert (one.executions, one.sources, one.horizon_s) == (900, 6, 60)
    assert 0.74 <= one.inside <= 0.86
    assert one.below + one.above + one.inside == pytest.approx(1)
    assert abs(one.error) < 0.1
    assert one.resting_said == pytest.approx(one.resting, abs=0.05)
    assert one.resting_skill is not None
    assert one.resting_skill > 0.05


def test_a_dearer_market_is_said_to_be_dearer() -> None:
    """Estimates follow what they are weighed from: the cost of taking moves all three figures up, unrest the width, and
    the low end is never above the high one."""
    table = fit_methods(planted(1, tapes=3, each=200))["passive_mid@1"]
    draw = random.Random(4)

    def said(taking: int, unrest: int) -> tuple[int, int, int]:
        features = MarketFeatures(
            taking_e5=taking, half_e5=1_000, unrest_e5=unrest, size_ppm=0, pace_ppm=PPM, room_ppm=PPM
        )
        found = weigh_features("passive_mid@1", table, features, 60 * S)
        assert found.low_e5 is not None
        assert found.cost_e5 is not None
        assert found.high_e5 is not None
        return found.low_e5, found.cost_e5, found.high_e5

    for _ in range(200):
        taking, unrest = draw.randrange(500, 3_000), draw.randrange(4_000)
        low, cost, high = said(taking, unrest)
        assert low <= high
        assert all(now > before for now, before in zip(said(taking + 500, unrest), (low, cost, high), strict=True))
        wider = said(taking, unrest + 1_000)
        assert wider[2] - wider[0] > high - low


def test_a_table_is_judged_on_what_it_was_not_fitted_on_only() -> None:
    """What it names as its sources is left out, whatever it is called now."""
    samples = planted(1, tapes=3, each=200)
    sources = tuple(
        TapeSource(name=f"tape {n}", kind="tape", first_us=0, last_us=1, executions=200, fingerprint=f"print {n}")
        for n in range(3)
    )
    known = SampleSet(tuple(s for s in samples if s.source != "tape 2"), sources[:2], {}, 0)
    table = fit_table(known, date(2026, 11, 30))
    judged = judge_table(SampleSet(tuple(samples), sources, {}, 0), table)
    assert {each.sample.source for each in judged} == {"tape 2"}
    assert len(judged) == 200


def test_what_cannot_be_fitted_is_refused() -> None:
    """Too few executions of every horizon; one name for two methods."""
    few = SampleSet(tuple(planted(1, tapes=1, each=99)), (), {}, 0)
    with pytest.raises(UserError, match="no method has 100 executions of one horizon; measure more"):
        fit_table(few, date(2026, 11, 30))
    two = [sample._replace(settings=str(number % 2)) for number, sample in enumerate(planted(1, tapes=2, each=100))]
    with pytest.raises(UserError, match="method passive_mid@1 is not the same method everywhere"):
        fit_methods(two)


def test_the_shipped_table_is_of_the_methods_that_ship() -> None:
    """Its methods do what they did when it was fitted; it says to what, when and how many; the flagship is in it."""
    table = load_estimate_table()
    assert "deadline_walker@1" in table.methods
    for name, method in table.methods.items():
        assert method.settings == settings_hash(row_of(resolve(name))), f"{name} has changed: fit the table again"
    assert all(source.executions > 0 and len(source.fingerprint) == 64 for source in table.sources)
    assert decode_table(encode_table(table), "here") == table


class Measured:
    """One small experiment on generated flow, measured once for all tests here."""

    def __init__(self, home: Path) -> None:
        self.home, self.out = home, home / "cmp"
        done = run(
            *("compare", "--tape", "moderate:1", "--tape", "moderate:2", "--methods", "passive_mid,marketable"),
            *("--quantity", "20,40", "--horizon", "30", "--every", "720", "--workers", "1", "--out", str(self.out)),
        )
        assert done[0] == 0, done


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, list(arguments), standalone_mode=False)
    if result.exception is not None:
        return 1, result.stdout, str(result.exception)
    return 0, result.stdout, result.stderr


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    return Measured(tmp_path_factory.mktemp("estimation"))


def test_the_command_fits_a_table_and_shows_how_well_it_holds(measured: Measured) -> None:
    """Each tape is judged by the other; the table can be read, names both tapes and gives a method two ranges."""
    path = measured.home / "table.json"
    code, out, _ = run("fit-estimate", str(measured.out), "--out", str(path), "--check", "--json")
    assert code == 0
    document = json.loads(out)
    table = load_estimate_table(path)
    assert document["table"] == json.loads(path.read_bytes())
    assert [source.name for source in table.sources] == ["moderate:1", "moderate:2"]
    assert set(table.methods) == {"marketable@1", "passive_mid@1"}
    assert (table.methods["marketable@1"].quantity_e2.low, table.methods["marketable@1"].quantity_e2.high) == (
        2_000,
        4_000,
    )
    held_out = document["check"]["held_out"]
    assert {(row["method"], row["sources"]) for row in held_out} == {("marketable@1", 2), ("passive_mid@1", 2)}
    assert all(0.5 < row["inside"] <= 1 for row in held_out)
    code, out, _ = run("fit-estimate", str(measured.out), "--check", "--table", str(path))
    assert code == 0
    assert f"{path} was fitted on all of these" in out


def test_what_the_market_showed_is_what_the_engine_saw(measured: Measured) -> None:
    """The samples' mids, spreads and costs are those that were measured; each execution is there once."""
    found = load_samples([measured.out])
    assert found.unobserved == 0
    assert len(found.samples) == sum(source.executions for source in found.sources)
    for sample in found.samples:
        assert sample.features.half_e5 == sample.spread_e4 * 5
        assert 500 <= sample.room_e4 <= 600
        if sample.method == "marketable@1" and sample.features.size_ppm <= 0 and sample.complete:
            assert sample.cost_e5 <= sample.features.taking_e5 + 3_000


def test_executions_of_a_database_count(measured: Measured, tmp_path: Path) -> None:
    """Each that ended by its method counts, at the horizon nearest to its own that was measured, or is counted as left
    out; its figures are those of the database."""
    path = tmp_path / "demo.sqlite"
    given = ("--executions", "8", "--horizon", "32", "--algorithm", "passive_mid", "--algorithm", "marketable")
    assert run("demo", "--speed", "max", "--seed", "1", *given, "--db", str(path))[0] == 0
    known = load_samples([measured.out])
    found = load_stored(known, path)
    added = found.samples[len(known.samples) :]
    assert added
    assert len(added) + found.unobserved == 8
    assert {sample.horizon_us for sample in added} == {30 * S}
    assert found.sources[-1].kind == "database"
    assert found.sources[-1].executions == len(added)
    with closing(sqlite3.connect(path)) as connection:
        stored = dict(
            connection.execute(
                "SELECT accepted_at || e.outcome || e.method, x.shortfall_e7 * 1.0 / (e.target_quantity * 100) "
                "FROM execution_state e JOIN execution_metrics x USING (execution_id)"
            )
        )
    for sample in added:
        assert sample.cost_e5 == pytest.approx(stored[to_iso(sample.at_us) + sample.outcome + sample.method], abs=0.51)
    assert fit_table(found, date(2026, 11, 30)).sources == found.sources
    with pytest.raises(UserError, match=r"another source is called demo\.sqlite too"):
        load_stored(found, path)


def test_wrong_use_is_one_line(measured: Measured, tmp_path: Path) -> None:
    """Nothing to fit to, nothing to do, no results, other conditions, a file that cannot be written."""
    cases = {
        (): "nothing to fit to; give directories that fsm-exec compare wrote, or --db DATABASE",
        (str(measured.out),): "give --out FILE to write the table to, or --check",
        (str(tmp_path), "--check"): "compare.sqlite",
        (str(measured.out), "--out", str(tmp_path / "no" / "file.json")): "give another --out",
        (str(measured.out), "--check", "--table", str(tmp_path / "none.json")): "cannot read",
        ("--db", str(tmp_path / "none.db"), "--check"): "none.db",
    }
    for arguments, line in cases.items():
        code, _, error = run("fit-estimate", *arguments)
        assert code == 1
        assert line in error
        assert "\n" not in error.strip()
