"""The statistics of a tape, on tapes small enough to reckon by hand, on the recordings, and of what is generated."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from fsm_exec.cli.lab.fidelity import fidelity
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4
from fsm_exec.paper.tapes.fidelity import (
    BookFigures,
    Figures,
    autocorrelation,
    fano,
    ks_distance,
    log_mean_sd,
    measure,
    median,
)
from fsm_exec.paper.tapes.fidelity_gates import Verdict, judge
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.reading import read_tape
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Change, Tape, Trade, tape_header
from tests.small_tapes import write_fractional, write_whole

ROOT = Path(__file__).parents[2]
RECORDINGS = Path(os.environ.get("FSM_EXEC_RECORDINGS", ROOT.parent / "shared" / "recordings"))
DAY_S = 23_400


def recording(name: str) -> Path:
    path = RECORDINGS / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no recording {path}: set FSM_EXEC_RECORDINGS to a folder that has it")
    return path


# Hand-made tapes. Times in seconds, prices in cents, sizes in contracts.


def book(yes: dict[int, int], no: dict[int, int]) -> BookSnapshot:
    one, other = (tuple((PriceE4(p * 100), CountE2(c * 100)) for p, c in sorted(side.items())) for side in (yes, no))
    return BookSnapshot(one, other)


def change(outcome: Outcome, cents: int, contracts: int) -> BookDelta:
    return BookDelta(outcome, PriceE4(cents * 100), CountE2(contracts * 100))


def trade(taker: Outcome, yes_cents: int, contracts: int) -> Trade:
    return Trade(taker, PriceE4(yes_cents * 100), CountE2(contracts * 100))


def tape(*events: tuple[float, Change]) -> Tape:
    header = tape_header("KXHAND-1-A", "linear_cent", category="Testing")
    return Tape(header, tuple((round(at_s * 1_000_000), change) for at_s, change in events))


OPEN = book({40: 60, 39: 10, 36: 500}, {57: 200, 55: 30})  # bid 40, asked 43


def test_the_book_is_weighted_by_time_after_the_first_minute() -> None:
    """30 s at 3 cents, then 10 s at 1 cent after two orders inside the spread; what came before 60 s counts nothing."""
    figures = measure(
        tape((0, OPEN), (90, change("yes", 42, 5)), (90, change("no", 57, 0)), (100, change("yes", 42, 1)))
    ).book
    assert figures.two_sided_s == pytest.approx(40)
    assert figures.spread_c == pytest.approx((30 * 3 + 10 * 1) / 40)
    assert figures.spread_shares == pytest.approx((0.25, 0, 0.75, 0, 0))
    assert figures.touch_below_50 == pytest.approx(0.25)
    assert figures.touch_below_100 == pytest.approx(1)
    # three best cents: 40, 39, 38 hold 70, and 57, 56, 55 hold 230; with the order at 42, 42, 41 and 40 hold 65
    assert figures.near_below_50 == 0


def test_depth_is_counted_from_the_other_sides_best() -> None:
    """At 3 cents both touches, 60 and 200; at 4 the 10; nothing nearer: means of the two sides."""
    figures = measure(tape((0, OPEN), (100, change("yes", 20, 1)))).book
    assert figures.depths == pytest.approx((0, 0, 130, 5))


def test_orders_are_counted_by_distance_and_side() -> None:
    """In 40 s: two bids at 2 cents, one offer at 3; far orders have no part in the sizes."""
    figures = measure(
        tape(
            (0, OPEN),
            (50, change("yes", 41, 7)),
            (55, change("yes", 41, -7)),  # both in the minute that is left out
            (70, change("yes", 41, 7)),
            (80, change("yes", 41, 9)),
            (90, change("no", 56, 11)),  # 3 cents from the bid of 41
            (95, change("yes", 31, 900)),  # 12 cents from the offer at 43
            (100, change("yes", 30, 901)),
        )
    ).book
    assert figures.arrivals == pytest.approx((0, 2 / 40 / 2, 1 / 40 / 2, 0))
    assert figures.limit_sizes == (7, 9, 11, 900)


def test_a_decrease_is_a_cancel_unless_a_trade_explains_it() -> None:
    """Of 200 resting at 3 cents 40 are cancelled and 60 traded."""
    figures = measure(
        tape(
            (0, book({40: 200}, {57: 200})),
            (70, trade("no", 40, 60)),
            (70, change("yes", 40, -60)),
            (80, change("yes", 40, -40)),
            (100, change("no", 57, 1)),
        )
    )
    contract_seconds = 40 * 200 + 10 * 200 + 10 * 140 + 20 * 100
    assert figures.book.cancels[2] == pytest.approx(40 / contract_seconds)
    assert figures.trades_per_s == pytest.approx(1 / 100)
    assert figures.contracts_per_s == pytest.approx(60 / 100)
    assert figures.trade_sizes == (60,)


def test_the_time_before_a_later_snapshot_is_not_known() -> None:
    """The feed was down from 70 to 170: neither spread nor a move of the mid is taken from it."""
    figures = measure(
        tape(
            (0, book({40: 9}, {57: 9})),
            (70, change("yes", 39, 1)),
            (170, book({80: 9}, {18: 9})),
            (200, change("yes", 79, 1)),
        )
    )
    assert figures.book.two_sided_s == pytest.approx(40)
    assert figures.book.spread_c == pytest.approx((10 * 3 + 30 * 2) / 40)
    assert figures.mid_max[0] == 0


def test_a_one_sided_book_counts_nowhere_and_keeps_its_last_mid() -> None:
    """From 70 to 90 nothing is bid; the mid of 41.5 is 43.5 when bids come back."""
    figures = measure(
        tape(
            (0, book({40: 9}, {57: 9})),
            (70, change("yes", 40, -9)),
            (90, change("yes", 44, 9)),
            (90, change("no", 57, -9)),
            (90, change("no", 53, 9)),  # bid 44, asked 47
            (120, change("yes", 30, 1)),
        )
    )
    assert figures.book.two_sided_s == pytest.approx(40)
    assert figures.mid_max[0] == 4


def test_mid_moves_over_windows() -> None:
    """A mid that rises 0.5 cents at 75 s and at 78 s and 2 at 85 s: windows of 10 s from 60 s see 0, 1, 2, 0, ...; the
    largest over any 10 s is 2.5, from 76 to 86; over any 60 s, 3."""
    figures = measure(
        tape(
            (0, book({40: 9}, {58: 9})),
            (75, change("yes", 40, -9)),
            (75, change("yes", 41, 9)),
            (78, change("no", 58, -9)),
            (78, change("no", 57, 9)),
            (85, change("no", 57, -9)),
            (85, change("no", 55, 9)),
            (85, change("yes", 41, -9)),
            (85, change("yes", 43, 9)),
            (131, change("yes", 1, 1)),
        )
    )
    assert figures.mid_max == (2.5, 3, None)
    moves = (0, 1, 2, 0, 0, 0, 0)
    mean = sum(moves) / 7
    assert figures.mid_sd[0] == pytest.approx((sum((move - mean) ** 2 for move in moves) / 7) ** 0.5)


# Single statistics


def test_fano_of_events_in_windows() -> None:
    """Counts 3, 0, 0, 1 have mean 1 and variance 1.5; the window that is not whole is left out."""
    times = [1, 2, 3, 31, 41]
    assert fano([at * 1_000_000 for at in times], 45_000_000, 10) == pytest.approx(1.5)
    assert fano([], 45_000_000, 10) is None
    assert fano([1], 15_000_000, 10) is None


def test_autocorrelation_at_lag_one() -> None:
    """Alternating signs are opposed, repeated ones follow; constant ones say nothing."""
    assert autocorrelation([1, -1, 1, -1]) == pytest.approx(-0.75)
    assert autocorrelation([1, 1, -1, -1]) == pytest.approx(0.25)
    assert autocorrelation([1, 1, 1]) == 0


def test_ks_distance_is_the_largest_gap() -> None:
    """At 2, three quarters lie below against a quarter."""
    assert ks_distance((1, 2, 2, 9), (2, 9, 9, 9)) == pytest.approx(0.5)
    assert ks_distance((1, 2), (1, 2)) == 0
    assert ks_distance((1,), ()) == 1


def test_median_and_lognormal_of_sizes() -> None:
    """Of even and odd numbers; e and e cubed have mean 2 and deviation 1, nearly."""
    assert (median((1, 2, 9)), median((1, 2, 4, 9)), median(())) == (2, 3, 0)
    assert log_mean_sd((10, 1_000)) == pytest.approx((4.605, 2.303), abs=0.001)


# The recordings: what the published table says of them

PUBLISHED = {
    "index-2023-04-10": Figures(
        book=BookFigures(
            two_sided_s=23_249,
            spread_c=2.53,
            spread_shares=(0.27, 0.34, 0.26, 0.10, 0.02),
            touch_below_50=0.48,
            touch_below_100=0.58,
            near_below_50=0.09,
            depths=(54, 144, 309, 433),
            arrivals=(0.020, 0.025, 0.035, 0.031),
            cancels=(),
            limit_sizes=(),
        ),
        trades_per_s=0.034,
        contracts_per_s=1.5,
        trade_sizes=(),
        fano=(2.3, 4.5, 12.7),
        sign_autocorrelation=0.45,
        mid_sd=(1.06, 2.36, 4.85),
        mid_max=(12.5, 16.5, 33),
    ),
    "index-2023-04-13": Figures(
        book=BookFigures(
            two_sided_s=23_206,
            spread_c=3.14,
            spread_shares=(0.14, 0.32, 0.28, 0.18, 0.08),
            touch_below_50=0.36,
            touch_below_100=0.39,
            near_below_50=0.05,
            depths=(46, 191, 364, 473),
            arrivals=(0.007, 0.017, 0.024, 0.027),
            cancels=(),
            limit_sizes=(),
        ),
        trades_per_s=0.022,
        contracts_per_s=1.3,
        trade_sizes=(),
        fano=(3.4, 5.0, 8.6),
        sign_autocorrelation=0.42,
        mid_sd=(0.81, 2.29, 5.94),
        mid_max=(9.5, 28.5, 42.5),
    ),
}
PUBLISHED_SIZES = {  # median, mu, sigma of limit sizes; median, mean, mu, sigma of trade sizes
    "index-2023-04-10": ((200, 4.8, 1.65), (12, 45, 2.4, 1.7)),
    "index-2023-04-13": ((300, 5.4, 1.6), (19, 60, 2.7, 1.8)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_columns_are_reproduced(name: str) -> None:
    """Every figure of the table, to the digits it gives."""
    found, published = measure(read_tape(recording(name))), PUBLISHED[name]
    assert found.book.spread_c == pytest.approx(published.book.spread_c, abs=0.005)
    assert found.book.spread_shares == pytest.approx(published.book.spread_shares, abs=0.0055)
    for share in ("touch_below_50", "touch_below_100", "near_below_50"):
        assert getattr(found.book, share) == pytest.approx(getattr(published.book, share), abs=0.0055)
    assert found.book.depths == pytest.approx(published.book.depths, abs=0.5)
    assert found.book.arrivals == pytest.approx(published.book.arrivals, abs=0.0006)
    assert found.trades_per_s == pytest.approx(published.trades_per_s, abs=0.0005)
    assert found.contracts_per_s == pytest.approx(published.contracts_per_s, abs=0.05)
    assert found.fano == pytest.approx(published.fano, abs=0.05)
    assert found.sign_autocorrelation == pytest.approx(published.sign_autocorrelation, abs=0.005)
    assert found.mid_sd == pytest.approx(published.mid_sd, abs=0.005)
    assert found.mid_max == pytest.approx(published.mid_max)
    limits, trades = PUBLISHED_SIZES[name]
    assert (median(found.book.limit_sizes), *log_mean_sd(found.book.limit_sizes)) == pytest.approx(limits, abs=0.05)
    sizes = found.trade_sizes
    described = (median(sizes), sum(sizes) / len(sizes), *log_mean_sd(sizes))
    assert described == pytest.approx(trades, abs=0.5)


# Gates


def verdict(name: str, verdicts: list[Verdict]) -> Verdict:
    return next(each for each in verdicts if each.statistic == name)


def test_a_tape_passes_against_itself() -> None:
    """Every gate, and each has an answer."""
    figures = measure(generate(1, 7_200, profile="index"))
    verdicts = judge(figures, [figures])
    gated = [each for each in verdicts if each.gate]
    assert len(gated) == 31
    assert all(each.passed for each in gated)


BASE = replace(
    PUBLISHED["index-2023-04-10"],
    book=replace(PUBLISHED["index-2023-04-10"].book, cancels=(0.02,) * 8, limit_sizes=(100,) * 10),
    trade_sizes=(10,) * 10,
)


def with_book(**figures: object) -> Figures:
    return replace(BASE, book=replace(BASE.book, **figures))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "inside", "outside"),
    [
        ("mean spread", with_book(spread_c=2.53 * 1.19), with_book(spread_c=2.53 * 0.79)),
        (
            "time at spread 1c",
            with_book(spread_shares=(0.34, 0.34, 0.26, 0.1, 0.02)),
            with_book(spread_shares=(0.36, 0.34, 0.26, 0.1, 0.02)),
        ),
        ("touch < 50", with_book(touch_below_50=0.57), with_book(touch_below_50=0.37)),
        ("touch < 100", with_book(touch_below_100=0.49), with_book(touch_below_100=0.69)),
        ("depth 3 < 50", with_book(near_below_50=0.13), with_book(near_below_50=0.15)),
        ("depth at 1c", with_book(depths=(69, 144, 309, 433)), with_book(depths=(37, 144, 309, 433))),
        ("limit arrivals at 4c", with_book(arrivals=(0, 0, 0, 0.038)), with_book(arrivals=(0, 0, 0, 0.023))),
        (
            "limit size, KS distance",
            with_book(limit_sizes=(99,) * 1 + (100,) * 10),
            with_book(limit_sizes=(99,) * 2 + (100,) * 8),
        ),
        ("trades", replace(BASE, trades_per_s=0.042), replace(BASE, trades_per_s=0.025)),
        ("traded contracts", replace(BASE, contracts_per_s=1.2), replace(BASE, contracts_per_s=1.9)),
        ("Fano factor of trades, 10 s", replace(BASE, fano=(1.54, 0, 0)), replace(BASE, fano=(3.5, 0, 0))),
        ("Fano factor of trades, 300 s", replace(BASE, fano=(1, 1, 19)), replace(BASE, fano=(1, 1, 8.4))),
        (
            "trade-sign autocorrelation",
            replace(BASE, sign_autocorrelation=0.59),
            replace(BASE, sign_autocorrelation=0.29),
        ),
        ("sd of mid change, 60 s", replace(BASE, mid_sd=(0, 3.0, 0)), replace(BASE, mid_sd=(0, 1.6, 0))),
        ("largest mid move, 10 s", replace(BASE, mid_max=(12.5, 1, 1)), replace(BASE, mid_max=(12, 1, 1))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_gate_opens_and_shuts_where_the_table_says(name: str, inside: Figures, outside: Figures) -> None:
    """Just inside it holds, just outside it does not."""
    assert verdict(name, judge(BASE, [inside])).passed is True
    assert verdict(name, judge(BASE, [outside])).passed is False


def test_tapes_are_judged_together() -> None:
    """Means of figures, of variances for deviations; the largest of the largest moves; all sizes in one."""
    one = replace(BASE, trades_per_s=0.0, mid_sd=(3.0, 3.0, 3.0), mid_max=(1, 1, 1), trade_sizes=(9,) * 10)
    other = replace(BASE, trades_per_s=0.068, mid_sd=(4.0, 4.0, None), mid_max=(13, 1, None), trade_sizes=(10,) * 190)
    verdicts = judge(BASE, [one, other])
    assert verdict("trades", verdicts).generated == pytest.approx(0.034)
    assert verdict("sd of mid change, 10 s", verdicts).generated == pytest.approx(12.5**0.5)
    assert verdict("sd of mid change, 300 s", verdicts).generated == pytest.approx(3)
    assert verdict("largest mid move, 10 s", verdicts).passed is True
    assert verdict("trade size, KS distance", verdicts).generated == pytest.approx(0.05)


def test_without_a_recording_nothing_is_judged() -> None:
    """The figures of what is generated stand alone."""
    verdicts = judge(None, [BASE])
    assert all(each.recorded is None and each.passed is None for each in verdicts)
    assert verdict("mean spread", verdicts).generated == pytest.approx(2.53)


# What is generated

SEEDS = range(1, 11)  # those of the command; tapes/profiles.py says which seeds had a part in the calibration
CALIBRATED_TO = {"index": "index-2023-04-10", "index-wide": "index-2023-04-13"}


@pytest.fixture(scope="module", params=CALIBRATED_TO)
def generated(request: pytest.FixtureRequest) -> tuple[str, list[Figures]]:
    """The day that a profile is calibrated to, and what the profile generates."""
    profile: str = request.param
    return CALIBRATED_TO[profile], [measure(generate(seed, DAY_S, profile=profile)) for seed in SEEDS]


def test_a_calibrated_profile_passes_every_gate(generated: tuple[str, list[Figures]]) -> None:
    """Against the recorded day that it is calibrated to."""
    day, figures = generated
    verdicts = judge(measure(read_tape(recording(day))), figures)
    assert [each for each in verdicts if each.passed is False] == []
    assert sum(each.passed is True for each in verdicts) == 31


def test_a_calibrated_profile_passes_against_the_published_figures(generated: tuple[str, list[Figures]]) -> None:
    """As far as they go, so without the distributions of sizes; no recording is needed for that."""
    day, figures = generated
    published = PUBLISHED[day]
    verdicts = judge(replace(published, book=replace(published.book, cancels=(0.0,) * 8)), figures)
    assert [each for each in verdicts if each.passed is False] == []
    assert sum(each.passed is True for each in verdicts) == 29


# The command


def test_the_command_prints_one_json_document() -> None:
    """Without a recording: what is generated, nothing judged."""
    run = CliRunner().invoke(fidelity, ["--seeds", "1-2", "--seconds", "600", "--profile", "thin", "--json"])
    assert run.exit_code == 0, run.output
    document = json.loads(run.stdout)
    assert (document["profile"], document["seeds"], document["seconds"]) == ("thin", "1-2", 600)
    assert [each["recording"] for each in document["comparisons"]] == [None]
    assert document["comparisons"][0]["gates"] == 0
    rows = {row["statistic"]: row for row in document["comparisons"][0]["rows"]}
    assert rows["mean spread"]["generated"] > 3
    assert rows["mean spread"]["passed"] is None


def test_the_command_prints_a_table_for_each_recording() -> None:
    """With the number of gates that hold, and the names of those that do not."""
    names = ["index-2023-04-10", "index-2023-04-13"]
    options = [option for name in names for option in ("--recording", str(recording(name)))]
    run = CliRunner().invoke(fidelity, [*options, "--seeds", "1", "--seconds", "900"])
    assert run.exit_code == 0, run.output
    assert all(f"against {name}.jsonl.gz" in run.output for name in names)
    assert run.output.count("of 31 gates hold; not: ") == 2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--seeds", "5-1"), "--seeds 5-1"),
        (("--seeds", "1-2000"), "--seeds 1-2000"),
        (("--seeds", "-3"), "--seeds -3"),
        (("--seeds", "1-x"), "--seeds 1-x"),
        (("--seconds", "60"), "--seconds 60"),
        (("--profile", "thick"), "thick"),
        (("--recording", "nowhere.jsonl.gz"), "nowhere.jsonl.gz"),
    ],
)
def test_the_command_refuses_what_makes_no_sense(options: tuple[str, ...], says: str) -> None:
    """Naming the option and its value."""
    run = CliRunner().invoke(fidelity, [*options])
    assert isinstance(run.exception, UserError)
    assert says in str(run.exception)


def test_parts_of_contracts_add_up(tmp_path: Path) -> None:
    """A tape whose counts are .37 of another's has .37 of its depth at every distance, and as many arrivals."""
    whole, part = (measure(read_tape(write(tmp_path / "r.gz"))).book for write in (write_whole, write_fractional))
    assert part.depths == pytest.approx([0.37 * depth for depth in whole.depths])
    assert part.arrivals == whole.arrivals
    assert part.cancels == pytest.approx(whole.cancels, rel=1e-6)
