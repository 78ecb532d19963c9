"""What an episode of the lab costs a core, by method; and a checksum of what came of them, which two trees that measure
the same must share.

    python -m tests.benchmarks.beside --tree ../before episodes [--tape index:1] [--horizon 180] [--starts 8]
"""

from __future__ import annotations

import json
import time
import zlib

import click

from fsm_exec.algorithms import method
from fsm_exec.core.values.units import US_PER_S, CountE2, Outcome
from fsm_exec.lab.experiment.episode_runner import EpisodeRun, run_episode
from fsm_exec.lab.experiment.episodes import Conditions, Order, find_starts
from fsm_exec.lab.experiment.tapes import open_tape

OUTCOMES: tuple[Outcome, Outcome] = ("yes", "no")


@click.command()
@click.option("--tape", default="index:1", help="A recording, or PROFILE:SEED.")
@click.option("--horizon", default=180, help="Seconds.")
@click.option("--starts", default=8, help="The first so many, a start each 240 s.")
@click.option("--methods", default="passive_mid,deadline_walker,adaptive_limit")
def main(tape: str, horizon: int, starts: int, methods: str) -> None:
    """Print the milliseconds of a core that an episode took on the mean, and the checksum of the runs."""
    ground, conditions = open_tape(tape).tape, Conditions()
    found = [s for s in find_starts(ground, 240 * US_PER_S, conditions) if s.has_room(ground, horizon * US_PER_S)]
    orders = [Order(outcome=o, quantity_e2=CountE2(2_000), horizon_us=horizon * US_PER_S) for o in OUTCOMES]
    figures: dict[str, float] = {}
    runs: list[EpisodeRun] = []
    for name in methods.split(","):
        run_episode(ground, found[0], orders[0], method(name), conditions)  # imports and caches are no episode's
        began_s = time.thread_time()
        here = [
            run_episode(ground, start, order, method(name), conditions) for start in found[:starts] for order in orders
        ]
        figures[f"{name}, ms"] = (time.thread_time() - began_s) / len(here) * 1_000
        runs += here
    figures["checksum"] = zlib.crc32(repr(runs).encode())
    click.echo(json.dumps({"figures": figures}))


if __name__ == "__main__":
    main()
