"""How an experiment would be shared among many workers of a cluster: the schedule is simulated, its parts are measured.

    python -m tests.benchmarks.cluster_schedule --episodes 10000

Measured here, on some episodes of a generated tape: what each costs, how large a tape is on its way and how long a
worker reads it, and how long this process takes to store an episode. How long it takes to hand a block to Dask and
hear of it is measured with `--cluster ADDRESS`, else the figure below. Simulated: workers of equal speed, each with the
blocks that `lab.cluster` keeps waiting for it, and the one process that hands out blocks and stores what comes back.
Not in it: slower or lost workers, a network that is busy with other things, and a scheduler with other work.
"""

from __future__ import annotations

import heapq
import pickle
import random
import tempfile
import time
from collections import deque
from math import ceil, log2
from pathlib import Path
from typing import NamedTuple

import click

from fsm_exec.core.values.units import CountE2
from fsm_exec.lab.cluster import AHEAD, BLOCK_OF, open_cluster, pack_tape
from fsm_exec.lab.experiment.compare import Field, Plan, remaining_tasks
from fsm_exec.lab.experiment.episodes import Conditions
from fsm_exec.lab.experiment.ground import Ground
from fsm_exec.lab.experiment.results import open_results

WORKERS = (1, 2, 4, 10, 25, 50, 100, 200)
SAMPLE = 40
HANDED_OVER_S = 0.0014  # of this process's time for a block, there and back; measured with two local workers
NETWORK_BYTES_PER_S = 100_000_000  # a gigabit
METHODS = ("passive_mid", "deadline_walker")
SEED = 1


class Parts(NamedTuple):
    """What things cost, in seconds of a processor; `tape_bytes` as they travel."""

    episodes_s: list[float]
    stored_s: float
    read_s: float
    tape_bytes: int


class Schedule(NamedTuple):
    """`main_share`: of the time in which the process that stores was busy."""

    wall_s: float
    main_share: float


def measure_parts(directory: Path) -> Parts:
    """Measure the parts on the first episodes of a generated tape."""
    plan = Plan(
        tapes=("index:1",),
        methods=METHODS,
        baseline=METHODS[0],
        quantities_e2=(CountE2(2_000),),
        horizons_us=(180_000_000,),
        outcomes=("yes", "no"),
        every_us=900_000_000,
        conditions=Conditions(),
    )
    field = Field(plan)
    ground = field.ground("index:1")
    packed = pack_tape(ground)
    began = time.thread_time()
    Ground.of(pickle.loads(pickle.dumps(ground.tape)), plan.every_us, plan.conditions)
    read_s = time.thread_time() - began
    costs, stored = list[float](), 0.0
    with open_results(directory, resume=False) as results:
        results.agree(plan.stated(), field.known_tapes())
        for task in remaining_tasks(field, results)[:SAMPLE]:
            began = time.thread_time()
            found = field.work(task)
            costs.append(time.thread_time() - began)
            began = time.thread_time()
            results.add(found)
            stored += time.thread_time() - began
    return Parts(costs, stored / len(costs), read_s, len(packed))


def simulate(parts: Parts, episodes: int, tapes: int, workers: int, handed_over_s: float) -> Schedule:
    """Simulate the work on `episodes`, evenly on so many tapes, by so many workers."""
    rng = random.Random(SEED)
    blocks: deque[tuple[int, float, int]] = deque()  # tape, seconds of work, episodes
    for tape in range(tapes):
        left = episodes // tapes
        while left > 0:
            size = min(BLOCK_OF, left)
            blocks.append((tape, sum(rng.choices(parts.episodes_s, k=size)), size))
            left -= size
    travel_s = parts.tape_bytes / NETWORK_BYTES_PER_S * (1 + ceil(log2(workers)) if workers > 1 else 1)
    has: list[set[int]] = [set() for _ in range(workers)]
    queues: list[deque[tuple[int, float, int]]] = [deque() for _ in range(workers)]
    is_idle = [True] * workers
    ended: list[tuple[float, int, int]] = []  # at, worker, episodes
    main_s = main_busy_s = 0.0

    def begin(worker: int, at_s: float) -> None:
        if not queues[worker]:
            is_idle[worker] = True
            return
        is_idle[worker] = False
        tape, work_s, size = queues[worker].popleft()
        brought_s = 0.0 if tape in has[worker] else travel_s + parts.read_s
        has[worker].add(tape)
        heapq.heappush(ended, (at_s + brought_s + work_s, worker, size))

    def hand_out(worker: int) -> None:
        nonlocal main_s, main_busy_s
        if not blocks:
            return
        main_s, main_busy_s = main_s + handed_over_s, main_busy_s + handed_over_s
        queues[worker].append(blocks.popleft())
        if is_idle[worker]:
            begin(worker, main_s)

    for _ in range(AHEAD):
        for worker in range(workers):
            hand_out(worker)
    while ended:
        at_s, worker, size = heapq.heappop(ended)
        begin(worker, at_s)
        main_s = max(main_s, at_s) + size * parts.stored_s
        main_busy_s += size * parts.stored_s
        hand_out(worker)
    return Schedule(main_s, main_busy_s / main_s)


def work_nothing(program: str) -> list[None]:
    """A block without work, on a worker."""
    return [None] if program else []


def measure_handing_over(address: str, blocks: int = 300) -> float:
    """Measure a block without work, there and back, in seconds of the processor of this process."""
    with open_cluster(address) as cluster:
        began = time.process_time()
        for _ in cluster.run_blocks((work_nothing, ()) for _ in range(blocks)):
            pass
        return (time.process_time() - began) / blocks


@click.command()
@click.option("--episodes", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--tapes", type=click.IntRange(1), default=25, show_default=True)
@click.option("--cluster", metavar="ADDRESS", help="Measure there what handing over costs.")
def main(episodes: int, tapes: int, cluster: str | None) -> None:
    """Print how long the experiment would take, by the number of workers."""
    with tempfile.TemporaryDirectory() as directory:
        parts = measure_parts(Path(directory) / "results")
    handed_over_s = HANDED_OVER_S if cluster is None else measure_handing_over(cluster)
    mean_s = sum(parts.episodes_s) / len(parts.episodes_s)
    click.echo(
        f"an episode {mean_s * 1e3:.0f} ms ({min(parts.episodes_s) * 1e3:.0f} to {max(parts.episodes_s) * 1e3:.0f}), "
        f"stored in {parts.stored_s * 1e3:.2f} ms; a tape {parts.tape_bytes / 1e6:.2f} MB, read in "
        f"{parts.read_s * 1e3:.0f} ms; a block handed over in {handed_over_s * 1e3:.1f} ms"
    )
    alone = simulate(parts, episodes, tapes, 1, handed_over_s)
    for workers in WORKERS:
        found = simulate(parts, episodes, tapes, workers, handed_over_s)
        speed = alone.wall_s / found.wall_s
        click.echo(
            f"{workers:>4} workers: {found.wall_s:8.1f} s, {speed:6.1f} times one, {speed / workers:.2f} of each, "
            f"this process busy {found.main_share:.2f}"
        )


if __name__ == "__main__":
    main()
