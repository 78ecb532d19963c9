"""Fees that rise while an execution works: the cap holds by the fees of the moment at which an order fills.

What is known and announced of the fees is in the execution's terms (`MarketTerms.fee_changes`). A new order is decided
by the dearest fees from now until FEE_LEAD later (`Execution.limits_at`). One that rests, and would cost more than the
cap from some moment on, is taken off that long before it. The exchange is told the same moment as the order's
expiration: it ends in time although its cancel got lost, or its engine is gone.
"""

from __future__ import annotations

from fsm_exec.core.execution.events import Cancel, FeesChanged
from fsm_exec.core.execution.execution import ChildOrder, Execution, PendingAmend
from fsm_exec.core.execution.order_checks import cancel_intents
from fsm_exec.core.execution.timing import FEE_LEAD_US
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import PriceE4


def send_until_us(seen: Execution, price: PriceE4, at_us: int, *, taker: bool) -> int:
    """Until when a request with this price may be sent: not after the deadline, nor where it could arrive when fees
    have risen."""
    beyond_us = seen.beyond_cap_from_us(price, at_us, taker=taker)
    return seen.deadline_us if beyond_us is None else min(seen.deadline_us, beyond_us - FEE_LEAD_US)


def is_beyond_cap(seen: Execution, child: ChildOrder, at_us: int) -> bool:
    """Whether the order costs more than the cap by fees that hold now, or that come within FEE_LEAD."""
    beyond_us = _beyond_us(seen, child, at_us)
    return beyond_us is not None and at_us >= beyond_us - FEE_LEAD_US


def cancels_of_dear(seen: Execution, at_us: int) -> tuple[Cancel, ...]:
    """Cancel what costs more than the cap by the fees that come; what has no answer yet follows when it has."""
    if not seen.terms.fee_changes:  # nearly always
        return ()
    dear = {child.client_order_id for child in seen.children if child.is_open and is_beyond_cap(seen, child, at_us)}
    return tuple(cancel for cancel in cancel_intents(seen) if cancel.client_order_id in dear)


def guard_due_us(seen: Execution, at_us: int) -> int | None:
    """When the next order has to be taken off for its fees; None: none has to, as far as is known."""
    if not seen.terms.fee_changes:
        return None
    mine = {cancel.client_order_id for cancel in cancel_intents(seen)}
    times = [_beyond_us(seen, child, at_us) for child in seen.children if child.client_order_id in mine]
    return min((beyond_us - FEE_LEAD_US for beyond_us in times if beyond_us is not None), default=None)


def may_fit_later(seen: Execution, at_us: int) -> bool:
    """Whether fees that are announced for a time before the deadline allow a price again."""
    changes = (change.at_us for change in seen.terms.fee_changes if at_us < change.at_us < seen.deadline_us)
    return any(seen.limits_at(change_us) is not None for change_us in changes)


def fee_news(seen: Execution, known: MarketTerms, at_us: int) -> FeesChanged | None:
    """The event that tells an execution of the fees that are known of its market; None if it knows them."""
    fees = known.fees_within(at_us, at_us)[-1]
    later = tuple(change for change in known.fee_changes if change.at_us > at_us)
    if seen.terms.with_fees_from(at_us, fees, later) == seen.terms:
        return None
    return FeesChanged(at_us=at_us, from_us=at_us, fees=fees, later=later)


def _beyond_us(seen: Execution, child: ChildOrder, at_us: int) -> int | None:
    """From when on the order costs more than the cap where it stands, or where a lost amend may have put it. Nothing
    says that post-only survives an amend, so an amended price counts as a taker's."""
    prices = [(child.price_e4, not child.post_only or child.walks > 0)]
    if isinstance(child.write, PendingAmend):
        prices.append((child.write.price_e4, True))
    times = [seen.beyond_cap_from_us(price, at_us, taker=taker) for price, taker in prices]
    return min((beyond_us for beyond_us in times if beyond_us is not None), default=None)
