"""Keeps the board of one execution: what its page shows, brought up to date while somebody watches."""

from __future__ import annotations

from typing import Final

import trio

from fsm_exec.control.limits import WATCHERS_MAX
from fsm_exec.control.service import Control
from fsm_exec.runtime.clock import WallClock
from fsm_exec.web.execution.fragments import fragments
from fsm_exec.web.execution.looking import Looked, Looking
from fsm_exec.web.live.board import Board
from fsm_exec.web.live.tickers import Ticker
from fsm_exec.web.templates import Templates

BOOK_S: Final = 2.0
"""How often the book is drawn again while nothing else happens."""
SHARE: Final = 0.08
"""The part of one processor that all these tickers together take at most, however many there are, however long the
journals and however fast they grow."""
PAUSE_MOST_S: Final = 60.0
"""After a look that took long for another reason, as a machine that stood still."""
WATCHERS_TAKEN: Final = WATCHERS_MAX // 2
"""As many places of watchers as the pages take; the others are for the API's own readers."""
ENDED_S: Final = 15.0
"""How often one that has ended is looked at: its cost is reckoned then, markouts and late fills come."""


class ExecutionTicker(Ticker):
    """Looks at the execution when a row was written, and now and then for its market's book."""

    def __init__(
        self,
        control: Control,
        looking: Looking,
        templates: Templates,
        wall: WallClock,
        execution_id: str,
        board: Board,
        at_work: set[str],
    ) -> None:
        """`at_work` has the executions of the tickers that run now; they share it."""
        super().__init__()
        self.board, self._at_work = board, at_work
        self._control, self._looking, self._templates, self._wall = control, looking, templates, wall
        self._execution_id = execution_id

    async def refresh(self) -> None:
        self._at_work.add(self._execution_id)
        try:
            if len(self._control.watchers) >= WATCHERS_TAKEN:  # the clock alone wakes it
                await trio.sleep(await self._look())
                return
            with self._control.watchers.watch(self._execution_id) as watcher:
                wait_s = await self._look()
                with trio.move_on_after(wait_s):
                    await watcher.wait_for_news()
        finally:
            self._at_work.discard(self._execution_id)

    async def _look(self) -> float:
        """Bring the board up to date; return how long nothing but a row can change it."""
        began_s = trio.current_time()
        looked = await self._looking.look(self._execution_id)
        if looked is None:
            return ENDED_S
        asked_s = trio.current_time()
        if looked.rests:
            looked = looked.with_places(await self._control.queue.load(looked.detail.execution.ticker))
        began_s += trio.current_time() - asked_s  # the exchange's time is no work of ours
        await trio.to_thread.run_sync(show, self.board, self._templates, looked)
        self.board.publish(self._wall.now_us())
        took_s = trio.current_time() - began_s
        await trio.sleep(min(took_s * len(self._at_work) / SHARE, PAUSE_MOST_S))
        return ENDED_S if looked.header.is_ended else BOOK_S


def show(board: Board, templates: Templates, looked: Looked) -> None:
    """Put all parts of a page on its board."""
    for element_id, html in fragments(templates, looked):
        board.put(element_id, html)
