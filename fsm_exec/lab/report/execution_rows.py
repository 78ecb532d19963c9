"""The rows of the state ribbon: the execution's own, then each slice's orders, packed so that none overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fsm_exec.core.execution.describe import short_id
from fsm_exec.lab.report.timeline import Bar, OrderTimeline, Timeline

SLICES_MAX = 16  # more than that share rows


class End(NamedTuple):
    owner: str
    state: str
    at_us: int


class Row(NamedTuple):
    """`bars` with whose they are."""

    label: str
    bars: tuple[tuple[str, Bar], ...]
    ends: tuple[End, ...]


def rows_of(story: Timeline) -> list[Row]:
    """The execution's row first."""
    execution = story.execution
    ends = (End("execution", execution.state, story.until_us),) if execution.is_ended else ()
    rows = [Row("execution", tuple(("execution", bar) for bar in story.states), ends)]
    levels = sorted({order.level for order in story.orders})
    if len(levels) > SLICES_MAX:
        return rows + [_row("orders", lane) for lane in _lanes(story.orders)]
    for level in levels:
        lanes = _lanes([order for order in story.orders if order.level == level])
        rows += [_row(f"slice {level}" if number == 0 else "", lane) for number, lane in enumerate(lanes)]
    return rows


def _lanes(orders: Sequence[OrderTimeline]) -> list[list[OrderTimeline]]:
    """Each order in the first lane whose last one has ended."""
    lanes: list[list[OrderTimeline]] = []
    for order in sorted((o for o in orders if o.bars or o.ended_at_us is not None), key=_began_us):
        for lane in lanes:
            if _ended_us(lane[-1]) <= _began_us(order):
                lane.append(order)
                break
        else:
            lanes.append([order])
    return lanes


def _began_us(order: OrderTimeline) -> int:
    return order.bars[0].from_us if order.bars else order.ended_at_us or 0


def _ended_us(order: OrderTimeline) -> int:
    return order.bars[-1].until_us if order.bars else order.ended_at_us or 0


def _row(label: str, orders: Sequence[OrderTimeline]) -> Row:
    bars = [(f"order {short_id(order.client_order_id)}", bar) for order in orders for bar in order.bars]
    ends = [
        End(f"order {short_id(order.client_order_id)}", order.end, order.ended_at_us)
        for order in orders
        if order.end is not None and order.ended_at_us is not None
    ]
    return Row(label, tuple(bars), tuple(ends))
