"""Every page at every width and in both schemes: nothing scrolls sideways, nothing is hidden from a screen reader, the
console is quiet and no other host is asked."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from fsm_exec import Submission
from fsm_exec.web.parts import PAGES, WITHOUT_ENGINE
from tests.cli.exchange import OTHER, TICKER
from tests.web.browser.axe import find_faults, load_axe
from tests.web.browser.desks import Daemon, showing
from tests.web.browser.pages import Visit, visiting

WIDTHS = (360, 800, 1280, 2560)
SCHEMES = ("light", "dark")
CUT_LABELS = """
[...document.querySelectorAll('svg text')].filter(text => {
  const label = text.getBoundingClientRect(), drawing = text.ownerSVGElement.getBoundingClientRect();
  return label.width && (label.left < drawing.left - 1 || label.right > drawing.right + 1);
}).map(text => text.textContent)
"""
FILLED, CANCELLED, AT_WORK = "e000001", "e000002", "e000003"


@pytest.fixture(scope="module")
def busy(daemon: Daemon) -> Daemon:
    """A desk with one execution filled, one cancelled and some at work."""
    orders = (
        (TICKER, "yes", "4", "0.99", "market"),
        (TICKER, "yes", "12", "0.30", "simple_limit"),
        (OTHER, "no", "7", "0.40", "join_bid"),
        (OTHER, "yes", "1000", "0.47", "deadline_walker"),
    )
    for number, (ticker, outcome, quantity, limit, method) in enumerate(orders, start=1):
        wanted = Submission(
            key=f"looks-{number}",
            ticker=ticker,
            outcome=outcome,  # type: ignore[arg-type]  # mypy sees a plain text
            quantity=quantity,
            limit=limit,
            method=method,
            horizon_s=3600,
        )
        assert daemon.client.submit(wanted).execution_id == f"e{number:06}"
    daemon.client.cancel(CANCELLED)
    for ended in (FILLED, CANCELLED):
        daemon.client.wait(ended)
    return daemon


@pytest.fixture
def shown() -> Iterator[list[str]]:
    """What to say where a page is not as it should be."""
    found: list[str] = []
    yield found
    assert not found, "\n".join(found)


SUBMIT = f"/submit?key=looks&ticker={TICKER}&quantity=20&price=0.60&horizon_s=120"
ADDRESSES = (
    *(address for address, _ in PAGES if address != "/submit"),
    SUBMIT,
    f"/executions/{FILLED}",
    f"/executions/{CANCELLED}",
    f"/executions/{AT_WORK}",
    "/no-such-page",
)


def open_page(visit: Visit, daemon: Daemon, address: str) -> None:
    """Open a page and wait until it has all that it fetches."""
    visit.page.goto(daemon.origin + address)
    visit.page.wait_for_selector("main")
    if address.startswith("/submit"):
        visit.page.wait_for_selector("#estimate table")
    visit.page.wait_for_timeout(300)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_page_scrolls_sideways(busy: Daemon, browser: Browser, scheme: str, shown: list[str]) -> None:
    """At 360, 800, 1280 and 2560 pixels; wide tables scroll in a box of their own, and no label of a
    drawing is cut off. Nobody else is asked."""
    for width in WIDTHS:
        with visiting(browser, width=width, scheme=scheme) as visit:
            visit.page.goto(busy.link())
            visit.page.wait_for_url(f"{busy.origin}/")
            for address in ADDRESSES:
                open_page(visit, busy, address)
                if wider := visit.sideways():
                    shown.append(f"{address} at {width} ({scheme}): {wider} px wider than the window")
                shown += [f"{address} at {width} ({scheme}): {label!r} is cut off" for label in visit.value(CUT_LABELS)]
            visit.complaints = [said for said in visit.complaints if "/no-such-page" not in said]
            visit.assert_quiet(busy.origin)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_no_serious_fault(busy: Daemon, browser: Browser, scheme: str, shown: list[str]) -> None:
    """On every page, and in the dialog that confirms, in both schemes."""
    axe = load_axe()
    with visiting(browser, scheme=scheme) as visit:
        visit.page.goto(busy.link())
        visit.page.wait_for_url(f"{busy.origin}/")
        for address in ADDRESSES:
            open_page(visit, busy, address)
            shown += [f"{address} ({scheme}): {fault}" for fault in find_faults(visit, axe)]
        open_page(visit, busy, SUBMIT)
        visit.page.click("#submit-form button[type=submit]")
        visit.page.wait_for_selector("dialog[open]")
        shown += [f"dialog ({scheme}): {fault}" for fault in find_faults(visit, axe)]


def test_tables_need_no_script(busy: Daemon, browser: Browser, shown: list[str]) -> None:
    """Without scripts every page says the same things in its tables and lists."""
    with visiting(browser) as scripted, visiting(browser, scripts=False) as plain:
        for visit in (scripted, plain):
            visit.page.goto(busy.link())
            visit.page.wait_for_url(f"{busy.origin}/")
        for address in ADDRESSES:
            if address.startswith("/submit"):  # its estimate needs one
                continue
            tables = []
            for visit in (scripted, plain):
                open_page(visit, busy, address)
                tables.append([head.inner_text() for head in visit.page.locator("th[scope]").all()])
            if tables[0] != tables[1]:
                shown.append(f"{address}: {tables}")


def test_no_element_is_cut_off_by_the_dialog(busy: Daemon, browser: Browser) -> None:
    """At 360 pixels the confirmation fits, and its buttons can be reached."""
    with visiting(browser, width=360) as visit:
        visit.page.goto(busy.link())
        visit.page.wait_for_url(f"{busy.origin}/")
        open_page(visit, busy, SUBMIT)
        visit.page.click("#submit-form button[type=submit]")
        visit.page.wait_for_selector("dialog[open]")
        assert visit.value("(d => d.scrollWidth - d.clientWidth)(document.querySelector('dialog'))") == 0
        box = visit.page.locator("dialog button[type=submit]").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_copied_database_looks_as_well(
    busy: Daemon, browser: Browser, scheme: str, shown: list[str], tmp_path: Path
) -> None:
    """Without an engine: nothing scrolls sideways, axe finds no serious fault, the console is quiet, no button acts."""
    axe = load_axe()
    copy = tmp_path / "copy.sqlite"
    with closing(sqlite3.connect(busy.database)) as here, closing(sqlite3.connect(copy)) as there:
        here.backup(there)
    with showing(copy) as link, visiting(browser, width=360, scheme=scheme) as visit:
        origin = link.partition("/enter")[0]
        visit.page.goto(link)
        visit.page.wait_for_url(f"{origin}/")
        for address in (*(address for address, _ in WITHOUT_ENGINE), f"/executions/{FILLED}", f"/executions/{AT_WORK}"):
            visit.page.goto(origin + address)
            visit.page.wait_for_timeout(300)
            assert visit.page.locator("[data-act]").count() == 0
            if wider := visit.sideways():
                shown.append(f"{address} ({scheme}): {wider} px wider than the window")
            shown += [f"{address} ({scheme}): {fault}" for fault in find_faults(visit, axe)]
        visit.assert_quiet(origin)
