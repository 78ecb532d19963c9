"""Actions over HTTP: confirmed, done, refused in the API's words, and written down before they are answered."""

from __future__ import annotations

import html
import json
import re

import httpx

from fsm_exec.web.actions.all_actions import ACTIONS
from tests.control.conftest import TICKER
from tests.web.conftest import ORIGIN, PageOfDesk


async def act(browser: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    """What the page's script sends: the second secret out of the page's head, and the fields as JSON."""
    found = re.search(r'name="fsm-exec-action" content="([^"]+)"', (await browser.get("/")).text)
    headers = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
    if found is not None:
        headers["Fsm-Exec-Action"] = found[1]
    return await browser.post(path, content=json.dumps(fields), headers=headers)


def fields_of(fragment: str) -> dict[str, str]:
    """What a confirmation sends."""
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', fragment)
    return {name: html.unescape(value) for name, value in found}


def audit(page: PageOfDesk) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in page.desk.log.splitlines()]
    return [line for line in lines if line["event"].startswith("page_action")]


ORDER = {
    "key": "page-1",
    "ticker": TICKER,
    "outcome": "yes",
    "quantity": "10",
    "price": "0.30",
    "horizon_s": "60",
    "method": "simple_limit",
}


async def test_an_order_is_confirmed_then_given_once(page: PageOfDesk) -> None:
    """The confirmation states price, cap and worst case; sent twice it is one execution; each is in the log."""
    async with page.browser() as browser:
        shown = await act(browser, "/actions/submit/review", **ORDER)
        assert shown.status_code == 200, shown.text
        for said in (f"Buy 10 YES of {TICKER}?", "0.30 per contract, before fees", "dollars are paid, and lost if"):
            assert said in shown.text
        assert await page.desk.executions() == 0
        first = await act(browser, "/actions/submit", **fields_of(shown.text))
        again = await act(browser, "/actions/submit", **fields_of(shown.text))
        assert (first.status_code, again.status_code) == (200, 200)
        assert "e000001 accepted" in first.text
        assert "e000001 was accepted earlier, and once" in again.text
        assert await page.desk.executions() == 1
        asked, done, *_ = audit(page)
        assert (asked["event"], done["event"]) == ("page_action_asked", "page_action")
        assert asked["action"] == "submit"
        assert asked["fields"] == {"price_is": "limit"} | ORDER
        assert str(asked["who"]).startswith("page ")
        assert (done["outcome"], done["who"]) == ("done", asked["who"])
        reloaded = await browser.get("/submit", params={"key": "page-1"})
        assert 'accepted as <a href="/executions/e000001">' in reloaded.text


async def test_a_refusal_has_the_words_of_the_api(page: PageOfDesk) -> None:
    """Status, words and an audit line; the same key for another order buys nothing."""
    async with page.browser() as browser:
        await act(browser, "/actions/submit", **ORDER)
        other = await act(browser, "/actions/submit", **ORDER | {"quantity": "11"})
        assert other.status_code == 409
        assert "was used at" in html.unescape(other.text)
        missing = await act(browser, "/actions/submit/review", key="page-9")
        assert (missing.status_code, "missing: ticker" in missing.text) == (422, True)
        ended = await act(browser, "/actions/cancel", execution_id="e000099")
        assert (ended.status_code, "no execution e000099" in ended.text) == (404, True)
        assert audit(page)[-1]["code"] == "not_found"
        assert await page.desk.executions() == 1


async def test_who_may_only_look_can_do_nothing(page: PageOfDesk) -> None:
    """Every action is refused 403 to a read-only session, and nothing is written as if it had been asked."""
    async with page.browser(read_only=True) as browser:
        for path in (f"/actions/{action.name}{end}" for action in ACTIONS for end in ("", "/review")):
            refused = await act(browser, path, execution_id="e000001", ticker=TICKER)
            assert refused.status_code == 403, path
        assert audit(page) == []


async def test_who_may_only_look_sees_no_button(page: PageOfDesk) -> None:
    """Neither on the desk nor on the form, and the form itself is not there."""
    async with page.browser(read_only=True) as browser:
        for path in ("/", "/submit?key=page-1"):
            shown = (await browser.get(path)).text
            assert "data-act" not in shown
            assert "<form" not in shown


async def test_cancel_halt_and_resume(page: PageOfDesk) -> None:
    """Each says before what it will end, and does it."""
    async with page.browser() as browser:
        await act(browser, "/actions/submit", **ORDER)
        shown = await act(browser, "/actions/cancel/review", execution_id="e000001")
        assert "0 of 10 YES that are filled" in shown.text
        done = await act(browser, "/actions/cancel", **fields_of(shown.text))
        assert (done.status_code, "e000001 is being cancelled" in done.text) == (200, True)
        shown = await act(browser, "/actions/halt/review")
        assert "nothing new is accepted until you resume" in shown.text
        assert page.desk.engine.state == "running"
        assert (await act(browser, "/actions/halt")).status_code == 200
        assert page.desk.engine.state == "halted"
        review = await act(browser, "/actions/submit/review", **ORDER | {"key": "page-2"})
        assert "It would be refused now: the engine is halted" in review.text
        assert ">Buy</button>" not in review.text
        assert (await act(browser, "/actions/resume")).status_code == 200
        assert page.desk.engine.state == "running"
        assert [line["action"] for line in audit(page) if line["event"] == "page_action"] == [
            "submit",
            "cancel",
            "halt",
            "resume",
        ]


async def test_the_estimate_stands_beside_the_form(page: PageOfDesk) -> None:
    """What taking it now costs, a limit to take over, and what is missing in words; nothing is submitted."""
    async with page.browser() as browser:
        told = await act(browser, "/submit/estimate", **{**ORDER, "price": ""})
        assert (told.status_code, "as the limit</button>" in told.text) == (200, True)
        assert "Nothing was sent" in told.text
        less = await act(browser, "/submit/estimate", ticker=TICKER)
        assert "missing: outcome, quantity, horizon_s or deadline" in less.text
        assert await page.desk.executions() == 0


async def test_a_form_keeps_its_key_and_what_was_typed(page: PageOfDesk) -> None:
    """Loaded again it asks for the same execution; what is none of its fields, or no choice, is left out."""
    async with page.browser() as browser:
        led = await browser.get("/submit", params={"ticker": TICKER, "evil": "1"})
        assert led.status_code == 303
        address = led.headers["location"]
        assert re.fullmatch(rf"/submit\?ticker={TICKER}&key=page-[0-9a-f]{{24}}", address)
        shown = (await browser.get(f"{address}&price_is=free&quantity=%22%3E%3Cscript%3E")).text
        assert f'value="{TICKER}"' in shown
        assert "<script>" not in shown
        assert 'value="&#34;&gt;&lt;script&gt;"' in shown


async def test_names_of_others_are_text_in_a_confirmation(page: PageOfDesk) -> None:
    """A ticker that is markup comes back as a refusal that shows it, and runs nothing."""
    async with page.browser() as browser:
        shown = await act(browser, "/actions/submit/review", **ORDER | {"ticker": "<img src=x onerror=alert(1)>"})
        assert shown.status_code == 422
        assert "<img" not in shown.text
