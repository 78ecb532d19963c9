"""A sample of `python -m tests.bending.outages`: a minute without one call, whatever the engine does and is told."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from fsm_exec.core.exchange_port import Exchange
from tests.bending.calls import ASK_NOTHING, CALLS, DOWN, OF_A_SURFACE
from tests.bending.drill import Cell, Result, cells, run

EVERY = 11  # cells apart: with sixteen or more to each thing down, all states and events come round
SAMPLE = list(cells())[::EVERY]


@pytest.fixture(scope="module")
def results() -> dict[Cell, Result]:
    """Those that have run."""
    return {}


@pytest.mark.parametrize("cell", SAMPLE, ids=str)
def test_an_outage_costs_nothing_but_time(cell: Cell, results: dict[Cell, Result]) -> None:
    """Whatever falls into it: the cancels of everything known leave at once, what `status` says is true, everything
    ends soon after it, and the books agree: nothing doubled, orphaned, lost."""
    results[cell] = result = run(cell)
    assert result.wrong == [], result.log[-4_000:]


def test_the_sample_has_every_state_and_event_and_everything_that_may_be_down() -> None:
    """A part of the matrix that left one of them out would say nothing of it."""
    for part in range(4):
        assert {cell[part] for cell in SAMPLE} == {cell[part] for cell in cells()}


def test_no_call_is_forgotten(results: dict[Cell, Result]) -> None:
    """Each call of the port is covered by a row, and each request that was made is named by one row and no other."""
    calls = {name for name, _ in inspect.getmembers(Exchange, inspect.isfunction) if not name.startswith("_")}
    assert calls == {name for call in CALLS for name in call.covers} | ASK_NOTHING | OF_A_SURFACE
    if not results:
        pytest.skip("the sample did not run")
    assert {line for result in results.values() for line in result.unnamed} == set()


def test_the_recovery_document_has_a_row_for_everything_that_may_be_down() -> None:
    """The table of fsm_exec/runtime/README.md is what `python -m tests.bending.outages` printed."""
    document = Path(__file__).parents[2].joinpath("fsm_exec/runtime/README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| \d+ \|(?: [0-9.]+ s \|){5}$", document, re.MULTILINE)
    assert rows == list(DOWN)
