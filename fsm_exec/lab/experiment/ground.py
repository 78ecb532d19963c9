"""A tape with all that is found on it once, and the work on it: the part of an experiment that any process can do.

`work_tasks` needs nothing but its arguments, and they can be pickled: a ground is made of a tape and of two settings of
the plan, tasks are names, and results are figures. So a pool, another host, or the main process itself may call it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fsm_exec.core.market.fees import fee_terms
from fsm_exec.lab.experiment.cost_bound import bound_e7
from fsm_exec.lab.experiment.episode_runner import EpisodeRun, LabError, run_episode
from fsm_exec.lab.experiment.episodes import Conditions, EpisodeStart, find_starts, limits_at, with_fees
from fsm_exec.lab.experiment.methods import resolve
from fsm_exec.lab.experiment.results import EpisodeKey, EpisodeResult
from fsm_exec.lab.experiment.static_price import static_e7
from fsm_exec.lab.experiment.tape_index import TapeIndex
from fsm_exec.paper.tapes.tape import Tape


class Task(NamedTuple):
    """One episode, and the full names of the methods that have not worked it yet."""

    key: EpisodeKey
    methods: tuple[str, ...]


class Ground(NamedTuple):
    """A tape with its starts, by the moment they are at, and where each of its levels changes. `conditions` are those
    under which all episodes on it are worked; the tape has their fees."""

    tape: Tape
    conditions: Conditions
    starts: dict[int, EpisodeStart]
    tape_index: TapeIndex

    @classmethod
    def of(cls, tape: Tape, every_us: int, conditions: Conditions) -> Ground:
        """The ground of a tape with a start each `every_us`, where the book allows one."""
        tape = with_fees(tape, conditions)
        starts = find_starts(tape, every_us, conditions)
        return cls(tape, conditions, {start.at_us: start for start in starts}, TapeIndex(tape))

    def has_room(self, horizon_us: int) -> bool:
        """Whether any start has."""
        return any(start.has_room(self.tape, horizon_us) for start in self.starts.values())


def work_tasks(ground: Ground, tasks: Sequence[Task]) -> list[EpisodeResult]:
    """All methods of each task, whose episodes are of this ground: the same tasks give the same results, in whichever
    process and in whatever company. Cheapest in the order of the clock. Raises LabError if a run got below the bound,
    or saw another start."""
    return [_work(ground, task) for task in tasks]


def _work(ground: Ground, task: Task) -> EpisodeResult:
    start = ground.starts[task.key.at_us]
    order, conditions = task.key.order, ground.conditions
    runs = {name: run_episode(ground.tape, start, order, resolve(name), conditions) for name in task.methods}
    first = next(iter(runs.values()))
    header = ground.tape.header
    fees = fee_terms(header.fee_type, header.fee_multiplier)
    grid = header.grid.seen_from(order.outcome)
    worst = limits_at(first.mid_e5, grid, fees, conditions.reach_e4).worst_e4
    bound = bound_e7(ground.tape_index, start, order, fees, first.mid_e5, conditions)
    for name, run in runs.items():
        _check(task.key, name, run, first, bound)
    return EpisodeResult(
        key=task.key,
        mid_e5=first.mid_e5,
        spread_e4=first.spread_e4,
        touch_e2=first.touch_e2,
        bound_e7=bound,
        static_e7=static_e7(ground.tape_index, start, order, fees, grid, first.mid_e5, worst, conditions),
        runs=runs,
    )


def _check(key: EpisodeKey, name: str, run: EpisodeRun, first: EpisodeRun, bound: int) -> None:
    """What must hold in every episode, whatever the method."""
    if run.shortfall_e7 < bound:
        raise LabError(f"{name} in {key}: cost {run.shortfall_e7} is below the physical limit {bound}: a bug")
    if (run.mid_e5, run.spread_e4, run.touch_e2) != (first.mid_e5, first.spread_e4, first.touch_e2):
        raise LabError(f"{name} in {key}: it did not start on the book the others started on: a bug")
    if run.filled_e2 > key.quantity_e2:
        raise LabError(f"{name} in {key}: {run.filled_e2} filled: more than was asked for: a bug")
    if run.fills.total_e2 != run.filled_e2:
        raise LabError(f"{name} in {key}: {run.filled_e2} filled, but {run.fills.total_e2} by cause: a bug")
