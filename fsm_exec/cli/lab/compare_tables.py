"""The tables of `fsm-exec compare`: two for each product and for all together, the buckets, and the sensitivity grid.

All fit 80 columns; a name that is longer than what is left is folded, never cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from fsm_exec.cli.console import Page
from fsm_exec.lab.blocks import BLOCK_WORDS
from fsm_exec.lab.experiment.buckets import Bucket
from fsm_exec.lab.experiment.compare import Plan
from fsm_exec.lab.experiment.fill_shares import FillShares
from fsm_exec.lab.experiment.results import FILE_NAME
from fsm_exec.lab.experiment.sensitivity import FILLS, Variation, variation
from fsm_exec.lab.experiment.summary import Cell, ComparisonReport, Paired
from fsm_exec.lab.experiment.tapes import short_names
from fsm_exec.lab.figure_texts import interval, percent, signed, two
from fsm_exec.lab.products import part_title
from fsm_exec.lab.statistics import BLOCKS_FEW

PLAIN_WIDTH = 80  # of the tables when no terminal says how wide it is, and the least that they are printed in
GRID_WIDTH = 16  # of a condition's column in the sensitivity grid: an interval
FIGURES_WIDTH = 55  # of the columns beside a method's name
ROUGH = f"fewer than {BLOCKS_FEW} blocks: a rough guess; longer or more tapes tell more"
EXPLAINED = (
    "cost: all-in shortfall, cents per contract; d: against the baseline; better: how probable it is that the method "
    "is cheaper; fill*: before the closing leg; gap: the share of the way to the physical limit",
    "p5, p50, p95: so many of a hundred executions cost less; worst: mean of the dearest twentieth; trim: mean of d "
    "without a tenth at each end; won: blocks in which the method is cheaper; next: likeness of neighbouring blocks, "
    "0 is none",
    "trade: a recorded taker at a worse price met us first; queue: one at our price came to us; crossing, through: a "
    "recorded limit order at our price, beyond it; taken: we took; assumed: the share of crossing and through in what "
    "we did not take",
    f"95 % by resampling blocks of {BLOCK_WORDS}; every episode of a product weighs the same, and every product",
)


def show(plan: Plan, found: ComparisonReport, varied: Sequence[Variation], out: Path) -> None:
    """Print the report; `out` is the directory that holds the results."""
    console = _page(PLAIN_WIDTH)
    name_width = console.width - FIGURES_WIDTH
    if not found.cells:
        console.print("No episode is complete yet.")
    called = short_names(plan.tapes)
    for product, tape in dict.fromkeys((cell.product, cell.tape) for cell in found.cells):
        cells = [cell for cell in found.cells if (cell.product, cell.tape) == (product, tape)]
        title = part_title(product, tape, called)
        console.print(_means(found, cells, title, name_width))
        console.print()
        console.print(_tails(found, cells, f"{title}: middle and tails", name_width))
        console.print()
        console.print(_fills(found, cells, f"{title}: what filled the orders", name_width))
        console.print()
    if any(Decimal(cell.reward) for cell in found.cells):
        console.print(_rewards_table(found.cells, called, name_width))
        console.print()
    if found.buckets:
        console.print(_bucket_table(found.buckets, name_width))
    if varied:
        for part, title in (
            ([each for each in varied if not each.name.startswith(FILLS)], "other conditions"),
            ([each for each in varied if each.name.startswith(FILLS)], "other fill models"),
        ):
            if part:
                console.print(_variations_table(found, part, title, console.width))
                console.print()
    for tape in found.without_trades:
        console.print(f"{tape} holds no trades: its fills are all assumed.", highlight=False, soft_wrap=True)
    if found.unfinished:
        console.print(f"{found.unfinished} episodes are not complete and are left out.", highlight=False)
    if any(p.is_rough for p in found.paired) or any(b.is_rough for b in found.buckets):
        console.print(f"~ {ROUGH}", highlight=False, markup=False, soft_wrap=True)
    conditions = plan.conditions
    fee = "the market's own" if conditions.maker_fee is None else f"{conditions.maker_fee} %"
    for line in (
        *EXPLAINED,
        f"fill model {conditions.fill_model}, queue model {conditions.queue_model}, "
        f"{conditions.latency_us // 1_000} ms from decision to match, maker fee {fee}"
        + ("" if conditions.fee_multiplier is None else f", all fees times {conditions.fee_multiplier}"),
        f"results: {(out / FILE_NAME).resolve()}",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _page(least: int) -> Page:
    """The terminal's page, or a wider one: a table that was cut says nothing."""
    console = Page()
    return console if console.is_terminal and console.width >= least else Page(width=least)


def _means(found: ComparisonReport, cells: Sequence[Cell], title: str, name_width: int) -> Table:
    """Lay out fills, costs and differences, and the physical limit below them."""
    more = {_key(paired): paired for paired in found.paired}
    table = _method_table(title, name_width, ("fill*", "fill", "cost", "d", "95 %", "better", "gap"))
    for asked, group in _by_asked(cells).items():
        blocks = next((paired.blocks for cell in group if (paired := more.get(_key(cell)))), None)
        table.add_row(asked, *[""] * 4, "" if blocks is None else f"{blocks} {'block' if blocks == 1 else 'blocks'}")
        for cell in group:
            filled, paired = (percent(cell.fill_before_close), percent(cell.fill)), more.get(_key(cell))
            compared: tuple[str, ...] = ()
            if paired is not None:
                between = interval(cell.delta_low, cell.delta_high, is_rough=paired.is_rough)
                compared = signed(cell.delta), between, percent(paired.p_better), percent(cell.gap_closed)
            table.add_row(f" {cell.method}", *filled, two(cell.shortfall), *compared)
        table.add_row(" (physical limit)", "", "", two(group[0].bound), end_section=True)
    return table


def _tails(found: ComparisonReport, cells: Sequence[Cell], title: str, name_width: int) -> Table:
    """Lay out what the means hide."""
    table = _method_table(title, name_width, ("p5", "p50", "p95", "worst", "d p50", "trim", "won", "next", "writes"))
    for asked, group in _by_asked(cells).items():
        table.add_row(asked)
        for cell in group:
            costs = two(cell.cost_p5), two(cell.cost_median), two(cell.cost_p95), two(cell.cost_worst)
            compared: tuple[str, ...] = ("", "", "", "")
            if cell.method != found.baseline:
                middle = signed(cell.delta_median), signed(cell.delta_trimmed)
                compared = *middle, percent(cell.share_better), signed(cell.autocorrelation)
            is_last = cell is group[-1]
            table.add_row(f" {cell.method}", *costs, *compared, cell.writes, end_section=is_last)
    return table


def _fills(found: ComparisonReport, cells: Sequence[Cell], title: str, name_width: int) -> Table:
    """Lay out what was filled by what."""
    table = _method_table(title, name_width, ("trade", "queue", "crossing", "through", "taken", "assumed"))
    rows = {_key(row): row for row in found.fills}
    for asked, group in _by_asked(cells).items():
        table.add_row(asked)
        for cell in group:
            row = rows[_key(cell)]
            shares = (row.trade, row.queue, row.crossing, row.through, row.taken, row.assumed)
            table.add_row(f" {row.method}", *map(percent, shares), end_section=cell is group[-1])
    return table


def _by_asked(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """The cells by what was asked for, and in how many episodes."""
    found: dict[str, list[Cell]] = {}
    for cell in cells:
        found.setdefault(f"{cell.quantity} in {cell.horizon} s, n {cell.episodes:,}", []).append(cell)
    return found


def _method_table(title: str, name_width: int, headings: Sequence[str]) -> Table:
    table = _empty_table(title)
    table.add_column("method", max_width=name_width, overflow="fold")
    for heading in headings:
        table.add_column(heading, justify="right", overflow="fold")
    return table


def _empty_table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False)


def _bucket_table(buckets: Sequence[Bucket], name_width: int) -> Table:
    table = _empty_table("By spread, and by quantity over what is offered at the touch (p: Holm over each kind)")
    table.add_column("method", max_width=name_width, overflow="fold")
    table.add_column("bucket", no_wrap=True)
    for heading in ("n", "d", "95 %", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    last: tuple[str, int, str] | None = None
    for b in buckets:
        group = (b.quantity, b.horizon, b.kind)
        if group != last:
            if last is not None:
                table.add_section()
            table.add_row(f"{b.quantity} in {b.horizon} s", b.kind)
            last = group
        between = interval(b.delta_low, b.delta_high, is_rough=b.is_rough)
        table.add_row(f" {b.method}", b.bucket, f"{b.episodes:,}", signed(b.delta), between, b.p_holm or "")
    return table


def _rewards_table(cells: Sequence[Cell], called: Mapping[str, str], name_width: int) -> Table:
    """Lay out what programmes are estimated to pay."""
    table = _empty_table("Rewards, estimated, already taken off the costs: cents per contract asked for")
    table.add_column("method", max_width=name_width, overflow="fold")
    for heading in ("", "asked", "reward", "cost"):
        table.add_column(heading, justify="right", no_wrap=True)
    for cell in cells:
        part = part_title(cell.product, cell.tape, called)
        table.add_row(cell.method, part, f"{cell.quantity} in {cell.horizon} s", two(cell.reward), two(cell.shortfall))
    return table


def _variations_table(found: ComparisonReport, varied: Sequence[Variation], what: str, width: int) -> Table:
    """Lay out the differences to the baseline under each condition, the base's first, each above its interval."""
    names = ("as stated", *(v.name.replace("-", " ") for v in varied))
    table = _method_table(f"The same under {what}, one changed at a time: d", width - GRID_WIDTH * len(names), names)
    columns = [variation("", found), *varied]
    rough = {_key(p): p.is_rough for p in found.paired}
    by_key = [{_key(c): c for c in column.cells} for column in columns]
    for asked, group in _by_asked(columns[0].cells).items():
        table.add_row(asked.partition(",")[0])
        compared = [cell for cell in group if cell.method != found.baseline]
        for base in compared:
            cells = [cells.get(_key(base)) for cells in by_key]
            texts = ("" if c is None else _delta(c, is_rough=rough[_key(base)]) for c in cells)
            table.add_row(f" {base.method}", *texts, end_section=base is compared[-1])
    return table


def _key(found: Cell | Paired | FillShares) -> tuple[str, str, str, int, str]:
    return found.product, found.tape, found.quantity, found.horizon, found.method


def _delta(cell: Cell, *, is_rough: bool) -> str:
    return f"{signed(cell.delta)}\n{interval(cell.delta_low, cell.delta_high, is_rough=is_rough)}"
