"""Many seeds, in many processes: each lives through its own histories, and findings come back shrunk."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed

import msgspec

from fsm_exec.lab.simulation.scenario import draw
from fsm_exec.lab.simulation.shrink import shrink
from fsm_exec.lab.simulation.world import Report, simulate

CHUNK_SEEDS = 8  # handed to a worker at a time


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What overrules a seed: the flow's profile and the fault profile, by name."""

    profile: str | None = None
    faults: str | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A seed that shows something. `command` shows the smallest part of it again."""

    seed: int
    findings: list[str]
    command: str


class Lived(msgspec.Struct, frozen=True, kw_only=True):
    """One seed's result, without its lines."""

    report: Report
    found: Found | None


def live(seed: int, options: Options) -> Lived:
    """One seed, shrunk if it shows something."""
    scenario = draw(seed, profile=options.profile, faults=options.faults)
    report = simulate(scenario)
    if not report.findings:
        return Lived(report=report, found=None)
    small = shrink(scenario, report)
    overruled = [f"--{name} {value}" for name in ("profile", "faults") if (value := getattr(options, name)) is not None]
    command = small.command()
    if small.calm:
        overruled = [each for each in overruled if not each.startswith("--faults")]
    return Lived(
        report=report, found=Found(seed=seed, findings=report.findings, command=" ".join([command, *overruled]))
    )


def hunt(seeds: Sequence[int], options: Options, workers: int) -> Iterator[Lived]:
    """All seeds, in the order in which they end. Leaving the iterator early stops the workers."""
    if workers == 1:
        for seed in seeds:
            yield live(seed, options)
        return
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_leave_interrupts_alone
    )
    try:
        chunks = [seeds[at : at + CHUNK_SEEDS] for at in range(0, len(seeds), CHUNK_SEEDS)]
        waiting: list[Future[list[Lived]]] = [pool.submit(_live_all, tuple(chunk), options) for chunk in chunks]
        for done in as_completed(waiting):
            yield from done.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _live_all(seeds: tuple[int, ...], options: Options) -> list[Lived]:
    return [live(seed, options) for seed in seeds]


def _leave_interrupts_alone() -> None:
    """Ctrl-C reaches every process of a terminal; the one that started the others decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
