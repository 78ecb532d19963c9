"""The listings of an exchange that holds exactly what a database says: to be spoilt in one place at a time."""

from __future__ import annotations

from collections.abc import Sequence

from fsm_exec.core.market.orders import FillReport, OrderReport
from fsm_exec.core.values.units import CountE2
from fsm_exec.runtime.engine import EndedExecution


def mirrored(found: Sequence[EndedExecution]) -> tuple[tuple[OrderReport, ...], tuple[FillReport, ...]]:
    """Every order that was accepted, and every fill. All executions have ended."""
    children = [(each.execution, child) for each in found for child in each.execution.children if child.order_id]
    orders = tuple(
        OrderReport(
            order_id=child.order_id or "",
            client_order_id=child.client_order_id,
            ticker=execution.terms.ticker,
            outcome=execution.outcome,
            status="executed",
            price_e4=child.price_e4,
            count_e2=child.count_e2,
            filled_e2=child.filled_e2,
            remaining_e2=CountE2(0),
            at_us=0,
        )
        for execution, child in children
    )
    fills = tuple(
        FillReport(
            fill_id=fill.fill_id,
            order_id=fill.order_id,
            client_order_id=None,
            ticker=execution.terms.ticker,
            outcome=execution.outcome,
            price_e4=fill.price_e4,
            count_e2=fill.count_e2,
            fee_e6=fill.fee_e6,
            is_taker=fill.is_taker,
            at_us=fill.traded_at_us,
        )
        for execution, child in children
        for fill in (*child.fills, *child.late)
    )
    return orders, fills
