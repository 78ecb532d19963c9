"""An hour of trading with a page open: nothing of the page grows with what has come and gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
import trio
from trio.testing import MockClock

from fsm_exec.control.limits import ControlLimits
from fsm_exec.runtime.logs import open_log
from fsm_exec.web.desk.ticker import DeskTicker
from fsm_exec.web.live.board import REMOVED_KEPT, Changes
from fsm_exec.web.live.tickers import Tickers
from fsm_exec.web.static_files import StaticFiles
from fsm_exec.web.templates import Templates
from tests.control.conftest import OTHER, TICKER, a_desk

T = TypeVar("T")
HOUR_S = 3_600
EVERY_S = 6
HORIZON_S = 9  # the next has begun before one ends
FRAGMENTS_MOST = 40  # cards, the few rows at work, the prices of two markets


class InlineReader:
    """Reads in trio's own thread: a virtual clock would run on while another works."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)

    async def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return function(self.connection)


async def test_an_hour_of_trading_leaves_nothing_behind(tmp_path: Path, autojump_clock: MockClock) -> None:
    """600 executions come and go while a viewer is sent every change: what the viewer has at the end is what the
    board shows, and both are as large as after the first minutes; removals are remembered up to a number."""
    database = tmp_path / "engine.sqlite"
    shown: dict[str, str] = {}
    sizes: list[int] = []
    async with a_desk(ControlLimits(), database=database) as desk, trio.open_nursery() as nursery:
        reader = InlineReader(database)
        ticker = DeskTicker(desk.control, reader, Templates(StaticFiles()), desk.wall)
        tickers = Tickers(nursery, open_log(desk.log_file, desk.wall))

        async def view() -> None:
            with tickers.watch("desk", lambda: ticker):
                place = ticker.board.place
                while True:
                    await ticker.board.wait_for_news(place)
                    assert ticker.board.is_known(place)
                    newest = ticker.board.place
                    changes = msgspec.json.decode(ticker.board.changes_since(place), type=Changes).changes
                    place = newest
                    for change in changes:
                        if change.html or change.text:
                            shown[change.id or change.slot] = change.html or change.text
                        else:
                            shown.pop(change.id, None)

        nursery.start_soon(view)
        for number in range(HOUR_S // EVERY_S):
            market = (TICKER, OTHER)[number % 2]
            await desk.accepted(key=f"k{number}", ticker=market, horizon_s=HORIZON_S)
            await trio.sleep(EVERY_S)
            sizes.append(ticker.board.size)
        await trio.sleep(4 * HORIZON_S)
        assert await desk.executions() == HOUR_S // EVERY_S
        assert not desk.engine.actors
        rows = [name for name in shown if name.startswith("w-e")]
        assert (rows, str(ticker.rows())) == ([], "")
        assert shown["engine"] == ticker.board.html("engine")
        assert len(shown) <= FRAGMENTS_MOST
        assert max(sizes) <= REMOVED_KEPT + FRAGMENTS_MOST
        assert sizes[-1] - ticker.board.removed <= FRAGMENTS_MOST
        assert "page_ticker_failed" not in desk.log
        nursery.cancel_scope.cancel()
        reader.connection.close()
