"""The picture of an execution: its book as a heat map, our orders, walks and fills on it, states and fills below, all
over one axis of time. Drawn by the server as SVG, so it needs no script and follows the light and the dark.

Everything is placed by integers; they become floats only as points of the drawing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from markupsafe import Markup

from fsm_exec.core.execution.describe import short_id
from fsm_exec.core.execution.execution import Fill
from fsm_exec.core.values.units import US_PER_S, CountE2, MoneyE6, PriceE4
from fsm_exec.lab.report.execution_books import Books
from fsm_exec.lab.report.execution_frame import Frame, lines_of
from fsm_exec.lab.report.execution_rows import Row, rows_of
from fsm_exec.lab.report.timeline import Stand, Timeline
from fsm_exec.web.execution.figures import clock, count, duration, money, price
from fsm_exec.web.execution.heat_image import heat_image
from fsm_exec.web.execution.svg import apart, element, nice_step, steps, text

WIDTH, LEFT, RIGHT, TOP = 1_000.0, 44.0, 124.0, 34.0
BOOK, ROW, FILLED, SPACE, AXIS = 330.0, 17.0, 56.0, 12.0, 30.0
LABEL_PX: Final = 14.0
ROWS_MAX: Final = 14
TITLED_MAX: Final = 400
"""Beyond that many marks of a kind are drawn as one, without a text each."""
TOGETHER_PX: Final = 4.0
"""Fills beyond that many are drawn together where they lie this near."""
CHARACTER_PX: Final = 6.4
SECOND_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400)
CENT_STEPS: Final = (1, 2, 5, 10, 20)
WIDTHS: Final = (1.6, 2.4, 3.4, 4.8)  # by quarters of the target that are left


class Scene(NamedTuple):
    """What is drawn: the part of time and price is `frame`'s, what is known ends at `now_us`. `is_past`: it is a
    moment in the past, and more happened later."""

    story: Timeline
    books: Books
    frame: Frame
    now_us: int
    is_past: bool


class _Plot:
    """Turns times and prices into points."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.frame = scene, scene.frame
        self.right = WIDTH - RIGHT
        self.bottom = TOP + BOOK

    def x(self, at_us: int) -> float:
        frame = self.frame
        span = frame.until_us - frame.from_us
        return LEFT + (min(max(at_us, frame.from_us), frame.until_us) - frame.from_us) / span * (self.right - LEFT)

    def y(self, price_e4: int) -> float:
        frame = self.frame
        return self.bottom - (price_e4 - frame.low_e4) / (frame.high_e4 - frame.low_e4) * BOOK


def draw_picture(scene: Scene, name: str) -> Markup:
    """Draw it; `name` tells it to whoever does not see it."""
    plot = _Plot(scene)
    rows = rows_of(scene.story)[:ROWS_MAX]
    states_at = plot.bottom + SPACE
    filled_at = states_at + ROW * len(rows) + SPACE
    height = filled_at + FILLED + AXIS
    parts = [
        element("rect", x=LEFT, y=TOP, width=plot.right - LEFT, height=BOOK, css="ground"),
        *_book(plot),
        *_price_axis(plot),
        *_outages(plot, filled_at + FILLED),
        *_lines(plot),
        *_touches(plot),
        *_stands(plot),
        *_fills(plot),
        *_walks(plot),
        *_marks(plot),
        *_rows(plot, rows, states_at),
        *_filled(plot, filled_at),
        *_time_axis(plot, filled_at + FILLED),
        *_moments(plot, filled_at + FILLED),
    ]
    return element(
        "svg",
        title=name,
        content=Markup("").join(parts),
        css="picture",
        role="img",
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
        width=WIDTH,
        height=height,
    )


def _book(plot: _Plot) -> Iterator[Markup]:
    image = heat_image(plot.scene.books.columns, plot.frame)
    if image:
        yield element(
            "image",
            href=image,
            x=LEFT,
            y=TOP,
            width=plot.right - LEFT,
            height=BOOK,
            preserveAspectRatio="none",
            css="heat",
        )


def _price_axis(plot: _Plot) -> Iterator[Markup]:
    low, high = plot.frame.low_e4, plot.frame.high_e4
    step = nice_step((high - low) // 100, 9, CENT_STEPS) * 100
    for price_e4 in range(-(-low // step) * step, high + 1, step):
        y = plot.y(price_e4)
        yield element("path", d=f"M{LEFT:.0f} {y:.1f}H{plot.right:.0f}", css="grid")
        yield text(LEFT - 6, y + 4, price(PriceE4(price_e4)), "tick", "end")


def _time_axis(plot: _Plot, y: float) -> Iterator[Markup]:
    frame = plot.frame
    first = (frame.from_us - frame.accepted_us) // US_PER_S
    last = (frame.until_us - frame.accepted_us) // US_PER_S
    step = nice_step(last - first, 10, SECOND_STEPS)
    yield element("path", d=f"M{LEFT:.0f} {y:.1f}H{plot.right:.0f}", css="axis")
    for second in range(-(-first // step) * step, last + 1, step):
        x = plot.x(frame.accepted_us + second * US_PER_S)
        yield element("path", d=f"M{x:.1f} {y:.1f}v4", css="axis")
        yield text(x, y + 16, _seconds(second), "tick", "middle")
    yield text(plot.right + 8, y + 16, "after acceptance", "tick")


def _seconds(second: int) -> str:
    sign, second = ("-" if second < 0 else ""), abs(second)
    if second < 120:
        return f"{sign}{second} s"
    if second < 7_200:
        return f"{sign}{second // 60}:{second % 60:02}"
    return f"{sign}{second // 3_600} h {second // 60 % 60:02}"


def _outages(plot: _Plot, bottom: float) -> Iterator[Markup]:
    for outage in plot.scene.story.outages:
        x, end = plot.x(outage.from_us), plot.x(outage.until_us)
        told = f"Nobody at work from {clock(outage.from_us)} to {clock(outage.until_us)}"
        yield element("rect", told, x=x, y=TOP, width=max(1.0, end - x), height=bottom - TOP, css="outage")


def _lines(plot: _Plot) -> Iterator[Markup]:
    """Prices that hold all the time, and their names beside the picture."""
    lines = lines_of(plot.scene.story)
    kinds = {"worst": "worst", "target = worst": "worst", "reservation": "worth"}
    within = [min(max(line.price_e4, plot.frame.low_e4), plot.frame.high_e4) for line in lines]
    places = apart([plot.y(price_e4) for price_e4 in within], LABEL_PX, TOP + 4, plot.bottom)
    for line, y in zip(lines, places, strict=True):
        kind = kinds.get(line.name, "level")
        arrow = ""
        if plot.frame.shows(line.price_e4):
            yield element("path", d=f"M{LEFT:.0f} {plot.y(line.price_e4):.1f}H{plot.right:.0f}", css=f"limit {kind}")
        else:
            arrow = " ↑" if line.price_e4 > plot.frame.high_e4 else " ↓"
        name = "limit" if kind == "worst" else line.name
        value = line.text.removesuffix("c").rstrip("0").removesuffix(".")
        yield text(plot.right + 8, y + 4, f"{name} {value} c{arrow}", f"name {kind}")


def _touches(plot: _Plot) -> Iterator[Markup]:
    touches = [touch for touch in plot.scene.books.touches if touch.at_us <= plot.frame.until_us]
    for css, number in (("bid", 1), ("ask", 2)):
        points: list[tuple[float, float] | None] = []
        for touch in touches:
            value, x = touch[number], plot.x(touch.at_us)
            last = next((point for point in reversed(points[-1:]) if point is not None), None)
            if last is not None:
                points.append((x, last[1]))  # what stood before stands until here
            points.append(None if value is None else (x, plot.y(min(max(value, 0), 10_000))))
        shown = [None if point is None or not TOP - 1 <= point[1] <= plot.bottom + 1 else point for point in points]
        yield element("path", d=steps(shown), css=f"touch {css}")


def _stands(plot: _Plot) -> Iterator[Markup]:
    """Our orders: thicker the more is left, dotted where an order was not known to rest."""
    stands = plot.scene.story.stands
    target = plot.scene.story.execution.target_e2
    if len(stands) > TITLED_MAX:
        for sure in (True, False):
            every = (_stand_path(plot, stand, 0) for stand in stands if stand.sure == sure)
            path = "".join(dict.fromkeys(every))  # what lies on the same points is drawn once
            yield element("path", d=path, css="ours" if sure else "ours doubtful", stroke_width=2.4)
        return
    for stand in stands:
        quarter = min(len(WIDTHS), max(1, -(-stand.remaining_e2 * len(WIDTHS) // target)))
        told = (
            f"Order {short_id(stand.client_order_id)}: {count(stand.remaining_e2)} left at {price(stand.price_e4)}, "
            f"{clock(stand.from_us)} to {clock(stand.until_us)}" + ("" if stand.sure else ", not known to rest")
        )
        css = "ours" if stand.sure else "ours doubtful"
        yield element("path", told, d=_stand_path(plot, stand), css=css, stroke_width=WIDTHS[quarter - 1])


def _stand_path(plot: _Plot, stand: Stand, decimals: int = 1) -> str:
    x, end = plot.x(stand.from_us), plot.x(stand.until_us)
    return f"M{x:.{decimals}f} {plot.y(stand.price_e4):.1f}H{max(end, x + 1.5):.{decimals}f}"


def _walks(plot: _Plot) -> Iterator[Markup]:
    walks = plot.scene.story.walks
    decimals = 0 if len(walks) > TITLED_MAX else 1
    joins = [f"M{plot.x(w.at_us):.{decimals}f} {plot.y(w.from_e4):.1f}V{plot.y(w.to_e4):.1f}" for w in walks]
    if walks:
        yield element("path", d="".join(dict.fromkeys(joins)), css="join")
    if len(walks) > TITLED_MAX:
        return
    for walk in walks:
        x, y, up = plot.x(walk.at_us), plot.y(walk.to_e4), -1 if walk.to_e4 > walk.from_e4 else 1
        told = f"Order {short_id(walk.client_order_id)} walked from {price(walk.from_e4)} to {price(walk.to_e4)}"
        yield element(
            "path", f"{told}, {clock(walk.at_us)}", d=f"M{x:.1f} {y + 4.5 * up:.1f}l4 {-7 * up}h-8z", css="walk"
        )


def _marks(plot: _Plot) -> Iterator[Markup]:
    marks = plot.scene.story.marks
    for mark in marks[-TITLED_MAX:]:
        x, y = plot.x(mark.at_us), plot.y(mark.price_e4)
        css = "trouble" if mark.kind == "trouble" else "cancel" if mark.kind == "cancel sent" else "cancelled"
        if css == "cancelled":
            continue  # that it is gone, the end of its line says
        shape = "M-4 -4l8 8M-4 4l8 -8" if css == "cancel" else "M0 -6L6 5H-6z"
        told = f"{'Cancel sent' if css == 'cancel' else mark.text}, {clock(mark.at_us)}"
        yield element("path", told, d=shape, transform=f"translate({x:.1f} {y:.1f})", css=css)


def _fills(plot: _Plot) -> Iterator[Markup]:
    """Circles whose area is the count; a taker's has a ring. Of very many those that lie on one place are one circle,
    so that a drawing does not grow with the fills."""
    fills = plot.scene.story.execution.fills
    places: dict[tuple[object, ...], list[Fill]] = {}
    for number, fill in enumerate(fills):
        where = number if len(fills) <= TITLED_MAX else plot.x(fill.traded_at_us) // TOGETHER_PX
        places.setdefault((where, fill.price_e4, fill.is_taker), []).append(fill)
    counts = [sum(fill.count_e2 for fill in found) for found in places.values()]
    most = max(counts, default=1)
    for found, count_e2 in zip(places.values(), counts, strict=True):
        first, last = found[0], found[-1]
        times = f" in {len(found)} fills" if len(found) > 1 else ""
        until = f" to {clock(last.traded_at_us)}" if len(found) > 1 else ""
        told = (
            f"Bought {count(CountE2(count_e2))}{times} at {price(first.price_e4)} as "
            f"{'taker' if first.is_taker else 'maker'}, fee ${money(MoneyE6(sum(fill.fee_e6 for fill in found)))}, "
            f"{clock(first.traded_at_us)}{until}"
        )
        x, y = plot.x(first.traded_at_us), plot.y(first.price_e4)
        radius = max(3.5, 11 * math.sqrt(count_e2 / most))
        yield element("circle", told, cx=x, cy=y, r=radius, css="fill taker" if first.is_taker else "fill maker")


def _rows(plot: _Plot, rows: Sequence[Row], top: float) -> Iterator[Markup]:
    """States as bars, the execution's first; how each order ended as a mark at its end."""
    for number, row in enumerate(rows):
        y = top + ROW * number
        yield text(LEFT - 6, y + ROW - 5, row.label if row.label != "execution" else "state", "tick", "end")
        for owner, bar in row.bars:
            x, end = plot.x(bar.from_us), plot.x(bar.until_us)
            told = f"{owner}: {bar.state}, {clock(bar.from_us)} to {clock(bar.until_us)}"
            width = max(1.0, end - x)
            yield element("rect", told, x=x, y=y + 1, width=width, height=ROW - 3, rx=2, css=f"bar s-{bar.state}")
            if width > len(bar.state) * CHARACTER_PX + 6:
                yield text(x + 4, y + ROW - 5, bar.state, "in-bar")
        for end_mark in row.ends:
            told = f"{end_mark.owner}: {end_mark.state}, {clock(end_mark.at_us)}"
            place = f"translate({plot.x(end_mark.at_us):.1f} {y + ROW / 2:.1f})"
            shape = "M-4 0l3 3.5l5.5 -7" if end_mark.state == "filled" else "M-3.5 -3.5l7 7M-3.5 3.5l7 -7"
            yield element("path", told, d=shape, transform=place, css=f"end-mark s-{end_mark.state}")


def _filled(plot: _Plot, top: float) -> Iterator[Markup]:
    execution = plot.scene.story.execution
    bought = sum(fill.count_e2 for fill in execution.fills)
    most = max(execution.target_e2, bought)
    bottom = top + FILLED

    def y(number: int) -> float:
        return bottom - number / most * (FILLED - 12)

    points = [(plot.x(plot.frame.accepted_us), y(0))]
    total = 0
    for fill in execution.fills:
        total += fill.count_e2
        points.append((plot.x(fill.traded_at_us), y(total)))
    points.append((plot.x(max(plot.scene.now_us, plot.frame.accepted_us)), y(total)))
    yield text(LEFT - 6, bottom - 2, "filled", "tick", "end")
    yield element("path", d=f"M{LEFT:.0f} {y(execution.target_e2):.1f}H{plot.right:.0f}", css="limit level")
    path = steps(points)
    yield element("path", d=f"{path}V{bottom:.1f}H{points[0][0]:.1f}z", css="filled-area")
    yield element("path", d=path, css="filled-line")
    target_y, now_y = apart([y(execution.target_e2), y(total)], LABEL_PX, top, bottom)
    yield text(plot.right + 8, target_y + 4, f"target {count(execution.target_e2)}", "name level")
    if bought != execution.target_e2:
        yield text(plot.right + 8, now_y + 4, f"filled {count(CountE2(bought))}", "name filled-name")


def _moments(plot: _Plot, bottom: float) -> Iterator[Markup]:
    """Vertical lines through all, named above the picture, one below another where names would overlap."""
    scene, frame, execution = plot.scene, plot.frame, plot.scene.story.execution
    shown = [(frame.accepted_us, "accepted", "moment")]
    shown += [(moment.at_us, moment.text, "moment") for moment in scene.story.moments]
    if frame.from_us <= execution.deadline_us <= frame.until_us:
        shown.append((execution.deadline_us, "deadline", "moment due"))
    if scene.is_past:
        shown.append((scene.now_us, f"here, after {duration(scene.now_us - frame.accepted_us)}", "moment here"))
        x = plot.x(scene.now_us)
        yield element("rect", x=x, y=TOP, width=plot.right - x, height=bottom - TOP, css="later")
    elif execution.is_ended:
        shown.append((scene.story.until_us, execution.state, "moment"))
    free = [LEFT - 20.0, LEFT - 20.0]  # from where on a name has room, in each of the two lines
    for at_us, name, css in sorted(shown):
        x, width = plot.x(at_us), len(name) * CHARACTER_PX
        yield element("path", f"{name}, {clock(at_us)}", d=f"M{x:.1f} {TOP:.0f}V{bottom:.1f}", css=css)
        start = min(max(x - width / 2, LEFT - 20), WIDTH - width)
        line = next((number for number, room in enumerate(free) if start >= room), None)
        if line is not None:
            free[line] = start + width + 8
            yield text(start, TOP - 6 - LABEL_PX * line, name, f"{css} name")
