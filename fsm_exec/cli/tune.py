"""`fsm-exec tune`: searches an algorithm's settings on some days and believes only what it sees on the others."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from fsm_exec.cli import lab_options, lab_progress
from fsm_exec.core.errors import UserError
from fsm_exec.lab.compare import Field, Plan
from fsm_exec.lab.episodes import FEE_TYPES
from fsm_exec.lab.methods import resolve
from fsm_exec.lab.results import open_results
from fsm_exec.lab.tuning import Search, Tuning, draw_search, judge, parse_range

CANDIDATES_MAX, SEED_MAX = 1_000, 2**63 - 1
FILE_NAME = "method.json"
EXIT_INTERRUPTED = 130


class NewMethod(msgspec.Struct, frozen=True, kw_only=True):
    """The file of a search that won. `settings` are all of them, also those left at their defaults; `delta` is the
    cost on unseen tapes against the version before, in cents per contract."""

    name: str
    version: int
    algorithm: str
    settings: dict[str, object]
    tapes: tuple[str, ...]
    delta: str
    delta_low: str | None
    delta_high: str | None


@click.command()
@click.option("--tape", "tapes", multiple=True, required=True, help="A recording, or PROFILE:SEED; at least two.")
@click.option("--algorithm", required=True, help="The method whose settings are searched.")
@click.option("--vary", "ranges", multiple=True, required=True, help="SETTING=LOW:HIGH; may be repeated.")
@click.option("--candidates", type=int, default=16, show_default=True, help="Settings tried for each seed.")
@click.option("--seeds", default="1,2,3", show_default=True, help="Of the searches, separated by commas.")
@click.option("--baseline", default="passive_mid", show_default=True, help="What the outcome is also held against.")
@click.option("--quantity", default="20", show_default=True, help="Contracts, separated by commas.")
@click.option("--horizon", default="45", show_default=True, help="Seconds, separated by commas.")
@click.option("--every", type=int, default=300, show_default=True, help="Seconds from one start to the next.")
@click.option("--outcome", type=click.Choice(["yes", "no", "both"]), default="both", show_default=True)
@click.option("--workers", type=int, help="Processes.  [default: one for each core]")
@click.option("--out", type=click.Path(path_type=Path), default="fsm-exec-tune", show_default=True, help="Directory.")
@click.option("--resume", is_flag=True, help="Go on with what --out holds.")
@click.option(
    "--queue-model",
    type=click.Choice(["proportional", "conservative"]),
    default="proportional",
    show_default=True,
    help="Whether cancels bring our orders forward.",
)
@click.option("--latency-ms", type=int, default=200, show_default=True, help="From decision to match.")
@click.option("--maker-fee", type=click.Choice(list(FEE_TYPES)), help="Per cent.  [default: that of the tape's market]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def tune(
    tapes: tuple[str, ...],
    algorithm: str,
    ranges: tuple[str, ...],
    candidates: int,
    seeds: str,
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
    as_json: bool,
) -> None:
    """Search an algorithm's settings, leaving one tape out at a time."""
    if len(tapes) < 2:
        raise UserError("--tape: a search needs a tape it has not seen; give at least two")
    if not 2 <= candidates <= CANDIDATES_MAX:
        raise UserError(f"--candidates {candidates}: give a number from 2 to {CANDIDATES_MAX}")
    search = draw_search(algorithm, baseline, [parse_range(text) for text in ranges], candidates, _seeds(seeds))
    plan = Plan(
        tapes=tapes,
        methods=search.methods,
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
        if not lab_progress.work(field, results, processes):
            click.echo("fsm-exec: interrupted; what is done is kept: the same command with --resume goes on", err=True)
            sys.exit(EXIT_INTERRUPTED)
        found = judge(search, field, results)
    path = _write(search, found, tapes, out) if found.chosen is not None else None
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    else:
        _print(found, path)


def _seeds(text: str) -> tuple[int, ...]:
    parts = lab_options.split("--seeds", text)
    if not all(part.isascii() and part.isdigit() and int(part) <= SEED_MAX for part in parts):
        raise UserError(f"--seeds {text!r}: give whole numbers separated by commas")
    return tuple(dict.fromkeys(int(part) for part in parts))


def _write(search: Search, found: Tuning, tapes: tuple[str, ...], out: Path) -> Path:
    """The next version of the method, as a file. Raises UserError."""
    assert found.chosen is not None, "nothing was chosen"
    before, chosen = resolve(search.algorithm), resolve(found.chosen)
    won = found.differences[0]
    document = NewMethod(
        name=before.name,
        version=before.version + 1,
        algorithm=chosen.algorithm,
        settings=msgspec.to_builtins(chosen.config),
        tapes=tapes,
        delta=won.delta,
        delta_low=won.delta_low,
        delta_high=won.delta_high,
    )
    path = out / FILE_NAME
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give another --out") from error
    return path


def _print(found: Tuning, path: Path | None) -> None:
    console = Console()
    table = Table(title="What each search chose, cents per contract", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("unseen tape", overflow="fold")
    table.add_column("seed", justify="right")
    table.add_column("chosen", overflow="fold")
    table.add_column("cost seen", justify="right")
    table.add_column("unseen", justify="right")
    for fold in found.folds:
        name = Path(fold.held_out).name.removesuffix(".gz").removesuffix(".jsonl")
        table.add_row(name, str(fold.seed), fold.chosen.replace("[", r"\["), fold.seen_cost, fold.unseen_cost)
    console.print(table)
    for d in found.differences:
        interval = "too few blocks" if d.delta_low is None else f"[{d.delta_low}, {d.delta_high}]"
        fill = "fill not worse" if d.fill_not_worse else "fill may be worse"
        line = f"unseen, against {d.against}: {d.delta} {interval}; fill {d.fill_delta} ({fill})"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if path is None:
        console.print("The defaults stand: nothing was surely cheaper on tapes that the search had not seen.")
    else:
        console.print(f"Chosen: {found.chosen}", highlight=False, markup=False, soft_wrap=True)
        console.print(f"The next version: {path.resolve()}", highlight=False, markup=False, soft_wrap=True)
