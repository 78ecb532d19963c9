"""What the watching of markets needs of the database: books, markouts and forecasts, beside the executions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from fsm_exec.core.forecasts import Forecast
from fsm_exec.core.ports import BookRow, ExecutionSave, MarkoutDue, MarkoutRow, OpenForecast


class ObservationStore(Protocol):
    """Each save returns when it is durable; it raises SaveRefused for rows the database does not take and StoreFailed
    when the store cannot go on."""

    async def save_book(self, row: BookRow) -> None: ...
    async def save_markouts(self, rows: Sequence[MarkoutRow], at_us: int) -> None: ...
    async def save_forecasts(self, execution_id: str, ticker: str, forecasts: Sequence[Forecast]) -> None: ...
    async def complete_forecasts(self, happened: Sequence[tuple[int, int | None]], at_us: int) -> None:
        """(number, what came in millionths) of each; None: it was missed."""
        ...

    async def open_forecasts(self, due_by_us: int | None) -> list[OpenForecast]:
        """Those that are due by then and wait for what comes; None: all."""
        ...

    async def markouts_due(self, since_us: int) -> list[MarkoutDue]:
        """Fills made since then that are without some of their markouts."""
        ...

    async def unsettled_markets(self) -> list[str]:
        """Markets with fills whose settlement is not stored."""
        ...

    async def unsettled_fills(self, ticker: str) -> list[MarkoutDue]: ...
    async def recent_books(self, ticker: str, since_us: int) -> list[BookRow]:
        """Of this market, taken at an interval, oldest first."""
        ...

    async def forget_books(self, before_us: int, at_most: int) -> int:
        """Delete books taken at an interval or at a decision before then, the oldest first; how many were."""
        ...

    def on_saved(self, listener: Callable[[ExecutionSave], None]) -> None:
        """Have `listener` told of every step of every execution once it is durable."""
        ...
