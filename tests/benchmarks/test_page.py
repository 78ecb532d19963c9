"""What the page costs: fifty open pages beside a thousand executions at work, and the first paint of a full desk."""

from __future__ import annotations

import statistics
from pathlib import Path

import trio

from tests.benchmarks.load import EXECUTIONS, TRANSITIONS_EACH
from tests.benchmarks.page_load import Watched, run_watched

VIEWERS = 50
ROUNDS = 3
COST_MOST = 0.10


def test_fifty_open_pages_cost_less_than_a_tenth(figures: list[str], tmp_path: Path) -> None:
    """Processor time of the engine's process for each durable transition, with fifty pages open and without any, taken
    in turns in one run. An engine at its limit: a thousand executions, each moving all the time."""
    plain, watched = list[Watched](), list[Watched]()
    for number in range(ROUNDS):
        for viewers, results in ((0, plain), (VIEWERS, watched)):
            directory = tmp_path / f"{number}-{viewers}"
            directory.mkdir()
            results.append(trio.run(run_watched, directory, viewers))
    for result in (*plain, *watched):
        assert result.transitions == EXECUTIONS * TRANSITIONS_EACH
    assert all(result.publications and result.characters > VIEWERS * EXECUTIONS for result in watched)
    alone_us, with_us = (
        statistics.median(1e6 * one.cpu_s / one.transitions for one in results) for results in (plain, watched)
    )
    rates = [statistics.median(one.transitions / one.seconds for one in results) for results in (plain, watched)]
    newest = watched[-1]
    figures.append(
        f"{VIEWERS} open pages: {with_us:.0f} us of processor time for a durable transition, {alone_us:.0f} without: "
        f"{with_us / alone_us - 1:+.1%}; {rates[1]:,.0f} transitions/s, {rates[0]:,.0f} without; "
        f"{newest.publications} publications and {newest.characters / 1e6:.1f} MB in {newest.seconds:.1f} s"
    )
    assert with_us < (1 + COST_MOST) * alone_us
