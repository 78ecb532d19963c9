"""Products: tapes of one series together, several series weighing the same, each tape alone only where asked for."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import CountE2
from fsm_exec.lab.experiment.episode_runner import EpisodeRun
from fsm_exec.lab.experiment.fill_causes import FillsByCause
from fsm_exec.lab.experiment.groups import Scope, groups_of
from fsm_exec.lab.experiment.results import EpisodeKey, EpisodeResult
from fsm_exec.lab.experiment.summary import Cell, ComparisonReport, summarize
from fsm_exec.lab.experiment.tapes import expand_tapes

PRODUCTS = {"gold-1": "KXGOLD15M", "gold-2": "KXGOLD15M", "day": "INX"}
CENT_E7 = 2_000 * 1_000  # of twenty contracts
HALF_HOUR_US = 1_800_000_000


def episode(tape: str, at_us: int, cost_cents: int, *, bound_cents: int = -1) -> EpisodeResult:
    """The baseline costs a cent."""
    return EpisodeResult(
        key=EpisodeKey(tape, at_us, "yes", CountE2(2_000), 45_000_000),
        mid_e5=50_000,
        spread_e4=200,
        touch_e2=1_000,
        bound_e7=bound_cents * CENT_E7,
        static_e7=0,
        runs={"base": run(1), "other": run(cost_cents)},
    )


def run(cost_cents: int) -> EpisodeRun:
    return EpisodeRun(
        mid_e5=50_000,
        spread_e4=200,
        touch_e2=1_000,
        filled_e2=2_000,
        fills=FillsByCause(taken_e2=CountE2(2_000)),
        before_close_e2=1_000,
        shortfall_e7=cost_cents * CENT_E7,
        fees_e7=0,
        writes=2,
        walks=0,
        state="filled",
        reason="completed",
        flags="",
    )


GOLD = [episode(f"gold-{1 + number % 2}", number // 2 * HALF_HOUR_US * 3, 5) for number in range(40)]
DAY = [episode("day", number * HALF_HOUR_US * 3, -3) for number in range(10)]


def told(*, each_tape: bool = False) -> ComparisonReport:
    scope = Scope(PRODUCTS, ("base", "other"), "base", (CountE2(2_000),), (45_000_000,), each_tape)
    return summarize(scope, [*DAY, *GOLD], unfinished=0, with_buckets=True)


def cell(found: ComparisonReport, product: str, tape: str, method: str = "other") -> Cell:
    (one,) = (c for c in found.cells if (c.product, c.tape, c.method) == (product, tape, method))
    return one


def test_products_weigh_the_same_and_episodes_within_them() -> None:
    """Forty episodes of gold that cost 5 c and ten of a day that cost -3: together 1 c, not 3.4; likewise the
    difference, its median and its tails, and the way to the limit."""
    found = told()
    assert [(c.product, c.tape, c.episodes) for c in found.cells if c.method == "base"] == [
        ("INX", "day", 10),
        ("KXGOLD15M", "all", 40),
        ("all", "all", 50),
    ]
    assert cell(found, "KXGOLD15M", "all").shortfall == "5.0000"
    both = cell(found, "all", "all")
    assert (both.shortfall, both.delta, both.delta_low, both.delta_high) == ("1.0000", "0.0000", "0.0000", "0.0000")
    assert both.share_better == "0.5000"
    assert (both.cost_p5, both.cost_p95, both.cost_worst) == ("-3.0000", "5.0000", "5.0000")
    assert Decimal(both.delta_trimmed) == 0
    assert both.gap_closed == "0.0000"
    assert [b.delta for b in found.buckets] == ["0.0000", "0.0000"]


def test_a_tail_weighs_as_its_product_does() -> None:
    """One execution of forty that costs 100 c is a fortieth of a product and an eightieth of both: the worst twentieth
    of both is a quarter such executions and three quarters of 5 c."""
    dear = [episode("gold-1", 0, 100), *GOLD[1:]]
    scope = Scope(PRODUCTS, ("base", "other"), "base", (CountE2(2_000),), (45_000_000,))
    found = summarize(scope, [*DAY, *dear], unfinished=0, with_buckets=False)
    assert cell(found, "KXGOLD15M", "all").cost_worst == "52.5000"
    assert cell(found, "all", "all").cost_worst == "28.7500"


def test_each_tape_alone_only_where_asked_for() -> None:
    """A product of a single tape is not said twice."""
    found = told(each_tape=True)
    parts = [(c.product, c.tape) for c in found.cells if c.method == "base"]
    assert parts == [
        ("INX", "day"),
        ("KXGOLD15M", "all"),
        ("all", "all"),
        ("KXGOLD15M", "gold-1"),
        ("KXGOLD15M", "gold-2"),
    ]
    assert {(c.product, c.tape) for c in found.widest()} == {("all", "all")}
    assert [b for b in found.buckets if b.product != "all"] == []
    assert cell(found, "KXGOLD15M", "gold-1") == cell(told(each_tape=True), "KXGOLD15M", "gold-1")


def test_of_one_product_all_tapes_are_the_whole() -> None:
    """Nothing is pooled over products then, and one tape alone is named."""
    scope = Scope({"gold-1": "KXGOLD15M", "gold-2": "KXGOLD15M"}, ("base", "other"), "base", (CountE2(2_000),),
                  (45_000_000,), each_tape=True)  # fmt: skip
    found = summarize(scope, GOLD, unfinished=0, with_buckets=True)
    assert {(c.product, c.tape) for c in found.widest()} == {("KXGOLD15M", "all")}
    assert {(b.product, b.tape) for b in found.buckets} == {("KXGOLD15M", "all")}
    alone = scope._replace(products={"gold-1": "KXGOLD15M"})
    assert [(g.product, g.tape) for g in groups_of(alone, GOLD)] == [("KXGOLD15M", "gold-1")]


def test_names_of_methods_and_the_order_of_episodes_leave_no_trace() -> None:
    """The interval is that of the sample: read backwards, and with versions in the names, it is the same."""
    scope = Scope(PRODUCTS, ("base", "other"), "base", (CountE2(2_000),), (45_000_000,))
    values = [episode("day", number * HALF_HOUR_US * 2, number % 5) for number in range(30)]
    there = summarize(scope, values, unfinished=0, with_buckets=False)
    renamed = [
        EpisodeResult(
            key=e.key, mid_e5=e.mid_e5, spread_e4=e.spread_e4, touch_e2=e.touch_e2, bound_e7=e.bound_e7,
            static_e7=e.static_e7, runs={f"{name}@1": of for name, of in e.runs.items()},
        )
        for e in reversed(values)
    ]  # fmt: skip
    other = summarize(scope._replace(methods=("base@1", "other@1"), baseline="base@1"), renamed, unfinished=0,
                      with_buckets=False)  # fmt: skip
    (mine, theirs) = (cell(there, "INX", "day"), cell(other, "INX", "day", "other@1"))
    assert (mine.delta_low, mine.delta_high) == (theirs.delta_low, theirs.delta_high)
    assert mine.delta_low != mine.delta_high
    assert there.paired[0].p_better == other.paired[0].p_better


def test_tapes_may_be_directories_and_globs(tmp_path: Path) -> None:
    """Recordings below, sorted; what is none is passed over; a name that is neither stays as it is."""
    for name in ("b/2.jsonl.gz", "b/1.jsonl", "a/x.jsonl.gz", "a/notes.txt", "a/deep/er.jsonl", "a/manifest.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    everything = [str(tmp_path / name) for name in ("a/deep/er.jsonl", "a/x.jsonl.gz", "b/1.jsonl", "b/2.jsonl.gz")]
    assert list(expand_tapes([str(tmp_path)])) == everything
    assert list(expand_tapes([f"{tmp_path}/*"])) == everything
    assert list(expand_tapes([f"{tmp_path}/b/*.gz", "index:1", "no/such.jsonl"])) == [
        everything[3],
        "index:1",
        "no/such.jsonl",
    ]
    (tmp_path / "[odd].jsonl").touch()
    assert list(expand_tapes([f"{tmp_path}/[odd].jsonl"])) == [f"{tmp_path}/[odd].jsonl"]
    (tmp_path / "empty").mkdir()
    for nothing, why in ((f"{tmp_path}/empty", "in that directory"), (f"{tmp_path}/*.csv", "in that pattern")):
        with pytest.raises(UserError, match=why):
            expand_tapes([nothing])
    with pytest.raises(UserError, match="tape '': give a recording"):  # as of a variable of the shell that is not set
        expand_tapes(["index:1", ""])
