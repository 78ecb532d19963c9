"""Proof by listings: what an order's row and its fills say together, later than all that is doubted, is the truth.

A row alone or the fills alone may be behind, cut short or wrong; together they are believed if the fills add up to what
the row says is filled. Then answers and frames that said otherwise are corrected: fills that are not listed are taken
back, what was said to be filled comes down, an order that was said to have ended lives on, or ends.

Whatever does not agree with itself for twice as long is a contradiction, and a person has to look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from fsm_exec.core.execution.events import FillReported, OrderProven
from fsm_exec.core.execution.execution import ChildOrder, Execution, Fill
from fsm_exec.core.execution.fills import is_same_fill
from fsm_exec.core.execution.timing import PROOF_US
from fsm_exec.core.market.orders import FillListing, FillReport, OrderListing, OrderReport
from fsm_exec.core.recovery.order_lookup import fill_event, order_event
from fsm_exec.core.values.units import CountE2, format_count

CONTRADICTS_US = 2 * PROOF_US
"""How long listings may contradict themselves before a person has to look."""
LISTED_FOR_US = 30 * 24 * 3_600 * 1_000_000
"""How long an order that has ended is listed at least: the exchange puts it away after about three months."""


def row_of(child: ChildOrder, ticker: str, orders: OrderListing) -> OrderReport | None:
    """The order's row. Of two orders of its name the one that rests, then the one whose id we know."""
    rows = [row for row in orders.orders if row.client_order_id == child.client_order_id and row.ticker == ticker]
    rows.sort(key=lambda row: (row.status != "resting", row.order_id != child.order_id))
    return rows[0] if rows else None


def order_ids(child: ChildOrder, row: OrderReport | None) -> tuple[str, ...]:
    """Return the ids under which the order's fills must be listed: an answer may have given it another id than the
    listing does."""
    ids = (
        None if row is None else row.order_id,
        child.order_id,
        *(fill.order_id for fill in (*child.fills, *child.late)),
    )
    return tuple(dict.fromkeys(order_id for order_id in ids if order_id is not None))


def prove(
    execution: Execution,
    child: ChildOrder,
    orders: OrderListing,
    fills: Sequence[FillListing],
    since_us: int,
    at_us: int,
    mid_of: Callable[[FillReport], int | None],
    *,
    give_up: bool = False,
) -> OrderProven | str | None:
    """The truth about `child`; why there is none in these listings, if they are late enough for a contradiction; None
    if it is too early. `since_us` is when the doubt began, `fills` are those of each of `order_ids`. With `give_up` a
    contradiction that lasts ends the order."""
    as_of_us = min(orders.as_of_us, *(listing.as_of_us for listing in fills)) if fills else orders.as_of_us
    if as_of_us <= since_us + PROOF_US:
        return None
    row = row_of(child, execution.terms.ticker, orders)
    names = order_ids(child, row)
    stated = _distinct(
        fill_event(report, child.client_order_id, mid_of(report), at_us, execution)
        for listing in fills
        for report in listing.fills
    )
    if _fresh(child, stated, as_of_us, at_us):
        return None
    why = _why_contradicted(child, row, stated, as_of_us)
    if orders.hides(child.client_order_id) or any(listing.hides(name) for name in names for listing in fills):
        why = f"a row about order {child.client_order_id} cannot be read"
    lasts = as_of_us > since_us + CONTRADICTS_US
    given_up = give_up and lasts
    if why is not None and not given_up:
        return why if lasts else None
    return OrderProven(
        at_us=at_us,
        client_order_id=child.client_order_id,
        as_of_us=as_of_us,
        order=None if row is None else order_event(row, at_us, looked_up=True, child=child),
        fills=stated,
        given_up=given_up,
    )


def frame_only_fills(child: ChildOrder) -> list[Fill]:
    """Return the fills that only frames have reported."""
    return [fill for fill in (*child.fills, *child.late) if fill.heard_at_us is not None]


def is_doubted(execution: Execution) -> bool:
    """Whether listings must confirm or correct something that was said about its orders."""
    return any(child.suspicion is not None or frame_only_fills(child) for child in execution.children)


def is_too_old(event: OrderProven, execution: Execution) -> bool:
    """Whether a fill has been reported since that these listings are too old to have."""
    child = execution.child(event.client_order_id)
    return child is not None and bool(_fresh(child, event.fills, event.as_of_us, event.at_us))


def _fresh(child: ChildOrder, stated: Sequence[FillReported], as_of_us: int, at_us: int) -> list[Fill]:
    """Fills that listings as of then need not have yet; `at_us` is now. One heard in the future was heard before the
    clock was put back."""
    return [
        fill
        for fill in unlisted_fills(child, stated)
        if fill.heard_at_us is not None and as_of_us - PROOF_US < fill.heard_at_us <= at_us + PROOF_US
    ]


def is_overtaken(event: OrderProven, before: ChildOrder, now: ChildOrder) -> bool:
    """Whether something has happened to the order, which was `before` when the proof was found, that the listings are
    too old to have: its end, or another fill. What they say would undo it."""
    known = (*before.fills, *before.late)
    if any(fill not in known for fill in unlisted_fills(now, event.fills)):
        return True
    ended = _is_over(now) and not _is_over(before)
    return ended and (event.order is None or event.order.status == "resting")


def _is_over(child: ChildOrder) -> bool:
    return not child.is_open or child.state == "settling"


def zombie_row(child: ChildOrder, ticker: str, orders: OrderListing) -> OrderReport | None:
    """Return the row of an order that has ended here and rests at the exchange, where it must be cancelled; None if
    there is none."""
    row = None if child.is_open else row_of(child, ticker, orders)
    return row if row is not None and row.status == "resting" else None


def _why_contradicted(
    child: ChildOrder, row: OrderReport | None, stated: Sequence[FillReported], as_of_us: int
) -> str | None:
    name = child.client_order_id
    listed = sum(fill.count_e2 for fill in stated)
    says = 0 if row is None else row.filled_e2
    if says != listed:
        return (
            f"order {name} is listed with {format_count(CountE2(says))} filled, and its fills add up to "
            f"{format_count(CountE2(listed))}"
        )
    kept_us = as_of_us - LISTED_FOR_US
    if row is None and any((fill.heard_at_us or 0) < kept_us for fill in (*child.fills, *child.late)):
        return f"fills of order {name} were listed, and no listing has the order any more"
    if row is not None and row.status == "resting" and not child.is_open:
        return f"order {name} has ended here ({child.state}), and rests at the exchange as {row.order_id}"
    return None


def _distinct(fills: Iterable[FillReported]) -> tuple[FillReported, ...]:
    found: list[FillReported] = []
    for fill in fills:
        if not any(is_same_fill(fill, other) for other in found):
            found.append(fill)
    return tuple(sorted(found, key=lambda fill: (fill.traded_at_us, fill.fill_id)))


def unlisted_fills(child: ChildOrder, stated: Sequence[FillReported]) -> list[Fill]:
    """Return the order's fills that are not among those listed."""
    return [fill for fill in (*child.fills, *child.late) if not any(is_same_fill(fill, other) for other in stated)]
