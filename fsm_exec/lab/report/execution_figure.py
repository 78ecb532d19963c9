"""The picture of one execution: book and orders, states, and what was filled, over one time axis.

Everything is placed by integers; they become floats only here, as seconds since acceptance and cents.
"""

from __future__ import annotations

from collections.abc import Sequence

from plotly.graph_objects import Bar, Figure, Scatter
from plotly.subplots import make_subplots

from fsm_exec.core.values.units import CountE2
from fsm_exec.lab.report.execution_books import Books
from fsm_exec.lab.report.execution_frame import BOOK_PX, Frame, Line, frame_of, lines_of, spread
from fsm_exec.lab.report.execution_heat import draw_book
from fsm_exec.lab.report.execution_marks import draw_fills, draw_marks, draw_orders, draw_walks
from fsm_exec.lab.report.execution_rows import Row, rows_of
from fsm_exec.lab.report.formatting import size, utc
from fsm_exec.lab.report.theme import INK, apply_theme
from fsm_exec.lab.report.timeline import Timeline

TROUBLE, FILLED, QUIET = "#c1121f", "#1b7f5c", "#6b7785"
STATE_COLOURS = {
    "pending": "#dfe3e8",
    "split": "#b9c2cc",
    "walking": "#8fb8de",
    "intended": "#dfe3e8",
    "unknown": "#f0a3a3",
    "resting": "#8fb8de",
    "partial": "#7cc4a4",
    "cancelling": "#f2b56a",
    "settling": "#c3b1e1",
}
ENDS = {"filled": ("circle", FILLED), "cancelled": ("square", QUIET), "rejected": ("x", TROUBLE)}
ROW_PX, FILLED_PX = 20, 100
TOP_PX, BOTTOM_PX, RIGHT_PX = 80, 120, 135


def execution_figure(story: Timeline, books: Books) -> Figure:
    """Book, states and fills above one another; hover shows UTC."""
    frame = frame_of(story, books)
    rows = rows_of(story)
    rows_px = ROW_PX * (len(rows) + 1)
    drawn_px = BOOK_PX + rows_px + FILLED_PX
    figure = make_subplots(
        rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.025, row_heights=[BOOK_PX, rows_px, FILLED_PX]
    )
    draw_book(figure, books, frame, (BOTTOM_PX - 15) / drawn_px)
    draw_orders(figure, story, frame)
    draw_marks(figure, story, frame)
    draw_fills(figure, story, frame)
    draw_walks(figure, story, frame)  # over the fills, whose circles would hide them
    _draw_rows(figure, rows, frame)
    _draw_filled(figure, story, frame)
    for line, label_e4 in spread(lines_of(story), frame):
        _draw_line(figure, line, label_e4, frame)
    _draw_moments(figure, story, frame)
    apply_theme(figure, height=drawn_px + TOP_PX + BOTTOM_PX)
    figure.update_layout(
        margin={"l": 75, "r": RIGHT_PX, "t": TOP_PX, "b": BOTTOM_PX},
        barmode="overlay",
        bargap=0.2,
        uniformtext={"minsize": 9, "mode": "hide"},
        hovermode="closest",
        legend={"y": 1 + 8 / drawn_px, "font": {"size": 11}},
    )
    figure.update_xaxes(
        range=[frame.seconds(frame.from_us), frame.seconds(frame.until_us)], showgrid=False, zeroline=False
    )
    figure.update_xaxes(title_text="seconds since acceptance", row=3, col=1)
    figure.update_yaxes(
        title_text=f"{story.execution.outcome.upper()} price, cents",
        range=[frame.low_e4 / 100, frame.high_e4 / 100],
        showgrid=False,
        row=1,
        col=1,
    )
    return figure


def _draw_rows(figure: Figure, rows: Sequence[Row], frame: Frame) -> None:
    """States as bars, the execution's at the top; how each order ended as a mark at its end."""
    for state, colour in STATE_COLOURS.items():
        bars = [(n, owner, bar) for n, row in enumerate(rows) for owner, bar in row.bars if bar.state == state]
        if bars:
            figure.add_trace(
                Bar(
                    orientation="h",
                    base=[frame.seconds(bar.from_us) for _, _, bar in bars],
                    x=[(bar.until_us - bar.from_us) / 1e6 for _, _, bar in bars],
                    y=[-number for number, _, _ in bars],
                    width=0.8,  # of a row: left to itself it follows from how far apart the rows of this state are
                    marker={"color": colour, "line": {"width": 0.5, "color": "#ffffff"}},
                    name=f"state {state}",
                    showlegend=False,
                    text=[state for _ in bars],
                    textposition="inside",
                    insidetextanchor="start",
                    textangle=0,
                    textfont={"size": 10, "color": INK},
                    customdata=[f"{owner}<br>{utc(bar.from_us)} to {utc(bar.until_us)}" for _, owner, bar in bars],
                    hovertemplate=f"{state}<br>%{{customdata}}<extra></extra>",
                ),
                row=2,
                col=1,
            )
    ends = [(number, end) for number, row in enumerate(rows) for end in row.ends]
    if ends:
        figure.add_trace(
            Scatter(
                x=[frame.seconds(end.at_us) for _, end in ends],
                y=[-number for number, _ in ends],
                mode="markers",
                marker={
                    "symbol": [ENDS[end.state][0] for _, end in ends],
                    "color": [ENDS[end.state][1] for _, end in ends],
                    "size": 9,
                    "line": {"width": 1, "color": "#ffffff"},
                },
                name="ends",
                showlegend=False,
                text=[f"{end.owner}: {end.state}<br>{utc(end.at_us)}" for _, end in ends],
                hovertemplate="%{text}<extra></extra>",
            ),
            row=2,
            col=1,
        )
    figure.update_yaxes(
        tickvals=[-number for number in range(len(rows))],
        ticktext=[row.label for row in rows],
        range=[0.4 - len(rows), 0.6],
        showgrid=False,
        zeroline=False,
        tickfont={"size": 11},
        row=2,
        col=1,
    )


def _draw_filled(figure: Figure, story: Timeline, frame: Frame) -> None:
    target = story.execution.target_e2
    points = [(story.from_us, 0)]
    for fill in story.execution.fills:
        points.append((fill.traded_at_us, points[-1][1] + fill.count_e2))
    points.append((max(story.until_us, points[-1][0]), points[-1][1]))
    figure.add_trace(
        Scatter(
            x=[frame.seconds(at_us) for at_us, _ in points],
            y=[count / 100 for _, count in points],
            mode="lines",
            line={"shape": "hv", "color": FILLED, "width": 2},
            fill="tozeroy",
            fillcolor="rgba(27,127,92,.15)",
            name="filled",
            showlegend=False,
            text=[f"{size(CountE2(count))} filled<br>{utc(at_us)}" for at_us, count in points],
            hovertemplate="%{text}<extra></extra>",
        ),
        row=3,
        col=1,
    )
    most = max(target, points[-1][1])
    figure.update_yaxes(title_text="filled", range=[0, most * 1.2 / 100], nticks=4, row=3, col=1)
    figure.add_hline(y=target / 100, line={"color": QUIET, "width": 1, "dash": "dash"}, row=3, col=1)
    _name(figure, f"target {size(target)}", target / 100, QUIET, "3")


def _draw_line(figure: Figure, line: Line, label_e4: int, frame: Frame) -> None:
    """The line, if it is within the picture; its name beside it, moved up or down where names would overlap."""
    arrow = ""
    if frame.shows(line.price_e4):
        style = {"color": line.colour, "width": 1.2, "dash": line.dash}
        figure.add_hline(y=line.price_e4 / 100, line=style, row=1, col=1)
    else:
        arrow = " ↑" if line.price_e4 > frame.high_e4 else " ↓"
    _name(figure, f"{line.name} {line.text}{arrow}", label_e4 / 100, line.colour, "")


def _name(figure: Figure, text: str, y: float, colour: str, axis: str) -> None:
    figure.add_annotation(
        text=text,
        x=1.006,
        xref=f"x{axis} domain",
        y=y,
        yref=f"y{axis}",
        xanchor="left",
        showarrow=False,
        font={"size": 11, "color": colour},
    )


def _draw_moments(figure: Figure, story: Timeline, frame: Frame) -> None:
    """Vertical lines through all three; their names at the top, one below another where they would overlap."""
    execution = story.execution
    shown = [(story.from_us, "accepted", QUIET), *((moment.at_us, moment.text, QUIET) for moment in story.moments)]
    if frame.from_us <= execution.deadline_us <= frame.until_us:
        shown.append((execution.deadline_us, "deadline", TROUBLE))
    near_us = (frame.until_us - frame.from_us) // 100  # closer than that two lines are one
    if execution.is_ended and abs(story.until_us - execution.deadline_us) > near_us:
        shown.append((story.until_us, execution.state, QUIET))
    for at_us, _, colour in shown:
        line = {"color": colour, "width": 1, "dash": "dash"}
        figure.add_vline(x=frame.seconds(at_us), line=line, row="all", col=1)
    for outage in story.outages:
        figure.add_vrect(
            x0=frame.seconds(outage.from_us),
            x1=frame.seconds(outage.until_us),
            fillcolor="rgba(193,18,31,.13)",
            line={"color": TROUBLE, "width": 0.7},
            row="all",
            col=1,
        )
        shown.append(((outage.from_us + outage.until_us) // 2, "nobody at work", TROUBLE))
    apart_us = (frame.until_us - frame.from_us) // 10
    last_us: list[int] = []  # where the last name of each height stands
    for at_us, text, colour in sorted(shown):
        height = next((n for n, used_us in enumerate(last_us) if at_us - used_us >= apart_us), len(last_us))
        last_us[height : height + 1] = [at_us]
        figure.add_annotation(
            text=text,
            x=frame.seconds(at_us),
            y=frame.high_e4 / 100,
            yanchor="top",
            yshift=-2 - 16 * height,
            showarrow=False,
            font={"size": 11, "color": INK if colour == QUIET else colour},
            bgcolor="rgba(255,255,255,.8)",
            row=1,
            col=1,
        )
