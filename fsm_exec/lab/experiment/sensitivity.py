"""The sensitivity grid: the same experiment under other assumptions, one changed at a time.

A claim that holds only if cancels ahead of us bring us forward, if we are fast, if resting is free, or if recorded
makers would have crossed to us is a claim about those assumptions. So each is made worse alone: the queue that only
trades shorten, a second from decision to match instead of a fifth, the maker fee some series charge, and the other fill
models. The base itself is not repeated.
"""

from __future__ import annotations

import msgspec

from fsm_exec.lab.experiment.episodes import Conditions
from fsm_exec.lab.experiment.fill_shares import FillShares
from fsm_exec.lab.experiment.summary import Cell, ComparisonReport
from fsm_exec.paper.matching_engine.fill_models import FILL_MODELS

SLOW_US = 1_000_000
FILLS = "fills-"  # how the names of the fill models begin among the variations


class Variation(msgspec.Struct, frozen=True, kw_only=True):
    """One changed condition: its cells and fills over everything. `unfinished` counts episodes not worked by
    every method."""

    name: str
    unfinished: int
    cells: list[Cell]
    fills: list[FillShares]


class Grid(ComparisonReport, frozen=True, kw_only=True):
    """The report of the base, and beside it what the others say."""

    sensitivity: list[Variation]


def variations(base: Conditions) -> dict[str, Conditions]:
    """Return the variations by the name of their directory; only those that differ from `base`."""
    changed = {
        "queue-conservative": msgspec.structs.replace(base, queue_model="conservative"),
        "latency-1000ms": msgspec.structs.replace(base, latency_us=SLOW_US),
        "maker-fee-1.75": msgspec.structs.replace(base, maker_fee="1.75"),
        **{f"{FILLS}{model}": msgspec.structs.replace(base, fill_model=model) for model in FILL_MODELS},
    }
    return {name: conditions for name, conditions in changed.items() if conditions != base}


def variation(name: str, found: ComparisonReport) -> Variation:
    """What is kept of a variation's report."""
    cells = found.widest()
    parts = {(cell.product, cell.tape) for cell in cells}
    fills = [row for row in found.fills if (row.product, row.tape) in parts]
    return Variation(name=name, unfinished=found.unfinished, cells=cells, fills=fills)


def grid(base: ComparisonReport, found: list[Variation]) -> Grid:
    return Grid(**msgspec.structs.asdict(base), sensitivity=found)
