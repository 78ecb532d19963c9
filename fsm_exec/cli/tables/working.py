"""Executions at work as a table: how each stands, its own price against its market's, and what it cost so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.progress_bar import ProgressBar
from rich.text import Text

from fsm_exec.cli.tables.columns import CLOSE, LATE, Column, figures, names, words
from fsm_exec.cli.tables.times import day_and_clock, short_span
from fsm_exec.control.overview_schema import WorkingExecution
from fsm_exec.core.values.short_text import dollars, trim_count, trim_dollars
from fsm_exec.core.values.units import parse_count

BAR_WIDTH: Final = 12
ENDS: Final = ("filled", "cancelled")
LIVE: Final = "live"
COLOURS: Final = {
    "pending": "dim",
    "split": "cyan",
    "walking": "yellow",
    "partial": "magenta",
    "filled": "green",
    "cancelled": "red",
}


def working_columns(rows: Sequence[WorkingExecution], *, is_one_market: bool = False) -> list[Column]:
    """Return the executions in their order. `is_one_market`: all are in one, which is said elsewhere; it is the methods
    that differ then, and why one is being ended goes before them."""
    shorter = ((CLOSE, _styled(rows, whole=False)),) if is_one_market else ()
    market = [] if is_one_market else [names("market", [one.ticker for one in rows])]
    filled = [(trim_count(one.filled_quantity), trim_count(one.target_quantity)) for one in rows]
    cost = ["-" if one.cost is None else dollars(one.cost) for one in rows]
    return [
        Column("id", [one.execution_id for one in rows]),
        *market,
        Column("side", [one.outcome for one in rows]),
        names("method", [one.method.partition("@")[0] for one in rows], then=((CLOSE + 1, None),)),
        words("state", _styled(rows, whole=True), then=shorter),
        figures("filled", ["/".join(one) for one in filled], then=((LATE + 2, ["/\n".join(one) for one in filled]),)),
        Column("progress", [_bar_of(one) for one in rows], width=BAR_WIDTH, then=((1, None),)),
        figures("ours", [_price(one.price) for one in rows]),
        figures("bid", [_quote(one, one.bid) for one in rows]),
        figures("ask", [_quote(one, one.ask) for one in rows]),
        figures("limit", [_price(one.limit) for one in rows], then=((2, None),)),
        figures("cost $", cost, then=((LATE, [_to_cents(one) for one in cost]), (LATE + 3, None))),
        figures("ends", [day_and_clock(one.deadline) for one in rows], then=((0, None),)),
        figures("left", ["-" if one.state in ENDS else short_span(one.seconds_left) for one in rows]),
    ]


def _styled(rows: Sequence[WorkingExecution], *, whole: bool) -> list[Text]:
    return [Text(_state_of(one, whole=whole), style=COLOURS.get(one.state, "")) for one in rows]


def _state_of(one: WorkingExecution, *, whole: bool) -> str:
    """Return the state, and `whole` why it comes to its end, if it does. Of a cancelled one the reason says more."""
    if one.state in ENDS:
        return one.ending or one.state if one.state == "cancelled" else one.state
    return f"{one.state}, ends: {one.ending}" if whole and one.ending is not None else one.state


def _to_cents(money: str) -> str:
    """Return dollars without what is below a cent, for where there is little room."""
    whole, point, fraction = money.partition(".")
    return f"{whole}{point}{fraction[:2]}"


def _bar_of(one: WorkingExecution) -> ProgressBar:
    return ProgressBar(
        total=parse_count(one.target_quantity), completed=parse_count(one.filled_quantity), width=BAR_WIDTH
    )


def _quote(one: WorkingExecution, price: str | None) -> str:
    """Return a price of the book, marked if it is only the last that is known."""
    return _price(price) if price is None or one.feed == LIVE else f"{_price(price)}?"


def _price(price: str | None) -> str:
    return "-" if price is None else trim_dollars(price)
