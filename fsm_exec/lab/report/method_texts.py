"""The desk's table in words and figures, for a report and for a page: costs in cents, shares in per cent."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import CountE2, format_count
from fsm_exec.lab import figure_texts
from fsm_exec.lab.blocks import BLOCK_WORDS
from fsm_exec.lab.figure_texts import decimal_text
from fsm_exec.lab.report.method_table import MARKOUTS_S, PARTS, MethodTableRow, Scored
from fsm_exec.lab.report.tables import Table
from fsm_exec.lab.statistics import BLOCKS_FEW

DEAREST: Final = 25
COST: Final = "Cents per contract asked for, all fees included and what was not filled bought at the deadline."
TABLE_NOTE: Final = (
    f"{COST} Positive is cost; markouts are gains of what was filled. delay, spread, drift, fees, "
    "opportunity, over-fill and rewards (estimated until the exchange pays) add up to cost. arrival: paid above the "
    "mid at arrival, per contract filled. fill: each execution alike; fill Q: by quantity. first, full: seconds until "
    "half of the executions had their first "
    "contract, and all of them. no cost: executions whose cost is not known, left out of the costs."
)
ROUGH: Final = f" ~: an interval from fewer than {BLOCKS_FEW} blocks ({BLOCK_WORDS}) is rough."


def dearest_table(members: Sequence[Scored]) -> Table:
    """The executions that cost most, dearest first."""
    priced = sorted(
        ((cost, one) for one in members if (cost := one.cost) is not None),
        key=lambda pair: (-pair[0], pair[1].worked.execution_id),
    )
    columns = ("execution", "accepted", "market", "outcome", "method", "asked", "filled", "cost", "reason", "flags")
    rows = [
        (
            *(one.worked.execution_id, to_iso(one.worked.accepted_us), one.worked.ticker, one.worked.outcome),
            *(one.worked.method, contracts(one.worked.target_e2), one.metrics.filled_quantity.removesuffix(".00")),
            *(two(cost), one.worked.reason or "", one.metrics.flags),
        )
        for cost, one in priced[:DEAREST]
    ]
    return Table(columns, rows, frozenset({"asked", "filled", "cost"}), "execution")


MOSTLY_NOUGHT: Final = ("over-fill", "liquidity-reward", "volume-reward")


def _columns(*, with_bucket: bool) -> tuple[str, ...]:
    return (
        *(("method", "bucket") if with_bucket else ("method",)),
        *("n", "asked", "fill", "fill Q", "cost", "95 %", "p50", "p95", "no cost", "arrival"),
        *(part.replace("_", "-") for part in PARTS),
        *(f"{horizon} s" for horizon in MARKOUTS_S),
        *("no markout", "maker", "first", "full", "writes", "walks"),
    )


def method_table_of(rows: Sequence[MethodTableRow], *, with_bucket: bool) -> Table:
    columns = _columns(with_bucket=with_bucket)
    texts = [
        (
            *((row.method, row.bucket) if with_bucket else (row.method,)),
            *(f"{row.executions:,}", contracts(CountE2(row.asked_e2))),
            *(percent(row.fill_by_order), percent(row.fill_by_quantity)),
            *(("", "") if row.estimate is None else (two(sum(row.parts.values(), Decimal(0))), interval(row))),
            *(("", "") if row.costs is None else (two(row.costs.p50), two(row.costs.p95))),
            *(f"{row.unpriced:,}" if row.unpriced else "", two(row.arrival)),
            *(two(row.parts.get(part)) for part in PARTS),
            *(two(row.markouts.get(horizon)) for horizon in MARKOUTS_S),
            *(f"{row.markouts_missing:,}" if row.markouts_missing else "", percent(row.maker_share)),
            *("" if row.first_fill_s is None else str(row.first_fill_s),),
            *("" if row.full_fill_s is None else str(row.full_fill_s),),
            *(two(row.writes), two(row.walks)),
        )
        for row in rows
    ]
    return _without_blanks(Table(columns, texts, frozenset(columns) - {"method", "bucket"}))


def _without_blanks(table: Table) -> Table:
    """Return the table without its empty columns; an over-fill or a reward of zero counts as empty."""
    kept = [
        place
        for place, name in enumerate(table.columns)
        if any(row[place] not in (("", "0.00") if name in MOSTLY_NOUGHT else ("",)) for row in table.rows)
    ]
    rows = [tuple(row[place] for place in kept) for row in table.rows]
    return Table(tuple(table.columns[place] for place in kept), rows, table.numbers)


def interval(row: MethodTableRow) -> str:
    found = row.estimate
    if found is None:
        return "too few"
    return figure_texts.interval(decimal_text(found.low), decimal_text(found.high), is_rough=found.is_rough)


def rough_note(rows: Sequence[MethodTableRow]) -> str:
    return ROUGH if any(row.estimate is not None and row.estimate.is_rough for row in rows) else ""


def contracts(count: CountE2) -> str:
    return format_count(count).removesuffix(".00")


def two(value: Decimal | float | None) -> str:
    return figure_texts.two(decimal_text(value))


def percent(share: Decimal | None) -> str:
    return figure_texts.percent(decimal_text(share))
