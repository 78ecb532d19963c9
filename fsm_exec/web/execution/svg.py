"""Small parts of drawings: text that is escaped, paths, and where the ticks of an axis lie."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from fsm_exec.core.text import clean


def element(tag: str, title: str = "", content: Markup | str = "", **attributes: object) -> Markup:
    """Return an element. `css` is its class; underscores in names become hyphens; a title is what a pointer shows.

    A picture has a thousand of them: they are put together by hand, each value escaped."""
    parts = [f"<{tag}"]
    for name, value in attributes.items():
        shown = f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else escape(value)
        parts.append(f' {"class" if name == "css" else name.replace("_", "-")}="{shown}"')
    told = f"<title>{escape(clean(title))}</title>" if title else ""
    inside = content if isinstance(content, Markup) else escape(clean(content))
    parts.append(f">{told}{inside}</{tag}>" if told or inside else "/>")
    return Markup("".join(parts))


def text(x: float, y: float, said: str, css: str, anchor: str = "start") -> Markup:
    """Return a line of text; `anchor` says which of its ends `x` is."""
    return element("text", content=said, x=x, y=y, css=css, text_anchor=anchor)


def steps(points: Iterable[tuple[float, float] | None]) -> str:
    """Return the path of values that stand until the next one; None is a gap."""
    parts: list[str] = []
    is_open = False
    for point in points:
        if point is None:
            is_open = False
        elif is_open:
            parts.append(f"H{point[0]:.1f}V{point[1]:.1f}")
        else:
            parts.append(f"M{point[0]:.1f} {point[1]:.1f}")
            is_open = True
    return "".join(parts)


def nice_step(span: int, most: int, steps_allowed: Sequence[int]) -> int:
    """Return the smallest allowed step that makes `most` ticks of a span at most; the largest if none does."""
    return next((step for step in steps_allowed if span // step <= most), steps_allowed[-1])


def apart(wanted: Sequence[float], distance: float, low: float, high: float) -> list[float]:
    """Return places near those wanted (in the same order) that are at least `distance` apart and within the bounds, as
    far as they have room."""
    order = sorted(range(len(wanted)), key=lambda number: wanted[number])
    placed = list(wanted)
    floor = low
    for number in order:
        placed[number] = max(floor, min(wanted[number], high))
        floor = placed[number] + distance
    ceiling = high
    for number in reversed(order):
        placed[number] = min(placed[number], ceiling)
        ceiling = placed[number] - distance
    return placed
