"""Many viewers, slow ones, and those that stay too long: the engine goes on, and nothing grows."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
from markupsafe import Markup

from fsm_exec.web.live.board import Weight
from fsm_exec.web.live.tickers import GAP_S, STREAMS_MAX, Ticker, pause_s
from tests.web.served import WITHIN_S, ServedPage, a_served_page, place_of

ASKED = 1_000
BIG = 1_000_000  # characters of a fragment: some fill what the sockets hold
PUBLISHED = 40


class Manual(Ticker):
    """A board that the test changes itself."""

    async def refresh(self) -> None: ...


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[ServedPage]:
    async with a_served_page(tmp_path) as made:
        yield made


async def test_a_thousand_streams_are_refused_beyond_the_limit_and_the_engine_goes_on(page: ServedPage) -> None:
    """64 are open, the others are told so; an execution is accepted and cancelled meanwhile; whoever leaves makes
    room."""
    cookie = page.cookie()
    answers: Counter[int] = Counter()
    async with AsyncExitStack() as stack:
        async with page.browser() as browser:
            place = place_of((await browser.get("/")).text)
        for _ in range(ASKED):
            async with AsyncExitStack() as one:
                events = await one.enter_async_context(page.watched(place, cookie))
                answers[events.status] += 1
                if events.status == 200:
                    stack.push_async_callback(one.pop_all().aclose)
        assert answers == {200: STREAMS_MAX, 503: ASKED - STREAMS_MAX}
        assert len(page.parts.tickers) == STREAMS_MAX
        name = await page.desk.accepted()
        await page.desk.control.cancel(name)
    with trio.fail_after(WITHIN_S):
        while len(page.parts.tickers):  # noqa: ASYNC110 - the server notices when it next reads or sends
            await trio.sleep(0.01)
    async with page.watched(place, cookie) as events:
        assert events.status == 200


async def test_a_slow_reader_gets_the_newest_and_holds_up_nobody(page: ServedPage) -> None:
    """One that reads nothing while forty large changes come gets a few of them when it reads at last, the newest at the
    end; another one has had them all."""
    ticker = Manual()
    ticker.board.put("big", Markup("<p id=big>0</p>"))
    ticker.board.publish(0)
    place = str(ticker.board.place)
    with page.parts.tickers.watch("desk", lambda: ticker):
        async with page.watched(place) as slow, page.watched(place) as quick:
            for number in range(1, PUBLISHED + 1):
                ticker.board.put("big", Markup(f"<p id=big>{number}{'x' * BIG}</p>"))
                ticker.board.publish(0)
                await quick.until(lambda change, text=f"<p id=big>{number}x": change.html.startswith(text))  # type: ignore[misc]
            read = 0
            with trio.fail_after(WITHIN_S):
                while f"-{PUBLISHED + 1}" not in slow.place:
                    await slow.next()
                    read += 1
            assert read < PUBLISHED / 2, read


async def test_a_stream_ends_with_its_session(page: ServedPage) -> None:
    """A stolen or old session sees nothing more with the next event: its page is told to load again, and is refused."""
    cookie = page.cookie()
    async with page.browser() as browser:
        place = place_of((await browser.get("/")).text)
    async with page.watched(place, cookie) as events:
        session = page.parts.sessions.find(cookie.partition("=")[2])
        assert session is not None
        page.parts.sessions.end(session)
        await page.desk.accepted()
        assert (await events.rest())[-2:] == ["event: reload", "data:"]
    async with page.watched(place, cookie) as events:
        assert events.status == 401


async def test_streams_end_when_the_page_stops(page: ServedPage) -> None:
    """At once and whole, so that a stop of the daemon waits for no viewer; new ones are refused."""
    async with page.browser() as browser:
        place = place_of((await browser.get("/")).text)
    async with page.watched(place) as events:
        page.parts.tickers.close()
        await events.rest()
    assert len(page.parts.tickers) == 0
    async with page.watched(place) as events:
        assert events.status == 503


async def test_a_bug_of_a_board_ends_nothing(page: ServedPage) -> None:
    """It is logged and tried again; other pages answer."""

    class Broken(Ticker):
        calls = 0

        async def refresh(self) -> None:
            self.calls += 1
            raise ZeroDivisionError

    broken = Broken()
    with page.parts.tickers.watch("broken", lambda: broken):
        with trio.fail_after(WITHIN_S):
            while broken.calls < 2:  # noqa: ASYNC110 - nothing tells of a call
                await trio.sleep(0.01)
        async with page.browser() as browser:
            assert (await browser.get("/")).status_code == 200
    assert "page_ticker_failed" in page.desk.log


def test_the_busier_the_less_often() -> None:
    """Four times a second at most; a thousand rows for fifty viewers every two seconds, so that all of it stays about a
    twentieth of a processor."""
    assert pause_s(Weight(0, 0), 50) == pause_s(Weight(20, 12_000), 8) == GAP_S
    pause = pause_s(Weight(1_000, 600_000), 50)
    assert 1 < pause < 3
    assert pause_s(Weight(1_000, 600_000), 1) < pause


async def test_nobody_watches_and_nothing_is_done(page: ServedPage) -> None:
    """A board is brought up to date while somebody watches it, and not after."""

    class Counting(Manual):
        calls = 0

        async def refresh(self) -> None:
            self.calls += 1

    counting = Counting()
    with page.parts.tickers.watch("counting", lambda: counting):
        with page.parts.tickers.watch("counting", lambda: Manual()) as shared:
            assert shared is counting
        with trio.fail_after(WITHIN_S):
            while counting.calls < 2:  # noqa: ASYNC110 - nothing tells of a call
                await trio.sleep(0.01)
    calls = counting.calls
    await trio.sleep(0.6)
    assert counting.calls == calls
