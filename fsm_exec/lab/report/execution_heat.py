"""The book over time as two heat maps, bids and asks, with its best prices as lines. A gap stays a gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from plotly.graph_objects import Figure, Heatmap, Scatter

from fsm_exec.core.market.book import Ladder
from fsm_exec.core.values.units import CountE2
from fsm_exec.lab.report.execution_books import Books, Column
from fsm_exec.lab.report.execution_frame import Frame
from fsm_exec.lab.report.formatting import cents, size, utc

BID, ASK, MID = "#0b5c94", "#b5490a", "#5c6b7a"
BID_SCALE: Final = ((0, "#edf4fa"), (0.5, "#a9cce6"), (1, "#4a8fc0"))
ASK_SCALE: Final = ((0, "#fcf1e8"), (0.5, "#f5c5a0"), (1, "#dd8142"))


def draw_book(figure: Figure, books: Books, frame: Frame, below: float) -> None:
    """`below`: how far under the plots the scales of colour lie, as a share of the plots' height."""
    sizes = [c for column in books.columns for side in column[2:] for p, c in side if frame.shows(p)]
    top = max(1.0, math.log10(max(sizes, default=100) / 100))
    for name, scale, x in (("bids", BID_SCALE, 0.0), ("asks", ASK_SCALE, 0.3)):
        heat, texts, edges = _cells(books.columns, name == "bids", frame)
        if not heat or not heat[0]:
            continue
        ticks = list(range(int(top) + 1))
        figure.add_trace(
            Heatmap(
                x=edges,
                y=[edge / 100 for edge in frame.edges_e4],
                z=heat,
                text=texts,
                hovertemplate=f"%{{text}}<extra>{name}</extra>",
                hoverongaps=False,
                colorscale=scale,
                zmin=0,
                zmax=top,
                name=name,
                colorbar={
                    "orientation": "h",
                    "thickness": 8,
                    "len": 0.25,
                    "x": x,
                    "xanchor": "left",
                    "y": -below,
                    "yanchor": "bottom",
                    "title": {"text": f"{name}, contracts", "side": "top", "font": {"size": 11}},
                    "tickvals": ticks,
                    "ticktext": [f"{10**tick:,}" for tick in ticks],
                    "tickfont": {"size": 10},
                    "outlinewidth": 0,
                },
            ),
            row=1,
            col=1,
        )
    touches = [(touch.at_us, touch.bid_e4, touch.ask_e4) for touch in books.touches]
    _step_line(figure, frame, "best bid", [(at, None if bid is None else bid / 100) for at, bid, _ in touches], BID)
    _step_line(figure, frame, "best ask", [(at, None if ask is None else ask / 100) for at, _, ask in touches], ASK)
    mids = [(at, None if bid is None or ask is None else (bid + ask) / 200) for at, bid, ask in touches]
    _step_line(figure, frame, "mid", mids, MID, "dot")
    trades = [trade for trade in books.trades if frame.shows(trade.price_e4)]
    if trades:
        figure.add_trace(
            Scatter(
                x=[frame.seconds(trade.at_us) for trade in trades],
                y=[trade.price_e4 / 100 for trade in trades],
                mode="markers",
                marker={"size": 4, "color": "rgba(40,50,60,.5)"},
                name="trades of others",
                text=[f"{size(t.count_e2)} at {cents(t.price_e4)}<br>{utc(t.at_us)}" for t in trades],
                hovertemplate="%{text}<extra>trade</extra>",
            ),
            row=1,
            col=1,
        )


def _cells(
    columns: Sequence[Column], bids: bool, frame: Frame
) -> tuple[list[list[float | None]], list[list[str]], list[float]]:
    """Rows by price, columns by time with an empty one for each gap; and the columns' edges in seconds."""
    edges_us: list[int] = []
    sides: list[tuple[int, Ladder]] = []
    for column in columns:
        if not edges_us:
            edges_us.append(column.from_us)
        elif edges_us[-1] != column.from_us:
            sides.append((edges_us[-1], ()))
            edges_us.append(column.from_us)
        sides.append((column.from_us, column.bids if bids else column.asks))
        edges_us.append(column.until_us)
    heat: list[list[float | None]] = [[None] * len(sides) for _ in frame.prices_e4]
    texts = [[""] * len(sides) for _ in frame.prices_e4]
    for number, (from_us, side) in enumerate(sides):
        sums: dict[int, int] = {}
        for price, count in side:
            if frame.shows(price):
                row = frame.row(price)
                sums[row] = sums.get(row, 0) + count
        for row, total in sums.items():
            heat[row][number] = round(max(0.0, math.log10(total / 100)), 3)
            texts[row][number] = f"{size(CountE2(total))} at {cents(frame.prices_e4[row])}<br>{utc(from_us)}"
    return heat, texts, [frame.seconds(edge) for edge in edges_us]


def _step_line(
    figure: Figure,
    frame: Frame,
    name: str,
    points: Sequence[tuple[int, float | None]],
    colour: str,
    dash: str = "solid",
) -> None:
    """A value that stands until the next point; None breaks the line there."""
    xs: list[float] = []
    ys: list[float | None] = []
    for at_us, value in points:
        at = frame.seconds(at_us)
        if ys and ys[-1] is not None:
            xs.append(at)  # what stood before stands until here
            ys.append(ys[-1])
        if value is not None or (ys and ys[-1] is not None):
            xs.append(at)
            ys.append(value)
    if any(y is not None for y in ys):
        figure.add_trace(
            Scatter(
                x=xs,
                y=ys,
                mode="lines",
                line={"color": colour, "width": 1.3, "dash": dash},
                name=name,
                hoverinfo="skip",
            ),
            row=1,
            col=1,
        )
