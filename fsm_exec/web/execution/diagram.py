"""A state machine as a drawing (SVG) with the way that was gone lit in it. Pure.

Everything about how it looks is a class and lies in the style sheet, so it follows the light and the dark. What the
drawing says, `tell_way` says in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import NamedTuple

from markupsafe import Markup, escape

from fsm_exec.core.execution.draft import StateChange
from fsm_exec.web.execution.diagram_layout import COUNT_PX, LABEL_PX, Label, Layout, Wire, lay_out
from states import TABLES

STATE_PX = 12.5
CORNER_PX = 6
HEAD_PX = 5
DOT_PX = 4
DRAWN_KEPT = 1_024
"""Wires and labels that stay drawn: most of a diagram is as it was."""


class Lit(NamedTuple):
    """What is lit. `current`: how many are in each state now. `taken`: how often each way from state to state was
    gone, in all."""

    current: Mapping[str, int]
    taken: Mapping[tuple[str, str], int]

    @property
    def visited(self) -> frozenset[str]:
        return frozenset(self.current) | {state for pair in self.taken for state in pair}


def light(current: Iterable[str], changes: Iterable[StateChange]) -> Lit:
    """Return what is lit of a machine: the states of those it has now, and the changes of one machine up to now."""
    return Lit(Counter(current), Counter((change.source, change.dest) for change in changes))


@cache
def layout_of(machine: str, counted: bool = False) -> Layout:
    """Return the layout of the diagram of a table. Raises KeyError for a machine that there is not."""
    return lay_out(TABLES[machine], counted=counted)


def draw_diagram(machine: str, lit: Lit, name: str, *, counted: bool = False) -> Markup:
    """Draw a machine; `name` is its name for whoever does not see it. `counted`: each state shows how many are in
    it."""
    layout = layout_of(machine, counted)
    key = f"diagram-{machine}"
    wires = sorted(layout.wires, key=lambda wire: _order(wire, lit))
    parts = [_wire(wire, lit.taken.get((wire.source, wire.dest), 0)) for wire in wires]
    parts += [_label(label, any(pair in lit.taken for pair in label.pairs)) for label in layout.labels]
    parts += [_start(layout), *(_state(layout, number, lit, counted) for number in range(len(layout.boxes)))]
    return Markup(
        '<svg class="diagram" role="img" viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" height="{h:.0f}"'
        ' aria-labelledby="{key}-title"><title id="{key}-title">{name}</title>{parts}</svg>'
    ).format(w=layout.width, h=layout.height, key=key, name=name, parts=Markup("").join(parts))


def tell_way(changes: Sequence[StateChange], initial: str) -> list[str]:
    """Return the way as words, one step each: what a reader hears instead of the drawing."""
    return [initial, *(f"{change.dest} ({change.trigger})" for change in changes)]


def _order(wire: Wire, lit: Lit) -> int:
    """What is drawn last lies on top."""
    return 2 if (wire.source, wire.dest) in lit.taken else int(wire.is_main)


@lru_cache(maxsize=DRAWN_KEPT)
def _wire(wire: Wire, times: int) -> Markup:
    classes = ["wire", *(["main"] if wire.is_main else []), *(["way"] if times else [])]
    rules = "; ".join(f"{row.trigger} [{row.guard}]" if row.guard else row.trigger for row in wire.rows)
    told = f"{wire.source} to {wire.dest}: {rules}" + (f". Gone {times} times" if times > 1 else "")
    return Markup(
        '<g class="{classes}" data-from="{source}" data-to="{dest}"><title>{told}</title>'
        '<path class="line" d="{line}"/><path class="head" d="{head}"/></g>'
    ).format(
        classes=" ".join(classes),
        source=wire.source,
        dest=wire.dest,
        told=told,
        line=_path(wire.points),
        head=_head(*wire.points[-2:]),
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    """Straight lines with round corners; it ends where the head begins."""
    x, y = points[0]
    parts = [f"M{x:.1f} {y:.1f}"]
    for before, (x, y), after in zip(points, points[1:], points[2:], strict=False):
        into, out = _towards((x, y), before), _towards((x, y), after)
        parts.append(f"L{into[0]:.1f} {into[1]:.1f}Q{x:.1f} {y:.1f} {out[0]:.1f} {out[1]:.1f}")
    x, y = points[-1]
    parts.append(f"L{x:.1f} {y:.1f}")
    return "".join(parts)


def _towards(corner: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """The point a corner's roundness away from it, half the way at most."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = abs(dx) + abs(dy)  # one of them is 0
    step = min(CORNER_PX, length / 2) / length if length else 0.0
    return corner[0] + dx * step, corner[1] + dy * step


def _head(before: tuple[float, float], tip: tuple[float, float]) -> str:
    x, y = tip
    if before[1] == y:
        return f"M{x:.1f} {y:.1f}l-{HEAD_PX + 2} -{HEAD_PX - 1}v{2 * (HEAD_PX - 1)}z"
    back = -1 if y > before[1] else 1
    return f"M{x:.1f} {y:.1f}l-{HEAD_PX - 1} {back * (HEAD_PX + 2)}h{2 * (HEAD_PX - 1)}z"


@lru_cache(maxsize=DRAWN_KEPT)
def _label(label: Label, is_way: bool) -> Markup:
    way = " way" if is_way else ""
    return Markup('<text class="trigger{way}" x="{x:.1f}" y="{y:.1f}" font-size="{px}">{text}</text>').format(
        way=way, x=label.x, y=label.y, px=LABEL_PX, text=label.text
    )


def _start(layout: Layout) -> Markup:
    box = next(box for box in layout.boxes if box.state == layout.table.initial)
    x, y = box.x - 16, box.y + box.height / 2
    return Markup(
        '<g class="start"><circle cx="{x:.1f}" cy="{y:.1f}" r="{dot}"/>'
        '<path class="line" d="M{x:.1f} {y:.1f}H{end:.1f}"/></g>'
    ).format(x=x, y=y, dot=DOT_PX, end=box.x)


def _state(layout: Layout, number: int, lit: Lit, counted: bool) -> Markup:
    box = layout.boxes[number]
    here = lit.current.get(box.state, 0)
    classes = ["state"]
    classes += ["end"] if box.state in layout.table.terminal else []
    classes += ["visited"] if box.state in lit.visited else []
    classes += ["current"] if here else []
    told = box.state + (f": {here} now" if here and counted else ", now" if here else "")
    badge = Markup("")
    if counted and here:
        badge = Markup('<text class="count" x="{x:.1f}" y="{y:.1f}" font-size="11">{here}</text>').format(
            x=box.x + box.width - 8, y=box.y + box.height / 2 + 4, here=here if here < 100 else "99+"
        )
    shift = -COUNT_PX / 2 if counted and here else 0
    return Markup(
        '<g class="{classes}" data-state="{state}"><title>{told}</title>'
        '<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="7"/>'
        '<text class="name" x="{mx:.1f}" y="{my:.1f}" font-size="{px}">{state}</text>{badge}</g>'
    ).format(
        classes=" ".join(classes),
        state=box.state,
        told=escape(told),
        x=box.x,
        y=box.y,
        w=box.width,
        h=box.height,
        mx=box.x + box.width / 2 + shift,
        my=box.y + box.height / 2 + 4.5,
        px=STATE_PX,
        badge=badge,
    )
