"""What the desk shows, and that it follows the engine."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trio

from fsm_exec.core.values.units import parse_count, parse_price
from fsm_exec.paper.tapes.tape import BookSnapshot
from fsm_exec.web.database import LiveReader
from fsm_exec.web.desk.figures import describe_left
from fsm_exec.web.desk.stored import AlertLine, EndedLine, cents_of, load_stored_desk
from tests.control.conftest import TICKER
from tests.web.served import ServedPage, a_served_page, place_of

WITHIN_S = 20


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[ServedPage]:
    async with a_served_page(tmp_path) as made:
        yield made


async def test_the_desk_shows_what_is_at_work_and_what_ended(page: ServedPage) -> None:
    """State, progress, own price against bid and ask, what is left, limits; then the ending with its cost."""
    name = await page.desk.accepted()
    async with page.browser() as browser:
        text = await _until(browser, f'id="w-{name}".*own">0.30<')
        row = text.partition(f'<tr id="w-{name}"')[2].partition("</tr>")[0]
        for shown in (TICKER, "YES", "simple_limit", "0 / 10", ">0.45<", ">0.53<"):
            assert shown in row, shown
        assert re.search(r'data-until="\d{13}">(1 min 00|\d+) s<', row)
        await page.desk.control.cancel(name)
        text = await _until(browser, "Ended last.*cancelled</span> user")
        assert f'id="w-{name}"' not in text


async def test_what_gave_up_early_is_not_at_work(page: ServedPage) -> None:
    """The engine keeps it until its deadline, at which its cost is measured; for a person it has ended."""
    name = await page.desk.accepted(method="market", target_price=None, limit="0.30", horizon_s=600)
    async with page.browser() as browser:
        text = await _until(browser, "Ended last.*cancelled</span> no liquidity")
        assert f'id="w-{name}"' not in text


async def test_the_stream_changes_what_changed_and_nothing_else(page: ServedPage) -> None:
    """A new execution is one row put into the table; a moved book is a text for all rows of its market; an ending takes
    the row away. What has not changed is not sent again."""
    async with page.browser() as browser:
        place = place_of((await browser.get("/")).text)
        name = await page.desk.accepted()
        async with page.watched(place) as events:
            row = await events.until(lambda change: change.id == f"w-{name}" and 'own">0.30<' in change.html)
            assert row.into == "working"
            page.desk.exchange.apply(TICKER, _book("0.41", "0.44"))
            moved = await events.until(lambda change: (change.slot, change.text) == ("q1b", "0.41"))
            assert (moved.id, moved.html) == ("", "")
            for _ in range(3):  # the cards that show a time go on; the row does not
                assert f"w-{name}" not in [change.id for change in (await events.next()).changes]
            await page.desk.control.cancel(name)
            await events.until(lambda change: change.id == f"w-{name}" and not change.html)


async def test_a_viewer_goes_on_where_it_was(page: ServedPage) -> None:
    """After a cut the header says which version it has, and it gets what changed since, removals too. Who names the
    place of another process, or none, is told to load the page."""
    async with page.browser() as browser:
        name = await page.desk.accepted()
        await _until(browser, f'id="w-{name}"')
        place = place_of((await browser.get("/")).text)
        await page.desk.control.cancel(name)
        await _until(browser, "cancelled</span> user")
        async with page.watched("x", **{"Last-Event-ID": place}) as events:
            await events.until(lambda change: change.id == f"w-{name}" and not change.html)
        for lost in ("", "x", "abcdef-1", f"{place}0", place.partition("-")[0] + "-99999999999999999999"):
            async with page.watched(lost) as events:
                assert await events.rest() == ["event: reload", "data:"], lost


async def test_a_halt_and_its_reason_are_seen(page: ServedPage) -> None:
    """The engine is said to be halted, and why, in words and not by colour alone."""
    async with page.browser() as browser:
        assert '<span class="badge good">running</span>' in (await browser.get("/")).text
        await page.desk.control.halt()
        assert "Halted:</strong> asked to" in await _until(browser, '<span class="badge bad">halted</span>')


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</tr><b>", "{{7*7}}"]
)
async def test_what_others_wrote_stays_text(page: ServedPage, hostile: str) -> None:
    """A reason, a ticker, a method, a note, an alert: whoever wrote them, on the page and in the events they are
    text, without a control character."""
    page.desk.engine.halt(f"because {hostile}\x1b[31m")
    async with page.browser() as browser:
        text = await _until(browser, "because")
        assert not any(mark in text for mark in ("<script>", "<img", "</tr><b>", "\x1b", "because 49"))
        nowhere = await browser.get(f"/{hostile.replace('/', '')}")
        assert nowhere.status_code == 404
        assert not any(mark in nowhere.text for mark in ("<script>", "<img", "</tr><b>"))
    macro = page.parts.templates.macro
    ended = EndedLine(
        execution_id="e000001", at="", ticker=hostile, outcome="yes", method=hostile, state="filled", reason=hostile,
        filled="1", target="1", paid="-", cost="-", fees="-", note=f"\x1b[31m{hostile}",
    )  # fmt: skip
    alert = AlertLine(at="", kind=hostile, text=hostile, times=1, stands=True, is_recovery=False, execution_id=hostile)
    for html in (macro("desk_parts.html", "endings")([ended]), macro("desk_parts.html", "alerts")([alert])):
        assert not any(mark in html for mark in ("<script>", "<img", "</tr><b>", "\x1b", ">49"))


async def test_an_alert_is_seen(page: ServedPage) -> None:
    """What stands in the table of alerts stands on the desk, and what it is about leads to its page."""
    await page.desk.accepted()
    await page.desk.control.halt()
    async with page.browser() as browser:
        await _until(browser, r"Alerts</h2><span[^>]*>1 standing.*halt</span>")


async def test_a_database_alone_has_its_own_desk(page: ServedPage) -> None:
    """Without an engine the same rows come from the database; prices are not known, and nothing is live."""
    name = await page.desk.accepted()
    desk = await page.parts.reader.read(load_stored_desk)
    assert [(line.execution_id, line.slot, line.price) for line in desk.working] == [(name, "", "-")]
    assert desk.damage == []


async def test_a_database_that_fails_takes_nothing_else_off_the_desk(page: ServedPage) -> None:
    """What is at work and the state of the engine are shown all the same, and what is missing is said; the page of an
    execution, which needs it, fails in words."""
    name = await page.desk.accepted()
    async with page.browser() as browser:
        await _until(browser, f'id="w-{name}"')
        assert isinstance(page.parts.reader, LiveReader)
        page.parts.reader.close()
        await page.desk.control.cancel(name)
        text = await _until(browser, "The database cannot be read")
        assert '<span class="badge good">running</span>' in text
        failed = await browser.get(f"/executions/{name}")
        assert (failed.status_code, "This page failed" in failed.text) == (500, True)


async def test_the_reader_cannot_write(page: ServedPage) -> None:
    """The page's own connections refuse a write, and an error does not spoil them."""
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await page.parts.reader.read(lambda found: found.execute("DELETE FROM execution_state"))
    assert await page.parts.reader.read(lambda found: found.execute("SELECT 1").fetchone()) == (1,)


@pytest.mark.parametrize(
    ("dollars", "cents"), [("0.012345", "1.23"), ("-0.000050", "-0.01"), ("0.000049", "0.00"), ("-0.000049", "0.00")]
)
def test_cost_is_in_cents(dollars: str, cents: str) -> None:
    """Rounded half away from zero, without a negative nothing."""
    assert cents_of(dollars) == cents


@pytest.mark.parametrize(
    ("left_us", "said"), [(-5, "0 s"), (59_999_999, "59 s"), (65_000_000, "1 min 05 s"), (3_720_000_000, "1 h 02 min")]
)
def test_what_is_left_is_said_as_the_script_says_it(left_us: int, said: str) -> None:
    """So that a row does not change its words when the script takes over."""
    assert describe_left(left_us) == said


async def _until(browser: httpx.AsyncClient, pattern: str) -> str:
    """The desk, once it shows this."""
    with trio.fail_after(WITHIN_S):
        while True:
            text = (await browser.get("/")).text
            if re.search(pattern, text, re.DOTALL):
                return text
            await trio.sleep(0.05)


def _book(yes: str, no: str) -> BookSnapshot:
    sides = [((parse_price(price), parse_count("10")),) for price in (yes, no)]
    return BookSnapshot(*sides)
