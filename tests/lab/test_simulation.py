"""Simulation: seeded histories of faults and deaths find nothing, and every one of them can be had again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from fsm_exec.core.execution.events import QUARANTINE_CANCEL
from fsm_exec.core.journal import crashpoints, parts
from fsm_exec.lab.simulation.actions import (
    AnyAction,
    Crash,
    Failover,
    Hand,
    Hit,
    Mishap,
    Second,
    Submit,
)
from fsm_exec.lab.simulation.scenario import LYING, Scenario, draw, only
from fsm_exec.lab.simulation.seed_search import SearchOptions, run_seed, search_seeds
from fsm_exec.lab.simulation.world import HistoryReport, simulate
from tests.lab import mutants

ROOT = Path(__file__).parents[2]
SEEDS = range(1, 241)
LIED_TO = range(1, 41)
CUT_SMALL = range(1, 61)
TWICE = (2, 23, 40)  # calm and stormy, with and without deaths and accounts


@pytest.fixture(scope="module")
def reports() -> dict[int, HistoryReport]:
    """What the seeds of this module show, lived through once for all its tests."""
    return {seed: simulate(draw(seed)) for seed in SEEDS}


def test_no_history_breaks_an_invariant(reports: dict[int, HistoryReport]) -> None:
    """Deaths at every boundary, faults of every kind, all algorithms: the exchange's books, the database, the journals
    and what was sent agree at every step and at the end, and everything ends in time. To see one again:
    fsm-exec simulate --seed N."""
    assert {seed: report.findings for seed, report in reports.items() if report.findings} == {}


def test_the_histories_are_worth_living_through(reports: dict[int, HistoryReport]) -> None:
    """Together they fill orders, die often, meet many faults, and pass every crash point there is."""
    visited = {name for report in reports.values() for name in report.visited}
    assert visited == set(crashpoints.NAMES)
    assert sum(report.deaths for report in reports.values()) > len(SEEDS) // 3
    assert sum(report.fills for report in reports.values()) > len(SEEDS)
    assert sum(report.faults for report in reports.values()) > 5 * len(SEEDS)


def test_a_second_machine_takes_over_again_and_again(reports: dict[int, HistoryReport]) -> None:
    """After each mishap there is; it has to be at work 45 s later, or that is a finding."""
    plans = {seed: action for seed in SEEDS for _, action in draw(seed).steps if isinstance(action, Failover)}
    taken = {seed for seed in plans if reports[seed].worked_again_ms is not None}
    assert len(taken) > len(plans) // 2
    assert {plans[seed].mishap for seed in taken} == set(get_args(Mishap))


def test_lives_end_at_every_crash_point() -> None:
    """The draws kill at each name and at unnamed doors and moments, stop, drain, halt, contradict and set clocks wrong,
    and other people do what they do; both outcomes, one contract and thousands, every method."""
    steps = [action for seed in range(1, 1_001) for _, action in draw(seed).steps]
    assert {type(action) for action in steps} == set(get_args(AnyAction))
    assert {action.silent for action in steps if isinstance(action, Hit | Hand)} == {True, False}
    assert {action.bound for action in steps if isinstance(action, Submit)} == {"slippage", "worst", "cap"}
    assert {action.where for action in steps if isinstance(action, Crash)} == {"", *crashpoints.NAMES}
    submissions = [action for action in steps if isinstance(action, Submit)]
    assert {submission.outcome for submission in submissions} == {"yes", "no"}
    assert min(submission.count_e2 for submission in submissions) == 1
    assert max(submission.horizon_ms for submission in submissions) > 60_000


def test_one_seed_is_one_history_in_any_process() -> None:
    """The hash over requests, answers, journal rows and fills is the same here, again here, and in another process
    with other hashes of strings."""
    here = [simulate(draw(seed)).digest for seed in TWICE]
    assert [simulate(draw(seed)).digest for seed in TWICE] == here
    code = (
        "from fsm_exec.lab.simulation.scenario import draw\n"
        "from fsm_exec.lab.simulation.world import simulate\n"
        f"print(*(simulate(draw(seed)).digest for seed in {TWICE}))"
    )
    for hashes in ("0", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": str(ROOT)}
        there = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=True
        )
        assert there.stdout.split() == here


def test_a_second_engine_that_comes_as_the_first_is_killed_is_the_only_one() -> None:
    """It gets the lock, and it is the first one's next life that is refused: nothing is wrong with that."""
    scenario = draw(1_454, account=False)
    second = next(action for _, action in scenario.steps if isinstance(action, Second))
    killed = next(action for _, action in scenario.steps if isinstance(action, Crash))
    assert second.at_ms < killed.at_ms < second.at_ms + second.for_ms
    report = simulate(scenario, keeps=True)
    assert any("LockHeld" in line for line in report.lines)
    assert report.findings == []


def test_what_was_given_up_is_taken_up_again() -> None:
    """Under a contradiction that was drawn, with an order that the giving up cancels: it goes on, and all that must
    hold of the others holds of it."""
    report = simulate(draw(49, account=False), keeps=True)
    assert any(" contradicted e000010" in line for line in report.lines)
    assert any("e000010" in line and "Restored" in line and QUARANTINE_CANCEL in line for line in report.lines)
    assert report.findings == []


def test_what_an_exchange_says_that_lies_is_found_out() -> None:
    """Answers, frames and young rows of listings are not so. At the end all books are the exchange's, whatever was
    believed meanwhile, and everything has ended within its bound; what was quarantined can be ended by a person."""
    reports = [simulate(draw(seed, faults=LYING)) for seed in LIED_TO]
    assert {report.seed: report.findings for report in reports if report.findings} == {}
    assert sum(report.faults for report in reports) > len(LIED_TO)


def test_how_snapshots_are_cut_changes_nothing(
    reports: dict[int, HistoryReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With so small parts that every execution has some, deaths at every boundary find nothing either, and each history
    is the same to the last row."""
    monkeypatch.setattr(parts, "WEIGHT_KEPT", 0)
    monkeypatch.setattr(parts, "FILLS_A_PART", 1)
    found = {seed: simulate(draw(seed)) for seed in CUT_SMALL}
    assert {seed: report.findings for seed, report in found.items() if report.findings} == {}
    assert {seed: report.digest for seed, report in found.items()} == {seed: reports[seed].digest for seed in CUT_SMALL}


def test_keeping_lines_changes_nothing() -> None:
    """A history that is written down is the same history."""
    plain, kept = simulate(draw(2)), simulate(draw(2), keeps=True)
    assert (plain.digest, plain.events) == (kept.digest, kept.events)
    assert (plain.lines, len(kept.lines)) == ([], kept.events)
    assert "transition" in kept.log


def test_other_seeds_are_other_histories(reports: dict[int, HistoryReport]) -> None:
    """No two of them have the same hash."""
    assert len({report.digest for report in reports.values()}) == len(SEEDS)


def test_leaving_actions_out_leaves_the_rest_as_it_was() -> None:
    """What the shrinker does: the first steps, without some, each with its number."""
    whole = draw(23)
    part = only(whole, 6, frozenset({2, 4}))
    assert [number for number, _ in part.steps] == [0, 1, 3, 5]
    assert dict(whole.steps) | dict(part.steps) == dict(whole.steps)


def test_what_is_found_is_shrunk_to_a_line_that_shows_it_again() -> None:
    """With a planted fault: fewer actions, the same kind of finding, and the same hash each time."""
    with mutants.alive(mutants.cancel_done_when_sent):
        lived = run_seed(1, SearchOptions())
        assert lived.found is not None
        words = lived.found.command.split()
        assert words[:4] == ["fsm-exec", "simulate", "--seed", "1"]
        options = dict(zip(words[2::2], words[3::2], strict=True))
        again: Scenario = only(
            draw(1, faults=options.get("--faults")),
            int(options["--steps"]),
            frozenset(map(int, filter(None, options.get("--without", "").split(",")))),
        )
        first, second = simulate(again), simulate(again)
    assert len(again.steps) < len(draw(1).steps)
    assert first.findings
    assert first.findings[0][:2] == lived.report.findings[0][:2]
    assert first.digest == second.digest


def test_many_workers_find_what_one_finds() -> None:
    """The same seeds, the same hashes."""
    seeds = range(1, 13)
    one = {lived.report.seed: lived.report.digest for lived in search_seeds(seeds, SearchOptions(), 1)}
    two = {lived.report.seed: lived.report.digest for lived in search_seeds(seeds, SearchOptions(), 2)}
    assert one == two


def test_an_engine_that_leaves_while_it_recovers_need_not_have_taken_anything_in() -> None:
    """It is told to leave before it runs: what happened while it was down is the next one's to learn."""
    assert simulate(only(draw(1_932, account=False), 35, frozenset(range(35)) - {3, 20, 21, 32, 34})).findings == []


def test_who_stops_before_the_listings_has_their_fills_when_the_engine_runs() -> None:
    """A deadline passes while recovery waits for a listing; the fills that it brings are durable before work is
    taken."""
    assert simulate(draw(1_443, account=False)).findings == []


def test_what_was_bought_by_hand_and_settled_while_nobody_looked_has_settled() -> None:
    """Both are learned at one look: what was bought is not taken to be held, nor is the brake set by its price."""
    assert simulate(draw(378)).findings == []
