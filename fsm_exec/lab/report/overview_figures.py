"""The figures of a database's overview: a colour for each method, but for parts of a cost and ways of ending.

Numbers arrive exact and become floats only here, to be drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from plotly.graph_objects import Bar, Box, Figure, Scatter

from fsm_exec.lab.report.method_table import PARTS, MethodTableRow
from fsm_exec.lab.report.theme import INK, PALETTE, apply_theme

ROW_PX, FRAME_PX = 34, 150
PART_COLOURS: Final = dict(
    zip(
        PARTS,
        ("#B8C4CE", "#56789A", "#8FB8DE", "#E2B33C", "#A4452C", "#111111", "#3E8E6E", "#8FC7AE"),
        strict=True,
    )
)
FILLED, OTHER_ENDS = "#3E8E6E", ("#B8C4CE", "#8FB8DE", "#E2B33C", "#A4452C", "#56789A", "#7F6000", "#CC79A7")


def decomposition(rows: Sequence[MethodTableRow]) -> Figure:
    """The parts of each method's cost, gains to the left, and their sum as a mark."""
    figure = Figure()
    priced = [row for row in rows if row.parts]
    names = [row.method for row in priced]
    for part in PARTS:
        values = [float(row.parts[part]) for row in priced]
        if any(values):
            figure.add_trace(
                Bar(
                    orientation="h",
                    y=names,
                    x=values,
                    name=part.replace("_", "-"),
                    marker={"color": PART_COLOURS[part]},
                    hovertemplate="%{y}<br>%{fullData.name} %{x:+.2f} c<extra></extra>",
                )
            )
    figure.add_trace(
        Scatter(
            x=[float(sum(row.parts.values(), Decimal(0))) for row in priced],
            y=names,
            mode="markers",
            marker={"symbol": "diamond", "size": 10, "color": "#fff", "line": {"width": 2, "color": INK}},
            name="all-in cost",
            hovertemplate="%{y}<br>all-in cost %{x:+.2f} c<extra></extra>",
        )
    )
    figure.update_layout(barmode="relative", bargap=0.35)
    _by_method(figure, names, "cents per contract asked for; positive = cost")
    return apply_theme(figure, height=ROW_PX * len(names) + FRAME_PX)


def fill_and_cost(rows: Sequence[MethodTableRow], hues: Mapping[str, str]) -> Figure:
    """A point for each method, with the interval of its cost."""
    figure = Figure()
    for row in rows:
        if row.estimate is None:
            continue
        mean, low, high = row.estimate[:3]
        bars = {} if low is None or high is None else {"array": [high - mean], "arrayminus": [mean - low]}
        figure.add_trace(
            Scatter(
                x=[mean],
                y=[float(row.fill_by_quantity)],
                error_x={"type": "data", "symmetric": False, "thickness": 1.5, "width": 4, **bars},
                mode="markers",
                marker={"size": 11, "color": hues[row.method], "line": {"width": 1, "color": "#fff"}},
                name=row.method,
                hovertemplate="%{fullData.name}<br>cost %{x:.2f} c<br>filled %{y:.0%}<extra></extra>",
            )
        )
    figure.update_xaxes(title_text="all-in cost, cents per contract asked for")
    figure.update_yaxes(title_text="share of the quantity filled", tickformat=".0%", range=[-0.03, 1.06])
    return apply_theme(figure, height=420)


def spreads(rows: Sequence[MethodTableRow], hues: Mapping[str, str]) -> Figure:
    """A box for each method: middle half, median, and whiskers from the 5th to the 95th of 100 executions."""
    figure = Figure()
    names = [row.method for row in rows if row.costs is not None]
    for row in rows:
        if row.costs is None:
            continue
        seen = row.costs
        figure.add_trace(
            Box(
                orientation="h",
                y=[row.method],
                lowerfence=[seen.p05],
                q1=[seen.p25],
                median=[seen.p50],
                q3=[seen.p75],
                upperfence=[seen.p95],
                mean=[seen.mean],
                line={"color": hues[row.method], "width": 1.5},
                name=row.method,
            )
        )
    _by_method(figure, names, "all-in cost of an execution, cents per contract")
    return apply_theme(figure, height=ROW_PX * len(names) + FRAME_PX - 40, legend=False)


def markouts(rows: Sequence[MethodTableRow], hues: Mapping[str, str]) -> Figure:
    """What the mid did after the fills: a line for each method."""
    figure = Figure()
    for row in rows:
        if row.markouts:
            figure.add_trace(
                Scatter(
                    x=[f"{horizon} s" for horizon in row.markouts],
                    y=[float(gain) for gain in row.markouts.values()],
                    mode="lines+markers",
                    line={"color": hues[row.method], "width": 2},
                    marker={"size": 7},
                    name=row.method,
                    hovertemplate="%{fullData.name}<br>%{x} after the fill %{y:+.2f} c<extra></extra>",
                )
            )
    figure.update_xaxes(title_text="time after the fill", type="category")
    figure.update_yaxes(title_text="gain, cents per contract filled")
    return apply_theme(figure, height=380)


def endings(counts: Mapping[tuple[str, str], int]) -> Figure:
    """How many executions of each method are where: counts by (method, state and reason)."""
    figure = Figure()
    names = list(dict.fromkeys(method for method, _ in counts))
    ends = sorted({end for _, end in counts}, key=lambda end: (not end.startswith("filled"), end))
    others = (*OTHER_ENDS, *PALETTE)
    for number, end in enumerate(ends):
        figure.add_trace(
            Bar(
                orientation="h",
                y=names,
                x=[counts.get((name, end), 0) for name in names],
                name=end,
                marker={"color": FILLED if end.startswith("filled") else others[number % len(others)]},
                hovertemplate="%{y}<br>%{fullData.name}: %{x}<extra></extra>",
            )
        )
    figure.update_layout(barmode="stack", bargap=0.35)
    _by_method(figure, names, "executions")
    return apply_theme(figure, height=ROW_PX * len(names) + FRAME_PX)


def _by_method(figure: Figure, names: Sequence[str], x: str) -> None:
    figure.update_yaxes(categoryorder="array", categoryarray=list(names)[::-1])
    figure.update_xaxes(title_text=x)
