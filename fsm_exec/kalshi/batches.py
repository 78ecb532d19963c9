"""Batches: several orders in one request, each with an outcome of its own (wire/README.md 4.1).

The items of an answer are matched to the orders of the request by their position alone, so an answer of another length
proves nothing about any of them. An item's error has a code and no status: it is a refusal only if the table of write
outcomes lists that code as one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from fsm_exec.core.errors import UnitError
from fsm_exec.core.market.orders import CancelAnswer, Cancelled, CancelOrder, PlaceAnswer, PlaceOrder, Unknown
from fsm_exec.core.values.units import parse_count
from fsm_exec.kalshi import translate
from fsm_exec.kalshi.endpoints import check_same_order, decode
from fsm_exec.kalshi.routes import Address
from fsm_exec.kalshi.translate import ImpossibleRequest, Malformed
from fsm_exec.kalshi.write_outcomes import judge_item
from fsm_exec.wire import client_bodies, rest, writes
from fsm_exec.wire.field_values import missing_field, required_text


def create_batch(orders: Sequence[PlaceOrder], address: Callable[[str], Address]) -> writes.BatchCreate:
    """Return the body that places a batch; `address` says where an order of a market goes. Raises ImpossibleRequest for
    a batch without orders, or with one id twice (the second would be refused: wire/README.md 6.3)."""
    _check_distinct([order.client_order_id for order in orders])
    items = [msgspec.Raw(msgspec.json.encode(translate.create_order(order, address(order.ticker)))) for order in orders]
    return writes.BatchCreate(orders=items)


def cancel_batch(orders: Sequence[CancelOrder], address: Callable[[str], Address]) -> writes.BatchCancel:
    """Return the body that cancels a batch. Raises ImpossibleRequest likewise."""
    _check_distinct([order.order_id for order in orders])
    for order in orders:
        translate.check_cancel(order)
    # Each with its ticker: without it an order on another shard is not found (wire/README.md 6.5).
    items = [
        writes.CancelItem(
            order_id=order.order_id,
            market_ticker=order.ticker,
            subaccount=address(order.ticker).subaccount,
            exchange_index=address(order.ticker).exchange_index,
        )
        for order in orders
    ]
    return writes.BatchCancel(orders=items)


def place_answers(
    answer: client_bodies.BatchItems, orders: Sequence[PlaceOrder], now_us: int
) -> tuple[PlaceAnswer, ...]:
    """Return one answer an order, in their order. Raises Malformed if the answer does not fit the request."""
    _check_length(len(answer.orders), len(orders))
    return tuple(_place_answer(item, order, now_us) for item, order in zip(answer.orders, orders, strict=True))


def cancel_answers(
    answer: client_bodies.BatchItems, orders: Sequence[CancelOrder], now_us: int
) -> tuple[CancelAnswer, ...]:
    """Return one answer an order, in their order. Raises Malformed if the answer does not fit the request."""
    _check_length(len(answer.orders), len(orders))
    return tuple(_cancel_answer(item, order, now_us) for item, order in zip(answer.orders, orders, strict=True))


def _place_answer(raw: msgspec.Raw, order: PlaceOrder, now_us: int) -> PlaceAnswer:
    try:
        item = decode(raw, client_bodies.PlacedItem)
        if item.error is not None:
            return judge_item("place", _detail(item.error))
        return translate.place_answer(item, order, now_us)
    except (Malformed, UnitError) as error:
        return Unknown(why=f"an item of the batch is unusable: {error}")


def _cancel_answer(raw: msgspec.Raw, order: CancelOrder, now_us: int) -> CancelAnswer:
    try:
        item = decode(raw, client_bodies.CancelledItem)
        if item.error is not None:
            return judge_item("cancel", _detail(item.error))
        check_same_order(item.order_id, order.order_id)
        reduced_by_e2 = parse_count(required_text(item.reduced_by, "reduced_by"))
        if item.ts_ms is None and not reduced_by_e2:  # as beside an error, which may have been left out as well
            raise missing_field("ts_ms")
        return Cancelled(
            order_id=order.order_id,
            reduced_by_e2=reduced_by_e2,
            at_us=translate.moment_us(now_us, item.ts_ms),
        )
    except (Malformed, UnitError) as error:
        return Unknown(why=f"an item of the batch is unusable: {error}")


def _detail(error: client_bodies.ItemError) -> rest.ErrorDetail:
    return rest.ErrorDetail(code=error.code or "", message=error.message or "", details=error.details)


def _check_distinct(names: Sequence[str]) -> None:
    if not names:
        raise ImpossibleRequest("a batch without orders")
    if len(set(names)) != len(names):
        raise ImpossibleRequest("a batch names one order twice")


def _check_length(found: int, wanted: int) -> None:
    if found != wanted:
        raise Malformed(f"{found} outcomes for {wanted} orders")
