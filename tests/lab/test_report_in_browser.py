"""The pages as a reader meets them: opened from a file in a real browser that reaches no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from fsm_exec.lab.report.page import Section
from fsm_exec.lab.report.renderers import (
    comparison_sections,
    execution_sections,
    overview_pictures,
    overview_sections,
    render_page,
)
from tests.lab.browser import NAMES, find_browser, new_page, running
from tests.lab.report_sources import demo, experiment

BROWSER = find_browser()
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason=f"no browser to open reports in: install one of {', '.join(NAMES)}"
)
HOSTILE = "</script><script>document.title='taken'</script>"
KINDS = ("experiment", "database", "execution")
WIDTHS = (1280, 800, 360)
DRAWN = """
[...document.querySelectorAll('.js-plotly-plot')].map(plot => ({
  traces: plot.data.length,
  pictures: plot.querySelectorAll('svg.main-svg').length,
  width: plot.getBoundingClientRect().width,
  height: plot.getBoundingClientRect().height,
}))
"""
LOWEST_ROW = "Math.min(...[...document.querySelectorAll('tr')].map(row => row.getBoundingClientRect().height))"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
OUTSIDE = """
[...document.querySelectorAll('table')].filter(table => table.getBoundingClientRect().height > 0)
  .filter(table => table.closest('.scroll').getBoundingClientRect().right > innerWidth).length
"""


BOXES = """
[...document.querySelectorAll('table')].map(table => table.parentElement).map(box =>
  getComputedStyle(box).borderRightStyle === 'solid' && getComputedStyle(box).overflowX === 'auto'
  && box.tabIndex === 0 && box.getAttribute('aria-label').length > 3)
"""
GROUNDS = """
[getComputedStyle(document.body).backgroundColor,
 ...[...document.querySelectorAll('.js-plotly-plot')].map(plot =>
   getComputedStyle(plot.querySelector('svg.main-svg')).backgroundColor)]
"""
INKS = """
[...document.querySelectorAll('.js-plotly-plot text')].filter(text => text.closest('.heatmap-label') === null)
  .map(text => getComputedStyle(text).fill)
  .map(ink => ink.match(/[0-9.]+/g).slice(0, 3).map(Number)).map(([r, g, b]) => (2 * r + 7 * g + b) / 10)
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[int]]]:
    """A file of each kind, and how many traces each of its figures has."""
    directory = tmp_path_factory.mktemp("pages")
    database = demo(directory, "passive_mid", "deadline_walker")
    made = {
        "experiment": comparison_sections(
            experiment(directory, ("passive_mid@1", "join_bid@1", HOSTILE)), baseline="passive_mid"
        ),
        "database": overview_sections(database),
        "execution": execution_sections(database, "e000002", None),
    }
    found = {}
    for name, (title, facts, sections) in made.items():
        file = directory / f"{name}.html"
        pictures = overview_pictures(database, sections) if name == "database" else []
        file.write_text(render_page(title, facts, sections, pictures), encoding="utf-8")
        found[name] = (file, traces_of(sections))
    return found


def traces_of(sections: Sequence[Section]) -> list[int]:
    return [len(section.figure.data) for section in sections if section.figure is not None]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert BROWSER is not None
    with running(BROWSER, tmp_path_factory.mktemp("browser") / "profile") as found:
        yield found


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
async def test_every_figure_is_drawn_and_nothing_sticks_out(
    kind: str, width: int, pages: dict[str, tuple[Path, list[int]]], address: str
) -> None:
    """Each with all its traces and a size; no complaint, no request but for the file, no sideways scrolling: a table
    that is wider than the page scrolls in a box with an edge, and by keyboard."""
    file, traces = pages[kind]
    async with new_page(address) as page:
        await page.open(file, width=width)
        drawn = await page.value(DRAWN)
        assert [figure["traces"] for figure in drawn] == traces
        assert all(figure["pictures"] >= 1 and figure["height"] > 100 for figure in drawn), drawn
        assert all(300 < figure["width"] <= max(width, 560) for figure in drawn), drawn
        assert await page.value(OVERFLOW) <= 0
        assert await page.value(OUTSIDE) == 0
        assert all(await page.value(BOXES))
        assert page.complaints == []
        asked = [url for url in page.requests if not url.startswith(("data:", "blob:"))]
        assert asked == [file.as_uri()]


@pytest.mark.parametrize("kind", KINDS)
async def test_the_tables_can_be_read_without_scripts(
    kind: str, pages: dict[str, tuple[Path, list[int]]], address: str
) -> None:
    """Switched off, every number of the tables is there, and long tables unfold."""
    file, _ = pages[kind]
    async with new_page(address) as page:
        await page.open(file, scripts=False)
        assert await page.value("document.querySelectorAll('.js-plotly-plot, svg').length") == 0
        assert await page.value("document.querySelectorAll('td').length") > 25
        await page.value("document.querySelectorAll('details').forEach(one => { one.open = true })")
        heights = await page.value(
            "[...document.querySelectorAll('tr')].map(row => row.getBoundingClientRect().height)"
        )
        assert min(heights) > 10


async def test_a_name_from_a_database_is_only_text(pages: dict[str, tuple[Path, list[int]]], address: str) -> None:
    """A method called like a script runs none, in no table and in no figure."""
    file, _ = pages["experiment"]
    async with new_page(address) as page:
        await page.open(file)
        assert await page.value("document.title") != "taken"
        cells = await page.value("[...document.querySelectorAll('td')].map(cell => cell.textContent)")
        assert HOSTILE in cells


async def test_the_page_may_not_call_anywhere(pages: dict[str, tuple[Path, list[int]]], address: str) -> None:
    """Its policy refuses a connection, whatever script asks for it."""
    file, _ = pages["database"]
    async with new_page(address) as page:
        await page.open(file)
        asked = "fetch('http://127.0.0.1:9/').then(() => 'reached', () => 'refused')"
        assert await page.value(asked) == "refused"
        assert any("Content Security Policy" in complaint for complaint in page.complaints), page.complaints


@pytest.mark.parametrize("kind", KINDS)
async def test_a_dark_scheme_is_followed(kind: str, pages: dict[str, tuple[Path, list[int]]], address: str) -> None:
    """Page and figures have a dark ground and light letters; figures change with the scheme while one looks at them."""
    file, traces = pages[kind]
    async with new_page(address) as page:
        await page.open(file, dark=True)
        assert set(await page.value(GROUNDS)) == {"rgb(21, 26, 33)"}
        inks = await page.value(INKS)
        assert len(inks) > 20
        assert min(inks) > 90, sorted(inks)[:5]
        await page.choose_scheme(dark=False)
        await page.value("new Promise(done => setTimeout(done, 300))")
        assert set(await page.value(GROUNDS)) == {"rgb(255, 255, 255)"}
        assert [figure["traces"] for figure in await page.value(DRAWN)] == traces
        assert page.complaints == []


async def test_the_name_of_an_execution_leads_to_its_picture(
    pages: dict[str, tuple[Path, list[int]]], address: str
) -> None:
    """Each link has a target in the page; it is unfolded and drawn when one goes there, by a click or an address."""
    file, traces = pages["database"]
    async with new_page(address) as page:
        await page.open(file)
        links = await page.value("[...document.querySelectorAll('td a')].map(a => a.getAttribute('href'))")
        assert len(links) == 24, "the dearest dozen and the newest dozen"
        assert await page.value("[...document.querySelectorAll('td a')].every(a => document.querySelector(a.hash))")
        assert await page.value("document.querySelectorAll('.picture .js-plotly-plot').length") == 0
        await page.value("document.querySelector('td a').click()")
        await page.value("new Promise(done => setTimeout(done, 300))")
        assert await page.value("document.querySelectorAll('.picture[open] .js-plotly-plot').length") == 2
        assert page.complaints == []
    async with new_page(address) as page:
        await page.open(file, part=links[-1])
        await page.value("new Promise(done => setTimeout(done, 300))")
        assert len(await page.value(DRAWN)) == len(traces) + 2
        place = f"document.querySelector('{links[-1]}').getBoundingClientRect().top"
        assert -5 <= await page.value(place) < 900
