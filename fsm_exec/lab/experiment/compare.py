"""Experiments: which episodes there are, and working them with all methods in as many processes as there are cores.

An episode is a start of a tape, an outcome, a quantity and a horizon; every method works each of them alone, on an
exchange of its own with the same flow, so their costs can be subtracted one by one. Tapes are read once: workers are
forked from the main process and share its memory (where there is no fork, or other threads run, each reads them once
more), and get only the names of episodes, all of one start at a time. The main process alone writes results.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import groupby, islice
from multiprocessing import get_all_start_methods, get_context, parent_process

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import US_PER_S, CountE2, Outcome
from fsm_exec.lab.experiment.episode_runner import LabError
from fsm_exec.lab.experiment.episodes import Conditions
from fsm_exec.lab.experiment.ground import Ground, Task, work_tasks
from fsm_exec.lab.experiment.methods import full_name
from fsm_exec.lab.experiment.results import EpisodeKey, EpisodeResult, KnownTape, Results
from fsm_exec.lab.experiment.tapes import NamedTape, count_trades, fingerprint, open_tapes

AHEAD = 3  # starts handed to each worker before the first is back: enough never to wait, few enough to stop soon


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared. `methods` are names as the user gave them, the baseline among them."""

    tapes: tuple[str, ...]
    methods: tuple[str, ...]
    baseline: str
    quantities_e2: tuple[CountE2, ...]
    horizons_us: tuple[int, ...]
    outcomes: tuple[Outcome, ...]
    every_us: int
    conditions: Conditions

    @property
    def full_names(self) -> dict[str, str]:
        """The methods as they are stored, by the names they were given by. Raises UserError for an unknown one."""
        return {name: full_name(name) for name in self.methods}

    def stated(self) -> dict[str, str]:
        """What must be the same for results to belong together. All else may change: another plan asks for other
        episodes, or other methods, of the same kind."""
        return {name: str(value) for name, value in msgspec.to_builtins(self.conditions).items()}


class Field:
    """The tapes and starts of a plan. Each process makes the same one for itself."""

    def __init__(self, plan: Plan, tapes: Sequence[NamedTape] | None = None) -> None:
        """Raises UserError for tapes that cannot be read or on which nothing can be tried."""
        self.plan = plan
        self.named = open_tapes(plan.tapes) if tapes is None else list(tapes)
        self._grounds: dict[str, Ground] = {}
        for name, tape in self.named:
            if plan.conditions.fill_model == "trades" and not count_trades(tape):
                raise UserError(
                    f"tape {name} holds no trades, and under the fill model trades nothing else fills a resting order; "
                    "give another tape or another --fill-model"
                )
            ground = self._grounds[name] = Ground.of(tape, plan.every_us, plan.conditions)
            if not ground.has_room(min(plan.horizons_us)):
                raise UserError(
                    f"tape {name} has no start with a two-sided book, not too wide, and room for the shortest horizon "
                    "after it; give a longer tape or a shorter --horizon"
                )
        for horizon_us in plan.horizons_us:
            if not any(ground.has_room(horizon_us) for ground in self._grounds.values()):
                raise UserError(
                    f"--horizon {horizon_us // US_PER_S}: no tape has a start with so much room after it; "
                    "give a longer tape or a shorter --horizon"
                )

    def known_tapes(self) -> dict[str, KnownTape]:
        return {name: KnownTape(fingerprint(tape), tape.header.series, count_trades(tape)) for name, tape in self.named}

    def episodes(self) -> Iterator[EpisodeKey]:
        """In the order of the clock: an interrupted experiment has tried all cells about equally often."""
        plan = self.plan
        for name, ground in self._grounds.items():
            for start in ground.starts.values():
                for horizon_us in plan.horizons_us:
                    if not start.has_room(ground.tape, horizon_us):
                        continue
                    for quantity_e2 in plan.quantities_e2:
                        for outcome in plan.outcomes:
                            yield EpisodeKey(name, start.at_us, outcome, quantity_e2, horizon_us)

    def ground(self, tape: str) -> Ground:
        """The ground of one of the plan's tapes, by its name."""
        return self._grounds[tape]

    def work(self, task: Task) -> EpisodeResult:
        """All methods of one task; see `work_tasks`."""
        return work_tasks(self._grounds[task.key.tape], [task])[0]


def remaining_tasks(field: Field, results: Results) -> list[Task]:
    """What is still to be worked."""
    done = results.done()
    names = field.plan.full_names.values()
    tasks: list[Task] = []
    for key in field.episodes():
        missing = tuple(name for name in names if (key, name) not in done)
        if missing:
            tasks.append(Task(key, missing))
    return tasks


def run_tasks(field: Field, tasks: Sequence[Task], results: Results, workers: int) -> Generator[int, None, None]:
    """Work the tasks and store what comes of them; yields how many are done, each time that grows.

    Closing the generator, as Ctrl-C does, keeps what is stored and drops the rest. Raises LabError, also if a worker
    dies; what was stored before stays.
    """
    if workers == 1:
        with _defer_interrupts() as raise_deferred_interrupt:
            for done, task in enumerate(tasks, start=1):
                results.add(field.work(task))
                yield done
                raise_deferred_interrupt()
        return
    # Beside other threads a fork may inherit a lock that nobody will ever release.
    can_fork = "fork" in get_all_start_methods() and sys.platform != "darwin" and threading.active_count() == 1
    pool = ProcessPoolExecutor(
        workers,
        get_context("fork" if can_fork else "spawn"),
        initializer=_begin_worker,
        initargs=(field.plan, field if can_fork else None),
    )
    try:
        upcoming = (list(of_a_start) for _, of_a_start in groupby(tasks, lambda task: (task.key.tape, task.key.at_us)))
        running: set[Future[list[EpisodeResult]]] = set()
        done = 0
        while True:
            with _hold_interrupts():
                for block in islice(upcoming, workers * AHEAD - len(running)):
                    running.add(pool.submit(_run_block, block))
            if not running:
                return
            ready, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ready:
                for result in future.result():
                    results.add(result)
                    done += 1
            yield done
    except BrokenProcessPool as error:
        raise LabError("a worker process died; what is done is kept: add --resume to go on") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_field: Field | None = None  # of this worker process


@contextmanager
def _defer_interrupts() -> Iterator[Callable[[], None]]:
    """Ctrl-C is noted, and raised when the function yielded is called: inside an episode it would have to find its way
    out of an engine at work, which is made to end its executions first and takes its time."""
    asked = False

    def note(*_: object) -> None:
        nonlocal asked
        asked = True

    def raise_deferred_interrupt() -> None:
        if asked:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # ignored, or another handler: it stays so
        signal.signal(signal.SIGINT, note)
    try:
        yield raise_deferred_interrupt
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _hold_interrupts() -> Iterator[None]:
    """Processes started inside are deaf to Ctrl-C for ever: it is for the main process, which lets them finish, and
    hears one of this time at the end of it. (Blocked, and not ignored: what is ignored is lost.)"""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(plan: Plan, field: Field | None) -> None:
    """End this worker when the main process has gone: its results would be lost. A forked one has the field, and what
    the main process does about SIGTERM, which is none of its business."""
    global _field
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _field = Field(plan) if field is None else field


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run_block(tasks: list[Task]) -> list[EpisodeResult]:
    """Work tasks of one start."""
    assert _field is not None, "a worker that was not begun"
    return work_tasks(_field.ground(tasks[0].key.tape), tasks)
