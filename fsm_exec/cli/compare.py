"""`fsm-exec compare`: several methods on the same episodes of the same tapes, and how sure the difference is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from fsm_exec.algorithms import SHIPPED
from fsm_exec.cli import lab_options, lab_progress
from fsm_exec.core.errors import UserError
from fsm_exec.lab.cells import ALL_TAPES, Bucket, Cell, Paired, Report, report
from fsm_exec.lab.compare import Field, Plan
from fsm_exec.lab.episodes import FEE_TYPES
from fsm_exec.lab.methods import full_name
from fsm_exec.lab.results import open_results

PLAIN_WIDTH = 110  # of the table when nobody's terminal says how wide it is
TABLE_WIDTH_MIN = 100  # in less it would be cut to nothing
EXIT_INTERRUPTED = 130


@click.command()
@click.option("--tape", "tapes", multiple=True, required=True, help="A recording, or PROFILE:SEED; may be repeated.")
@click.option("--methods", help="Separated by commas: NAME, NAME@VERSION, or NAME[SETTING=VALUE;...].  [default: all]")
@click.option("--baseline", default="passive_mid", show_default=True, help="What the others are held against.")
@click.option("--quantity", default="20,100", show_default=True, help="Contracts, separated by commas.")
@click.option("--horizon", default="45,180", show_default=True, help="Seconds, separated by commas.")
@click.option("--every", type=int, default=60, show_default=True, help="Seconds from one start to the next.")
@click.option("--outcome", type=click.Choice(["yes", "no", "both"]), default="both", show_default=True)
@click.option("--workers", type=int, help="Processes.  [default: one for each core]")
@click.option(
    "--out", type=click.Path(path_type=Path), default="fsm-exec-compare", show_default=True, help="Directory."
)
@click.option("--resume", is_flag=True, help="Go on with what --out holds; more tapes, methods, starts may join.")
@click.option(
    "--queue-model",
    type=click.Choice(["proportional", "conservative"]),
    default="proportional",
    show_default=True,
    help="Whether cancels bring our orders forward.",
)
@click.option("--latency-ms", type=int, default=200, show_default=True, help="From decision to match.")
@click.option("--maker-fee", type=click.Choice(list(FEE_TYPES)), help="Per cent.  [default: that of the tape's market]")
@click.option("--buckets", is_flag=True, help="Also by spread and by size against the touch.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def compare(
    tapes: tuple[str, ...],
    methods: str | None,
    baseline: str,
    quantity: str,
    horizon: str,
    every: int,
    outcome: str,
    workers: int | None,
    out: Path,
    resume: bool,
    queue_model: str,
    latency_ms: int,
    maker_fee: str | None,
    buckets: bool,
    as_json: bool,
) -> None:
    """Compare methods on recorded or generated tapes."""
    plan = Plan(
        tapes=tapes,
        methods=_methods(methods, baseline),
        baseline=baseline,
        quantities_e2=lab_options.quantities(quantity),
        horizons_us=lab_options.horizons(horizon, latency_ms),
        outcomes=lab_options.outcomes(outcome),
        every_us=lab_options.interval(every),
        conditions=lab_options.conditions(queue_model, latency_ms, maker_fee),
    )
    processes = lab_options.workers(workers)
    field = Field(plan)
    with open_results(out, resume=resume) as results:
        finished = lab_progress.work(field, results, processes)
        found = report(field, results, with_buckets=buckets)
        if as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
        else:
            _print(plan, found, results.path)
    if not finished:
        click.echo("fsm-exec: interrupted; what is done is kept: the same command with --resume goes on", err=True)
        sys.exit(EXIT_INTERRUPTED)


def _methods(text: str | None, baseline: str) -> tuple[str, ...]:
    """The baseline first, then the others as they were given. Raises UserError."""
    names = list(SHIPPED) if text is None else lab_options.split("--methods", text)
    chosen = list(dict.fromkeys([baseline, *names]))
    known: dict[str, str] = {}
    for name in chosen:
        full = full_name(name)
        if full in known:
            raise UserError(f"--methods: {known[full]} and {name} are the same method; give it once")
        known[full] = name
    return tuple(chosen)


def _print(plan: Plan, found: Report, path: Path) -> None:
    console = Console()
    if not console.is_terminal or console.width < TABLE_WIDTH_MIN:
        console = Console(width=PLAIN_WIDTH)
    if not found.cells:
        console.print("No episode is complete yet.")
    for tape in dict.fromkeys(cell.tape for cell in found.cells):
        console.print(_table(found, tape))
    if found.buckets:
        console.print(_bucket_table(found.buckets))
    if found.unfinished:
        console.print(f"{found.unfinished} episodes are not complete and are left out.", highlight=False)
    conditions = plan.conditions
    fee = "the market's own" if conditions.maker_fee is None else f"{conditions.maker_fee} %"
    for line in (
        "cost: all-in shortfall in cents per contract; delta: against the baseline; better: how probable it is that "
        "the method is cheaper;",
        "fill*: before the closing leg; bound: the physical limit; gap: the share of the way there",
        f"queue model {conditions.queue_model}, {conditions.latency_us // 1_000} ms from decision to match, maker fee "
        f"{fee}; 95 % by resampling blocks of 15 minutes",
        f"results: {path.resolve()}",
    ):
        console.print(line, highlight=False, soft_wrap=True)


def _table(found: Report, tape: str) -> Table:
    """All cells of one tape."""
    table = _empty_table(_stem(tape) if tape != ALL_TAPES else "all tapes together")
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
        "" if more is None else _interval(cell.delta_low, cell.delta_high),
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
            _interval(b.delta_low, b.delta_high),
            b.p_holm or "",
        )
    return table


def _stem(tape: str) -> str:
    return Path(tape).name.removesuffix(".gz").removesuffix(".jsonl")


def _two(text: str) -> str:
    return f"{float(text):.2f}"


def _signed(text: str) -> str:
    return f"{float(text):+.2f}"


def _percent(text: str) -> str:
    return f"{100 * float(text):.0f}%"


def _interval(low: str | None, high: str | None) -> str:
    return "too few" if low is None or high is None else f"[{_signed(low)}, {_signed(high)}]"
