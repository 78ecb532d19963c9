"""Which orders must be looked up, and what one listing proves about them. All of it is derived from the execution:
nothing is stored, and a restart looks up again."""

from __future__ import annotations

from fsm_exec.core.errors import IllegalEvent
from fsm_exec.core.execution.apply_event import CROSS
from fsm_exec.core.execution.events import AnyEvent, FillReported, OrderNotFound, OrderReported
from fsm_exec.core.execution.execution import ChildOrder, Execution, PendingAmend
from fsm_exec.core.execution.lease import earliest_expiration_s
from fsm_exec.core.execution.timing import READ_LAG_US, SIGNATURE_WINDOW_US
from fsm_exec.core.market.orders import FillReport, OrderListing, OrderReport
from fsm_exec.core.values.units import US_PER_S, complement

EARLY_CANCEL = "EarlyCancel"
"""Our word for the end of an order that was cancelled before it would have ended by itself, by the exchange's own time,
where another clock says that its end was due."""
EXPIRY = "ExpiryCancel"
"""The exchange's word for the end of an order by itself; ours, too, where only its own times say so."""


def needs_lookup(child: ChildOrder) -> bool:
    """Whether only a listing can settle the order's fate, or its fills."""
    if child.state in ("unknown", "settling") or child.suspicion is not None:
        return True
    return child.is_open and child.write is not None and child.write.lost


def lookup_key(child: ChildOrder) -> str:
    """Name the doubt about an order that needs a look-up: the lost write, or its state. A new name starts the clock of
    proof again."""
    doubt = child.state if child.write is None or not child.write.lost else child.write.effect_id
    return doubt if child.suspicion is None else f"{doubt} {child.suspicion.since_us}"


def proof_from_us(child: ChildOrder, asked_since_us: int) -> int:
    """Return the time from which a listing settles the doubt, whatever it shows: that the order never arrived, or that
    a lost write is over. The look-up must happen then, not at the end of a long pause."""
    if child.state == "unknown":
        return child.sent_at_us + SIGNATURE_WINDOW_US + READ_LAG_US
    window_us = SIGNATURE_WINDOW_US if isinstance(child.write, PendingAmend) else 0
    return asked_since_us + window_us + READ_LAG_US


def is_after_our_changes(child: ChildOrder, as_of_us: int) -> bool:
    """Whether a listing of that time is later than all we did to the order, so that another price or count in it was
    set from outside and is no echo of ours."""
    changed_us = child.sent_at_us if child.moved_at_us is None else child.moved_at_us
    return child.write is None and as_of_us > changed_us + READ_LAG_US


def event_from_listing(child: ChildOrder, listing: OrderListing, asked_since_us: int, at_us: int) -> AnyEvent | None:
    """Return the event that a listing gives for one order: where it stands, or proof that it does not exist; None if it
    proves nothing yet. `asked_since_us` is when the doubt began, at the latest."""
    for report in listing.orders:
        if report.client_order_id == child.client_order_id:
            # A listing of before the doubt is old news: it may contradict what was answered since (wire/README.md 6.6).
            # Beyond that a lost cancel may simply be sent again; a lost amend may still land while its signature holds.
            window_us = SIGNATURE_WINDOW_US if isinstance(child.write, PendingAmend) else 0
            final = listing.as_of_us > asked_since_us + window_us + READ_LAG_US
            return order_event(report, at_us, looked_up=final, child=child)
    if listing.hides(child.client_order_id):
        return None  # it is there, or may be
    if child.state == "unknown" and listing.as_of_us > child.sent_at_us + SIGNATURE_WINDOW_US + READ_LAG_US:
        return OrderNotFound(at_us=at_us, client_order_id=child.client_order_id, as_of_us=listing.as_of_us)
    return None


def check_existing(child: ChildOrder, ticker: str, listing: OrderListing, answer: AnyEvent | None) -> None:
    """Check a listing of the whole account after a refusal because the client order id exists: raise IllegalEvent if
    that order is in another market than `ticker`, or if no listing has it although by now it would. What else must
    agree (side, price, count) is compared when the answer is taken in."""
    name = child.client_order_id
    for report in listing.orders:
        if report.client_order_id == name and report.ticker != ticker:
            raise IllegalEvent(
                f"order {name} cannot be placed: another order of this name is in market {report.ticker}, not {ticker}"
            )
    if isinstance(answer, OrderNotFound):
        raise IllegalEvent(f"order {name} cannot be placed: the exchange says that it exists, and lists none such")


def why_in_another_market(child: ChildOrder, ticker: str, report: OrderReport | FillReport) -> str | None:
    """Return why a statement about an order of this name contradicts what we hold: it is in another market than
    `ticker`, so it is another order, and ours has not been seen at the exchange under an id of its own. None if it does
    not."""
    is_another = child.order_id is not None and child.order_id != report.order_id
    lives = child.is_open or (isinstance(report, OrderReport) and report.status == "resting")
    if report.ticker == ticker or is_another or not lives:
        return None
    return f"order {child.client_order_id}: another order of this name is in market {report.ticker}, not {ticker}"


def order_event(
    report: OrderReport, at_us: int, *, looked_up: bool, child: ChildOrder | None = None, listed: bool = True
) -> OrderReported:
    """Return the statement as an event. A listing gives no reasons; with `child`, one is concluded where only one is
    possible. Not `listed`: a frame, whose times alone say anything, as it would name any other reason."""
    cause = report.reason
    if cause is None and child is not None and report.status == "canceled":
        cause = _cause(child, report, at_us, listed=listed)
    return OrderReported(
        at_us=at_us,
        client_order_id=report.client_order_id,
        order_id=report.order_id,
        outcome=report.outcome,
        status=report.status,
        price_e4=report.price_e4,
        count_e2=report.count_e2,
        filled_e2=report.filled_e2,
        remaining_e2=report.remaining_e2,
        cause=cause,
        looked_up=looked_up,
        expiration_s=report.expiration_s,
    )


def _cause(child: ChildOrder, report: OrderReport, at_us: int, *, listed: bool) -> str | None:
    """Conclude why an order ended that was never known to rest: the exchange took it off because it would have crossed.
    A cancel from outside in that moment looks the same: what is placed next is seen to rest, or waits for a moment
    after crossing again. And tell a cancel from an end by itself, by the exchange's times."""
    if child.time_in_force != "good_till_canceled":
        return None
    ends_s = earliest_expiration_s(child) if report.expiration_s is None else report.expiration_s
    ends_us = None if ends_s is None else ends_s * US_PER_S
    has_expired = ends_us is not None and report.at_us >= ends_us
    is_early = ends_us is not None and report.changed_at_us is not None and report.changed_at_us < ends_us
    if child.state not in ("intended", "unknown") or not listed:
        # Our clock may be wrong, and whoever takes the event in has no other: where the exchange's times say otherwise,
        # they stand. A listing shows more than it promises, so one of before the end proves no cancel by its time.
        is_due_here = ends_us is not None and at_us >= ends_us
        if is_early:
            return EARLY_CANCEL if has_expired or is_due_here else None
        return EXPIRY if has_expired and not is_due_here else None
    if has_expired and not is_early:
        return EXPIRY
    return CROSS if child.post_only else "SelfTradeCancel"


def fill_event(
    report: FillReport, client_order_id: str, mid_e5: int | None, at_us: int, execution: Execution | None = None
) -> FillReported:
    """Return the statement as an event; its price is in the outcome of `execution`, if that is given."""
    is_other = execution is not None and report.outcome != execution.outcome
    return FillReported(
        at_us=at_us,
        client_order_id=client_order_id,
        order_id=report.order_id,
        fill_id=report.fill_id,
        price_e4=complement(report.price_e4) if is_other else report.price_e4,
        count_e2=report.count_e2,
        fee_e6=report.fee_e6,
        is_taker=report.is_taker,
        traded_at_us=report.at_us,
        mid_e5=mid_e5,
        trade_id=report.trade_id,
        listed_id=report.listed_id,
        outcome=report.outcome,
        undated=report.undated,
    )
