"""What part of time and price the picture shows, and the prices that are lines across it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from fsm_exec.core.values.units import PriceE4, format_fixed
from fsm_exec.lab.report.execution_books import Books
from fsm_exec.lab.report.timeline import Timeline

BOOK_PX = 470
MARGIN_US, MARGIN_SHARE = 5_000_000, 25  # at least, and one part in so many of the whole
NEAR_E4 = 1_000  # the touch is shown as far as 10 cents beside where we were
LINE_NEAR_E4 = 500  # a limit further away is named at the edge
ROWS_MAX = 120
LABEL_PX = 14


class Frame(NamedTuple):
    """`prices_e4`: the rows of the heat map, ascending; `edges_e4` lie between and around them."""

    accepted_us: int
    from_us: int
    until_us: int
    low_e4: int
    high_e4: int
    prices_e4: tuple[PriceE4, ...]
    edges_e4: tuple[int, ...]

    def seconds(self, at_us: int) -> float:
        return (at_us - self.accepted_us) / 1e6

    def shows(self, price: int) -> bool:
        return self.low_e4 <= price <= self.high_e4

    def row(self, price: int) -> int:
        """That of the highest row price at or below it; the lowest row for what is below all."""
        return max(0, bisect_right(self.prices_e4, price) - 1)


class Line(NamedTuple):
    name: str
    text: str
    price_e4: int
    colour: str
    dash: str


def window_of(story: Timeline) -> tuple[int, int]:
    """From when to when: the execution and something around it, and its deadline if that is near."""
    fills = story.execution.fills
    first_us = min([story.from_us, *(fill.traded_at_us for fill in fills)])
    last_us = max([story.until_us, *(fill.traded_at_us for fill in fills)])
    length_us = last_us - first_us
    if last_us < story.execution.deadline_us <= last_us + length_us // 3:
        last_us = story.execution.deadline_us
    margin_us = max(MARGIN_US, length_us // MARGIN_SHARE)
    return first_us - margin_us, last_us + margin_us


def frame_of(story: Timeline, books: Books) -> Frame:
    from_us, until_us = window_of(story)
    execution = story.execution
    ours: list[int] = [stand.price_e4 for stand in story.stands]
    ours += [fill.price_e4 for fill in execution.fills]
    ours += [price for price in (execution.arrival.best_bid, execution.arrival.best_ask) if price is not None]
    if execution.limits is not None and not ours:
        ours.append(execution.limits.target_e4)
    touched = [price for touch in books.touches for price in touch[1:3] if price is not None]
    low, high = (min(ours), max(ours)) if ours else (min(touched, default=0), max(touched, default=10_000))
    near: list[int] = [price for price in touched if low - NEAR_E4 <= price <= high + NEAR_E4]
    limits = [line.price_e4 for line in lines_of(story)]
    near += [price for price in limits if low - LINE_NEAR_E4 <= price <= high + LINE_NEAR_E4]
    low, high = min([low, *near]), max([high, *near])
    grid = execution.terms.grid.seen_from(execution.outcome)
    around = [PriceE4(price) for price in range(max(1, low - 400), min(9_999, high + 400) + 1)]
    prices = [price for price in around if grid.contains(price)]
    if len(prices) > ROWS_MAX:
        prices = prices[:: -(-len(prices) // ROWS_MAX)]
    if not prices:
        prices = [PriceE4(max(1, low))]
    steps = [later - price for price, later in pairwise(prices)] or [100]
    edges = [prices[0] - steps[0] // 2]
    edges += [price + step // 2 for price, step in zip(prices, steps, strict=False)]
    edges.append(prices[-1] + steps[-1] // 2)
    edges = edges[: len(prices) + 1]
    return Frame(story.from_us, from_us, until_us, edges[0], edges[-1], tuple(prices), tuple(edges))


def lines_of(story: Timeline) -> list[Line]:
    """Prices that hold all the time: the limits, the mid on arrival, the reservation price."""
    execution = story.execution
    lines = []
    if execution.limits is not None:
        worst, target = execution.limits.worst_e4, execution.limits.target_e4
        if worst == target:
            lines.append(Line("target = worst", f"{format_fixed(worst, 2)}c", worst, "#c1121f", "dash"))
        else:
            lines.append(Line("worst", f"{format_fixed(worst, 2)}c", worst, "#c1121f", "dash"))
            lines.append(Line("target", f"{format_fixed(target, 2)}c", target, "#52606d", "dash"))
    mid = execution.arrival.trusted_mid_e5
    if mid is not None:
        lines.append(Line("arrival mid", f"{format_fixed(mid, 3)}c", mid // 10, "#6b7785", "dot"))
    if execution.edge is not None:
        reserved = execution.edge.probability_ppm
        lines.append(Line("reservation", f"{format_fixed(reserved, 4)}c", reserved // 100, "#6a51a3", "dashdot"))
    return lines


def spread(lines: Sequence[Line], frame: Frame) -> list[tuple[Line, int]]:
    """Each line with where its name is put: at its price, within the picture, and not over another name."""
    apart = (frame.high_e4 - frame.low_e4) * LABEL_PX // BOOK_PX
    placed: list[tuple[Line, int]] = []
    floor = frame.low_e4
    for line in sorted(lines, key=lambda one: one.price_e4):
        at = max(floor, min(line.price_e4, frame.high_e4))
        placed.append((line, at))
        floor = at + apart
    ceiling = frame.high_e4
    for number in range(len(placed) - 1, -1, -1):
        line, at = placed[number]
        placed[number] = (line, min(at, ceiling))
        ceiling = placed[number][1] - apart
    return placed
