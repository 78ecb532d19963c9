"""The watch over positions that are being closed: executions that only close hear when nothing is left to close.

It reads the account's positions while such an execution waits. Two answers in a row must say that nothing is held: one
may lag behind, or be wrong.
"""

from __future__ import annotations

from typing import Protocol

import trio
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.errors import VenueError
from fsm_exec.core.exchange_port import AccountReads
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.execution.reduce_only import asks_for_position, closable_e2
from fsm_exec.core.trouble import Trouble
from fsm_exec.core.values.units import CountE2
from fsm_exec.runtime.clock import WallClock

LOOK_S = 15.0
CONFIRM_S = 5.0  # from the first answer that nothing is held to the second


class ClosingIndex(Protocol):
    """The executions at work that only close."""

    def closing(self) -> list[Execution]:
        """Return them as they stand."""
        ...

    def publish_position(self, ticker: str, position_e2: CountE2, asked_at_us: int) -> None:
        """Tell those of a market what is held of it."""
        ...


class PositionWatch:
    """Reads the account's positions for executions that only close."""

    def __init__(
        self, exchange: AccountReads, closing: ClosingIndex, wall: WallClock, log: FilteringBoundLogger
    ) -> None:
        self._exchange, self._closing, self._wall = exchange, closing, wall
        self._unread = Trouble(log, "positions_not_read")
        self._empty: frozenset[str] = frozenset()  # markets in which the last answer showed nothing to close

    async def run(self) -> None:
        """Look again and again, for ever."""
        while True:
            await trio.sleep(CONFIRM_S if self._empty else LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Read the positions once, if an execution asks for them, and pass on what two reads in a row have shown."""
        asked_us = self._wall.now_us()
        waiting = [execution for execution in self._closing.closing() if asks_for_position(execution, asked_us)]
        before, self._empty = self._empty, frozenset()
        if not waiting:
            return
        try:
            positions = {held.ticker: held.count_e2 for held in await self._exchange.fetch_positions()}
        except VenueError as error:
            self._unread.record(str(error))
            return
        self._unread.end()
        nothing = CountE2(0)
        self._empty = frozenset(
            execution.terms.ticker
            for execution in waiting
            if closable_e2(execution, positions.get(execution.terms.ticker, nothing)) == 0
        )
        for ticker in sorted(self._empty & before):
            self._closing.publish_position(ticker, positions.get(ticker, nothing), asked_us)
