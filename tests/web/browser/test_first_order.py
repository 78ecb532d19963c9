"""The way in and a first order, as somebody does it who has no mouse: a real browser, daemon and paper exchange."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser

from tests.cli.test_paper_command import served
from tests.web.browser.desks import serving
from tests.web.browser.pages import Visit, visiting

TABS_MAX = 60


def tab_to(visit: Visit, selector: str) -> None:
    """Go on with the Tab key alone until the element has the focus."""
    for _ in range(TABS_MAX):
        if visit.value(f"document.activeElement.matches({selector!r})"):
            return
        visit.page.keyboard.press("Tab")
    raise AssertionError(f"the Tab key does not lead to {selector}")


def test_a_first_order_by_keyboard_alone(browser: Browser, tmp_path: Path) -> None:
    """In by the link of `fsm-exec open --print`, through the form, the estimate and the confirmation to an execution
    that is filled. The link opens nothing a second time; the page asked nobody else, and its console is quiet."""
    with served(tmp_path) as paper, serving(tmp_path, "--paper", paper.ready.rest_url) as daemon:
        link = daemon.link_of_the_command()
        with visiting(browser) as visit:
            visit.page.goto(link)
            visit.page.wait_for_url(f"{daemon.origin}/")
            tab_to(visit, "a[href='/submit']")
            visit.page.keyboard.press("Enter")
            visit.page.wait_for_selector("#submit-form")
            for name, value in (("ticker", paper.ready.markets[0]), ("quantity", "3"), ("price", "0.99")):
                tab_to(visit, f"#{name}")
                visit.page.keyboard.type(value)
            tab_to(visit, "#horizon")
            visit.page.keyboard.type("60")
            tab_to(visit, "#method")
            visit.page.keyboard.press("Control+A")
            visit.page.keyboard.type("market")
            visit.page.wait_for_selector("#estimate :text('Nothing was sent')")
            visit.page.keyboard.press("Enter")
            visit.page.wait_for_selector("dialog[open]")
            said = visit.page.inner_text("dialog")
            assert f"Buy 3 YES of {paper.ready.markets[0]}?" in said
            assert "0.99 per contract, before fees" in said
            assert visit.value("document.activeElement.textContent") == "Back", "a held Enter key must not buy"
            assert daemon.client.list() == []
            tab_to(visit, "dialog button[type=submit]")
            visit.page.keyboard.press("Enter")
            visit.page.wait_for_selector("dialog :text('e000001 accepted')")
            tab_to(visit, "dialog a[href='/executions/e000001']")
            assert daemon.client.wait("e000001").execution.filled_quantity == "3.00"
            (line,) = daemon.log_lines("page_action")
            assert (line["action"], line["outcome"]) == ("submit", "done")
            visit.assert_quiet(daemon.origin)
        with visiting(browser) as thief:
            thief.page.goto(link)
            assert "This link does not open anything" in thief.page.inner_text("main")
            thief.page.goto(daemon.origin)
            assert "Not signed in" in thief.page.inner_text("main")
