"""A process killed in the middle of its saves leaves a database that can be read and opened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fsm_exec.store import open_virtual_store, read_executions, read_journal

if TYPE_CHECKING:
    from tests.store.conftest import Samples

ROOT = Path(__file__).parents[2]

# Saves for ever, and says after each group which steps have been reported as saved.
WRITER = """
import importlib.util, sys, pathlib, trio
from fsm_exec.store import open_live_store, open_virtual_store
spec = importlib.util.spec_from_file_location("samples", sys.argv[1])
module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)
samples = module.Samples()
open_store = {"live": open_live_store, "virtual": open_virtual_store}[sys.argv[3]]

async def main():
    async with open_store(pathlib.Path(sys.argv[2]), draw_instance=lambda: "a" * 10, at_us=0) as store:
        async def save(number):
            for seq in range(1, 10**9):
                parts = (samples.part(f"{seq % 3}", f"{seq}"), samples.part("more", f"{seq}"))
                gone = (f"{(seq - 2) % 3}",) if seq > 2 else ()
                snapshot = b"%d" % seq
                await store.save(samples.save(f"e{number}", seq, snapshot=snapshot, parts=parts, gone_parts=gone))
                print(f"e{number}", seq, flush=True)
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(save, number)

trio.run(main)
"""


def run_and_kill(lane: str, lines: int, database: Path) -> dict[str, int]:
    """Run WRITER, kill it after it has reported `lines` steps; the last step it reported, by execution."""
    conftest = Path(__file__).with_name("conftest.py")
    command = [sys.executable, "-c", WRITER, str(conftest), str(database), lane]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    reported: dict[str, int] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for number, line in enumerate(process.stdout, 1):  # to the end: what it said before it died counts too
            if line.endswith("\n"):
                execution_id, seq = line.split()
                reported[execution_id] = int(seq)
            if number == lines:
                process.kill()
    assert process.returncode == -signal.SIGKILL
    return reported


def parts_at(seq: int) -> dict[str, int]:
    """What each part says after so many of WRITER's saves: one is written anew each time, one of three by turns, and
    the one of the save before last goes."""
    return {"more": seq} | {f"{number % 3}": number for number in range(max(1, seq - 1), seq + 1)}


@pytest.mark.parametrize("lane", ["live", "virtual"])
@pytest.mark.parametrize("lines", [1, 37, 500])
async def test_what_was_reported_as_saved_survives_sigkill(
    lane: str, lines: int, database: Path, samples: Samples, draw_instance: Callable[[], str]
) -> None:
    """After SIGKILL every reported step is in the journal, without a gap, and each snapshot, head and parts, is that of
    the last step; the log is read as it was left, and the next opening goes on from there."""
    reported = run_and_kill(lane, lines, database)
    held = read_executions(database)
    assert {e.execution_id for e in held} >= set(reported)
    for execution in held:
        journal = read_journal(database, execution.execution_id)
        assert [row.seq for row in journal] == list(range(1, len(journal) + 1))
        assert len(journal) >= reported.get(execution.execution_id, 0)
        assert execution.snapshot == b"%d" % len(journal)
        assert {part.name: int(part.body.strip(b'"')) for part in execution.parts} == parts_at(len(journal))
    async with open_virtual_store(database, draw_instance=draw_instance, at_us=0) as store:
        assert store.instance == "a" * 10
        assert await store.load_executions() == held
        last = len(await store.load_journal("e0"))
        await store.save(samples.save("e0", last + 1))
