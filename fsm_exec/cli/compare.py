"""`fsm-exec compare`: several methods on the same episodes of the same tapes, and how sure the difference is."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from fsm_exec.algorithms import SHIPPED
from fsm_exec.core.errors import UnitError, UserError
from fsm_exec.core.units import CountE2, Outcome, parse_count
from fsm_exec.lab.cells import ALL_TAPES, Bucket, Cell, Paired, Report, report
from fsm_exec.lab.compare import Field, Plan, tasks_left, work_all
from fsm_exec.lab.episodes import FEE_TYPES, US_PER_S, Conditions, MakerFee
from fsm_exec.lab.methods import full_name
from fsm_exec.lab.results import open_results
from fsm_exec.paper.level import QueueModel

PLAIN_WIDTH = 110  # of the table when nobody's terminal says how wide it is
TABLE_WIDTH_MIN = 100  # in less it would be cut to nothing
EVERY_MAX_S, HORIZON_MAX_S, LATENCY_MAX_MS, WORKERS_MAX = 86_400, 86_400, 60_000, 256
TELL_EVERY_S = 10  # how often the time left is told where no bar can be drawn
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
@click.option("--queue-model", type=click.Choice(["proportional", "conservative"]), default="proportional")
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
    if not 0 <= latency_ms <= LATENCY_MAX_MS:
        raise UserError(f"--latency-ms {latency_ms}: give milliseconds from 0 to {LATENCY_MAX_MS}")
    if not 1 <= every <= EVERY_MAX_S:
        raise UserError(f"--every {every}: give seconds from 1 to {EVERY_MAX_S}")
    plan = Plan(
        tapes=tapes,
        methods=_methods(methods, baseline),
        baseline=baseline,
        quantities_e2=_quantities(quantity),
        horizons_us=_horizons(horizon, latency_ms),
        outcomes=("yes", "no") if outcome == "both" else (cast("Outcome", outcome),),
        every_us=every * US_PER_S,
        conditions=Conditions(
            queue_model=cast("QueueModel", queue_model),
            latency_us=latency_ms * 1_000,
            maker_fee=cast("MakerFee | None", maker_fee),
        ),
    )
    processes = _workers(workers)
    field = Field(plan)
    with open_results(out, resume=resume) as results:
        results.agree(plan.stated(), field.fingerprints())
        tasks = tasks_left(field, results)
        interrupted = False
        try:
            with _progress(len(tasks)) as tell:
                for done in work_all(field, tasks, results, min(processes, max(1, len(tasks)))):
                    tell(done)
        except KeyboardInterrupt:
            interrupted = True
        found = report(field, results, with_buckets=buckets)
        if as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
        else:
            _print(plan, found, results.path)
        if interrupted:
            click.echo("fsm-exec: interrupted; what is done is kept: the same command with --resume goes on", err=True)
            sys.exit(EXIT_INTERRUPTED)


def _methods(text: str | None, baseline: str) -> tuple[str, ...]:
    """The baseline first, then the others as they were given. Raises UserError."""
    names = list(SHIPPED) if text is None else _split("--methods", text)
    chosen = list(dict.fromkeys([baseline, *names]))
    known: dict[str, str] = {}
    for name in chosen:
        full = full_name(name)
        if full in known:
            raise UserError(f"--methods: {known[full]} and {name} are the same method; give it once")
        known[full] = name
    return tuple(chosen)


def _quantities(text: str) -> tuple[CountE2, ...]:
    found: list[CountE2] = []
    for part in _split("--quantity", text):
        try:
            count = parse_count(part)
        except UnitError as error:
            raise UserError(f"--quantity: {error}; give contracts above 0 with at most 2 decimals") from error
        if count == 0:
            raise UserError(f"--quantity {part}: give contracts above 0 with at most 2 decimals")
        found.append(count)
    return tuple(dict.fromkeys(found))


def _horizons(text: str, latency_ms: int) -> tuple[int, ...]:
    """In microseconds. Raises UserError."""
    least_s = latency_ms * 4 // 1_000 + 1  # an order must be able to get there, trade, and be heard of
    found: list[int] = []
    for part in _split("--horizon", text):
        if not (part.isascii() and part.isdigit() and least_s <= int(part) <= HORIZON_MAX_S):
            raise UserError(f"--horizon {part[:40]}: give whole seconds from {least_s} to {HORIZON_MAX_S}")
        found.append(int(part) * US_PER_S)
    return tuple(dict.fromkeys(found))


def _workers(asked: int | None) -> int:
    if asked is None:
        return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    if not 1 <= asked <= WORKERS_MAX:
        raise UserError(f"--workers {asked}: give a number from 1 to {WORKERS_MAX}")
    return asked


def _split(option: str, text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise UserError(f"{option} {text!r}: give values separated by single commas")
    return parts


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Says on standard error how far it is and how long it will take: a bar, or a line now and then."""
    console = Console(stderr=True)
    if console.is_terminal and not console.is_dumb_terminal:
        columns = (
            TextColumn("episodes"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda done: bar.update(task, completed=done)
        return
    began = told = time.monotonic()

    def tell(done: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told >= TELL_EVERY_S or done == total:
            told = now
            left = (now - began) / done * (total - done)
            click.echo(f"fsm-exec: {done} of {total} episodes, about {left:.0f} s left", err=True)

    yield tell


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
