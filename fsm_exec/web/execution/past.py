"""A timeline and its books as they were at a moment: what came later is left out, what lasted longer is cut. Pure."""

from __future__ import annotations

from fsm_exec.core.execution.execution import Execution
from fsm_exec.lab.report.execution_books import Books, Touch
from fsm_exec.lab.report.timeline import Bar, OrderTimeline, Timeline


def story_until(story: Timeline, execution: Execution, at_us: int) -> Timeline:
    """Return the timeline as of `at_us`, when the execution was this one."""
    return Timeline(
        execution=execution,
        from_us=story.from_us,
        until_us=at_us,
        states=_bars(story.states, at_us),
        orders=tuple(_order(order, at_us) for order in story.orders if _began_by(order, at_us)),
        stands=tuple(
            stand._replace(until_us=min(stand.until_us, at_us)) for stand in story.stands if stand.from_us < at_us
        ),
        walks=tuple(walk for walk in story.walks if walk.at_us <= at_us),
        marks=tuple(mark for mark in story.marks if mark.at_us <= at_us),
        moments=tuple(moment for moment in story.moments if moment.at_us <= at_us),
        outages=tuple(outage for outage in story.outages if outage.until_us <= at_us),
    )


def books_until(books: Books, at_us: int) -> Books:
    """Return the books as far as they were known at `at_us`."""
    columns = tuple(
        column._replace(until_us=min(column.until_us, at_us)) for column in books.columns if column.from_us < at_us
    )
    touches = tuple(touch for touch in books.touches if touch.at_us <= at_us)
    return Books(columns, (*touches, Touch(at_us, None, None, known=False)), books.trades, books.width_us)


def _bars(bars: tuple[Bar, ...], at_us: int) -> tuple[Bar, ...]:
    return tuple(bar._replace(until_us=min(bar.until_us, at_us)) for bar in bars if bar.from_us < at_us)


def _order(order: OrderTimeline, at_us: int) -> OrderTimeline:
    cut = order._replace(bars=_bars(order.bars, at_us))
    if order.ended_at_us is not None and order.ended_at_us > at_us:
        cut = cut._replace(ended_at_us=None, end=None)
    return cut


def _began_by(order: OrderTimeline, at_us: int) -> bool:
    began_us = order.bars[0].from_us if order.bars else order.ended_at_us
    return began_us is not None and began_us <= at_us
