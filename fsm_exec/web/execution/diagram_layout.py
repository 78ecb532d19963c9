"""Where the parts of a state diagram lie. Pure, and drawn from the table alone: a row that is added is a wire that is
added.

The main way lies in one row, the other states in a second one under it. Between, above and below the rows run lanes,
one for each state that something leads to: a wire goes straight to its lane, along it, and straight to its end, so no
wire ever crosses a box, and what leads to one state reads as one line. Each lane carries its triggers once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TypeAlias

from states import Row, Table

LABEL_PX: Final = 10
LABEL_CHARACTER_PX: Final = 5.8  # of a label's font, on the wide side
STATE_CHARACTER_PX: Final = 7.6
BOX_PADDING_PX: Final = 26
COUNT_PX: Final = 22
"""Room for how many are in a state, of three characters."""
BOX_HEIGHT_PX: Final = 32
GAP_PX: Final = 96
LANE_PX: Final = 16
CLEARANCE_PX: Final = 14  # between a row of boxes and its nearest lane
MARGIN_PX: Final = 10
START_PX: Final = 22

Channel: TypeAlias = Literal["above", "between", "below"]


class Box(NamedTuple):
    """A state; `x` and `y` are its upper left corner."""

    state: str
    x: float
    y: float
    width: float
    height: float


class Wire(NamedTuple):
    """All rows of the table from one state to another; `points` from the one box to the other."""

    source: str
    dest: str
    rows: tuple[Row, ...]
    points: tuple[tuple[float, float], ...]
    is_main: bool


class Label(NamedTuple):
    """The triggers of some wires; `x` is its middle, `y` its base line."""

    text: str
    x: float
    y: float
    width: float
    pairs: tuple[tuple[str, str], ...]


class Layout(NamedTuple):
    """`way` is the main way, from the first state to its end."""

    table: Table
    width: float
    height: float
    way: tuple[str, ...]
    boxes: tuple[Box, ...]
    wires: tuple[Wire, ...]
    labels: tuple[Label, ...]


class _Lane(NamedTuple):
    """What leads to `dest` through a channel; `own` is the lane of a state's rows to itself."""

    channel: Channel
    dest: str
    own: bool


class _Port(NamedTuple):
    """Where a wire meets a box: `kind` is `out`, `in`, or for a state's own rows both of them."""

    lane: _Lane
    kind: str


def main_way(table: Table) -> tuple[str, ...]:
    """Return the way most go: from the initial state by the first trigger that leads on, and rather on than to an
    end."""
    way = [table.initial]
    while way[-1] not in table.terminal:
        leading = [row for row in table.rows if row.source == way[-1] and row.dest not in way]
        if not leading:
            break
        first = [row.dest for row in leading if row.trigger == leading[0].trigger]
        way.append(next((dest for dest in first if dest not in table.terminal), first[0]))
    return tuple(way)


def lay_out(table: Table, *, counted: bool = False) -> Layout:
    """Return the layout of a table's diagram; `counted`: with room for a count in each state."""
    return _Drawing(table, COUNT_PX if counted else 0).layout()


class _Drawing:
    def __init__(self, table: Table, count_px: int) -> None:
        self._table = table
        self._way = main_way(table)
        self._others = tuple(state for state in table.states if state not in self._way)
        pairs: dict[tuple[str, str], list[Row]] = {}
        for row in table.rows:
            pairs.setdefault((row.source, row.dest), []).append(row)
        self._pairs = {pair: tuple(rows) for pair, rows in pairs.items()}
        self._box_px = max(len(state) for state in table.states) * STATE_CHARACTER_PX + BOX_PADDING_PX + count_px
        self._columns = self._place_columns()
        self._lanes = self._order_lanes()
        self._lane_y, self._row_y, self._height = self._place_rows()

    def layout(self) -> Layout:
        boxes = {state: self._box(state) for state in self._table.states}
        ports = self._place_ports(boxes)
        wires = tuple(self._wire(pair, rows, boxes, ports) for pair, rows in self._pairs.items())
        width = max(box.x + box.width for box in boxes.values()) + MARGIN_PX
        labels = (*self._straight_labels(boxes), *self._lane_labels(wires, width))
        return Layout(self._table, width, self._height, self._way, tuple(boxes.values()), wires, labels)

    def _place_columns(self) -> dict[str, int]:
        """The second row begins as far right as the first one lets it: ends stand under ends."""
        shift = max(0, len(self._way) - len(self._others))
        found = {state: number for number, state in enumerate(self._way)}
        return found | {state: number + shift for number, state in enumerate(self._others)}

    def _is_straight(self, source: str, dest: str) -> bool:
        way = self._way
        return source in way and dest in way and way.index(dest) == way.index(source) + 1

    def _lane_of(self, source: str, dest: str) -> _Lane:
        channel: Channel = "between"
        if (source in self._way) == (dest in self._way):
            channel = "above" if source in self._way else "below"
        return _Lane(channel, dest, source == dest)

    def _order_lanes(self) -> dict[Channel, list[_Lane]]:
        """Those of each channel from top to bottom. Short ones lie near their row, so that few wires cross."""
        spans: dict[_Lane, int] = {}
        for source, dest in self._pairs:
            if not self._is_straight(source, dest):
                lane = self._lane_of(source, dest)
                spans[lane] = max(spans.get(lane, 0), abs(self._columns[source] - self._columns[dest]))
        near = sorted(spans, key=lambda lane: (not lane.own, spans[lane], self._columns[lane.dest]))
        between = [lane for lane in near if lane.channel == "between"]
        return {
            "above": [lane for lane in reversed(near) if lane.channel == "above"],
            "between": sorted(between, key=lambda lane: lane.dest not in self._way),
            "below": [lane for lane in near if lane.channel == "below"],
        }

    def _place_rows(self) -> tuple[dict[_Lane, float], tuple[float, float], float]:
        """Return the height of each lane and of each row of boxes, and the whole height. Lanes of own rows share one,
        for each stays over its own box."""
        found: dict[_Lane, float] = {}
        y: float = MARGIN_PX + LABEL_PX

        def stack(channel: Channel) -> float:
            nonlocal y
            last: _Lane | None = None
            for lane in self._lanes[channel]:
                if last is not None and not (lane.own and last.own):
                    y += LANE_PX
                found[lane] = y
                last = lane
            return y

        if self._lanes["above"]:
            y = stack("above") + CLEARANCE_PX
        first = y
        y += BOX_HEIGHT_PX
        if not self._others:
            return found, (first, first), y + MARGIN_PX
        y += CLEARANCE_PX + LABEL_PX
        y = stack("between") + CLEARANCE_PX
        second = y
        y += BOX_HEIGHT_PX
        if self._lanes["below"]:
            y += CLEARANCE_PX + LABEL_PX
            stack("below")
        return found, (first, second), y + MARGIN_PX

    def _box(self, state: str) -> Box:
        x = MARGIN_PX + START_PX + self._columns[state] * (self._box_px + GAP_PX)
        return Box(state, x, self._row_y[state not in self._way], self._box_px, BOX_HEIGHT_PX)

    def _place_ports(self, boxes: dict[str, Box]) -> dict[tuple[str, _Port], float]:
        """Return where along its side each port lies: those that lead left to the left."""
        sides: dict[tuple[str, bool], dict[_Port, float]] = {}

        def add(state: str, lane: _Lane, kind: str, towards: float) -> None:
            is_top = lane.channel == "above" or (lane.channel == "between" and state not in self._way)
            sides.setdefault((state, is_top), {}).setdefault(_Port(lane, kind), towards)

        for source, dest in self._pairs:
            if self._is_straight(source, dest):
                continue
            lane = self._lane_of(source, dest)
            if lane.own:
                add(source, lane, "out", boxes[source].x - 0.2)
                add(source, lane, "in", boxes[source].x + 0.2)
            else:
                add(source, lane, "out", boxes[dest].x)
                add(dest, lane, "in", boxes[source].x)
        found: dict[tuple[str, _Port], float] = {}
        for (state, _), ports in sides.items():
            box = boxes[state]
            for number, (port, _) in enumerate(sorted(ports.items(), key=lambda item: (item[1], item[0].kind)), 1):
                found[state, port] = box.x + box.width * number / (len(ports) + 1)
        return found

    def _wire(
        self,
        pair: tuple[str, str],
        rows: tuple[Row, ...],
        boxes: dict[str, Box],
        ports: dict[tuple[str, _Port], float],
    ) -> Wire:
        source, dest = (boxes[state] for state in pair)
        if self._is_straight(*pair):
            y = source.y + source.height / 2
            return Wire(*pair, rows, ((source.x + source.width, y), (dest.x, y)), True)
        lane = self._lane_of(*pair)
        lane_y = self._lane_y[lane]
        out_x, in_x = ports[pair[0], _Port(lane, "out")], ports[pair[1], _Port(lane, "in")]
        points = ((out_x, _edge(source, lane_y)), (out_x, lane_y), (in_x, lane_y), (in_x, _edge(dest, lane_y)))
        return Wire(*pair, rows, points, False)

    def _straight_labels(self, boxes: dict[str, Box]) -> Iterable[Label]:
        for source, dest in zip(self._way, self._way[1:], strict=False):
            box, following = boxes[source], boxes[dest]
            triggers = _triggers(self._pairs[source, dest])
            text = triggers[0] if len(triggers) == 1 else f"{triggers[0]} +{len(triggers) - 1}"
            middle = (box.x + box.width + following.x) / 2
            yield Label(text, middle, box.y + box.height / 2 - 5, _width(text), ((source, dest),))

    def _lane_labels(self, wires: Iterable[Wire], width: float) -> Iterable[Label]:
        of_lanes: dict[_Lane, list[Wire]] = {}
        for wire in wires:
            if not wire.is_main:
                of_lanes.setdefault(self._lane_of(wire.source, wire.dest), []).append(wire)
        for lane, members in of_lanes.items():
            text = ", ".join(_triggers(row for wire in members for row in wire.rows))
            ends = [x for wire in members for x, _ in wire.points]
            half = _width(text) / 2
            middle = min(max((min(ends) + max(ends)) / 2, MARGIN_PX + half), width - MARGIN_PX - half)
            pairs = tuple((wire.source, wire.dest) for wire in members)
            yield Label(text, middle, self._lane_y[lane] - 3, 2 * half, pairs)


def _triggers(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row.trigger for row in rows))


def _width(text: str) -> float:
    return len(text) * LABEL_CHARACTER_PX


def _edge(box: Box, lane_y: float) -> float:
    """The side of the box that looks at the lane."""
    return box.y if lane_y < box.y else box.y + box.height
