"""What an execution has cost so far, part by part, as lines over time: each fill is a step. Drawn as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from markupsafe import Markup

from fsm_exec.core.costs.so_far import CostStep
from fsm_exec.core.values.units import CountE2
from fsm_exec.web.execution.figures import cents_each
from fsm_exec.web.execution.svg import apart, element, steps, text

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 620.0, 190.0, 52.0, 112.0, 10.0, 8.0
PARTS: Final = ("spread", "drift", "fees", "delay")
LABEL_PX: Final = 14.0


def draw_costs(cost: Sequence[CostStep], target: CountE2, until_us: int) -> Markup:
    """Draw the steps, one at least, up to `until_us`; in cents for each contract of the target."""
    from_us = cost[0].at_us
    span_us = max(1, until_us - from_us)
    lines: dict[str, list[int]] = {name: [getattr(step, name) for step in cost] for name in (*PARTS, "total")}
    least = min(0, *(value for line in lines.values() for value in line))
    most = max(0, *(value for line in lines.values() for value in line))
    if least == most:
        most = target * 1_000  # a cent
    ticks = [0, *(value for value in (least, most) if abs(value) * 8 > most - least)]
    room = (most - least) // 12 + 1
    least, most = least - (room if least else 0), most + room

    def x(at_us: int) -> float:
        return LEFT + min(max(at_us - from_us, 0), span_us) / span_us * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - least) / (most - least) * (HEIGHT - TOP - BOTTOM)

    def grid() -> Iterator[Markup]:
        for value in ticks:
            css = "grid" if value else "axis"
            yield element("path", d=f"M{LEFT:.0f} {y(value):.1f}H{WIDTH - RIGHT:.0f}", css=css)
            yield text(LEFT - 6, y(value) + 4, cents_each(value, target), "tick", "end")

    def drawn() -> Iterator[Markup]:
        for name, values in lines.items():
            points = [(x(step.at_us), y(value)) for step, value in zip(cost, values, strict=True)]
            yield element("path", name, d=steps([*points, (x(until_us), points[-1][1])]), css=f"cost c-{name}")
        ends = [y(values[-1]) for values in lines.values()]
        for name, end in zip(lines, apart(ends, LABEL_PX, TOP + 4, HEIGHT - BOTTOM), strict=True):
            said = f"{name} {cents_each(lines[name][-1], target)}"
            yield text(WIDTH - RIGHT + 8, end + 4, said, f"name c-{name}")

    return element(
        "svg",
        title="The cost of what is filled as it built up, in cents for each contract of the target",
        content=Markup("").join([*grid(), *drawn()]),
        css="costs",
        role="img",
        viewBox=f"0 0 {WIDTH:.0f} {HEIGHT:.0f}",
        width=WIDTH,
        height=HEIGHT,
    )
