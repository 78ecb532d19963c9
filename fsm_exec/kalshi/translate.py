"""Converts between our orders in two outcomes and the exchange's single book in YES prices; nothing else does.

We buy outcomes; the exchange has one book of YES. Buying YES at p is a bid at p; buying NO at n is an ask at 1 - n.
Back again, `outcome_side` and `book_side` must agree (bid = yes, ask = no; wire/README.md 4.1). Strings become integers
here, once. What the exchange sends and cannot be right raises `Malformed`; what we ask and cannot be right,
`ImpossibleRequest`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from fsm_exec.core.errors import LocalError, UnitError, VenueUnreadable
from fsm_exec.core.market.book import Level
from fsm_exec.core.market.orders import (
    AmendOrder,
    CancelOrder,
    DecreaseOrder,
    FillReport,
    OrderReport,
    OrderStatus,
    Placed,
    PlaceOrder,
)
from fsm_exec.core.text import one_line
from fsm_exec.core.values.times import is_time
from fsm_exec.core.values.units import (
    ONE_DOLLAR_E4,
    US_PER_MS,
    US_PER_S,
    CountE2,
    Outcome,
    PriceE4,
    format_count,
    format_price,
    in_outcome,
    parse_change,
    parse_count,
    parse_money,
    parse_price,
)
from fsm_exec.kalshi.routes import NOWHERE, Address
from fsm_exec.wire import client_bodies, rest, writes, ws
from fsm_exec.wire.field_values import missing_field, parse_outcome, parse_yes_price, required_text

TIME_MAX_MS = 10**14  # the year 5138: later is no time
REASON_MAX = 60  # characters of the exchange's word for what it did
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_CLIENT_ORDER_ID = re.compile(rest.CLIENT_ORDER_ID_PATTERN, re.ASCII)
_ORDER_ID = re.compile(r"[A-Za-z0-9][-\w]{0,99}", re.ASCII)  # stands in a URL's path: a UUID on the real exchange
_TICKER = re.compile(r"[A-Za-z0-9][-.\w]{0,99}", re.ASCII)  # stands in a URL's path: never needs escaping


class ImpossibleRequest(LocalError):
    """A request the exchange is known to refuse: core must never make one. Nothing was sent."""


class Malformed(VenueUnreadable):
    """The exchange sent something that does not fit its own description."""


class malformed_as:  # for every row of a listing: a generator would cost six times as much
    """Raises Malformed, naming `what`, for anything in the block that cannot be parsed."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, UnitError | Malformed):
            raise Malformed(f"{self._what}: {error}") from error


# Our requests.


def create_order(order: PlaceOrder, at: Address = NOWHERE) -> rest.CreateOrder:
    """Return the body that places `order` there. Raises ImpossibleRequest."""
    _check_priced(order.ticker, order.price_e4, order.count_e2)
    if _CLIENT_ORDER_ID.fullmatch(order.client_order_id) is None:
        raise ImpossibleRequest(f"client order id {order.client_order_id!r} has a shape the exchange refuses")
    if order.time_in_force != "good_till_canceled":
        if order.expiration_s is not None:
            raise ImpossibleRequest(f"{order.time_in_force} with an expiration: only GTC has one")
        if order.post_only:
            raise ImpossibleRequest(f"{order.time_in_force} and post only: such an order could do nothing")
    if order.reduce_only and order.time_in_force != "immediate_or_cancel":
        raise ImpossibleRequest(f"{order.time_in_force} and reduce only: only IOC may be")
    if order.order_group_id is not None:
        check_group_id(order.order_group_id)
    _check_expiration(order.expiration_s)
    return rest.CreateOrder(
        ticker=order.ticker,
        side=book_side(order.outcome),
        count=format_count(order.count_e2),
        price=format_price(in_outcome(order.price_e4, order.outcome)),
        time_in_force=order.time_in_force,
        self_trade_prevention_type="taker_at_cross",
        client_order_id=order.client_order_id,
        expiration_time=order.expiration_s,
        post_only=order.post_only,
        cancel_order_on_pause=order.cancel_on_pause,
        reduce_only=order.reduce_only,
        order_group_id=order.order_group_id,
        subaccount=at.subaccount,
        exchange_index=at.exchange_index,
    )


def amend_order(order: AmendOrder, at: Address = NOWHERE) -> rest.AmendOrder:
    """Return the body that amends `order`. Its client id is left out, which keeps it; so is its expiration if it is to
    stay (wire/README.md 4.1). Raises ImpossibleRequest."""
    check_order_id(order.order_id)
    _check_expiration(order.expiration_s)
    _check_priced(order.ticker, order.price_e4, order.total_e2)
    return rest.AmendOrder(
        ticker=order.ticker,
        side=book_side(order.outcome),
        price=format_price(in_outcome(order.price_e4, order.outcome)),
        count=format_count(order.total_e2),
        expiration_time=order.expiration_s,
        exchange_index=at.exchange_index,
    )


def decrease_order(order: DecreaseOrder, at: Address = NOWHERE) -> writes.DecreaseOrder:
    """Return the body that takes contracts off `order`; always with its ticker, for the shard (wire/README.md 6.5).
    Raises ImpossibleRequest."""
    check_order_id(order.order_id)
    check_ticker(order.ticker)
    wanted = [count for count in (order.reduce_by_e2, order.reduce_to_e2) if count is not None]
    if len(wanted) != 1:
        raise ImpossibleRequest("a decrease says exactly one of by how much and to how much")
    if wanted[0] <= 0:  # to nothing is what a cancel is for; what a decrease makes of it is not documented
        raise ImpossibleRequest(f"a decrease of or to {wanted[0]} (10^-2 contracts)")
    return writes.DecreaseOrder(
        reduce_by=None if order.reduce_by_e2 is None else format_count(order.reduce_by_e2),
        reduce_to=None if order.reduce_to_e2 is None else format_count(order.reduce_to_e2),
        market_ticker=order.ticker,
        exchange_index=at.exchange_index,
    )


def check_cancel(order: CancelOrder) -> None:
    """Raises ImpossibleRequest."""
    check_order_id(order.order_id)
    check_ticker(order.ticker)


def check_order_id(order_id: str) -> None:
    if _ORDER_ID.fullmatch(order_id) is None:
        raise ImpossibleRequest(f"{order_id!r} is no order id")


def check_group_id(group_id: str) -> None:
    if _ORDER_ID.fullmatch(group_id) is None:
        raise ImpossibleRequest(f"{group_id!r} is no order group id")


def check_ticker(ticker: str) -> None:
    if _TICKER.fullmatch(ticker) is None:
        raise ImpossibleRequest(f"{ticker!r} is no market ticker")


def is_ticker(text: str) -> bool:
    return _TICKER.fullmatch(text) is not None


def book_side(outcome: Outcome) -> rest.BookSide:
    return "bid" if outcome == "yes" else "ask"


def _check_expiration(expiration_s: int | None) -> None:
    if expiration_s is not None and not 0 < expiration_s * 1_000 < TIME_MAX_MS:
        raise ImpossibleRequest(f"expiration {expiration_s} is no unix time in seconds")


def _check_priced(ticker: str, price: PriceE4, count: CountE2) -> None:
    check_ticker(ticker)
    if not 0 < price < ONE_DOLLAR_E4:
        raise ImpossibleRequest(f"price {price} (10^-4 dollars) is not between 0 and 1 dollar")
    if count <= 0:
        raise ImpossibleRequest(f"count {count} (10^-2 contracts) is not above 0")


# What the exchange says.


def order_id_of(text: str | None) -> str:
    """Return an order id that can be used in a request. Raises Malformed."""
    if _ORDER_ID.fullmatch(required_text(text, "order_id")) is None:
        raise Malformed(f"{str(text)[:40]!r} is no order id")
    return str(text)


def path_part(ticker: str) -> str:
    """Return a ticker the exchange named, as part of a path. Raises Malformed."""
    if not is_ticker(ticker):
        raise Malformed(f"{ticker[:60]!r} is no ticker")
    return ticker


def place_answer(answer: client_bodies.Placed, order: PlaceOrder, now_us: int) -> Placed:
    """Return the answer to a placement. Raises Malformed or UnitError for an answer that cannot be about `order`. One
    of filled and remaining count is enough, unless it is a remaining count of zero: that leaves open how much was
    filled."""
    if answer.client_order_id and answer.client_order_id != order.client_order_id:
        raise Malformed(f"the answer is about client order id {answer.client_order_id[:70]!r}")
    rests = order.time_in_force == "good_till_canceled"
    filled = None if answer.fill_count is None else parse_count(answer.fill_count)
    remaining = None if answer.remaining_count is None else parse_count(answer.remaining_count)
    if filled is None:
        if not remaining or not rests:
            raise missing_field("fill_count")
        filled = CountE2(order.count_e2 - remaining)
    if remaining is None:
        remaining = CountE2(order.count_e2 - filled if rests else 0)
    if filled < 0 or remaining < 0 or filled + remaining > order.count_e2:
        raise Malformed(f"filled {answer.fill_count} and remaining {answer.remaining_count} exceed the count")
    return Placed(
        order_id=order_id_of(answer.order_id),
        filled_e2=filled,
        remaining_e2=remaining,
        at_us=moment_us(now_us, answer.ts_ms),
    )


def order_report(row: client_bodies.Order, as_of_us: int) -> OrderReport:
    """Return the report of a listed order. It states what holds at `as_of_us`, or later if the row itself is newer."""
    with malformed_as(f"order {(row.order_id or '')[:40]}"):
        outcome = parse_outcome(row.outcome_side, row.book_side, side=row.side, action=row.action)
        changed = row.last_update_time or row.created_time
        changed_us = time_us(changed) if changed else None
        status = _status(row.status)
        count, filled, remaining = _counts(status, row.initial_count_fp, row.fill_count_fp, row.remaining_count_fp)
        return OrderReport(
            order_id=order_id_of(row.order_id),
            client_order_id=one_line(row.client_order_id or ""),
            ticker=one_line(required_text(row.ticker or row.market_ticker, "ticker")),
            outcome=outcome,
            status=status,
            price_e4=in_outcome(parse_yes_price(row.yes_price_dollars, row.no_price_dollars), outcome),
            count_e2=count,
            filled_e2=filled,
            remaining_e2=remaining,
            at_us=as_of_us if changed_us is None else max(as_of_us, changed_us),
            changed_at_us=changed_us if row.last_update_time or status == "resting" else None,
            expiration_s=_stated_expiration_s(row.expiration_time),
            group_id=_group_id(row.order_group_id),
            exchange_index=row.exchange_index if isinstance(row.exchange_index, int) else 0,
        )


def _group_id(text: str | None) -> str | None:
    """Return an order's group as it can be used in a request; None for none, and for what is no id."""
    return text if text and _ORDER_ID.fullmatch(text) is not None else None


def _stated_expiration_s(stated: object) -> int | None:
    """Return when an order ends by itself, in unix seconds, from a time as text or in milliseconds. The rest is good
    without it, so one that makes no sense counts as not stated."""
    if isinstance(stated, int) and not isinstance(stated, bool) and 0 < stated < TIME_MAX_MS:
        return stated // 1_000
    if not isinstance(stated, str) or not stated:
        return None
    try:
        return time_us(stated) // US_PER_S
    except (Malformed, UnitError):
        return None


def fill_report(row: client_bodies.Fill, as_of_us: int) -> FillReport:
    """Return the report of a listed fill. One without a time of its own (all its time fields are optional) gets
    `as_of_us`."""
    with malformed_as(f"fill {(row.trade_id or row.fill_id or '')[:40]}"):
        outcome = parse_outcome(row.outcome_side, row.book_side, side=row.side, action=row.action)
        if row.created_time:
            at_us = time_us(row.created_time)
        else:
            at_us = as_of_us if row.ts is None else ms_to_us(row.ts * 1_000)
        name = one_line(required_text(row.trade_id or row.fill_id, "fill_id"))
        return FillReport(
            fill_id=name,
            trade_id=one_line(row.trade_id or "") or None,
            listed_id=one_line(row.fill_id or "") or name,
            undated=not row.created_time and row.ts is None,
            order_id=order_id_of(row.order_id),
            client_order_id=None,
            ticker=one_line(required_text(row.market_ticker or row.ticker, "market_ticker")),
            outcome=outcome,
            price_e4=in_outcome(parse_yes_price(row.yes_price_dollars, row.no_price_dollars), outcome),
            count_e2=parse_count(required_text(row.count_fp, "count_fp")),
            fee_e6=parse_money(required_text(row.fee_cost, "fee_cost")),
            is_taker=_required(row.is_taker, "is_taker"),
            at_us=at_us,
        )


def streamed_order_report(message: ws.UserOrder, now_us: int) -> OrderReport:
    """Return the report of a streamed order. `now_us` is when the frame was sent, or came: the time of a message that
    has none."""
    with malformed_as(f"order {(message.order_id or '')[:40]}"):
        outcome = parse_outcome(message.outcome_side, message.book_side)
        status = _status(message.status)
        count, filled, remaining = _counts(
            status, message.initial_count_fp, message.fill_count_fp, message.remaining_count_fp
        )
        return OrderReport(
            order_id=order_id_of(message.order_id),
            client_order_id=one_line(message.client_order_id or ""),
            ticker=one_line(required_text(message.ticker or message.market_ticker, "ticker")),
            outcome=outcome,
            status=status,
            price_e4=in_outcome(parse_yes_price(message.yes_price_dollars, message.no_price_dollars), outcome),
            count_e2=count,
            filled_e2=filled,
            remaining_e2=remaining,
            at_us=moment_us(now_us, message.last_updated_ts_ms, message.created_ts_ms),
            reason=None if message.last_update_reason is None else one_line(message.last_update_reason[:REASON_MAX]),
            changed_at_us=None if message.last_updated_ts_ms is None else ms_to_us(message.last_updated_ts_ms),
            expiration_s=_stated_expiration_s(message.expiration_ts_ms),
            group_id=_group_id(message.order_group_id),
        )


def streamed_fill_report(message: ws.Fill, now_us: int) -> FillReport:
    """Return the report of a streamed fill. `now_us` as in `streamed_order_report`."""
    with malformed_as(f"fill {(message.trade_id or '')[:40]}"):
        outcome = parse_outcome(
            message.outcome_side,
            message.book_side,
            bought=message.purchased_side,
            side=message.side,
            action=message.action,
        )
        return FillReport(
            fill_id=one_line(required_text(message.trade_id, "trade_id")),
            trade_id=one_line(required_text(message.trade_id, "trade_id")),
            order_id=order_id_of(message.order_id),
            client_order_id=one_line(message.client_order_id or "") or None,
            ticker=one_line(required_text(message.market_ticker, "market_ticker")),
            outcome=outcome,
            price_e4=in_outcome(parse_yes_price(message.yes_price_dollars, message.no_price_dollars), outcome),
            count_e2=parse_count(required_text(message.count_fp, "count_fp")),
            fee_e6=parse_money(required_text(message.fee_cost, "fee_cost")),
            is_taker=_required(message.is_taker, "is_taker"),
            at_us=moment_us(now_us, message.ts_ms, _s_to_ms(message.ts)),
            post_position_e2=_position(message.post_position_fp),
        )


def _position(text: str | None) -> CountE2 | None:
    """Return a position that is stated beside a fill; None if it cannot be read, which spoils no fill."""
    try:
        return None if text is None else parse_change(text)
    except UnitError:
        return None


def _status(word: str | None) -> OrderStatus:
    match word:
        case "resting" | "canceled" | "executed":
            return word
        case None:
            raise missing_field("status")
        case other:  # the stream also knows "unknown" (wire/README.md 10.6): a word, not a fact
            raise Malformed(f"status {other[:40]!r} says nothing")


def _counts(
    status: OrderStatus, initial_text: str | None, filled_text: str | None, remaining_text: str | None
) -> tuple[CountE2, CountE2, CountE2]:
    """Return initial, filled and remaining count, deriving one that is missing. For a resting order any two give the
    third; for an executed one any that is not zero gives all. A cancelled order keeps its initial count, of which
    nothing remains (wire/README.md 4.1)."""
    initial = None if initial_text is None else parse_count(initial_text)
    filled = None if filled_text is None else parse_count(filled_text)
    remaining = None if remaining_text is None else parse_count(remaining_text)
    if remaining is None:
        remaining = CountE2(0) if status != "resting" else _difference(initial, filled)
    if filled is None and status != "canceled":
        filled = _difference(initial, remaining)
    if initial is None and status != "canceled" and filled is not None and remaining is not None:
        initial = CountE2(filled + remaining)
    if initial is None or filled is None or remaining is None:
        absent = "fill_count_fp" if filled is None else "initial_count_fp" if initial is None else "remaining_count_fp"
        raise missing_field(absent)
    return initial, filled, remaining


def _difference(count: CountE2 | None, part: CountE2 | None) -> CountE2 | None:
    return None if count is None or part is None or part > count else CountE2(count - part)


def public_trade(message: ws.Trade, now_us: int) -> tuple[str, Outcome, PriceE4, CountE2, int]:
    """Return a public trade as the stream's listener takes it. `now_us` as in `streamed_order_report`."""
    with malformed_as(f"trade in {message.market_ticker[:40]}"):
        return (
            message.market_ticker,
            parse_outcome(message.taker_outcome_side, message.taker_book_side, bought=message.taker_side),
            parse_yes_price(message.yes_price_dollars, message.no_price_dollars),
            parse_count(required_text(message.count_fp, "count_fp")),
            moment_us(now_us, message.ts_ms, _s_to_ms(message.ts)),
        )


def levels(ladder: Sequence[rest.WireLevel] | None) -> list[Level]:
    """Return one side of a book; an empty side is absent on the stream (wire/README.md 5)."""
    with malformed_as("book level"):
        return [(parse_price(price), parse_count(count)) for price, count in ladder or ()]


def delta_time_us(message: ws.BookDelta, now_us: int) -> int:
    """Return the time of a change of a book. `now_us` is when the frame was sent, or came: for one that has none."""
    if message.ts_ms is None and message.ts:
        return time_us(message.ts)
    return moment_us(now_us, message.ts_ms)


def moment_us(now_us: int, *given_ms: int | None) -> int:
    """Return the first of these times that is given, or `now_us`. Raises Malformed."""
    first = next((ms for ms in given_ms if ms is not None), None)
    return now_us if first is None else ms_to_us(first)


def _s_to_ms(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1_000


def ms_to_us(value: int) -> int:
    if not 0 <= value < TIME_MAX_MS:
        raise Malformed(f"{str(value)[:40]} is no time in milliseconds")
    return value * US_PER_MS


def time_us(text: str) -> int:
    """Parse RFC 3339 text as unix microseconds; finer digits are cut off. Raises Malformed, also for a time whose zone
    leads out of the years 1 to 9999."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise Malformed(f"time {text[:40]!r} has no zone")
        at_us = (moment - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError) as error:
        raise Malformed(f"{text[:40]!r} is no time") from error
    if not is_time(at_us):
        raise Malformed(f"{text[:40]!r} is before the year 1 or after 9999")
    return at_us


def _required(value: bool | None, field: str) -> bool:
    if value is None:
        raise missing_field(field)
    return value
