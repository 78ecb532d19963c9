"""Fills: which two statements are about the same one, which a frame may be believed, and how each is counted.

A fill has two names at the exchange, that of its trade and that of its row in the listing, which may differ; either may
be missing. Two statements about one order are about the same fill if their trades are the same, or, where one of them
does not name the trade, if they share a name.

The stream is fast, the listing is right. A frame is counted at once if it can be true; if it cannot (more than the
order can fill, beyond the limit, of the other outcome, with an impossible price or fee) it is said and not counted.
What a listing shows is compared with what was counted, and corrects it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec.structs import replace

from fsm_exec.core.errors import IllegalEvent, Implausible
from fsm_exec.core.execution.draft import Draft
from fsm_exec.core.execution.events import FillReported
from fsm_exec.core.execution.execution import ChildOrder, Execution, Fill, PendingAmend, PendingCancel, Suspicion
from fsm_exec.core.market.orders import FillReport
from fsm_exec.core.values.units import (
    ONE_DOLLAR_E4,
    US_PER_S,
    CountE2,
    PriceE4,
    complement,
    format_count,
    format_money,
    format_price,
)

FEE_ROUNDING_E6 = 10_000
"""A fee is rounded up to a cent for each fill."""
TIME_APART_US = 2_000
"""The stream states milliseconds, the listing finer."""


class FillNames(Protocol):
    """The names of a fill."""

    @property
    def fill_id(self) -> str: ...
    @property
    def trade_id(self) -> str | None: ...
    @property
    def listed_id(self) -> str | None: ...


def names_of(fill: FillNames) -> set[str]:
    return {name for name in (fill.fill_id, fill.trade_id, fill.listed_id) if name is not None}


def is_same_fill(one: FillNames, other: FillNames) -> bool:
    """Whether two fills of one order are the same; the module has the rule."""
    if one.trade_id is not None and other.trade_id is not None:
        return one.trade_id == other.trade_id
    return not names_of(one).isdisjoint(names_of(other))


def known_fills(child: ChildOrder, stated: FillNames) -> list[Fill]:
    """The fills of the order that `stated` is about: as `is_same_fill` says of each, but without a call for each of
    thousands."""
    trade_id, names = stated.trade_id, names_of(stated)
    return [
        fill
        for fill in (*child.fills, *child.late)
        if (
            fill.trade_id == trade_id
            if trade_id is not None and fill.trade_id is not None
            else not names.isdisjoint(names_of(fill))
        )
    ]


def known_fill(child: ChildOrder, stated: FillNames) -> Fill | None:
    """The fill of the order that `stated` is about, if it is counted."""
    found = known_fills(child, stated)
    return found[0] if found else None


def own_price(report: FillReport, execution: Execution) -> PriceE4:
    """The price in the execution's outcome, whatever outcome the exchange names."""
    return report.price_e4 if report.outcome == execution.outcome else complement(report.price_e4)


def is_same_content(fill: Fill, stated: FillReported) -> bool:
    """Whether a listing's row has in it what was counted, and no name that was not known."""
    if (fill.price_e4, fill.count_e2, fill.fee_e6, fill.is_taker) != (
        stated.price_e4,
        stated.count_e2,
        stated.fee_e6,
        stated.is_taker,
    ):
        return False
    is_same = is_same_time(fill.traded_at_us, stated.traded_at_us, undated=stated.undated)
    return is_same and names_of(stated) <= names_of(fill) and fill.order_id == stated.order_id


def is_same_time(known_us: int, listed_us: int, *, undated: bool) -> bool:
    """Times of the listing may be finer than those of the stream, or whole seconds, or missing."""
    if undated or abs(known_us - listed_us) <= TIME_APART_US:
        return True
    return listed_us % US_PER_S == 0 and known_us // US_PER_S == listed_us // US_PER_S


def fill_of(stated: FillReported) -> Fill:
    """The fill that `stated` makes."""
    is_heard = stated.listed_id is None and stated.trade_id is not None
    return Fill(
        fill_id=stated.fill_id,
        order_id=stated.order_id,
        price_e4=stated.price_e4,
        count_e2=stated.count_e2,
        fee_e6=stated.fee_e6,
        is_taker=stated.is_taker,
        traded_at_us=stated.traded_at_us,
        mid_e5=stated.mid_e5,
        trade_id=stated.trade_id,
        listed_id=stated.listed_id if stated.listed_id != stated.fill_id else None,
        heard_at_us=stated.at_us if is_heard else None,
    )


def corrected_fill(fill: Fill, stated: FillReported) -> Fill:
    """Return the fill as the listing has it. The name it is counted by and the mid before it stay."""
    listed_id = stated.listed_id if stated.listed_id not in (None, fill.fill_id) else fill.listed_id
    is_same = is_same_time(fill.traded_at_us, stated.traded_at_us, undated=stated.undated)
    return replace(
        fill,
        order_id=stated.order_id,
        price_e4=stated.price_e4,
        count_e2=stated.count_e2,
        fee_e6=stated.fee_e6,
        is_taker=stated.is_taker,
        traded_at_us=fill.traded_at_us if is_same else stated.traded_at_us,
        trade_id=stated.trade_id if fill.trade_id is None else fill.trade_id,
        listed_id=listed_id,
        heard_at_us=None,
    )


def describe_fill(fill: Fill | FillReported) -> str:
    role = "taker" if fill.is_taker else "maker"
    return (
        f"{format_count(fill.count_e2)} at {format_price(fill.price_e4)}, fee {format_money(fill.fee_e6)}, {role}, "
        f"traded {fill.traded_at_us} us"
    )


def why_impossible(execution: Execution, child: ChildOrder, stated: FillReported) -> str | None:
    """Return why this fill of `child`, not counted yet, cannot be; None if it can."""
    if stated.outcome not in (None, execution.outcome):
        return f"it is for {stated.outcome}, the order is for {execution.outcome}"
    if not 0 < stated.price_e4 < ONE_DOLLAR_E4:
        return f"its price is {stated.price_e4} (10^-4 dollars)"
    worst = _worst_price(execution, child)
    if worst is not None and stated.price_e4 > worst:
        return f"its price {format_price(stated.price_e4)} is beyond the limit {format_price(worst)}"
    total = child.filled_e2 + stated.count_e2
    if stated.count_e2 <= 0 or total > child.count_e2:
        filled = f"{format_count(child.filled_e2)} of {format_count(child.count_e2)}"
        return f"it is of {format_count(stated.count_e2)}, and {filled} are filled"
    most = 2 * _highest_fee(execution, stated) + FEE_ROUNDING_E6
    if not 0 <= stated.fee_e6 <= most:
        return f"its fee is {stated.fee_e6} (10^-6 dollars), at most {most} can be"
    return None


def _highest_fee(execution: Execution, stated: FillReported) -> int:
    """The highest model fee the fill can have, whichever of the fees there have been it was billed by; a dollar each
    where nobody knows a formula."""
    terms = execution.terms
    known = [terms.fees, *(change.fees for change in terms.fee_changes)]
    price, count = stated.price_e4, stated.count_e2
    return max(ONE_DOLLAR_E4 * count if fees is None else fees.model_fee(price, count, taker=True) for fees in known)


def _worst_price(execution: Execution, child: ChildOrder) -> PriceE4 | None:
    """The highest price the order can have been filled at: after a walk it may have been at any that was allowed."""
    if execution.limits is None or child.walks:
        return None if execution.limits is None else max(execution.limits.worst_e4, child.price_e4)
    prices = [child.price_e4]
    if isinstance(child.write, PendingAmend):
        prices.append(child.write.price_e4)
    elif isinstance(child.write, PendingCancel) and child.write.doubtful_price_e4 is not None:
        prices.append(child.write.doubtful_price_e4)
    return max(prices)


def take_fill(draft: Draft, stated: FillReported, child: ChildOrder) -> None:
    """Count a fill of `child`, which has been identified; or compare it with what was counted. Raises IllegalEvent, and
    Implausible for a frame that cannot be true."""
    same = known_fills(child, stated)
    if same:
        if stated.listed_id is not None:
            _compare(draft, child, same, stated)
        return
    if stated.trade_id is None and stated.listed_id is None:
        if stated.count_e2 <= 0 or stated.fee_e6 < 0:
            raise IllegalEvent(f"fill {stated.fill_id} of {stated.count_e2} contracts with fee {stated.fee_e6}")
    elif (why := why_impossible(draft.execution, child, stated)) is not None:
        if stated.listed_id is None or stated.count_e2 <= 0:
            raise Implausible(f"fill {stated.fill_id} of order {child.client_order_id}: {why}")
        draft.alarm(child.client_order_id, f"fill {stated.fill_id} is listed, and so it is counted, although {why}")
    fill = fill_of(stated)
    total = CountE2(child.counted_e2 + stated.count_e2)
    if not child.is_open or total > child.count_e2 or (child.state == "settling" and total > child.reported_e2):
        draft.put(child, late=(*child.late, fill))
    else:
        child = replace(child, fills=(*child.fills, fill), counted_e2=total, reported_e2=max(child.reported_e2, total))
        draft.clear_outbox(child.client_order_id, "place")
        drop_writes_of_ended(draft, draft.fire_child(child, "fill_counted"))
    if not draft.execution.is_ended:
        draft.fire("filled_some")


def drop_writes_of_ended(draft: Draft, child: ChildOrder) -> None:
    """An order that has just ended waits for no write any more."""
    if not child.is_open:
        draft.clear_outbox(child.client_order_id, "amend", "cancel")
        draft.put(child, write=None)


def _compare(draft: Draft, child: ChildOrder, same: Sequence[Fill], stated: FillReported) -> None:
    """Replace what was counted by what a listing says of the same fill: the listing is right."""
    fill, *again = same
    if not again and is_same_content(fill, stated):
        return
    after = corrected_fill(fill, stated)
    name = child.client_order_id
    if stated.count_e2 <= 0:
        raise Implausible(f"fill {stated.fill_id} of order {name} is listed with {stated.count_e2} contracts")
    if (describe_fill(after)) != describe_fill(fill):
        draft.alarm(name, f"fill {fill.fill_id} was {describe_fill(fill)}; it is listed as {describe_fill(after)}")
    for other in again:
        draft.alarm(name, f"fill {other.fill_id} is fill {fill.fill_id} once more, and was counted twice")
    kept = tuple(after if one is fill else one for one in child.fills if one not in again)
    late = tuple(after if one is fill else one for one in child.late if one not in again)
    total = CountE2(sum(one.count_e2 for one in kept))
    if total > child.count_e2:  # more than there is room for
        kept, late = tuple(one for one in kept if one is not after), (*late, after)
        total = CountE2(sum(one.count_e2 for one in kept))
    was = child.counted_e2
    child = replace(child, fills=kept, late=late, counted_e2=total, reported_e2=CountE2(max(child.reported_e2, total)))
    if total < was and child.suspicion is None:
        why = f"fill {fill.fill_id} was counted for more than it is listed with"
        child = replace(child, suspicion=Suspicion(why, stated.at_us))  # what was stated beside it may be wrong, too
    if child.is_open and total != was:
        drop_writes_of_ended(draft, draft.fire_child(child, "corrected"))
    else:
        draft.put(child)
    if not draft.execution.is_ended and total > was:
        draft.fire("filled_some")
