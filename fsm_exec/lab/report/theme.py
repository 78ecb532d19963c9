"""The theme of all figures: fonts, grid, and colours that the colour-blind can distinguish (Okabe and Ito's)."""

from __future__ import annotations

from collections.abc import Iterable

from plotly.graph_objects import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F6000", "#6A51A3", "#8C510A", "#01665E")
BASELINE = "#5C6B7A"
INK, FAINT = "#1c2733", "#e4e9ee"


def colours(methods: Iterable[str], baseline: str | None = None) -> dict[str, str]:
    """One for each method, the same on the whole page; the baseline is grey."""
    others = [name for name in methods if name != baseline]
    found = {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(others)}
    return found if baseline is None else {baseline: BASELINE, **found}


def apply_theme(figure: Figure, *, height: int, legend: bool = True) -> Figure:
    """The common looks, on a finished figure; returns it."""
    figure.update_layout(
        template="plotly_white",
        height=height,
        margin={"l": 60, "r": 20, "t": 52, "b": 50},
        font={"family": "system-ui, sans-serif", "size": 13, "color": INK},
        showlegend=legend,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.01, "x": 0},
        hoverlabel={"font": {"size": 12}},
    )
    figure.update_xaxes(gridcolor=FAINT, zerolinecolor="#9fb0c0", automargin=True)
    figure.update_yaxes(gridcolor=FAINT, zerolinecolor="#9fb0c0", automargin=True)
    return figure
