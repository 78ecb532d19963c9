"""Our own doings on the book: orders as lines, walks, cancels, troubles and fills as marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from plotly.graph_objects import Figure, Scatter

from fsm_exec.core.execution.describe import short_id
from fsm_exec.core.execution.execution import Fill
from fsm_exec.core.values.units import format_money
from fsm_exec.lab.report.escaping import escape
from fsm_exec.lab.report.execution_frame import Frame
from fsm_exec.lab.report.formatting import cents, size, utc
from fsm_exec.lab.report.theme import INK
from fsm_exec.lab.report.timeline import Stand, Timeline, Walk

MAKER, TAKER, TROUBLE, QUIET = "#00c08b", "#ffd400", "#c1121f", "#6b7785"
WIDTHS: Final = (2.0, 3.0, 4.0, 5.5)  # by quarters of the target that are left
MARKS: Final = {
    "cancel sent": ("x-thin-open", "cancel sent", QUIET, 8),
    "cancel answered": ("x-thin-open", "cancel answered", INK, 9),
    "trouble": ("hexagram", "refused, lost or in doubt", TROUBLE, 11),
}


def draw_orders(figure: Figure, story: Timeline, frame: Frame) -> None:
    """Solid and thicker the more is left where an order was known to rest; dotted where it was not known."""
    target = story.execution.target_e2
    named = False
    for number, width in enumerate(WIDTHS):
        stands = [
            stand
            for stand in story.stands
            if stand.sure and min(len(WIDTHS), max(1, -(-stand.remaining_e2 * len(WIDTHS) // target))) == number + 1
        ]
        if stands:
            _draw_stands(figure, stands, frame, "our orders (thick: much left)", width, "solid", first=not named)
            named = True
    doubtful = [stand for stand in story.stands if not stand.sure]
    if doubtful:
        _draw_stands(figure, doubtful, frame, "on its way, or in doubt", 2.0, "2px,3px", first=True)


def _draw_stands(
    figure: Figure, stands: Sequence[Stand], frame: Frame, name: str, width: float, dash: str, *, first: bool
) -> None:
    xs: list[float | None] = []
    ys: list[float | None] = []
    texts: list[str] = []
    for stand in stands:
        what = f"order {short_id(stand.client_order_id)}: {size(stand.remaining_e2)} left at {cents(stand.price_e4)}"
        text = f"{what}<br>{utc(stand.from_us)} to {utc(stand.until_us)}"
        for at_us in (stand.from_us, (stand.from_us + stand.until_us) // 2, stand.until_us):
            xs.append(frame.seconds(at_us))
            ys.append(stand.price_e4 / 100)
            texts.append(text)
        xs.append(None)
        ys.append(None)
        texts.append("")
    figure.add_trace(
        Scatter(
            x=xs,
            y=ys,
            mode="lines",
            line={"color": INK, "width": width, "dash": dash},
            name=name,
            legendgroup=name,
            showlegend=first,
            text=texts,
            hovertemplate="%{text}<extra></extra>",
        ),
        row=1,
        col=1,
    )


def draw_walks(figure: Figure, story: Timeline, frame: Frame) -> None:
    """A line from the old price to the new one, and a triangle at the new one."""
    if not story.walks:
        return
    xs: list[float | None] = []
    ys: list[float | None] = []
    for walk in story.walks:
        at = frame.seconds(walk.at_us)
        xs += [at, at, None]
        ys += [walk.from_e4 / 100, walk.to_e4 / 100, None]
    line = {"color": INK, "width": 1}
    joins = Scatter(
        x=xs, y=ys, mode="lines", line=line, name="joins", legendgroup="walks", showlegend=False, hoverinfo="skip"
    )
    figure.add_trace(joins, row=1, col=1)
    figure.add_trace(
        Scatter(
            x=[frame.seconds(walk.at_us) for walk in story.walks],
            y=[walk.to_e4 / 100 for walk in story.walks],
            mode="markers",
            marker={
                "symbol": ["triangle-up" if walk.to_e4 > walk.from_e4 else "triangle-down" for walk in story.walks],
                "size": 9,
                "color": "#ffffff",
                "line": {"width": 1.5, "color": INK},
            },
            name="walks",
            legendgroup="walks",
            text=[_walk_text(walk) for walk in story.walks],
            hovertemplate="%{text}<extra>walk</extra>",
        ),
        row=1,
        col=1,
    )


def _walk_text(walk: Walk) -> str:
    asked = "not asked for by us" if walk.asked_at_us is None else f"asked for at {utc(walk.asked_at_us)}"
    prices = f"{cents(walk.from_e4)} to {cents(walk.to_e4)}"
    return f"order {short_id(walk.client_order_id)}: {prices}<br>{utc(walk.at_us)}, {asked}"


def draw_marks(figure: Figure, story: Timeline, frame: Frame) -> None:
    for kind, (symbol, name, colour, pixels) in MARKS.items():
        marks = [mark for mark in story.marks if mark.kind == kind]
        if marks:
            figure.add_trace(
                Scatter(
                    x=[frame.seconds(mark.at_us) for mark in marks],
                    y=[mark.price_e4 / 100 for mark in marks],
                    mode="markers",
                    marker={"symbol": symbol, "size": pixels, "color": colour, "line": {"width": 2, "color": colour}},
                    name=name,
                    text=[f"{escape(mark.text)}<br>{utc(mark.at_us)}" for mark in marks],
                    hovertemplate="%{text}<extra></extra>",
                ),
                row=1,
                col=1,
            )


def draw_fills(figure: Figure, story: Timeline, frame: Frame) -> None:
    """Circles whose area is the count; makers and takers in two colours."""
    fills = story.execution.fills
    most = max((fill.count_e2 for fill in fills), default=1)
    for is_taker, name, colour in ((False, "fills, maker", MAKER), (True, "fills, taker", TAKER)):
        some = [fill for fill in fills if fill.is_taker == is_taker]
        if some:
            figure.add_trace(
                Scatter(
                    x=[frame.seconds(fill.traded_at_us) for fill in some],
                    y=[fill.price_e4 / 100 for fill in some],
                    mode="markers",
                    marker={
                        "size": [round(max(7.0, 22 * math.sqrt(fill.count_e2 / most)), 1) for fill in some],
                        "color": colour,
                        "opacity": 0.85,
                        "line": {"width": 1.5, "color": INK},
                    },
                    name=name,
                    text=[_fill_text(fill) for fill in some],
                    hovertemplate="%{text}<extra>" + name + "</extra>",
                ),
                row=1,
                col=1,
            )


def _fill_text(fill: Fill) -> str:
    paid = f"{size(fill.count_e2)} at {cents(fill.price_e4)}, fee ${format_money(fill.fee_e6)}"
    return f"{paid}<br>{utc(fill.traded_at_us)}"
