"""The sensitivity grid: the same experiment under other assumptions, one changed at a time.

A claim that holds only if cancels ahead of us bring us forward, if we are fast, or if resting is free is a claim about
those assumptions. So each is made worse alone: the queue that only trades shorten, a second from decision to match
instead of a fifth, and the maker fee some series charge. The base itself is not repeated.
"""

from __future__ import annotations

import msgspec

from fsm_exec.lab.experiment.episodes import Conditions
from fsm_exec.lab.experiment.summary import Cell, ComparisonReport

SLOW_US = 1_000_000


class Variation(msgspec.Struct, frozen=True, kw_only=True):
    """One changed condition: its cells over everything. `unfinished` counts episodes not worked by
    every method."""

    name: str
    unfinished: int
    cells: list[Cell]


class Grid(ComparisonReport, frozen=True, kw_only=True):
    """The report of the base, and beside it what the others say."""

    sensitivity: list[Variation]


def variations(base: Conditions) -> dict[str, Conditions]:
    """Return the variations by the name of their directory; only those that differ from `base`."""
    changed = {
        "queue-conservative": msgspec.structs.replace(base, queue_model="conservative"),
        "latency-1000ms": msgspec.structs.replace(base, latency_us=SLOW_US),
        "maker-fee-1.75": msgspec.structs.replace(base, maker_fee="1.75"),
    }
    return {name: conditions for name, conditions in changed.items() if conditions != base}


def variation(name: str, found: ComparisonReport) -> Variation:
    """What is kept of a variation's report."""
    return Variation(name=name, unfinished=found.unfinished, cells=found.widest())


def grid(base: ComparisonReport, found: list[Variation]) -> Grid:
    return Grid(**msgspec.structs.asdict(base), sensitivity=found)
