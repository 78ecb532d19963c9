"""An execution tried again on the tape that was kept of its market, by every algorithm that there is."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from fsm_exec.algorithms import method
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import CountE2, Outcome
from fsm_exec.lab.experiment.episodes import Conditions
from fsm_exec.lab.fork.fork import fork_execution
from fsm_exec.lab.fork.forked_market import load_forked_market
from fsm_exec.lab.report.execution import execution_sections
from fsm_exec.paper.tapes.tape import Trade
from fsm_exec.recordings.kept import find_all_kept_tapes, tapes_directory
from fsm_exec.runtime.determinism import run_virtual
from fsm_exec.store.maintenance.read_only import open_read_only
from fsm_exec.store.reads.execution_reads import load_metrics
from tests.lab.kept_executions import work_all


def shortfall_of(database: Path, execution_id: str) -> int | None:
    with open_read_only(database) as looked:
        metrics = load_metrics(looked.connection, execution_id)
    assert metrics is not None
    return metrics.shortfall_e7


@pytest.mark.parametrize(("seed", "outcome", "contracts"), [(7, "yes", 50), (8, "no", 200)])
def test_every_algorithm_does_the_same_again(tmp_path: Path, seed: int, outcome: Outcome, contracts: int) -> None:
    """On the tape that was kept, without our own orders, the method that ran asks for the same at the same times, is
    filled alike and costs the same, which is what the database says that it cost."""
    database = tmp_path / "engine.sqlite"
    worked = run_virtual(partial(work_all, database, seed, outcome, CountE2(contracts * 100)), seed=1)
    different: dict[str, object] = {}
    measured: list[tuple[int | None, int | None]] = []
    passive = 0
    for name, execution_id in worked.items():
        market = load_forked_market(database, execution_id)
        found = fork_execution(market, None, method(name), [], conditions=Conditions())
        really, here = found.outcomes
        known = {"method": "", "fills": None}
        if not found.likeness.holds or found.notes or replace(really, **known) != replace(here, **known):
            different[name] = (found, market.latency)
        measured.append((really.cost_e7, shortfall_of(database, execution_id)))
        passive += here.filled_e2 - here.taken_e2
    assert different == {}
    assert [cost for cost, _ in measured] == [cost for _, cost in measured]
    assert passive > 0


def test_a_picture_is_drawn_of_the_tape_that_was_kept(tmp_path: Path) -> None:
    """Without a recording being named: the book at every change, without our own orders; from photographs where nothing
    was kept."""
    database = tmp_path / "engine.sqlite"
    worked = run_virtual(partial(work_all, database, 7, "yes", CountE2(5_000), ("deadline_walker",)), seed=1)
    (execution_id,) = worked.values()
    _, _, sections = execution_sections(database, execution_id, None)
    assert "The book is the one its engine kept, at every change" in sections[0].note
    for tape in find_all_kept_tapes(tapes_directory(database)):
        tape.path.unlink()
    _, _, sections = execution_sections(database, execution_id, None)
    assert "stored photographs" in sections[0].note


def test_what_is_not_the_same_is_said_and_nothing_of_others(tmp_path: Path) -> None:
    """A tape that lost the trades that filled us: the first write that differs is named, and other methods are tried
    only for who wants them anyway."""
    database = tmp_path / "engine.sqlite"
    worked = run_virtual(partial(work_all, database, 7, "yes", CountE2(5_000), ("dynamic_depth_walker",)), seed=1)
    (execution_id,) = worked.values()
    market = load_forked_market(database, execution_id)
    events = tuple(event for event in market.tape.events if not isinstance(event[1], Trade))
    bare = market._replace(tape=replace(market.tape, events=events))
    ran, others = method("dynamic_depth_walker"), [method("marketable")]
    found = fork_execution(bare, None, ran, others, conditions=Conditions())
    assert not found.likeness.holds
    assert found.likeness.difference is not None
    assert found.likeness.difference.startswith("really ")
    assert len(found.outcomes) == 2
    assert len(fork_execution(bare, None, ran, others, conditions=Conditions(), anyway=True).outcomes) == 3


def test_other_executions_in_the_market_are_said(tmp_path: Path) -> None:
    """Two at once: the other's orders are out of the book, too, and a line says that it was there."""
    database = tmp_path / "engine.sqlite"
    names = ("join_bid", "passive_mid")
    worked = run_virtual(partial(work_all, database, 7, "yes", CountE2(5_000), names, apart_s=10), seed=1)
    for name, execution_id in worked.items():
        market = load_forked_market(database, execution_id)
        found = fork_execution(market, None, method(name), [], conditions=Conditions())
        assert found.likeness.holds
        (other,) = {*worked.values()} - {execution_id}
        assert [note.split(" meanwhile")[0] for note in found.notes] == [f"{other} worked here"]


def test_what_was_left_at_a_row_is_worked_by_others(tmp_path: Path) -> None:
    """From a row in the middle: the others get what was not filled by then, the time that was left, and the same
    limits; what ran is measured from there on, too."""
    database = tmp_path / "engine.sqlite"
    worked = run_virtual(partial(work_all, database, 7, "yes", CountE2(5_000), ("deadline_walker",)), seed=1)
    (execution_id,) = worked.values()
    market = load_forked_market(database, execution_id)
    first = next(one for one in market.history if one.advance.execution.filled_e2)
    left = CountE2(5_000 - first.advance.execution.filled_e2)
    ran, other = method("deadline_walker"), method("marketable")
    found = fork_execution(market, first.row.seq, ran, [other], conditions=Conditions())
    assert found.likeness.holds
    really, here, marketable = found.outcomes
    assert (really.quantity_e2, here.quantity_e2, marketable.quantity_e2) == (left, left, left)
    assert really.filled_e2 == here.filled_e2 == market.execution.filled_e2 - first.advance.execution.filled_e2
    assert marketable.filled_e2 == left
    assert marketable.taken_e2 > 0
    assert really.cost_e7 == here.cost_e7
    with pytest.raises(UserError, match="wanted nothing more at row"):
        fork_execution(market, len(market.history), ran, [other], conditions=Conditions())
    with pytest.raises(UserError, match="has the rows 1 to"):
        fork_execution(market, 10_000, ran, [other], conditions=Conditions())
