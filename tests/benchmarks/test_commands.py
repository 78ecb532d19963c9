"""What a command costs until it has answered: processor time of the whole process, beside a Python that imports click.

The daemon that is asked runs in a process of its own, on a paper exchange in this one; its time is not counted.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from statistics import median

import trio

from tests.cli.daemons import serve, submit
from tests.cli.exchange import site
from tests.cli.support import COMMAND, environment

ROUNDS = 9
FLOOR = (sys.executable, "-c", "import click")
AT_MOST = {"--help": 2.2, "--version": 3.2, "list": 6.0, "status": 6.0, "show e000001": 6.0}
"""Times the floor; measured are 1.3, 1.9, 4.1, 4.1 and 4.1."""


async def test_a_command_answers_at_once(tmp_path: Path, figures: list[str]) -> None:
    """The list of commands costs little more than click, and what asks the daemon a few times as much."""
    spent: dict[str, list[float]] = {name: [] for name in ("floor", *AT_MOST)}
    async with site(tmp_path) as at:
        daemon = await serve(at)
        await submit(at)
        for _ in range(ROUNDS):
            for name, seconds in spent.items():
                arguments = FLOOR if name == "floor" else (*COMMAND, *name.split())
                seconds.append(await trio.to_thread.run_sync(measure_cpu_s, arguments, tmp_path))
        assert await daemon.end() == 0
    floor_s = median(spent["floor"])
    figures.append(f"commands, CPU (median of {ROUNDS}): a Python that imports click takes {floor_s * 1000:.0f} ms")
    figures.extend(
        f"  fsm-exec {name}: {median(spent[name]) * 1000:.0f} ms, {median(spent[name]) / floor_s:.2f} times that"
        for name in AT_MOST
    )
    assert {name for name, times in AT_MOST.items() if median(spent[name]) > times * floor_s} == set()


def measure_cpu_s(arguments: tuple[str, ...], directory: Path) -> float:
    """Run a command to its end, and return the processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(arguments, cwd=directory, env=environment(), capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
