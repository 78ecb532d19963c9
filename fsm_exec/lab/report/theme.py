"""The theme of all figures: fonts, grid, and colours that the colour-blind can distinguish (Okabe and Ito's)."""

from __future__ import annotations

from collections.abc import Iterable

from plotly.graph_objects import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F6000", "#6A51A3", "#8C510A", "#01665E")
BASELINE = "#5C6B7A"
INK, FAINT = "#1c2733", "#e4e9ee"

DARK = {
    # Ground, ink and grids, those of the library's white template among them.
    **dict.fromkeys(("#fff", "#ffffff", "white"), "#151a21"),
    **dict.fromkeys(("#1c2733", "#111111", "#2a3f5f"), "#dde3ea"),
    **dict.fromkeys(("#e4e9ee", "#ebf0f8", "#dfe8f3", "#c8d4e3", "#e5ecf6"), "#2a323d"),
    "#9fb0c0": "#4a5564",
    **dict.fromkeys(("#52606d", "#5c6b7a", "#6b7785"), "#9fb0c0"),
    "rgba(255,255,255,.8)": "rgba(21,26,33,.8)",
    "rgba(40,50,60,.5)": "rgba(200,210,220,.5)",
    # Methods, parts and ends.
    "#0072b2": "#4aa8e0",
    "#d55e00": "#f0803c",
    "#009e73": "#2fbf96",
    "#7f6000": "#c9a227",
    "#6a51a3": "#a893e0",
    "#8c510a": "#cf8f45",
    "#01665e": "#35a99c",
    "#56789a": "#7396b8",
    "#a4452c": "#d9694a",
    "#3e8e6e": "#4fae88",
    # The book: the ground where little rests, and brighter where more does.
    "#0b5c94": "#6db6e8",
    "#b5490a": "#f0a06c",
    "#edf4fa": "#17232e",
    "#a9cce6": "#24506f",
    "#4a8fc0": "#4a8fc0",
    "#fcf1e8": "#2a1f18",
    "#f5c5a0": "#70462a",
    "#dd8142": "#d07a40",
    # States, ends and troubles.
    "#dfe3e8": "#3a4350",
    "#b9c2cc": "#4d5866",
    "#8fb8de": "#2f5f8f",
    "#f0a3a3": "#8a3a3a",
    "#7cc4a4": "#2c6e54",
    "#f2b56a": "#8a5a1c",
    "#c3b1e1": "#5c4a85",
    "#c1121f": "#ff6b6b",
    "#1b7f5c": "#3fbf90",
    # The library's scale from red over white to blue, whose middle is the ground and whose ends are bright.
    "rgb(103,0,31)": "rgb(255,140,120)",
    "rgb(178,24,43)": "rgb(235,110,90)",
    "rgb(244,165,130)": "rgb(150,82,62)",
    "rgb(253,219,199)": "rgb(92,60,50)",
    "rgb(247,247,247)": "rgb(38,45,55)",
    "rgb(209,229,240)": "rgb(46,70,90)",
    "rgb(146,197,222)": "rgb(60,110,145)",
    "rgb(33,102,172)": "rgb(90,170,230)",
    "rgb(5,48,97)": "rgb(130,195,245)",
    "rgba(193,18,31,.13)": "rgba(255,107,107,.2)",
    "rgba(27,127,92,.15)": "rgba(63,191,144,.2)",
}
"""What takes a colour's place where the reader's scheme is dark; others are seen on both grounds."""


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
