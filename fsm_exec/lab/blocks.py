"""Blocks: what is drawn together, because it shared its half hour of a market.

A block is 30 minutes of one market, counted from the first moment there; the market itself where it is shorter. What
remains at the end is a block of its own from half the length on, and else joins the one before: no block of a few
minutes. Nothing but the market and the moment is needed, so the same sample has the same blocks wherever it is read.

Half an hour is not for ever: neighbouring blocks still resemble each other a little. `autocorrelation` says how much,
and is printed beside the intervals.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

BLOCK_S: Final = 1_800
BLOCK_US: Final = BLOCK_S * 1_000_000
BLOCK_WORDS: Final = "30 minutes of a market, or the whole of a shorter one"
AUTOCORRELATION_BLOCKS_MIN: Final = 4  # fewer that have a neighbour say nothing about neighbours


class BlockId(NamedTuple):
    """The so-manieth block of a market."""

    market: Hashable
    number: int


class Block(NamedTuple):
    """Episodes that are drawn together."""

    total: float
    episodes: int

    @property
    def mean(self) -> float:
        return self.total / self.episodes


def number_blocks(moments: Iterable[tuple[Hashable, int]]) -> dict[tuple[Hashable, int], BlockId]:
    """The block of each (market, microseconds), as the whole of them define it."""
    by_market: dict[Hashable, set[int]] = defaultdict(set)
    for market, at_us in moments:
        by_market[market].add(at_us)
    found: dict[tuple[Hashable, int], BlockId] = {}
    for market, times in by_market.items():
        first = min(times)
        last = max(0, (max(times) - first + BLOCK_US // 2) // BLOCK_US - 1)
        for at_us in times:
            found[market, at_us] = BlockId(market, min(last, (at_us - first) // BLOCK_US))
    return found


def blocks_of(values: Iterable[tuple[BlockId, float]]) -> dict[BlockId, Block]:
    """Group (block, value) pairs, in the order of their markets and numbers: not in that in which they come."""
    members: dict[BlockId, list[float]] = defaultdict(list)
    for block, value in values:
        members[block].append(value)
    ordered = sorted(members, key=lambda block: (str(block.market), block.number))
    return {block: Block(math.fsum(members[block]), len(members[block])) for block in ordered}


def autocorrelation(strata: Sequence[Mapping[BlockId, Block]]) -> float | None:
    """How alike the means of neighbouring blocks of a market are, each against the mean of its stratum: 0 for blocks
    that know nothing of each other. None where fewer than AUTOCORRELATION_BLOCKS_MIN have a neighbour, or all are the
    same."""
    products: list[float] = []
    squares: list[float] = []
    neighbours = 0
    for blocks in strata:
        middle = math.fsum(block.mean for block in blocks.values()) / len(blocks) if blocks else 0.0
        apart = {block: found.mean - middle for block, found in blocks.items()}
        for (market, number), distance in apart.items():
            before, after = apart.get(BlockId(market, number - 1)), apart.get(BlockId(market, number + 1))
            squares.append(distance**2)
            neighbours += before is not None or after is not None
            if after is not None:
                products.append(distance * after)
    if neighbours < AUTOCORRELATION_BLOCKS_MIN or not any(squares):
        return None
    return math.fsum(products) / len(products) / (math.fsum(squares) / len(squares))
