"""The state diagrams as a browser sets them: with real fonts nothing is cut and nothing lies on anything."""

from __future__ import annotations

from importlib import resources
from itertools import combinations

import pytest
from playwright.sync_api import Browser

from fsm_exec.web.execution.diagram import draw_diagram, light
from states import TABLES
from tests.web.browser.pages import visiting

PLACES = """[...document.querySelectorAll('.trigger, .state rect, .state .name, .state .count')].map(one => {
  const b = one.getBBox(), kind = one.tagName === 'rect' ? 'box' : one.getAttribute('class');
  const state = one.closest('.state')?.dataset.state ?? '';
  return [kind, one.textContent.trim(), state, b.x, b.y, b.x + b.width, b.y + b.height];
})"""
Place = tuple[str, str, str, float, float, float, float]
SLACK_PX = 3.0  # a line of text is higher than its letters


def overlap(one: Place, other: Place) -> bool:
    (_, _, _, left, top, right, bottom), (_, _, _, x, y, to_x, to_y) = one, other
    return left < to_x and x < right and top + SLACK_PX < to_y - SLACK_PX and y + SLACK_PX < bottom - SLACK_PX


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("machine", list(TABLES))
def test_with_real_fonts_everything_fits(browser: Browser, machine: str, counted: bool) -> None:
    """Every state's name and count lie within its box, no label lies on a label or a box, and all lie within the
    drawing."""
    css = "".join(
        resources.files("fsm_exec.web").joinpath("static", name).read_text(encoding="utf-8")
        for name in ("page.css", "execution.css")
    )
    table = TABLES[machine]
    drawn = draw_diagram(
        machine, light([state for state in table.states for _ in range(12)], []), machine, counted=True
    )
    with visiting(browser) as visit:
        visit.page.set_content(f"<style>{css}</style><main>{drawn}</main>")
        places: list[Place] = [tuple(place) for place in visit.value(PLACES)]
        width, height = visit.value("[document.querySelector('svg').viewBox.baseVal].map(v => [v.width, v.height])[0]")
    boxes = {state: place for place in places if (state := place[2]) and place[0] == "box"}
    assert set(boxes) == set(table.states)
    for place in places:
        kind, text, state, left, top, right, bottom = place
        assert left >= 0, text
        assert top >= -SLACK_PX, text
        assert right <= width, text
        assert bottom <= height + SLACK_PX, text
        if kind in ("name", "count"):
            assert boxes[state][3] <= left, text
            assert right <= boxes[state][5], text
    labels = [place for place in places if place[0] == "trigger"]
    for one, other in combinations([*labels, *boxes.values()], 2):
        assert not overlap(one, other), f"{one[1] or one[2]} lies on {other[1] or other[2]}"
    for state in table.states:
        texts = [place for place in places if place[2] == state and place[0] in ("name", "count")]
        assert not any(overlap(one, other) for one, other in combinations(texts, 2)), state
