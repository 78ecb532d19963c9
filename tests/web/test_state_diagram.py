"""The state diagrams of the page, held against the tables that run."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import combinations, pairwise

import pytest

from fsm_exec.core.execution.draft import StateChange
from fsm_exec.web.execution.diagram import draw_diagram, layout_of, light, tell_way
from fsm_exec.web.execution.diagram_layout import Layout, main_way
from states import TABLES, Table

SVG = "{http://www.w3.org/2000/svg}"
Rectangle = tuple[float, float, float, float]
each_machine = pytest.mark.parametrize("machine", list(TABLES))


def changed(*steps: str, machine: str = "execution", subject: str = "e1") -> list[StateChange]:
    """`pending planned split`: one change each."""
    return [StateChange(machine, subject, *step.split()) for step in steps]


def drawn(text: str) -> ET.Element:
    return ET.fromstring(str(text).replace("<svg ", f'<svg xmlns="{SVG[1:-1]}" ', 1))  # our own


def of_class(root: ET.Element, name: str) -> list[ET.Element]:
    return [one for one in root.iter() if name in one.get("class", "").split()]


def boxes_of(layout: Layout) -> dict[str, Rectangle]:
    return {box.state: (box.x, box.y, box.x + box.width, box.y + box.height) for box in layout.boxes}


def labels_of(layout: Layout) -> dict[str, Rectangle]:
    return {
        f"{label.text} {label.pairs}": (label.x - label.width / 2, label.y - 9, label.x + label.width / 2, label.y + 2)
        for label in layout.labels
    }


def overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@each_machine
def test_a_diagram_has_exactly_the_states_and_the_rows_of_its_table(machine: str) -> None:
    """Every state is a box once, every row of the table is told by the wire of its two states, and nothing else is."""
    table: Table = TABLES[machine]
    root = drawn(draw_diagram(machine, light([], []), machine))
    assert sorted(one.get("data-state", "") for one in of_class(root, "state")) == sorted(table.states)
    ends = {one.get("data-state", "") for one in of_class(root, "end")}
    assert ends == set(table.terminal)
    told = {
        (one.get("data-from", ""), one.get("data-to", "")): (one.findtext(f"{SVG}title") or "").split(": ", 1)[1]
        for one in of_class(root, "wire")
    }
    expected: dict[tuple[str, str], list[str]] = {}
    for row in table.rows:
        expected.setdefault((row.source, row.dest), []).append(row.trigger + (f" [{row.guard}]" if row.guard else ""))
    assert told == {pair: "; ".join(rules) for pair, rules in expected.items()}


@pytest.mark.parametrize("counted", [False, True])
@each_machine
def test_nothing_in_a_diagram_overlaps(machine: str, counted: bool) -> None:
    """No box lies on a box, no label on a label or a box, no wire on a box, and all of them lie within the drawing."""
    layout = layout_of(machine, counted)
    boxes, labels = boxes_of(layout), labels_of(layout)
    for (one, first), (other, second) in combinations([*boxes.items(), *labels.items()], 2):
        assert not overlap(first, second), f"{one} lies on {other}"
    for name, (left, top, right, bottom) in {**boxes, **labels}.items():
        assert min(left, top, layout.width - right, layout.height - bottom) >= 0, f"{name} sticks out"
    for wire in layout.wires:
        for (x0, y0), (x1, y1) in pairwise(wire.points):
            assert x0 == x1 or y0 == y1, "a wire is not straight"
            line = (min(x0, x1) - 0.1, min(y0, y1) - 0.1, max(x0, x1) + 0.1, max(y0, y1) + 0.1)
            for state, (left, top, right, bottom) in boxes.items():
                within = (left + 0.2, top + 0.2, right - 0.2, bottom - 0.2)
                assert not overlap(line, within), f"the wire {wire.source} to {wire.dest} crosses {state}"


@each_machine
def test_every_wire_is_named(machine: str) -> None:
    """Each trigger of the table is written at the wires it belongs to, and each state's name fits into its box."""
    layout = layout_of(machine)
    for wire in layout.wires:
        texts = [label.text for label in layout.labels if (wire.source, wire.dest) in label.pairs]
        assert len(texts) == 1
        assert wire.rows[0].trigger in texts[0]
    for box in layout.boxes:
        assert len(box.state) * 7.6 + 8 <= box.width


def test_the_main_way_comes_first() -> None:
    """The way of an execution and of an order that are simply filled lies in the first row, left to right."""
    assert main_way(TABLES["execution"]) == ("pending", "split", "walking", "partial", "filled")
    assert main_way(TABLES["child_order"]) == ("intended", "resting", "partial", "filled")
    for machine in TABLES:
        layout = layout_of(machine)
        boxes = {box.state: box for box in layout.boxes}
        first = [boxes[state] for state in layout.way]
        assert [box.x for box in first] == sorted({box.x for box in first})
        assert {box.y for box in first} == {min(box.y for box in layout.boxes)}


def test_the_current_state_and_the_way_are_lit() -> None:
    """What is now, what was visited and which wires were gone carry their classes, and only they; and words say it."""
    changes = changed("pending planned split", "split working walking", "walking walked walking")
    root = drawn(draw_diagram("execution", light(["walking"], changes), "where it stands"))
    assert [one.get("data-state") for one in of_class(root, "current")] == ["walking"]
    visited = {one.get("data-state") for one in of_class(root, "visited")}
    assert visited == {"pending", "split", "walking"}
    way = {(one.get("data-from"), one.get("data-to")) for one in of_class(root, "way") if one.tag == f"{SVG}g"}
    assert way == {("pending", "split"), ("split", "walking"), ("walking", "walking")}
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title") == "where it stands"
    assert tell_way(changes, "pending") == ["pending", "split (planned)", "walking (working)", "walking (walked)"]


def test_a_diagram_of_many_orders_counts_them() -> None:
    """With two orders resting and one filled both states are lit and say how many."""
    root = drawn(draw_diagram("child_order", light(["resting", "resting", "filled"], []), "orders", counted=True))
    counts = {one.get("data-state"): "".join(one.itertext()) for one in of_class(root, "current")}
    assert set(counts) == {"resting", "filled"}
    assert counts["resting"].endswith("2")
    assert counts["filled"].endswith("1")


def test_a_name_is_escaped() -> None:
    """What names a drawing cannot become a part of it."""
    text = str(draw_diagram("execution", light([], []), "<script>alert(1)</script>"))
    assert "<script" not in text
