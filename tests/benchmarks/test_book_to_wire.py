"""From the arrival of a frame to the first byte of our amend, beside one commit of the same bytes and one request."""

from __future__ import annotations

import pytest

from tests.benchmarks.measures.book_to_wire import MARKETS, measure

MOST_OF_FLOOR = 8
"""Times the floor, at the median, for one execution: a machine that others work on as well."""


@pytest.mark.parametrize(("executions", "moves"), [(1, 20), (100, 40), (500, 30)])
def test_every_move_of_the_book_is_followed(executions: int, moves: int, figures: list[str]) -> None:
    """Each execution of a market that moved sends its amend, and one alone not much later than it must."""
    times = measure(executions, moves)
    said = times.figures()
    assert times.missing == 0
    assert len(times.engine_s) == moves * max(1, executions // MARKETS)
    assert executions > 1 or said["p50_of_floor"] < MOST_OF_FLOOR
    figures.append(
        f"book to wire, {executions} executions on {MARKETS} markets, {len(times.engine_s)} amends: p50 "
        f"{said['engine_p50_ms']:.1f} ms, p99 {said['engine_p99_ms']:.1f} ms; {said['p50_of_floor']:.1f} and "
        f"{said['p99_of_floor']:.1f} times the floor ({said['floor_p50_ms']:.1f}, {said['floor_p99_ms']:.1f} ms); "
        f"{said['p50_of_burst']:.1f} and {said['p99_of_burst']:.1f} times that of as many requests at once; "
        f"{said['cpu_ms_of_an_amend']:.1f} ms of processor time each"
    )
