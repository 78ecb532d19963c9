"""Many seeds, in many processes: each lives through its own histories, and findings come back shrunk."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from threading import Thread

import msgspec

from fsm_exec.lab.simulation.scenario import draw
from fsm_exec.lab.simulation.shrink import shrink
from fsm_exec.lab.simulation.world import HistoryReport, simulate

AHEAD = 3  # seeds a worker has waiting for it, so that it never waits


class SearchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What overrules a seed: the flow's profile and the fault profile, by name."""

    profile: str | None = None
    faults: str | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A seed that shows something. `command` shows the smallest part of it again."""

    seed: int
    findings: list[str]
    command: str


class SeedResult(msgspec.Struct, frozen=True, kw_only=True):
    """One seed's result, without its lines."""

    report: HistoryReport
    found: Finding | None


def run_seed(seed: int, options: SearchOptions) -> SeedResult:
    """One seed, shrunk if it shows something."""
    scenario = draw(seed, profile=options.profile, faults=options.faults)
    report = simulate(scenario)
    if not report.findings:
        return SeedResult(report=report, found=None)
    small = shrink(scenario, report)
    overruled = [f"--{name} {value}" for name in ("profile", "faults") if (value := getattr(options, name)) is not None]
    command = small.command()
    if small.calm:
        overruled = [each for each in overruled if not each.startswith("--faults")]
    return SeedResult(
        report=report, found=Finding(seed=seed, findings=report.findings, command=" ".join([command, *overruled]))
    )


def search_seeds(seeds: Sequence[int], options: SearchOptions, workers: int) -> Generator[SeedResult, None, None]:
    """All seeds, in the order in which they end. Leaving the iterator early ends the workers where they are."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker)
    more = iter(seeds)
    waiting: set[Future[SeedResult]] = set()
    try:
        while True:
            waiting |= {pool.submit(run_seed, seed, options) for seed in islice(more, AHEAD * workers - len(waiting))}
            if not waiting:
                break
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from sorted((each.result() for each in done), key=_seed)
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _seed(lived: SeedResult) -> int:
    return lived.report.seed


def _begin_worker() -> None:
    """Ctrl-C reaches every process of a terminal: the one that started the others decides what it means. When that one
    is gone, whatever ended it, no process waits for this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
