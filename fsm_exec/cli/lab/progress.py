"""An experiment runs on the terminal with progress and the time left; Ctrl-C and SIGTERM keep what is done."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from fsm_exec.cli.console import Page
from fsm_exec.cli.output import say
from fsm_exec.lab.experiment.compare import Field, remaining_tasks, run_tasks
from fsm_exec.lab.experiment.ground import Task
from fsm_exec.lab.experiment.results import Results

PRINT_EVERY_S = 10  # how often the time left is printed where no bar can be drawn


def run_episodes(field: Field, results: Results, processes: int, cluster: str | None = None) -> bool:
    """Run what is left of the field's plan, in processes of this machine or on a cluster; return False if it was
    interrupted."""
    results.agree(field.plan.stated(), field.known_tapes())
    tasks = remaining_tasks(field, results)
    try:
        with (
            _terminate_as_interrupt(),
            _open_lane(field, tasks, results, min(processes, max(1, len(tasks))), cluster) as worked,
            _progress(len(tasks)) as print_time_left,
        ):
            for done in worked:
                print_time_left(done)
    except KeyboardInterrupt:
        return False
    return True


@contextmanager
def _open_lane(
    field: Field, tasks: Sequence[Task], results: Results, processes: int, cluster: str | None
) -> Iterator[Iterator[int]]:
    """Yield how many tasks are done, each time that grows."""
    if cluster is None:
        with closing(run_tasks(field, tasks, results, processes)) as worked:
            yield worked
        return
    from fsm_exec.lab.cluster import open_cluster  # Dask takes its time to load

    with open_cluster(cluster) as lane, closing(lane.run_tasks(field, tasks, results)) as worked:
        yield worked


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM, which a machine sends that shuts down, as Ctrl-C. Where that is ignored, SIGTERM ends us at
    once."""
    before = signal.getsignal(signal.SIGTERM)
    if before is not signal.SIG_DFL or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def interrupt(*_: object) -> None:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # for a moment, while workers are started
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show on standard error how far it is and how long it will take: a bar, or a line now and then."""
    console = Page(stderr=True)
    if console.is_terminal and not console.is_dumb_terminal:
        columns = (
            TextColumn("episodes"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        # Without a thread that redraws it: beside one, workers could not be forked.
        with Progress(*columns, console=console, transient=True, auto_refresh=False) as bar:
            task = bar.add_task("", total=total)
            bar.refresh()
            yield lambda done: bar.update(task, completed=done, refresh=True)
        return
    began = printed = time.monotonic()

    def print_time_left(done: int) -> None:
        nonlocal printed
        now = time.monotonic()
        if now - printed >= PRINT_EVERY_S or done == total:
            printed = now
            left = (now - began) / done * (total - done)
            say(f"fsm-exec: {done} of {total} episodes, about {left:.0f} s left", err=True)

    yield print_time_left
