"""`fsm-exec compare`: several methods on the same episodes of the same tapes, and how sure the difference is."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from fsm_exec.cli import compare_tables, lab_options, lab_progress
from fsm_exec.cli.exit_codes import EXIT_INTERRUPTED
from fsm_exec.cli.output import say, say_json
from fsm_exec.core.errors import UserError
from fsm_exec.lab.cells import report
from fsm_exec.lab.compare import Field, Plan
from fsm_exec.lab.episodes import FEE_TYPES
from fsm_exec.lab.methods import same_as, split_names
from fsm_exec.lab.results import open_results
from fsm_exec.lab.sensitivity import Variation, grid, variation, variations
from fsm_exec.lab.tapes import open_tapes
from fsm_exec.plugins import installed


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
@click.option("--sensitivity", is_flag=True, help="Also with a slower queue, 1 s of latency, a maker fee.")
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
    sensitivity: bool,
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
    others = variations(plan.conditions) if sensitivity else {}
    slowest_us = max(conditions.latency_us for conditions in (plan.conditions, *others.values()))
    lab_options.horizons(horizon, slowest_us // 1_000)
    named = open_tapes(plan.tapes)
    field = Field(plan, named)
    varied: list[Variation] = []
    with open_results(out, resume=resume) as results:
        finished = lab_progress.work(field, results, processes)
        found = report(field, results, with_buckets=buckets)
    for name, conditions in others.items():
        if not finished:
            break
        field = Field(msgspec.structs.replace(plan, conditions=conditions), named)
        with open_results(out / name, resume=resume) as results:
            finished = lab_progress.work(field, results, processes)
            varied.append(variation(name, report(field, results)))
    if as_json:
        document = grid(found, varied) if sensitivity else found
        say_json(document, indent=2)
    else:
        compare_tables.show(plan, found, varied, out)
    if not finished:
        say("fsm-exec: interrupted; what is done is kept: the same command with --resume goes on", err=True)
        sys.exit(EXIT_INTERRUPTED)


def _methods(text: str | None, baseline: str) -> tuple[str, ...]:
    """The baseline first, then the others as they were given; without any, all algorithms there are but the baseline
    itself. Raises UserError."""
    if text is None:
        return (baseline, *(name for name in installed().usable() if same_as(name, [baseline]) is None))
    names = split_names(text)
    if not all(names):
        raise UserError(f"--methods {text!r}: give names separated by single commas")
    chosen: list[str] = []
    for name in dict.fromkeys([baseline, *names]):
        twin = same_as(name, chosen)
        if twin is not None:
            raise UserError(f"--methods: {twin} and {name} are the same method; give it once")
        chosen.append(name)
    return tuple(chosen)
