"""The tables of an experiment's page: the figures of its cells, and of nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from fsm_exec.lab.experiment.buckets import Bucket
from fsm_exec.lab.experiment.differences import E7_OF_CENTS_E2
from fsm_exec.lab.experiment.fill_shares import FillShares
from fsm_exec.lab.experiment.groups import Group
from fsm_exec.lab.experiment.summary import Cell, Paired
from fsm_exec.lab.figure_texts import decimal_text, interval, percent, signed, two
from fsm_exec.lab.products import part_title
from fsm_exec.lab.report.tables import Table

CellKey: TypeAlias = tuple[str, str, str, int, str]
"""Product, tape, quantity, horizon in seconds, method."""


def method_table(
    cells: Sequence[Cell], more: Mapping[CellKey, Paired], groups: Sequence[Group], called: Mapping[str, str]
) -> Table:
    columns = (
        *("market", "contracts", "s", "method", "episodes", "blocks", "fill*", "fill", "cost", "d", "95 %", "better"),
        *("fees", "writes", "walks", "limit", "hindsight", "gap"),
    )
    by_part = {(g.product, g.tape, g.quantity, g.horizon_s): g for g in groups}
    rows = []
    for cell in cells:
        paired = more.get((cell.product, cell.tape, cell.quantity, cell.horizon, cell.method))
        group = by_part[cell.product, cell.tape, cell.quantity, cell.horizon]
        rows.append(
            (
                *(part_title(cell.product, cell.tape, called), cell.quantity, str(cell.horizon), cell.method),
                *(f"{cell.episodes:,}", "" if paired is None else f"{paired.blocks:,}"),
                *(percent(cell.fill_before_close), percent(cell.fill), two(cell.shortfall)),
                *(("", "", "") if paired is None else _difference(cell, paired)),
                two(_fees(group, cell.method)),
                *(cell.writes, two(_walks(group, cell.method)), two(cell.bound)),
                *(("", "") if paired is None else (two(paired.static), percent(cell.gap_closed))),
            )
        )
    return Table(columns, rows, frozenset(columns) - {"market", "method"})


def _fees(group: Group, method: str) -> str:
    """In cents per contract asked for."""
    return decimal_text(group.pooled(lambda e: e.runs[method].fees_e7) / (group.quantity_e2 * E7_OF_CENTS_E2))


def _walks(group: Group, method: str) -> str:
    return decimal_text(group.pooled(lambda e: e.runs[method].walks))


def _difference(cell: Cell, paired: Paired) -> tuple[str, str, str]:
    between = interval(cell.delta_low, cell.delta_high, is_rough=paired.is_rough)
    return signed(cell.delta), between, percent(paired.p_better)


def tail_table(cells: Sequence[Cell], called: Mapping[str, str]) -> Table:
    columns = (
        *("market", "contracts", "s", "method", "cost", "p5", "p50", "p95", "worst"),
        *("d", "d p50", "d trimmed", "blocks better", "neighbours"),
    )
    rows = [
        (
            *(part_title(c.product, c.tape, called), c.quantity, str(c.horizon), c.method, two(c.shortfall)),
            *(two(c.cost_p5), two(c.cost_median), two(c.cost_p95), two(c.cost_worst)),
            *(
                ("", "", "", "", "")
                if c.share_better is None
                else (
                    *(signed(c.delta), signed(c.delta_median), signed(c.delta_trimmed)),
                    *(percent(c.share_better), signed(c.autocorrelation)),
                )
            ),
        )
        for c in cells
    ]
    return Table(columns, rows, frozenset(columns) - {"market", "method"})


def fill_table(rows: Sequence[FillShares], called: Mapping[str, str]) -> Table:
    columns = (*("market", "contracts", "s", "method", "trade", "queue", "crossing", "through", "taken", "assumed"),)
    texts = [
        (
            *(part_title(row.product, row.tape, called), row.quantity, str(row.horizon), row.method),
            *map(percent, (row.trade, row.queue, row.crossing, row.through, row.taken, row.assumed)),
        )
        for row in rows
    ]
    return Table(columns, texts, frozenset(columns) - {"market", "method"})


def bucket_table(buckets: Sequence[Bucket]) -> Table:
    columns = ("contracts", "s", "kind", "bucket", "method", "episodes", "d", "95 %", "p")
    rows = [
        (
            *(b.quantity, str(b.horizon), b.kind, b.bucket, b.method, f"{b.episodes:,}", signed(b.delta)),
            *(interval(b.delta_low, b.delta_high, is_rough=b.is_rough), b.p_holm or ""),
        )
        for b in buckets
    ]
    return Table(columns, rows, frozenset({"contracts", "s", "episodes", "d", "95 %", "p"}))
