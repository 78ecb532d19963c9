"""Experiments from the inside: which starts there are, what a run is, what is kept, and that nothing depends on how."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal
from functools import cache
from pathlib import Path

import msgspec
import pytest

from fsm_exec.algorithms import method
from fsm_exec.core.errors import UserError
from fsm_exec.core.market.book import Book
from fsm_exec.core.market.fees import fee_terms
from fsm_exec.core.values.units import LINEAR_CENT, US_PER_S, CountE2, PriceE4
from fsm_exec.lab.experiment import compare
from fsm_exec.lab.experiment.compare import Field, Plan, remaining_tasks, run_tasks
from fsm_exec.lab.experiment.episode_runner import LabError, run_episode
from fsm_exec.lab.experiment.episodes import Conditions, Order, find_starts, limits_at, passes_conditions
from fsm_exec.lab.experiment.ground import Task
from fsm_exec.lab.experiment.methods import full_name, resolve, with_settings
from fsm_exec.lab.experiment.results import EpisodeResult, KnownTape, Results, open_results
from fsm_exec.lab.experiment.summary import ComparisonReport, build_report
from fsm_exec.lab.experiment.tapes import NamedTape, fingerprint, open_tape, open_tapes, short_names
from fsm_exec.paper.tapes.generator import generate
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Tape, tape_header

CONDITIONS = Conditions()
AT_US = 1_767_625_200_000_000


def plan(**changes: object) -> Plan:
    """Four starts of a generated day, both outcomes, two methods."""
    small = Plan(
        tapes=("index:1",),
        methods=("simple_limit", "market"),
        baseline="simple_limit",
        quantities_e2=(CountE2(2_000),),
        horizons_us=(30 * US_PER_S,),
        outcomes=("yes", "no"),
        every_us=7_200 * US_PER_S,
        conditions=CONDITIONS,
    )
    return msgspec.structs.replace(small, **changes)


@cache
def tapes(names: tuple[str, ...]) -> list[NamedTape]:
    """Drawn once for all tests."""
    return open_tapes(names)


def field_of(wanted: Plan) -> Field:
    return Field(wanted, tapes(wanted.tapes))


def worked(wanted: Plan, directory: Path, *, workers: int = 1, stop_after: int | None = None) -> ComparisonReport:
    """Work the plan, or the beginning of it, and say what came of it."""
    field = field_of(wanted)
    with open_results(directory, resume=True) as results:
        results.agree(wanted.stated(), field.known_tapes())
        for done in run_tasks(field, remaining_tasks(field, results), results, workers):
            if done == stop_after:
                break
        return build_report(field, results, with_buckets=True)


def book(yes: dict[int, int], no: dict[int, int]) -> Book:
    """Bids in cents and contracts."""
    return Book(
        [(PriceE4(price * 100), CountE2(count * 100)) for price, count in yes.items()],
        [(PriceE4(price * 100), CountE2(count * 100)) for price, count in no.items()],
    )


@pytest.mark.parametrize(
    ("yes", "no", "passed"),
    [
        ({40: 10}, {52: 10}, True),  # 40 to 48: eight cents wide
        ({40: 10}, {51: 10}, False),
        ({5: 10}, {94: 10}, True),
        ({4: 10}, {94: 10}, False),
        ({90: 10}, {5: 10}, True),
        ({90: 10}, {4: 10}, False),
        ({40: 10}, {}, False),
        ({}, {52: 10}, False),
    ],
)
def test_the_filters_of_the_reference(yes: dict[int, int], no: dict[int, int], passed: bool) -> None:
    """Two-sided, at most 8 cents wide, bid at least 5 cents, ask at most 95."""
    assert passes_conditions(book(yes, no)) is passed


def test_starts_come_at_intervals_and_know_their_book() -> None:
    """From five minutes after the opening, each with the book of its moment; the filters see the book that an engine
    sees, which is a tenth of a second old."""
    opening = BookSnapshot(((PriceE4(4_000), CountE2(500)),), ((PriceE4(5_500), CountE2(500)),))
    widens = (AT_US + 400 * US_PER_S - 50_000, BookDelta("no", PriceE4(5_500), CountE2(-500)))
    last = (AT_US + 600 * US_PER_S, BookDelta("yes", PriceE4(1_000), CountE2(100)))
    tape = Tape(tape_header("KXLAB-A-1", "linear_cent", category="Test"), ((AT_US, opening), widens, last))
    starts = find_starts(tape, 100 * US_PER_S, CONDITIONS)
    assert [(s.at_us - AT_US) // US_PER_S for s in starts] == [300, 400]
    assert [s.book.no for s in starts] == [opening.no, ()]
    assert [s.first for s in starts] == [1, 1]


def test_limits_are_the_floored_mid_and_six_cents_above() -> None:
    """And never above 99 cents."""
    fees = fee_terms("quadratic", Decimal(1))
    low = limits_at(42_500, LINEAR_CENT, fees)
    assert (low.target_e4, low.worst_e4) == (4_200, 4_800)
    high = limits_at(94_500, LINEAR_CENT, fees)
    assert (high.target_e4, high.worst_e4) == (9_400, 9_900)


def test_an_episode_is_the_same_each_time() -> None:
    """Another exchange, another database, the same run; another queue model or latency is another run."""
    tape = generate(3, 1_800, profile="index", start_us=AT_US)
    start = find_starts(tape, 600 * US_PER_S, CONDITIONS)[1]
    wanted = Order(outcome="yes", quantity_e2=CountE2(5_000), horizon_us=120 * US_PER_S)
    first = run_episode(tape, start, wanted, method("simple_limit"), CONDITIONS)
    assert run_episode(tape, start, wanted, method("simple_limit"), CONDITIONS) == first
    assert first.writes >= 1


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    """An experiment stopped after an episode goes on where it was and says what an uninterrupted one says; so does one
    to which a method was added later."""
    whole = worked(plan(), tmp_path / "whole")
    assert whole.unfinished == 0
    assert [cell.episodes for cell in whole.cells] == [8, 8]
    part = worked(plan(), tmp_path / "part", stop_after=2)
    assert [cell.episodes for cell in part.cells] == [2, 2]
    assert worked(plan(), tmp_path / "part") == whole
    worked(plan(methods=("simple_limit",)), tmp_path / "grown")
    assert worked(plan(), tmp_path / "grown") == whole


def test_starts_may_be_added_between(tmp_path: Path) -> None:
    """A coarse look first, a finer one later in the same place: only what is new is worked, and asking for the coarse
    one again shows it alone."""
    coarse = worked(plan(every_us=14_400 * US_PER_S), tmp_path)
    assert [cell.episodes for cell in coarse.cells] == [4, 4]
    with open_results(tmp_path, resume=True) as results:
        assert len(remaining_tasks(field_of(plan()), results)) == 4
    assert [cell.episodes for cell in worked(plan(), tmp_path).cells] == [8, 8]
    assert worked(plan(every_us=14_400 * US_PER_S), tmp_path) == coarse


@pytest.mark.parametrize("threads", [1, 2])
def test_two_workers_measure_what_one_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    """Down to the bytes of every row: forked they read no tape again, and beside another thread nothing is forked."""

    def read_again(_: tuple[str, ...]) -> list[NamedTape]:
        raise AssertionError("a tape was read again")

    monkeypatch.setattr("threading.active_count", lambda: threads)
    one = worked(plan(), tmp_path / "one")
    monkeypatch.setattr(compare, "open_tapes", read_again)  # in this process, and those forked from it
    assert worked(plan(), tmp_path / "two", workers=2) == one
    assert rows(tmp_path / "one") == rows(tmp_path / "two")


def rows(directory: Path) -> list[EpisodeResult]:
    with open_results(directory, resume=True) as results:
        return list(results.read([method(name).full_name for name in plan().methods]))


def test_results_of_other_conditions_are_refused(tmp_path: Path) -> None:
    """Numbers measured under another latency do not belong in the same table."""
    field = field_of(plan())
    with open_results(tmp_path, resume=False) as results:
        results.agree(plan().stated(), field.known_tapes())
    slower = plan(conditions=Conditions(latency_us=1_000_000))
    with open_results(tmp_path, resume=True) as results, pytest.raises(UserError, match="latency_us 200000, not"):
        results.agree(slower.stated(), field.known_tapes())
    with open_results(tmp_path, resume=True) as results, pytest.raises(UserError, match="is not what it was"):
        results.agree(plan().stated(), {"index:1": KnownTape("another", "KXPAPER", 1)})


def test_results_are_not_written_over(tmp_path: Path) -> None:
    """Whoever does not ask to resume means another experiment; what is not ours is not touched."""
    with open_results(tmp_path, resume=False):
        pass
    with pytest.raises(UserError, match="--resume"), open_results(tmp_path, resume=False):
        pass
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "compare.sqlite").write_text("a letter")
    with pytest.raises(UserError, match="not a database"), open_results(foreign, resume=True):
        pass
    assert (foreign / "compare.sqlite").read_text() == "a letter"


def test_what_is_no_result_is_not_written_to(tmp_path: Path) -> None:
    """Another program's database may have the version number that ours has."""
    with closing(sqlite3.connect(tmp_path / "compare.sqlite")) as other:
        other.executescript("CREATE TABLE letters (text); PRAGMA user_version = 1;")
    with pytest.raises(UserError, match="another program"), open_results(tmp_path, resume=True):
        pass


def test_a_disk_that_fills_up_costs_nothing_that_was_stored(tmp_path: Path) -> None:
    """One line that says what to do, a failure and not a mistake of the user; what was stored is there afterwards. (The
    limit of pages stands for the disk: SQLite says the same.)"""
    field = field_of(plan())
    first, second = (field.work(task) for task in [Task(key, ("simple_limit@1",)) for key in field.episodes()][:2])
    with open_results(tmp_path, resume=False) as results:
        results.agree(plan().stated(), field.known_tapes())
        results.add(first)
    with pytest.raises(LabError, match="full; what is done is kept"), open_results(tmp_path, resume=True) as results:
        fill_up(results, second)
    with open_results(tmp_path, resume=True) as results:
        stored = list(results.read(["simple_limit@1"]))
        assert first in stored
        assert all(episode.runs for episode in stored)


def fill_up(results: Results, episode: EpisodeResult) -> None:
    results._connection.execute("PRAGMA max_page_count = 1")
    for number in range(1_000):
        key = msgspec.structs.replace(episode.key, at_us=number)
        results.add(msgspec.structs.replace(episode, key=key))


def test_what_the_user_reads_elsewhere_is_not_the_results_fault(tmp_path: Path) -> None:
    """A broken pipe while an experiment is open is a broken pipe."""
    with pytest.raises(BrokenPipeError), open_results(tmp_path, resume=False):
        raise BrokenPipeError


def test_an_episode_measured_otherwise_is_refused(tmp_path: Path) -> None:
    """A method added later by a version of this program whose bound is another would be compared with another game."""
    field = field_of(plan())
    worked_once = field.work(Task(next(field.episodes()), ("simple_limit@1",)))
    with open_results(tmp_path, resume=False) as results:
        results.agree(plan().stated(), field.known_tapes())
        results.add(worked_once)
        results.add(worked_once)
        other = msgspec.structs.replace(worked_once, bound_e7=worked_once.bound_e7 - 1)
        with pytest.raises(UserError, match="another version"):
            results.add(other)
        assert list(results.read(["simple_limit@1"])) == [worked_once]


def test_cells_by_hand(tmp_path: Path) -> None:
    """The figures of a cell are those of its rows: means over episodes, the difference to the baseline, the share of
    the way to the bound."""
    found = worked(plan(), tmp_path)
    base, market = found.cells
    episodes = rows(tmp_path)
    cost = {
        name: sum(e.runs[f"{name}@1"].shortfall_e7 for e in episodes) / Decimal(len(episodes) * 2_000 * 1_000)
        for name in ("simple_limit", "market")
    }
    least = sum(e.bound_e7 for e in episodes) / Decimal(len(episodes) * 2_000 * 1_000)
    assert Decimal(base.shortfall) == round(cost["simple_limit"], 4)
    assert Decimal(market.delta) == round(cost["market"] - cost["simple_limit"], 4)
    assert Decimal(market.bound) == Decimal(base.bound) == round(least, 4)
    closed = (cost["simple_limit"] - cost["market"]) / (cost["simple_limit"] - least)
    assert market.gap_closed == str(round(closed, 4))
    assert (base.delta, base.delta_low, base.delta_high) == ("0.0000", "0.0000", "0.0000")
    assert market.delta_low is not None
    assert market.delta_high is not None
    assert Decimal(market.delta_low) <= Decimal(market.delta) <= Decimal(market.delta_high)
    assert (market.tape, market.quantity, market.horizon, market.episodes) == ("index:1", "20", 30, 8)
    assert {bucket.kind for bucket in found.buckets} == {"spread", "quantity/touch"}
    assert sum(b.episodes for b in found.buckets if b.kind == "spread") == 8


def test_methods_by_name() -> None:
    """A shipped one, with or without its version, or an algorithm with settings; what it does not have is refused."""
    assert resolve("follow").full_name == "follow@1" == full_name("follow@1")
    changed = resolve("deadline_walker[a0=0.7;g=3;taker_leg=true]").config
    assert msgspec.to_builtins(changed)["a0"] == "0.7"
    assert msgspec.to_builtins(changed)["taker_leg"] is True
    assert full_name("deadline_walker[g=3]") == "deadline_walker[g=3]" == with_settings("deadline_walker", {"g": "3"})
    for wrong, why in (
        ("walker[a0=1]", "unknown algorithm"),
        ("deadline_walker[a9=1]", "a9"),
        ("deadline_walker[a0=11]", "a0 11"),
        ("deadline_walker[a0]", "no setting"),
        ("deadline_walker[a0=0.7,g=3]", "separated by semicolons"),
        ("deadline_walker[g=3;g=4]", "g is set twice"),
        ("luck", "unknown method"),
    ):
        with pytest.raises(UserError, match=why):
            resolve(wrong)


def test_tapes_by_name(tmp_path: Path) -> None:
    """PROFILE:SEED is generated, the same each time and another for another seed; anything else is a path."""
    assert fingerprint(open_tape("thin:7").tape) == fingerprint(open_tape("thin:7").tape)
    assert fingerprint(open_tape("thin:7").tape) != fingerprint(open_tape("thin:8").tape)
    for wrong, why in (("thin:x", "no seed"), (str(tmp_path / "none.jsonl"), "none.jsonl"), ("lush:1", "lush:1")):
        with pytest.raises(UserError, match=why):
            open_tape(wrong)
    with pytest.raises(UserError, match="twice"):
        open_tapes(("thin:7", "thin:7"))
    with pytest.raises(UserError, match=r"give \./all"):
        open_tapes(("all",))


def test_one_tape_under_two_names_is_not_two_tapes() -> None:
    """Every episode would count twice, and every difference would look surer than it is."""
    with pytest.raises(UserError, match="thin:7 and thin:07 are the same recording"):
        open_tapes(("thin:7", "thin:8", "thin:07"))


def test_tapes_of_one_file_name_are_told_apart() -> None:
    """By their whole names; the others by what their files are called."""
    named = ("a/day.jsonl.gz", "b/day.jsonl", "c/night.jsonl.gz", "index:1")
    assert short_names(named) == dict(zip(named, ("a/day.jsonl.gz", "b/day.jsonl", "night", "index:1"), strict=True))


def test_a_large_order_is_not_refused_for_want_of_cash() -> None:
    """What is measured is the method, not the size of an account that no one has: two million contracts are placed."""
    tape = generate(3, 1_800, profile="index", start_us=AT_US)
    start = find_starts(tape, 600 * US_PER_S, CONDITIONS)[1]
    wanted = Order(outcome="yes", quantity_e2=CountE2(200_000_000), horizon_us=30 * US_PER_S)
    assert run_episode(tape, start, wanted, method("simple_limit"), CONDITIONS).reason == "deadline"
    assert run_episode(tape, start, wanted, method("market"), CONDITIONS).filled_e2 > 0


def test_a_tape_without_a_start_is_refused() -> None:
    """One line says what to do."""
    with pytest.raises(UserError, match="no start"):
        field_of(plan(horizons_us=(23_200 * US_PER_S,)))
    with pytest.raises(UserError, match="--horizon 23200: no tape"):
        field_of(plan(horizons_us=(30 * US_PER_S, 23_200 * US_PER_S)))


def test_a_cost_below_the_physical_limit_ends_the_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a bug, and no number of the experiment can be trusted; here the bound is falsified."""
    monkeypatch.setattr("fsm_exec.lab.experiment.ground.bound_e7", lambda *_: 10**9)
    field = field_of(plan())
    with pytest.raises(LabError, match="physical limit"):
        field.work(Task(next(field.episodes()), ("simple_limit@1",)))
