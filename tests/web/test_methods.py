"""The page of the methods: it says what the report says, of a database with or without an engine."""

from __future__ import annotations

import io
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
import trio

from fsm_exec.algorithms import SHIPPED
from fsm_exec.lab.report.method_table import method_rows, score_executions
from fsm_exec.lab.report.overview import overview_sections
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.logs import open_log
from fsm_exec.store.maintenance.read_only import open_read_only
from fsm_exec.store.reads import report_queries
from fsm_exec.web.app import page_app
from fsm_exec.web.methods.chart import draw_chart
from fsm_exec.web.methods.view import load_methods
from fsm_exec.web.server import page_parts
from tests.lab.report_sources import demo
from tests.web.conftest import PORT, PageOfDesk

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo(tmp_path_factory.mktemp("methods"), "passive_mid", "deadline_walker")


class Tables(HTMLParser):
    """The texts of every table of a page, by its label: rows of cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, list[list[str]]] = {}
        self.links: list[str] = []
        self._label = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "div" and named.get("class") == "scroll":
            self._label = named.get("aria-label") or ""
            self.found[self._label] = []
        elif tag == "tr":
            self.found[self._label].append([])
        elif tag in ("td", "th"):
            self.found[self._label][-1].append("")
        elif tag == "a":
            self.links.append(named.get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self._label = ""

    def handle_data(self, data: str) -> None:
        if self._label and self.found[self._label] and self.found[self._label][-1]:
            self.found[self._label][-1][-1] += data.strip()


@asynccontextmanager
async def copied(database: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that was let in to the page of a database without an engine."""
    wall = WallClock(0)
    log = open_log(io.StringIO(), wall)
    async with (
        page_parts(None, database, "paper", wall, log) as parts,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(page_app(parts, PORT)),
            base_url=f"http://127.0.0.1:{PORT}",
            headers={"Sec-Fetch-Site": "none"},
        ) as browser,
    ):
        code = parts.sessions.draw_code(read_only=True)
        assert (await browser.get("/enter", params={"code": code})).status_code == 200
        yield browser


async def shown(browser: httpx.AsyncClient) -> str:
    answer = await browser.get("/methods")
    assert answer.status_code == 200
    return answer.text


async def test_it_says_what_the_report_says(database: Path) -> None:
    """The desk's table, figure for figure, the dearest executions, and links that lead to them."""
    async with copied(database) as browser:
        page = await shown(browser)
        tables = Tables(page)
        for section in overview_sections(database)[2]:
            if section.title in ("The desk's table", "The dearest executions"):
                assert section.table is not None
                expected = [list(section.table.columns), *map(list, section.table.rows)]
                assert tables.found[section.title] == expected
        assert len(tables.found["Where executions ended"]) > 1
        links = {link for link in tables.links if link.startswith("/executions/")}
        assert links == {f"/executions/e{number:06}" for number in range(1, 13)}
        assert (await browser.get(min(links))).status_code == 200
        assert "<style" not in page
        assert " style=" not in page


async def test_each_method_has_its_cost_and_interval_in_words(database: Path) -> None:
    """The drawing is for the eye alone: what it shows stands beside it."""
    async with copied(database) as browser:
        rows = Tables(await shown(browser)).found["What each method cost"][1:]
    with open_read_only(database) as found:
        members = score_executions(report_queries.load_worked(found.connection))
        reckoned = method_rows(members, {})
    walker = SHIPPED["deadline_walker"].full_name
    assert [row[0] for row in rows] == [row.method for row in reckoned] == [walker, "passive_mid@1"]
    for row, method in zip(rows, reckoned, strict=True):
        assert method.estimate is not None
        assert row[1:4] == ["6", f"{100 * method.fill_by_quantity:.0f} %", f"{method.estimate.mean:z.2f}"]
        assert row[4] == "too few" or re.fullmatch(r"~?\[[+-]\d+\.\d\d, [+-]\d+\.\d\d\]", row[4])


def test_the_drawing_is_to_scale(database: Path) -> None:
    """Means lie where their cost is between the ends, intervals around them, and the parts of each are as wide as it
    costs."""
    with open_read_only(database) as found:
        members = score_executions(report_queries.load_worked(found.connection))
    rows = method_rows(members, {})
    rows = [
        row._replace(estimate=row.estimate._replace(low=-1.0, high=2.0)) for row in rows if row.estimate is not None
    ]
    chart = draw_chart(rows)
    assert chart.ends == ("-1.00 c", "+2.00 c")
    scale = (880, 60 + 880 / 3)  # the width of three cents within the margins, and where nought is
    for row, drawn in zip(rows, chart.rows, strict=True):
        assert row.estimate is not None
        (mean,) = re.findall(r'class="mean" x1="([\d.]+)"', drawn.drawn)
        assert float(mean) == pytest.approx(scale[1] + row.estimate.mean * scale[0] / 3, abs=0.1)
        assert re.findall(r'class="interval" x1="([\d.]+)" x2="([\d.]+)"', drawn.drawn)[0] == ("60.0", "940.0")
        widths = [float(width) for width in re.findall(r'width="([\d.]+)" y=', drawn.parts)]
        assert len(widths) == sum(1 for part in row.parts.values() if part)


async def test_of_an_engine_that_works_it_changes(page: PageOfDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything has ended it says so; what ends later is there for who looks again."""
    monkeypatch.setattr("fsm_exec.web.methods.routes.KEPT_S", 0)
    async with page.browser() as browser:
        assert "nothing can be said of a method" in await shown(browser)
        name = await page.desk.accepted(quantity="2", method="market", target_price="0.60")
        await page.desk.engine.wait_idle()
        tables = Tables(await shown(browser)).found
        assert tables["What each method cost"][1][:3] == ["market@1", "1", "100 %"]
        assert tables["The dearest executions"][1][0] == name


@pytest.fixture
def hostile(database: Path, tmp_path: Path) -> Path:
    """A copy in which every name that others write is markup."""
    copy = tmp_path / "hostile.sqlite"
    copy.write_bytes(database.read_bytes())
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("UPDATE execution_state SET method = ?, ticker = ?", (HOSTILE,) * 2)
    return copy


async def test_what_others_wrote_is_only_text(hostile: Path) -> None:
    """A method and a market that are markup run nothing."""
    async with copied(hostile) as browser:
        page = await shown(browser)
        assert HOSTILE not in page
        assert Tables(page).found["What each method cost"][1][0] == HOSTILE


def test_of_a_large_database_the_newest_are_told(database: Path) -> None:
    """It says so, and how many have a damaged row."""
    with open_read_only(database) as found:
        view = load_methods(found.connection, newest=4)
    assert ("executions", "the newest 4, of which 4 have ended") in view.facts
    assert ("judged here", "4") in view.facts


async def test_many_who_look_cost_no_more_than_one(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty looks at once are one reckoning."""
    reckoned = 0

    def counted(connection: sqlite3.Connection) -> object:
        nonlocal reckoned
        reckoned += 1
        return load_methods(connection)

    monkeypatch.setattr("fsm_exec.web.methods.routes.load_methods", counted)
    async with copied(database) as browser, trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(shown, browser)
    assert reckoned == 1
