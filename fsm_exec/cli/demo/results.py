"""The results of the demo: the table, the JSON document, and whether the exchange agrees."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from rich.table import Table

from fsm_exec.cli.demo.totals import MethodTotal, cents
from fsm_exec.cli.tables.columns import Column, figures, lay_out, names, words
from fsm_exec.core.market.orders import FillListing, OrderListing
from fsm_exec.core.values.short_text import trim_dollars
from fsm_exec.core.values.units import MoneyE6, format_count, format_money, format_price, rounded_ratio
from fsm_exec.runtime.engine import EndedExecution

CENTICENTS_LEN = len("0.0000")  # the table cuts averages to what a price can show; the document has all digits


class ExecutionResult(msgspec.Struct, kw_only=True):
    """One execution of the document. Decimal strings; shortfall in dollars per contract, fees in dollars, times in
    whole seconds; null = unknown."""

    execution_id: str
    market: str
    outcome: str
    algorithm: str
    state: str
    reason: str | None
    target_quantity: str
    filled_quantity: str
    fill_rate: str
    target_price: str | None
    average_fill_price: str | None
    slippage: str | None
    arrival_mid: str | None
    shortfall: str | None
    fees: str
    time_to_first_fill: int | None
    time_to_full_fill: int | None
    walks_executed: int
    splits_used: int


class DemoResult(msgspec.Struct, kw_only=True):
    """What the run says as JSON: the same for the same seed, so it names no file."""

    tape: str
    methods: list[MethodTotal]
    executions: list[ExecutionResult]


def result_of(ended: EndedExecution) -> ExecutionResult:
    """Build the result of an execution. A quarantined one has what follows from its fills; the rest is null."""
    execution, row = ended.execution, ended.metrics
    limits = execution.limits
    return ExecutionResult(
        execution_id=execution.execution_id,
        market=execution.terms.ticker,
        outcome=execution.outcome,
        algorithm=execution.method.partition("@")[0],
        state=execution.state,
        reason=execution.reason,
        target_quantity=format_count(execution.target_e2),
        filled_quantity=format_count(execution.filled_e2),
        fill_rate=str(rounded_ratio(execution.filled_e2, execution.target_e2, 6)),
        target_price=None if limits is None else format_price(limits.target_e4),
        average_fill_price=None if row is None else row.average_fill_price,
        slippage=None if row is None else row.slippage,
        arrival_mid=None if row is None else row.arrival_mid,
        shortfall=None if row is None else row.shortfall,
        fees=format_money(MoneyE6(sum(fill.fee_e6 for fill in execution.fills))),
        time_to_first_fill=None if row is None else row.time_to_first_fill,
        time_to_full_fill=None if row is None else row.time_to_full_fill,
        walks_executed=execution.walks,
        splits_used=sum(child.order_id is not None for child in execution.children),
    )


def differences(ended: Iterable[EndedExecution], orders: OrderListing, fills: FillListing, instance: str) -> list[str]:
    """Return where our books and the exchange's own listings disagree, one line each: fills missing here or there, or
    different; orders of ours still live."""
    ours = {
        (fill.order_id, fill.fill_id): (fill.count_e2, fill.price_e4, fill.fee_e6)
        for end in ended
        for fill in end.execution.fills
    }
    theirs = {(f.order_id, f.fill_id): (f.count_e2, f.price_e4, f.fee_e6) for f in fills.fills}
    prefix = f"fx{instance}-"
    mine = {order.order_id for order in orders.orders if order.client_order_id.startswith(prefix)}
    found = [f"fill {fill_id} of order {order} is ours alone" for order, fill_id in ours.keys() - theirs.keys()]
    for (order, fill_id), said in theirs.items():
        if order in mine and ours.get((order, fill_id)) != said:
            found.append(f"fill {fill_id} of order {order} is {said} there and {ours.get((order, fill_id))} here")
    found += [
        f"order {order.client_order_id} still rests at the exchange"
        for order in orders.orders
        if order.order_id in mine and order.status == "resting"
    ]
    return sorted(found)


def table_of(results: list[ExecutionResult], width: int) -> Table:
    """Lay out the results for a person: a narrow screen brings the columns together and breaks names, never figures.
    `cost` is the all-in shortfall."""
    ends = [r.state if r.reason in ("completed", None) else str(r.reason) for r in results]
    paid = ["-" if r.average_fill_price is None else r.average_fill_price[:CENTICENTS_LEN] for r in results]
    columns = [
        Column("id", [r.execution_id for r in results]),
        names("algorithm", [r.algorithm for r in results]),
        Column("side", [r.outcome for r in results]),
        words("end", ends),
        Column("filled", [f"{_short(r.filled_quantity)}/{_short(r.target_quantity)}" for r in results], right=True),
        figures("target\nprice", ["-" if r.target_price is None else trim_dollars(r.target_price) for r in results]),
        figures("paid", ["-" if one == "-" else trim_dollars(one) for one in paid]),
        figures("cost\nc", ["-" if r.shortfall is None else cents(r.shortfall) for r in results]),
        figures("fees\n$", [trim_dollars(r.fees) for r in results]),
        figures("s", ["-" if r.time_to_full_fill is None else str(r.time_to_full_fill) for r in results]),
    ]
    return lay_out(columns, width, title="Results (cost: all-in shortfall, cents per contract)")


def _short(count: str) -> str:
    return count.removesuffix(".00")
