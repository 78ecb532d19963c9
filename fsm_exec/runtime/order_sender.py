"""Sending a write that is durable, and turning its answer into the event the execution will process."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from fsm_exec.core.exchange_port import Exchange
from fsm_exec.core.execution.events import (
    AmendAnswered,
    AmendRefused,
    AnyEvent,
    CancelAnswered,
    OrderAccepted,
    OrderNotSent,
    OrderRefused,
    PlaceUnconfirmed,
    WriteUnconfirmed,
)
from fsm_exec.core.journal.crashpoints import crashpoint
from fsm_exec.core.market.orders import (
    AmendAnswer,
    AmendOrder,
    CancelAnswer,
    Cancelled,
    CancelOrder,
    NotSent,
    PlaceAnswer,
    PlaceOrder,
    Refused,
    Unknown,
    Write,
)
from fsm_exec.runtime.clock import WallClock


async def send_write(
    exchange: Exchange, write: Write, wall: WallClock, said_to_exist: Callable[[str], None] | None = None
) -> AnyEvent:
    """Send one request and return the event its answer proves; `said_to_exist` is called with the id of an order that
    was refused because one of its id exists. Never raises for what the exchange or the network does."""
    match write:
        case PlaceOrder():
            placing = await exchange.place(write)
            if isinstance(placing, Unknown) and placing.exists and said_to_exist is not None:
                said_to_exist(write.client_order_id)
            return _place_event(write, placing, wall.now_us())
        case AmendOrder():
            return _amend_event(write, await exchange.amend(write), wall.now_us())
        case CancelOrder():
            crashpoint("cancel.before")
            answer = await exchange.cancel(write)
            crashpoint("cancel.after")
            return _cancel_event(write, answer, wall.now_us())
        case _:
            assert_never(write)


def unconfirmed_event(write: Write, why: str, at_us: int) -> AnyEvent:
    """Return the event for a request that ended without any answer: it may have been done."""
    unknown = Unknown(why=why)
    match write:
        case PlaceOrder():
            return _place_event(write, unknown, at_us)
        case AmendOrder():
            return _amend_event(write, unknown, at_us)
        case CancelOrder():
            return _cancel_event(write, unknown, at_us)
        case _:
            assert_never(write)


def _place_event(write: PlaceOrder, answer: PlaceAnswer, at_us: int) -> AnyEvent:
    name = write.client_order_id
    match answer:
        case Refused():
            return OrderRefused(at_us=at_us, client_order_id=name, code=answer.code, message=answer.message)
        case NotSent():
            return OrderNotSent(at_us=at_us, client_order_id=name, why=answer.why)
        case Unknown():
            why = answer.why if answer.code is None else answer.message
            return PlaceUnconfirmed(at_us=at_us, client_order_id=name, why=why, code=answer.code)
        case _:
            return OrderAccepted(
                at_us=at_us,
                client_order_id=name,
                order_id=answer.order_id,
                filled_e2=answer.filled_e2,
                remaining_e2=answer.remaining_e2,
            )


def _amend_event(write: AmendOrder, answer: AmendAnswer, at_us: int) -> AnyEvent:
    name, effect_id = write.client_order_id, write.effect_id
    match answer:
        case Refused(code="not_found"):
            # As with a cancel: the order may have been filled, and its frames may still be on their way.
            return WriteUnconfirmed(
                at_us=at_us, client_order_id=name, effect_id=effect_id, why=f"refused: {answer.code}"
            )
        case Refused():
            return AmendRefused(
                at_us=at_us, client_order_id=name, effect_id=effect_id, code=answer.code, message=answer.message
            )
        case NotSent():
            return AmendRefused(at_us=at_us, client_order_id=name, effect_id=effect_id, code="not_sent")
        case Unknown():
            return WriteUnconfirmed(
                at_us=at_us, client_order_id=name, effect_id=effect_id, why=answer.why, code=answer.code
            )
        case _:
            return AmendAnswered(
                at_us=at_us,
                client_order_id=name,
                order_id=answer.order_id,
                filled_e2=answer.filled_e2,
                remaining_e2=answer.remaining_e2,
            )


def _cancel_event(write: CancelOrder, answer: CancelAnswer, at_us: int) -> AnyEvent:
    """Return the event for a cancel's answer. A refused cancel is a question too: the order may have been filled,
    cancelled, or live on another shard."""
    name = write.client_order_id
    if isinstance(answer, Cancelled):
        return CancelAnswered(
            at_us=at_us, client_order_id=name, order_id=answer.order_id, reduced_by_e2=answer.reduced_by_e2
        )
    why = f"refused: {answer.code}" if isinstance(answer, Refused) else answer.why
    return WriteUnconfirmed(at_us=at_us, client_order_id=name, effect_id=write.effect_id, why=why)
