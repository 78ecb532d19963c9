"""The page of an execution that is at work, beside a running engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from fsm_exec.core.values.units import parse_count, parse_price
from fsm_exec.paper.tapes.tape import BookSnapshot
from fsm_exec.web.execution.looking import Looked, Looking
from fsm_exec.web.execution.ticker import SHARE, ExecutionTicker
from fsm_exec.web.live.board import Board
from tests.control.conftest import TICKER
from tests.web.conftest import a_page
from tests.web.execution_pages import text_of
from tests.web.served import WITHIN_S, ServedPage, a_served_page, place_of


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[ServedPage]:
    async with a_served_page(tmp_path) as made:
        yield made


def is_lit(html: str, state: str) -> bool:
    """Whether the diagram has this state as the one of now."""
    return any(
        f'data-state="{state}"' in part.partition(">")[0]
        for part in html.split("<g ")
        if "current" in part.partition(">")[0]
    )


async def test_a_page_is_brought_up_to_date_as_it_happens(page: ServedPage) -> None:
    """The page that was made of a resting order gets its fill and its end by events: the diagram lit, the fill in the
    table, the row in the journal, the head at its end; what did not change is not sent again."""
    name = await page.desk.accepted()
    async with page.browser() as browser:
        await until_text(page, browser_text := f"/executions/{name}", "x-machine", "walking after row")
        before = (await browser.get(browser_text)).text
        assert f'data-events="/executions/{name}/events"' in before
        assert is_lit(before, "walking")
        async with page.watched(place_of(before), address=f"/executions/{name}/events") as events:
            page.desk.exchange.apply(
                TICKER,
                BookSnapshot(((parse_price("0.20"), parse_count("5")),), ((parse_price("0.71"), parse_count("100")),)),
            )
            machine = await events.until(lambda change: change.id == "x-machine" and is_lit(change.html, "filled"))
            assert "way" in machine.html
        after = (await browser.get(browser_text)).text
        assert "10 of 10" in text_of(after, "x-fills")
        assert "filled" in text_of(after, "x-head")
        assert "Bought 10" in text_of(after, "x-journal")


async def test_who_watches_sees_what_stands_before_a_resting_order(page: ServedPage) -> None:
    """Asked of the exchange only once somebody watches; a page made meanwhile has it, one of a past row and one of an
    execution that has ended do not."""
    desk = page.desk
    name = await desk.accepted(target_price=None, limit="0.45", quantity="4")
    address = f"/executions/{name}"
    await until_text(page, address, "x-machine", "walking after row")
    async with page.browser() as browser:
        before = (await browser.get(address)).text
        assert "Ahead" not in text_of(before, "x-orders")
        assert desk.control.queue.known(TICKER) == {}
        async with page.watched(place_of(before), address=f"{address}/events") as events:
            orders = await events.until(lambda change: change.id == "x-orders" and "Ahead" in change.html)
            assert '<td class="n">4</td><td class="n">10</td>' in orders.html
            assert "Ahead" in text_of((await browser.get(address)).text, "x-orders")
            assert "Ahead" not in (await browser.get(f"{address}/at/1")).text
            await desk.control.cancel(name)
            await events.until(lambda change: change.id == "x-orders" and "Ahead" not in change.html)


async def until_text(page: ServedPage, address: str, element_id: str, text: str) -> None:
    with trio.fail_after(WITHIN_S):
        async with page.browser() as browser:
            while text not in text_of((await browser.get(address)).text, element_id):  # noqa: ASYNC110 - over HTTP
                await trio.sleep(0.02)


async def test_who_comes_back_is_brought_up_to_date(page: ServedPage) -> None:
    """A viewer that was away while its execution ended gets the end when it watches again from where it was."""
    name = await page.desk.accepted()
    address = f"/executions/{name}"
    await until_text(page, address, "x-machine", "walking after row")
    async with page.browser() as browser:
        place = place_of((await browser.get(address)).text)
    await page.desk.control.cancel(name)
    await until_text(page, address, "x-machine", "cancelled after row")
    async with page.watched(place, address=f"{address}/events") as events:
        await events.until(lambda change: change.id == "x-machine" and is_lit(change.html, "cancelled"))


async def test_a_past_row_needs_the_session_and_is_no_action(page: ServedPage) -> None:
    """Without a session neither page nor row nor events are shown; with a read-only one they are, without a button."""
    name = await page.desk.accepted()
    addresses = (f"/executions/{name}", f"/executions/{name}/at/1", f"/executions/{name}/events", "/executions")
    async with page.stranger() as stranger:
        for address in addresses:
            assert (await stranger.get(address)).status_code == 401
    async with page.browser(read_only=True) as browser:
        await until_text(page, f"/executions/{name}", "x-machine", "after row")
        shown = (await browser.get(f"/executions/{name}")).text
        assert "Cancel this execution" not in shown
        assert (await browser.get(f"/executions/{name}/at/1")).json()["seq"] == 1
    async with page.browser() as browser:
        assert "Cancel this execution" in (await browser.get(f"/executions/{name}")).text


class SlowLooking(Looking):
    """Looking that takes long, as over a very long journal."""

    TAKES_S = 0.3

    async def look(self, execution_id: str, seq: int | None = None) -> Looked | None:
        self.looks = getattr(self, "looks", 0) + 1
        await trio.sleep(self.TAKES_S)
        return await super().look(execution_id, seq)


async def test_all_pages_together_take_a_small_part_of_a_processor(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Ten executions are watched, each look takes 0.3 s: in ten minutes of the clock all looks together
    have taken no more than their share, and each execution was looked at."""
    async with a_page(tmp_path) as page:
        names = [await page.desk.accepted(key=f"k{number}") for number in range(10)]
        parts, looking = page.parts, SlowLooking(page.parts.reader, page.desk.wall.now_us, None)
        at_work: set[str] = set()
        tickers = [
            ExecutionTicker(page.desk.control, looking, parts.templates, parts.wall, name, Board(), at_work)
            for name in names
        ]

        async def run(ticker: ExecutionTicker) -> None:
            while True:
                await ticker.refresh()

        with trio.move_on_after(600):
            async with trio.open_nursery() as nursery:
                for ticker in tickers:
                    nursery.start_soon(run, ticker)
        assert len(names) <= looking.looks
        assert looking.looks * looking.TAKES_S <= SHARE * 600 + len(names) * looking.TAKES_S
        assert all(ticker.board.place.version for ticker in tickers)
