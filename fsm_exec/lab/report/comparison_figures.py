"""The figures of a comparison: a facet for each quantity and horizon, a colour for each method.

Numbers arrive as exact text or Decimal and become floats only here, to be drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from plotly.graph_objects import Bar, Box, Figure, Heatmap, Scatter
from plotly.subplots import make_subplots

from fsm_exec.lab.experiment.buckets import Bucket
from fsm_exec.lab.experiment.summary import Cell, Paired
from fsm_exec.lab.figure_texts import signed
from fsm_exec.lab.report.quantiles import Spread
from fsm_exec.lab.report.theme import BASELINE, INK, apply_theme

ROW_PX, FACET_MIN_PX = 26, 220
SURE = Decimal("0.05")
Key = tuple[str, int]  # a quantity and a horizon in seconds


def differences(cells: Sequence[Cell], baseline: str, hues: Mapping[str, str]) -> Figure:
    """Points with intervals, a row for each method, the cheapest on average on top."""
    facets = _facets(cells)
    methods = [m for m in _by_cost(cells) if m != baseline]
    figure = _grid(facets, shared_y=True)
    for number, key in enumerate(facets):
        for cell in _of(cells, key):
            if cell.method != baseline:
                _interval_point(figure, number, cell.method, cell, hues[cell.method])
        figure.add_vline(x=0, line={"color": BASELINE, "width": 1}, row=1 + number // 2, col=1 + number % 2)
    figure.update_yaxes(categoryorder="array", categoryarray=methods[::-1])
    return _finish(figure, facets, ROW_PX * len(methods), "d, cents per contract")


def by_part(cells: Sequence[Cell], baseline: str, hues: Mapping[str, str], named: Callable[[Cell], str]) -> Figure:
    """The same for each part, parts beside each other within a method's row."""
    facets = _facets(cells)
    methods = [m for m in _by_cost(cells) if m != baseline]
    parts = list(dict.fromkeys(named(cell) for cell in cells))
    figure = _grid(facets, shared_y=True)
    for number, key in enumerate(facets):
        for cell in _of(cells, key):
            if cell.method != baseline:
                _interval_point(figure, number, f"{cell.method}, {named(cell)}", cell, hues[cell.method])
        figure.add_vline(x=0, line={"color": BASELINE, "width": 1}, row=1 + number // 2, col=1 + number % 2)
    rows = [f"{method}, {part}" for method in methods for part in parts]
    figure.update_yaxes(categoryorder="array", categoryarray=rows[::-1])
    return _finish(figure, facets, ROW_PX * len(rows), "d, cents per contract")


def frontier(cells: Sequence[Cell], hues: Mapping[str, str]) -> Figure:
    """Fill before the closing leg against cost."""
    facets = _facets(cells)
    figure = _grid(facets)
    for number, key in enumerate(facets):
        row, col = 1 + number // 2, 1 + number % 2
        members = _of(cells, key)
        best = _unbeaten(members)
        line = {"color": "#9fb0c0", "width": 1, "dash": "dot"}
        figure.add_trace(
            Scatter(
                x=[float(c.shortfall) for c in best],
                y=[float(c.fill_before_close) for c in best],
                mode="lines",
                line=line,
                hoverinfo="skip",
                showlegend=False,
            ),
            row=row,
            col=col,
        )
        for cell in members:
            figure.add_trace(
                Scatter(
                    x=[float(cell.shortfall)],
                    y=[float(cell.fill_before_close)],
                    error_x=_errors([(cell.delta, cell.delta_low, cell.delta_high)]),
                    mode="markers",
                    marker={"size": 11, "color": hues[cell.method], "line": {"width": 1, "color": "#fff"}},
                    name=cell.method,
                    legendgroup=cell.method,
                    showlegend=number == 0,
                    hovertemplate="%{fullData.name}<br>cost %{x:.2f} c<br>fill* %{y:.0%}<extra></extra>",
                ),
                row=row,
                col=col,
            )
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return _finish(
        figure, facets, FACET_MIN_PX, "all-in cost, cents per contract", "filled before the close", legend=True
    )


def limits(
    cells: Sequence[Cell], more: Mapping[tuple[str, str, str, int, str], Paired], hues: Mapping[str, str]
) -> Figure:
    """A bar for each method from the physical limit up; the best price in hindsight as a line."""
    facets = _facets(cells)
    methods = _by_cost(cells)
    figure = _grid(facets, shared_y=True)
    for number, key in enumerate(facets):
        row, col = 1 + number // 2, 1 + number % 2
        members = {cell.method: cell for cell in _of(cells, key)}
        names = [name for name in methods if name in members]
        bound = [float(members[name].bound) for name in names]
        figure.add_trace(
            Bar(
                orientation="h",
                y=names,
                base=bound,
                x=[float(members[name].shortfall) - low for name, low in zip(names, bound, strict=True)],
                customdata=[[float(members[name].shortfall)] for name in names],
                marker={"color": [hues[name] for name in names]},
                showlegend=False,
                hovertemplate="%{y}<br>cost %{customdata[0]:.2f} c, %{x:.2f} c above the limit<extra></extra>",
            ),
            row=row,
            col=col,
        )
        hindsight = next((p for c in members.values() if (p := more.get((c.product, c.tape, *key, c.method)))), None)
        if hindsight is not None:
            figure.add_vline(
                x=float(hindsight.static),
                line={"color": INK, "width": 1, "dash": "dash"},
                row=row,
                col=col,
            )
    figure.update_yaxes(categoryorder="array", categoryarray=methods[::-1])
    return _finish(figure, facets, ROW_PX * len(methods), "cents per contract")


def spreads(costs: Mapping[tuple[str, int, str], Spread], hues: Mapping[str, str], axis: str) -> Figure:
    """A box for each method: middle half, median, and whiskers from the 5th to the 95th of 100."""
    facets = list(dict.fromkeys((quantity, horizon) for quantity, horizon, _ in costs))
    methods = list(dict.fromkeys(method for *_, method in costs))
    figure = _grid(facets, shared_y=True)
    for number, (quantity, horizon) in enumerate(facets):
        for method in methods:
            seen = costs[quantity, horizon, method]
            figure.add_trace(
                Box(
                    orientation="h",
                    y=[method],
                    lowerfence=[seen.p05],
                    q1=[seen.p25],
                    median=[seen.p50],
                    q3=[seen.p75],
                    upperfence=[seen.p95],
                    mean=[seen.mean],
                    line={"color": hues[method], "width": 1.5},
                    name=method,
                    showlegend=False,
                ),
                row=1 + number // 2,
                col=1 + number % 2,
            )
    figure.update_yaxes(categoryorder="array", categoryarray=methods[::-1])
    return _finish(figure, facets, ROW_PX * len(methods), axis)


def buckets(found: Sequence[Bucket]) -> Figure:
    """Differences as a map: a row for each bucket, quantity and horizon, a column for each method; blue is cheaper. A
    star: below 5 % after Holm's adjustment."""
    kinds = list(dict.fromkeys(b.kind for b in found))
    figure = make_subplots(rows=len(kinds), cols=1, subplot_titles=kinds, vertical_spacing=0.12, shared_xaxes=True)
    widest = max(abs(Decimal(b.delta)) for b in found)
    rows = 0
    for number, kind in enumerate(kinds, 1):
        members = [b for b in found if b.kind == kind]
        labels = list(dict.fromkeys(_bucket_row(b) for b in members))
        methods = list(dict.fromkeys(b.method for b in members))
        at = {(_bucket_row(b), b.method): b for b in members}
        cells = [[at.get((label, method)) for method in methods] for label in labels]
        figure.add_trace(
            Heatmap(
                x=methods,
                y=labels,
                z=[[None if b is None else float(b.delta) for b in row] for row in cells],
                text=[["" if b is None else _starred(b) for b in row] for row in cells],
                texttemplate="%{text}",
                colorscale="RdBu_r",
                zmid=0,
                zmin=-float(widest),
                zmax=float(widest),
                showscale=False,
                hovertemplate="%{x}<br>%{y}<br>d %{z:+.2f} c<extra></extra>",
                xgap=1,
                ygap=1,
            ),
            row=number,
            col=1,
        )
        figure.update_yaxes(autorange="reversed", row=number, col=1)
        rows += len(labels)
    return apply_theme(figure, height=ROW_PX * rows + 260, legend=False)


def _bucket_row(bucket: Bucket) -> str:
    return f"{bucket.quantity} in {bucket.horizon} s, {bucket.bucket}"


def _starred(bucket: Bucket) -> str:
    sure = bucket.p_holm is not None and Decimal(bucket.p_holm) < SURE
    return f"{signed(bucket.delta)}{' *' if sure else ''}"


def _interval_point(figure: Figure, number: int, row: str, cell: Cell, hue: str) -> None:
    figure.add_trace(
        Scatter(
            x=[float(cell.delta)],
            y=[row],
            error_x=_errors([(cell.delta, cell.delta_low, cell.delta_high)]),
            mode="markers",
            marker={"color": hue, "size": 8},
            name=cell.method,
            showlegend=False,
            hovertemplate="%{y}<br>d %{x:+.3f} c<extra></extra>",
        ),
        row=1 + number // 2,
        col=1 + number % 2,
    )


def _errors(found: Sequence[tuple[str, str | None, str | None]]) -> dict[str, object]:
    """Whiskers from (value, low, high); none where there is no interval."""
    up = [float(Decimal(high) - Decimal(value)) if high is not None else 0 for value, _, high in found]
    down = [float(Decimal(value) - Decimal(low)) if low is not None else 0 for value, low, _ in found]
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down, "thickness": 1.5, "width": 3}


def _facets(cells: Sequence[Cell]) -> list[Key]:
    return list(dict.fromkeys((cell.quantity, cell.horizon) for cell in cells))


def _of(cells: Sequence[Cell], key: Key) -> list[Cell]:
    return [cell for cell in cells if (cell.quantity, cell.horizon) == key]


def _by_cost(cells: Sequence[Cell]) -> list[str]:
    """Cheapest first, by the mean over the cells."""
    costs: dict[str, list[Decimal]] = {}
    for cell in cells:
        costs.setdefault(cell.method, []).append(Decimal(cell.shortfall))
    return sorted(costs, key=lambda name: (sum(costs[name]) / len(costs[name]), name))


def _unbeaten(cells: Sequence[Cell]) -> list[Cell]:
    """Those that no other beats on both cost and fill, by cost."""
    ordered = sorted(cells, key=lambda c: (Decimal(c.shortfall), -Decimal(c.fill_before_close)))
    best: list[Cell] = []
    for cell in ordered:
        if not best or Decimal(cell.fill_before_close) > Decimal(best[-1].fill_before_close):
            best.append(cell)
    return best


def _grid(facets: Sequence[Key], *, shared_y: bool = False) -> Figure:
    """Two facets beside each other."""
    columns = min(2, len(facets))
    rows = -(-len(facets) // 2)
    titles = [f"{quantity} contracts, {horizon} s" for quantity, horizon in facets]
    spacing = {"vertical_spacing": min(0.16, 0.5 / rows), "horizontal_spacing": 0.04 if shared_y else 0.09}
    return make_subplots(rows=rows, cols=columns, subplot_titles=titles, shared_yaxes=shared_y, **spacing)


def _finish(
    figure: Figure, facets: Sequence[Key], inner_px: int, x: str, y: str | None = None, *, legend: bool = False
) -> Figure:
    rows = -(-len(facets) // 2)
    figure.update_xaxes(title_text=x, row=rows)
    if y is not None:
        figure.update_yaxes(title_text=y, col=1)
    figure = apply_theme(figure, height=rows * (max(inner_px, 120) + 70) + 60 + (90 if legend else 0), legend=legend)
    if legend:
        figure.update_layout(legend={"y": 1.1}, margin={"t": 90})
    return figure
