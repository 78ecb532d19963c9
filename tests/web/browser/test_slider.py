"""The slider of an execution's page, pulled by mouse, keys and Play, while the engine goes on."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from fsm_exec import Submission
from tests.cli.exchange import TICKER
from tests.web.browser.desks import Daemon
from tests.web.browser.pages import Visit, visiting


@pytest.fixture
def at_work(daemon: Daemon, request: pytest.FixtureRequest) -> str:
    """An execution whose order rests."""
    wanted = Submission(
        key=f"slider-{request.node.name}",
        ticker=TICKER,
        outcome="yes",
        quantity="5",
        limit="0.20",
        method="simple_limit",
        horizon_s=900,
    )
    return daemon.client.submit(wanted).execution_id


def open_execution(visit: Visit, daemon: Daemon, name: str) -> None:
    visit.page.goto(daemon.link())
    visit.page.wait_for_url(f"{daemon.origin}/")
    visit.page.goto(f"{daemon.origin}/executions/{name}")
    visit.page.wait_for_selector("#x-machine .state.current[data-state='walking']")


def test_the_past_stays_while_the_engine_goes_on(browser: Browser, daemon: Daemon, at_work: str) -> None:
    """Row 1 is looked at while the execution is cancelled: the head says so and the slider gets longer, the rest stays
    at row 1; the newest row then shows the end, and what comes later is followed again."""
    with visiting(browser) as visit:
        open_execution(visit, daemon, at_work)
        page = visit.page
        page.locator("#x-at").fill("1")
        expect(page.locator("#x-row")).to_contain_text("Row 1 of")
        before = int(page.locator("#x-at").get_attribute("max") or "0")
        daemon.client.cancel(at_work)
        daemon.client.wait(at_work)
        expect(page.locator("#x-head")).to_contain_text("cancelled")
        page.wait_for_function(f"Number(document.getElementById('x-at').max) > {before}")
        expect(page.locator("#x-row")).to_contain_text("Row 1 of")
        assert visit.value("document.querySelector('#x-machine .current').dataset.state") == "pending"
        page.click("[data-step=last]")
        page.wait_for_selector("#x-machine .state.current[data-state='cancelled']")
        assert visit.value("'held' in document.getElementById('x-then').dataset") is False
        visit.assert_quiet(daemon.origin)


def test_keys_links_and_play_go_through_the_rows(browser: Browser, daemon: Daemon, at_work: str) -> None:
    """Arrow keys move by a row and are announced, a row's number in the journal leads to it, the address names the row,
    and Play goes from the first to the newest by itself."""
    with visiting(browser) as visit:
        open_execution(visit, daemon, at_work)
        page = visit.page
        rows = int(page.locator("#x-at").get_attribute("max") or "0")
        page.locator("#x-at").focus()
        page.keyboard.press("Home")
        expect(page.locator("#x-row")).to_contain_text(f"Row 1 of {rows}")
        page.keyboard.press("ArrowRight")
        expect(page.locator("#x-row")).to_contain_text(f"Row 2 of {rows}")
        expect(page.locator("#x-at")).to_have_attribute("aria-valuetext", f"row 2 of {rows}, split")
        assert page.url.endswith("?at=2")
        assert visit.value("document.activeElement.id") == "x-at"
        page.click("#x-journal [data-row='1']")
        expect(page.locator("#x-row")).to_contain_text(f"Row 1 of {rows}")
        page.click("#x-play")
        expect(page.locator("#x-row")).to_contain_text(f"Row {rows} of {rows}")
        expect(page.locator("#x-play")).to_have_text("Play")
        visit.assert_quiet(daemon.origin)


def test_without_scripts_rows_are_links_and_the_slider_a_form(browser: Browser, daemon: Daemon, at_work: str) -> None:
    """Without scripts the same rows are reached, and they show the same."""
    with visiting(browser, scripts=False) as visit:
        open_execution(visit, daemon, at_work)
        page = visit.page
        page.click("[data-step=first]")
        expect(page.locator("#x-row")).to_contain_text("Row 1 of")
        page.click("[data-step='1']")
        expect(page.locator("#x-row")).to_contain_text("Row 2 of")
        page.locator("#x-at").fill("1")
        page.click("#x-show")
        expect(page.locator("#x-row")).to_contain_text("Row 1 of")
        assert page.locator("#x-machine .current").get_attribute("data-state") == "pending"
