"""Durable transitions with a thousand executions in flight, and the floor of the same rows, by clock and by processor.

    python durable.py [--lane blocking]

prints the figures of one run as JSON. The load and the floor are those of the tree that is measured.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import msgspec
import trio

from fsm_exec.runtime.clock import system_us
from fsm_exec.store import SqliteStore, open_live_store, open_virtual_store
from tests.benchmarks.floor import run_floor
from tests.benchmarks.load import run_load

LANES = {"live": open_live_store, "blocking": open_virtual_store}


def measure(directory: Path, lane: str) -> dict[str, float]:
    """Run the load once, and the floor once on its rows. What it takes to make a database is left out."""

    def opening(name: str) -> AbstractAsyncContextManager[SqliteStore]:
        return LANES[lane](directory / name, draw_instance=lambda: "abcdefghij", at_us=system_us())

    async def open_only() -> None:
        async with opening("empty.sqlite"):
            pass

    cpu, own = time.process_time(), time.thread_time()
    trio.run(open_only)
    made, loaded = time.process_time(), time.thread_time()
    outcome = trio.run(run_load, partial(opening, "engine.sqlite"), directory / "engine.log")
    cpu, own = time.process_time() - made - (made - cpu), time.thread_time() - loaded - (loaded - own)
    count = len(outcome.saves)
    floor_cpu = time.process_time()
    floor_s = run_floor(directory / "floor.sqlite", outcome.saves, outcome.statistics.median_batch_jobs)
    floor_cpu = time.process_time() - floor_cpu
    return {
        "cpu_us": 1e6 * cpu / count,
        "cpu_us_of_trio's_thread": 1e6 * own / count,
        "wall_us": 1e6 * outcome.seconds / count,
        "floor_cpu_us": 1e6 * floor_cpu / count,
        "floor_wall_us": 1e6 * floor_s / count,
    }


SHARES = (("floor_wall_us", "wall_us"), ("floor_cpu_us", "cpu_us"))


def main() -> None:
    """Print the figures of one run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lane", choices=LANES, default="live")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(Path(directory), chosen.lane)
    sys.stdout.write(msgspec.json.encode({"figures": figures, "shares": SHARES}).decode() + "\n")


if __name__ == "__main__":
    main()
