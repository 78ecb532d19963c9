"""Every method that may run live, both outcomes, six quantities, on windows of ten minutes of real markets.

A whole execution of ten minutes takes some half a second, so an ordinary run is a sample: for each method and quantity
one window of one outcome, drawn by seed. FSM_EXEC_WINDOWS=20 works all cells, twenty windows each (half an hour of one
core). Each window has its own seed, which names the recording and the moment in it.
"""

from __future__ import annotations

import os
import random
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from fsm_exec.algorithms import SHIPPED
from fsm_exec.core.values.units import Outcome
from fsm_exec.paper.tapes.reading import read_tape
from fsm_exec.paper.tapes.tape import Tape
from tests.recordings.windows import Case, draw_window, work

ROOT = Path(__file__).parents[2]
RECORDINGS = Path(os.environ.get("FSM_EXEC_RECORDINGS", ROOT.parent / "shared" / "recordings"))
NAMES = ("index-2023-04-10", "index-2023-04-13", "nba-cha", "nba-lac", "nba-nyk")
WINDOWS = int(os.environ.get("FSM_EXEC_WINDOWS", "0"))  # a cell; 0: the sample
OUTCOMES: tuple[Outcome, ...] = ("yes", "no")
QUANTITIES = (1, 3, 7, 20, 100, 1_000)
LIVE = sorted(name for name, method in SHIPPED.items() if not method.lab_only)

pytestmark = pytest.mark.skipif(
    not all((RECORDINGS / f"{name}.jsonl.gz").is_file() for name in NAMES),
    reason="no recordings here: set FSM_EXEC_RECORDINGS to their folder",
)


@cache
def tape(name: str) -> Tape:
    return read_tape(RECORDINGS / f"{name}.jsonl.gz")


def cells(name: str) -> Iterator[tuple[Outcome, int, int]]:
    """(outcome, contracts, seed) of every window of this method."""
    for contracts in QUANTITIES:
        if not WINDOWS:
            seed = zlib.crc32(f"{name} {contracts}".encode())
            yield OUTCOMES[seed % 2], contracts, seed
        for outcome in OUTCOMES:
            for number in range(WINDOWS):
                yield outcome, contracts, zlib.crc32(f"{name} {outcome} {contracts} {number}".encode())


@pytest.mark.parametrize("name", LIVE)
def test_no_window_of_a_real_market_breaks_a_promise(name: str) -> None:
    """The invariants hold, it ends by its deadline, and what it says it cost is what the exchange says was paid."""
    broken: list[str] = []
    ends: Counter[str] = Counter()
    for outcome, contracts, seed in cells(name):
        recording = random.Random(seed).choice(NAMES)
        start = draw_window(tape(recording), seed)
        found = work(tape(recording), start, Case(SHIPPED[name], outcome, contracts))
        ends[found.reason] += 1
        where = f"seed {seed}: {contracts} {outcome} of {recording} from {start.at_us}"
        broken += [f"{where}: {line}" for line in found.violations]
    print(f"{name}: {sum(ends.values())} windows, {dict(ends)}")  # noqa: T201 - shown by -s, and where it fails
    assert broken == []
