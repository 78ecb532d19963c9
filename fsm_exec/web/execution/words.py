"""A journal row as sentences for a person: what was learned, and what was decided about it. Pure.

The commands show the same rows by the names they have on disk (`fsm_exec.core.execution.describe`); here stands what
they mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.execution.describe import short_id
from fsm_exec.core.execution.events import (
    Amend,
    AmendAnswered,
    AmendRefused,
    AnyEvent,
    AnyIntent,
    BeginClosing,
    Cancel,
    CancelAnswered,
    DecisionDue,
    DrainRequested,
    DropUnsent,
    FeesChanged,
    FillReported,
    GiveUp,
    MakePlan,
    MarketChanged,
    OrderAccepted,
    OrderDisputed,
    OrderNotFound,
    OrderNotSent,
    OrderProven,
    OrderRefused,
    OrderReported,
    Place,
    PlaceUnconfirmed,
    PositionRead,
    Renew,
    RenewalDue,
    ResendCancel,
    ResendPlace,
    Restored,
    StopRequested,
    Submitted,
    TimerFired,
    Transfer,
    WriteUnconfirmed,
)
from fsm_exec.core.market.fees import describe_fees
from fsm_exec.core.text import one_line
from fsm_exec.core.values.units import US_PER_S, CountE2
from fsm_exec.web.execution.figures import count, duration, money, price

REASON_WORDS = {"user": "because somebody asked for it", "halt": "because the engine was halted"}


def tell_event(event: AnyEvent) -> str:
    """Return what was learned, as one sentence."""
    return one_line(f"{_event(event)}.")


def tell_intent(intent: AnyIntent) -> str:
    """Return what was decided, as a clause."""
    match intent:
        case MakePlan(slices=slices):
            parts = ", ".join(f"{count(part.count_e2)} in slice {part.level}" for part in slices)
            return f"plan {parts}"
        case Transfer(slices=slices):
            return "move between slices: " + ", ".join(
                f"{count(part.count_e2)} in slice {part.level}" for part in slices
            )
        case BeginClosing():
            return "begin the closing leg: cancel what rests, then take the rest at once"
        case Place():
            kind = "" if intent.time_in_force == "good_till_canceled" else ", fill at once or cancel"
            maker = ", as maker only" if intent.post_only else ""
            return f"place {count(intent.count_e2)} at {price(intent.price_e4)} for slice {intent.level}{kind}{maker}"
        case ResendPlace():
            return f"send order {short_id(intent.client_order_id)} again under the same name"
        case Amend():
            return f"walk order {short_id(intent.client_order_id)} to {price(intent.price_e4)}"
        case Renew():
            return f"put off the end by itself of order {short_id(intent.client_order_id)}"
        case Cancel():
            return f"cancel order {short_id(intent.client_order_id)}"
        case ResendCancel():
            return f"cancel order {short_id(intent.client_order_id)} once more"
        case DropUnsent():
            return f"leave order {short_id(intent.client_order_id)} unsent"
        case GiveUp():
            return f"end: {_words(intent.reason)}"
        case _:
            assert_never(intent)


def _event(event: AnyEvent) -> str:  # one sentence for each kind
    match event:
        case Submitted():
            within = duration(event.deadline_us - event.at_us)
            wanted = f"Accepted: buy {count(event.target_e2)} {event.outcome.upper()} within {within}"
            if event.limits is None:
                return f"{wanted}; there was no book, so no price could be formed"
            return f"{wanted}, at {price(event.limits.worst_e4)} at most; {_book(event.arrival)}"
        case DecisionDue():
            return f"Looked at the book: {_book(event.view)}"
        case RenewalDue():
            return "What rests is to outlive this host by no more than its order lease, which runs out"
        case TimerFired():
            return "A time it waited for has come"
        case StopRequested():
            return f"Asked to end: {_words(event.reason)}"
        case MarketChanged():
            return f"The market is {_words(event.status)}"
        case FeesChanged():
            announced = f"; {len(event.later)} changes are announced" if event.later else ""
            return f"The market's fees: {describe_fees(event.fees)}{announced}"
        case PositionRead():
            return f"The account holds {_signed(event.position_e2)} of this market"
        case DrainRequested():
            return "The process is about to leave: what rests is cancelled, the execution goes on after the next start"
        case OrderAccepted():
            order, filled = short_id(event.client_order_id), event.filled_e2
            if not event.remaining_e2:
                return f"Order {order} was taken at once, {count(filled)} filled"
            return f"Order {order} rests" + (f", {count(filled)} filled at once" if filled else "")
        case OrderRefused():
            return f"Order {short_id(event.client_order_id)} was refused: {_said(event.code, event.message)}"
        case PlaceUnconfirmed():
            return f"No proof whether order {short_id(event.client_order_id)} arrived: {event.why}"
        case OrderNotSent():
            return f"Order {short_id(event.client_order_id)} was never sent: {event.why}"
        case OrderNotFound():
            return f"Order {short_id(event.client_order_id)} is proven not to be at the exchange"
        case CancelAnswered():
            return f"Order {short_id(event.client_order_id)} is cancelled, {count(event.reduced_by_e2)} given back"
        case WriteUnconfirmed():
            return f"No proof of what became of the last request about {short_id(event.client_order_id)}: {event.why}"
        case AmendAnswered():
            return f"Order {short_id(event.client_order_id)} has its new price"
        case AmendRefused():
            said = _said(event.code, event.message)
            return f"The new price of order {short_id(event.client_order_id)} was refused: {said}"
        case OrderReported():
            return _reported(event)
        case FillReported():
            return _fill(event)
        case OrderProven():
            order, listed = short_id(event.client_order_id), "is not listed" if event.order is None else "is listed"
            end = "; it is not waited for any more" if event.given_up else ""
            return f"Proof by the listings: order {order} {listed}, with {len(event.fills)} fills{end}"
        case OrderDisputed():
            return f"A listing contradicts what was said of order {short_id(event.client_order_id)}: {event.why}"
        case Restored():
            found = f"{len(event.orders)} orders and {len(event.fills)} fills were looked up"
            return f"A new process took over; {found}"
        case _:
            assert_never(event)


def _reported(event: OrderReported) -> str:
    where = "The listing" if event.looked_up else "The stream"
    left = f"{count(event.filled_e2)} filled, {count(event.remaining_e2)} left"
    why = f" ({event.cause})" if event.cause else ""
    order = short_id(event.client_order_id)
    return f"{where} says order {order} is {_words(event.status)}{why} at {price(event.price_e4)}: {left}"


def _fill(event: FillReported) -> str:
    role = "taker" if event.is_taker else "maker"
    bought = f"{count(event.count_e2)} at {price(event.price_e4)}"
    return f"Bought {bought} by order {short_id(event.client_order_id)}, as {role}, fee ${money(event.fee_e6)}"


def _book(view: MarketView) -> str:
    bid, ask = ("none" if best is None else price(best) for best in (view.best_bid, view.best_ask))
    feed = "" if view.feed == "live" else f", feed {view.feed} for {view.feed_age_us // US_PER_S} s"
    status = "" if view.status == "open" else f", market {_words(view.status)}"
    return f"best bid {bid}, best ask {ask}{feed}{status}"


def _signed(position: CountE2) -> str:
    if not position:
        return "nothing"
    return f"{count(CountE2(abs(position)))} {'YES' if position > 0 else 'NO'}"


def _said(code: str, message: str) -> str:
    return code if not message or message == code else f"{code}, {message}"


def _words(name: str) -> str:
    return REASON_WORDS.get(name, name.replace("_", " "))


def tell_intents(intents: Sequence[AnyIntent]) -> str:
    """Return all that was decided as one sentence; empty for nothing."""
    told = "; ".join(tell_intent(intent) for intent in intents)
    return f"{told[:1].upper()}{told[1:]}." if told else ""
