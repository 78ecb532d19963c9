"""The costs of the methods as drawings: lines and bars of SVG that stretch with the page, a row for each method.

Letters stand beside them in the table, so they are as large as any other and can be read without the drawing.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from markupsafe import Markup

from fsm_exec.lab.report.method_table import PARTS, MethodTableRow
from fsm_exec.lab.report.method_texts import interval, percent, two

WIDTH: Final = 1_000
MARGIN: Final = 0.06  # of the width, on both sides
LINE: Final = Markup('<line class="{kind}" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y1}" y2="{y2}"/>')
BAR: Final = Markup('<rect class="part-{part}" x="{x:.1f}" width="{width:.1f}" y="4" height="12"/>')


class ChartRow(NamedTuple):
    """One method: its cost in words and drawn, with the interval, and the parts that add up to it."""

    method: str
    executions: str
    filled: str
    cost: str
    interval: str
    drawn: Markup
    parts: Markup


class Chart(NamedTuple):
    """All methods on one scale, whose ends are named in cents; the parts have a scale of their own."""

    rows: list[ChartRow]
    ends: tuple[str, str]
    part_ends: tuple[str, str]
    legend: list[tuple[str, str]]


class _Scale(NamedTuple):
    low: float
    high: float

    def place(self, cents: float) -> float:
        inner = WIDTH * (1 - 2 * MARGIN)
        return WIDTH * MARGIN + inner * (cents - self.low) / ((self.high - self.low) or 1)

    @property
    def ends(self) -> tuple[str, str]:
        return f"{self.low:+z.2f} c", f"{self.high:+z.2f} c"


def draw_chart(rows: Sequence[MethodTableRow]) -> Chart:
    """Draw the methods whose cost is known."""
    priced = [row for row in rows if row.estimate is not None]
    scale = _scale([known for row in priced for known in _reach(row)])
    stacks = {row.method: _stack(row) for row in priced}
    part_scale = _scale([edge for stack in stacks.values() for _, low, high in stack for edge in (low, high)])
    drawn = [
        ChartRow(
            method=row.method,
            executions=f"{row.executions:,}",
            filled=percent(row.fill_by_quantity),
            cost=two(sum(row.parts.values(), Decimal(0))),
            interval=interval(row),
            drawn=_drawing(_estimate(row, scale), scale),
            parts=_drawing(_bars(stacks[row.method], part_scale), part_scale),
        )
        for row in priced
    ]
    seen = {part for stack in stacks.values() for part, low, high in stack if low != high}
    legend = [(part.replace("_", "-"), f"part-{part}") for part in PARTS if part in seen]
    return Chart(drawn, scale.ends, part_scale.ends, legend)


def _reach(row: MethodTableRow) -> list[float]:
    assert row.estimate is not None
    return [value for value in row.estimate[:3] if value is not None]


def _scale(values: Sequence[float]) -> _Scale:
    """From the lowest to the highest, with nought within."""
    return _Scale(min(0.0, *values), max(0.0, *values)) if values else _Scale(0, 0)


def _estimate(row: MethodTableRow, scale: _Scale) -> list[Markup]:
    assert row.estimate is not None
    mean, low, high = row.estimate[:3]
    drawn = []
    if low is not None and high is not None:
        drawn.append(LINE.format(kind="interval", x1=scale.place(low), x2=scale.place(high), y1=10, y2=10))
        drawn += [LINE.format(kind="interval", x1=scale.place(e), x2=scale.place(e), y1=5, y2=15) for e in (low, high)]
    return [*drawn, LINE.format(kind="mean", x1=scale.place(mean), x2=scale.place(mean), y1=2, y2=18)]


def _stack(row: MethodTableRow) -> list[tuple[str, float, float]]:
    """Each part from where to where: costs to the right of nought, gains to the left."""
    ends, stack = [0.0, 0.0], []
    for part in PARTS:
        cents = float(row.parts.get(part, 0))
        side = cents > 0
        began, ends[side] = ends[side], ends[side] + cents
        stack.append((part, min(began, ends[side]), max(began, ends[side])))
    return stack


def _bars(stack: Sequence[tuple[str, float, float]], scale: _Scale) -> list[Markup]:
    return [
        BAR.format(part=part, x=scale.place(low), width=scale.place(high) - scale.place(low))
        for part, low, high in stack
        if high > low
    ]


def _drawing(shapes: Sequence[Markup], scale: _Scale) -> Markup:
    zero = LINE.format(kind="zero", x1=scale.place(0), x2=scale.place(0), y1=0, y2=20)
    return Markup(
        '<svg class="method-chart" viewBox="0 0 1000 20" preserveAspectRatio="none" aria-hidden="true">{all}</svg>'
    ).format(all=Markup("").join([zero, *shapes]))
