"""The tables of `fsm-exec compare`: one for each tape, the buckets, and the sensitivity grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from fsm_exec.cli.output import Page
from fsm_exec.lab.experiment.compare import Plan
from fsm_exec.lab.experiment.results import FILE_NAME
from fsm_exec.lab.experiment.sensitivity import Variation, variation
from fsm_exec.lab.experiment.summary import Bucket, Cell, ComparisonReport, Paired
from fsm_exec.lab.experiment.tapes import short_names
from fsm_exec.lab.statistics import BLOCKS_FEW

PLAIN_WIDTH = 110  # of the table when no terminal says how wide it is
ROUGH = f"fewer than {BLOCKS_FEW} blocks of 15 minutes: a rough guess; longer or more tapes tell more"
TABLE_WIDTH_MIN = 100  # in less it would be cut to nothing


def show(plan: Plan, found: ComparisonReport, varied: Sequence[Variation], out: Path) -> None:
    """Print the report; `out` is the directory that holds the results."""
    console = Page()
    if not console.is_terminal or console.width < TABLE_WIDTH_MIN:
        console = Page(width=PLAIN_WIDTH)
    if not found.cells:
        console.print("No episode is complete yet.")
    titles = short_names(plan.tapes)
    for tape in dict.fromkeys(cell.tape for cell in found.cells):
        console.print(_table(found, tape, titles.get(tape, "all tapes together")))
    if found.buckets:
        console.print(_bucket_table(found.buckets))
    if varied:
        console.print(_variations_table(found, varied))
    if found.unfinished:
        console.print(f"{found.unfinished} episodes are not complete and are left out.", highlight=False)
    if any(few < BLOCKS_FEW for few in (*(p.blocks for p in found.paired), *(b.blocks for b in found.buckets))):
        console.print(f"~ {ROUGH}", highlight=False, markup=False, soft_wrap=True)
    conditions = plan.conditions
    fee = "the market's own" if conditions.maker_fee is None else f"{conditions.maker_fee} %"
    for line in (
        "cost: all-in shortfall in cents per contract; delta: against the baseline; better: how probable it is that "
        "the method is cheaper;",
        "fill*: before the closing leg; bound: the physical limit; gap: the share of the way there",
        f"fill model {conditions.fill_model}, queue model {conditions.queue_model}, "
        f"{conditions.latency_us // 1_000} ms from decision to match, maker fee {fee}; "
        "95 % by resampling blocks of 15 minutes",
        f"results: {(out / FILE_NAME).resolve()}",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _table(found: ComparisonReport, tape: str, title: str) -> Table:
    """Lay out all cells of one tape."""
    table = _empty_table(title)
    for heading in ("Q", "s", "method"):
        table.add_column(heading, no_wrap=True)
    for heading in ("n", "fill*", "fill", "cost", "delta", "95 %", "better", "bound", "gap", "writes"):
        table.add_column(heading, justify="right", no_wrap=True)
    more = {(p.tape, p.quantity, p.horizon, p.method): p for p in found.paired}
    last: tuple[str, int] | None = None
    for cell in found.cells:
        if cell.tape != tape:
            continue
        group = (cell.quantity, cell.horizon)
        if last is not None and group != last:
            table.add_section()
        shown = ("", "") if group == last else (cell.quantity, str(cell.horizon))
        last = group
        table.add_row(*shown, *_figures(cell, more.get((tape, *group, cell.method))))
    return table


def _empty_table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)


def _figures(cell: Cell, more: Paired | None) -> Sequence[str]:
    return (
        cell.method,
        str(cell.episodes),
        _percent(cell.fill_before_close),
        _percent(cell.fill),
        _two(cell.shortfall),
        "" if more is None else _signed(cell.delta),
        "" if more is None else _interval(cell.delta_low, cell.delta_high, more.blocks),
        "" if more is None or more.p_better is None else _percent(more.p_better),
        _two(cell.bound),
        "" if cell.gap_closed is None or more is None else _percent(cell.gap_closed),
        cell.writes,
    )


def _bucket_table(buckets: Sequence[Bucket]) -> Table:
    table = _empty_table("By spread, and by quantity over what is offered at the touch (p: Holm over each kind)")
    for heading in ("Q", "s", "kind", "bucket", "method"):
        table.add_column(heading, no_wrap=True)
    for heading in ("n", "delta", "95 %", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for b in buckets:
        table.add_row(
            b.quantity,
            str(b.horizon),
            b.kind,
            b.bucket,
            b.method,
            str(b.episodes),
            _signed(b.delta),
            _interval(b.delta_low, b.delta_high, b.blocks),
            b.p_holm or "",
        )
    return table


def _variations_table(found: ComparisonReport, varied: Sequence[Variation]) -> Table:
    """Lay out the differences to the baseline under each condition, the base's first."""
    table = _empty_table("The same under other conditions, one changed at a time: delta against the baseline")
    for heading in ("Q", "s", "method"):
        table.add_column(heading, no_wrap=True)
    for heading in ("as stated", *(v.name for v in varied)):
        table.add_column(heading, justify="right", no_wrap=True)
    columns = [variation("", found), *varied]
    blocks = {(p.quantity, p.horizon, p.method, p.tape): p.blocks for p in found.paired}
    by_key = [{(c.quantity, c.horizon, c.method, c.tape): c for c in column.cells} for column in columns]
    for key in by_key[0]:
        quantity, horizon, method, _ = key
        if method == found.baseline:
            continue
        cells = [cells.get(key) for cells in by_key]
        table.add_row(quantity, str(horizon), method, *("" if c is None else _delta(c, blocks[key]) for c in cells))
    return table


def _delta(cell: Cell, blocks: int) -> str:
    return f"{_signed(cell.delta)} {_interval(cell.delta_low, cell.delta_high, blocks)}"


def _two(text: str) -> str:
    return f"{float(text):z.2f}"


def _signed(text: str) -> str:
    return f"{float(text):+z.2f}"


def _percent(text: str) -> str:
    return f"{100 * float(text):z.0f}%"


def _interval(low: str | None, high: str | None, blocks: int) -> str:
    if low is None or high is None:
        return "too few"
    return f"{'~' if blocks < BLOCKS_FEW else ''}[{_signed(low)}, {_signed(high)}]"
