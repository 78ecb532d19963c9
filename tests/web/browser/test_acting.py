"""What is done with a mouse: cancel, halt and resume, each confirmed and in the log; two clicks are one; a read-only
window has nothing to click."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from fsm_exec import Submission
from tests.cli.exchange import TICKER
from tests.web.browser.desks import Daemon
from tests.web.browser.pages import Visit, visiting

NEXT = "dialog button[type=submit]"


def submit(daemon: Daemon, key: str) -> str:
    """One that rests at 0.30, below every offer."""
    wanted = Submission(
        key=key, ticker=TICKER, outcome="yes", quantity="20", limit="0.30", method="simple_limit", horizon_s=900
    )
    return daemon.client.submit(wanted).execution_id


def enter(visit: Visit, daemon: Daemon, address: str = "/", *, read_only: bool = False) -> None:
    visit.page.goto(daemon.link(read_only=read_only))
    visit.page.wait_for_url(f"{daemon.origin}/")
    if address != "/":
        visit.page.goto(daemon.origin + address)


def test_cancel_halt_and_resume(browser: Browser, daemon: Daemon) -> None:
    """Each dialog says what it will do and does it when confirmed, not before; the page shows that it was done."""
    name = submit(daemon, "cancelled")
    with visiting(browser) as visit:
        enter(visit, daemon, f"/executions/{name}")
        visit.page.click("form[action='/actions/cancel/review'] button")
        visit.page.wait_for_selector(f"dialog :text('Cancel {name}?')")
        visit.page.keyboard.press("Escape")
        visit.page.wait_for_selector("dialog[open]", state="detached")
        assert daemon.client.show(name).execution.state != "cancelled"
        visit.page.click("form[action='/actions/cancel/review'] button")
        visit.page.click(NEXT)
        visit.page.wait_for_selector(f"dialog :text('{name} is being cancelled')")
        assert daemon.client.wait(name).execution.state == "cancelled"
        visit.page.click("dialog [data-act-close]")
        visit.page.wait_for_selector("#x-machine .state.current[data-state='cancelled']")
        other = submit(daemon, "halted")
        visit.page.goto(daemon.origin)
        for action in ("risk_resume", "risk_reduce", "resume"):  # what could do nothing now is not shown
            assert not visit.page.locator(f"form[action='/actions/{action}/review'] button").first.is_visible(), action
        visit.page.click("form[action='/actions/halt/review'] button")
        visit.page.wait_for_selector("dialog :text('nothing new is accepted until you resume')")
        assert daemon.client.status().state == "running"
        visit.page.click(NEXT)
        visit.page.wait_for_selector("dialog :text('every order is being cancelled')")
        assert daemon.client.wait(other).execution.reason == "halt"
        visit.page.click("dialog [data-act-close]")
        visit.page.click("form[action='/actions/resume/review'] button")
        visit.page.click(NEXT)
        visit.page.wait_for_selector("dialog :text('new executions are accepted')")
        assert daemon.client.status().state == "running"
        visit.page.click("dialog [data-act-close]")
        visit.page.wait_for_selector("form[action='/actions/resume/review'] button", state="hidden")
        done = [line["action"] for line in daemon.log_lines("page_action")]
        assert done == ["cancel", "halt", "resume"]
        visit.assert_quiet(daemon.origin)


def test_two_clicks_are_one_order(browser: Browser, daemon: Daemon) -> None:
    """A double click, and the same form loaded and sent once more, buy once."""
    before = len(daemon.client.list())
    with visiting(browser) as visit:
        enter(visit, daemon, f"/submit?ticker={TICKER}&quantity=5&price=0.20&horizon_s=60&method=simple_limit")
        address = visit.page.url
        for _ in range(2):
            visit.page.goto(address)
            visit.page.click("#submit-form button[type=submit]")
            visit.page.wait_for_selector(NEXT)
            visit.page.dblclick(NEXT)
            visit.page.wait_for_selector("dialog :text('accepted')")
        assert len(daemon.client.list()) == before + 1
        visit.page.goto(address)
        assert "It is accepted once" in visit.page.inner_text("main")


@pytest.mark.parametrize("address", ["/", "/submit", "/executions"])
def test_who_may_only_look_has_nothing_to_click(browser: Browser, daemon: Daemon, address: str) -> None:
    """No button acts, and what a page's script could send by itself is refused."""
    with visiting(browser) as visit:
        enter(visit, daemon, address, read_only=True)
        assert visit.page.locator("[data-act]").count() == 0
        status = visit.value("fetch('/actions/halt', {method: 'POST', body: '{}'}).then(answer => answer.status)")
        assert status == 403
        assert daemon.client.status().state == "running"


def test_a_daemon_that_is_gone_is_said(browser: Browser, daemon: Daemon) -> None:
    """Without an answer to the review the dialog says that nothing was done, and the form can be sent again."""
    with visiting(browser) as visit:
        enter(visit, daemon, f"/submit?ticker={TICKER}&quantity=5&price=0.20&horizon_s=60&method=simple_limit")
        visit.page.wait_for_selector("#estimate table")
        visit.context.set_offline(True)
        visit.page.click("#submit-form button[type=submit]")
        visit.page.wait_for_selector("dialog :text('Nothing was done')")
        visit.context.set_offline(False)
        visit.page.click("dialog [data-act-close]")
        visit.page.click("#submit-form button[type=submit]")
        visit.page.wait_for_selector(NEXT)
