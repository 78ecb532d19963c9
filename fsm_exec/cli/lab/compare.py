"""`fsm-exec compare` runs several methods on the same episodes of the same tapes, and says how sure a difference is."""

from __future__ import annotations

import sys

import click
import msgspec

from fsm_exec.cli.exchange.reward_options import parse_rewards, reward_options
from fsm_exec.cli.exit_codes import EXIT_INTERRUPTED
from fsm_exec.cli.lab import compare_tables, options, progress
from fsm_exec.cli.lab.options import experiment_options
from fsm_exec.cli.output import say, say_json
from fsm_exec.cli.recordings import say_cut_off, say_without_trades
from fsm_exec.core.errors import UserError
from fsm_exec.lab.experiment.compare import Field
from fsm_exec.lab.experiment.methods import same_as, split_names
from fsm_exec.lab.experiment.results import open_results
from fsm_exec.lab.experiment.sensitivity import Variation, grid, variation, variations
from fsm_exec.lab.experiment.summary import build_report
from fsm_exec.lab.experiment.tapes import count_trades, expand_tapes, open_tapes
from fsm_exec.plugins import installed


@click.command()
@click.option(
    "--tape",
    "tapes",
    multiple=True,
    required=True,
    help="A recording, a directory or a glob of them, or PROFILE:SEED; may be repeated.",
)
@click.option("--methods", help="Separated by commas: NAME, NAME@VERSION, or NAME[SETTING=VALUE;...].  [default: all]")
@click.option("--baseline", default="passive_mid", show_default=True, help="What the others are held against.")
@experiment_options(
    quantity="20,100",
    horizon="45,180",
    every=60,
    out="fsm-exec-compare",
    resume="Go on with what --out holds; more tapes, methods, starts may join.",
)
@reward_options
@click.option(
    "--without-rewards", is_flag=True, help="Leave out of the costs what such programmes are estimated to pay."
)
@click.option("--sensitivity", is_flag=True, help="Also with a slower queue, 1 s of latency, a maker fee, other fills.")
@click.option("--buckets", is_flag=True, help="Also by spread and by size against the touch.")
@click.option("--each-tape", is_flag=True, help="Also each tape alone.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def compare(
    tapes: tuple[str, ...],
    methods: str | None,
    baseline: str,
    experiment: options.ExperimentOptions,
    liquidity_reward: str | None,
    volume_reward: str | None,
    without_rewards: bool,
    sensitivity: bool,
    buckets: bool,
    each_tape: bool,
    as_json: bool,
) -> None:
    """Compare methods on recorded or generated tapes."""
    plan = experiment.plan(expand_tapes(tapes), _parse_methods(methods, baseline), baseline)
    conditions = msgspec.structs.replace(plan.conditions, rewards=parse_rewards(liquidity_reward, volume_reward))
    plan = msgspec.structs.replace(plan, conditions=conditions)
    processes = experiment.processes()
    others = variations(plan.conditions) if sensitivity else {}
    slowest_us = max(conditions.latency_us for conditions in (plan.conditions, *others.values()))
    options.parse_horizons(experiment.horizon, slowest_us // 1_000)
    named = open_tapes(plan.tapes)
    for name, tape in named:
        say_cut_off(name, tape)
        say_without_trades(name, tape)
        if not count_trades(tape):  # there is nothing left that could fill a resting order
            others = {called: each for called, each in others.items() if each.fill_model != "trades"}
    field = Field(plan, named)
    varied: list[Variation] = []
    with open_results(experiment.out, resume=experiment.resume) as results:
        finished = progress.run_episodes(field, results, processes, experiment.cluster)
        found = build_report(
            field, results, with_buckets=buckets, each_tape=each_tape, with_rewards=not without_rewards
        )
    for name, conditions in others.items():
        if not finished:
            break
        field = Field(msgspec.structs.replace(plan, conditions=conditions), named)
        with open_results(experiment.out / name, resume=experiment.resume) as results:
            finished = progress.run_episodes(field, results, processes, experiment.cluster)
            varied.append(variation(name, build_report(field, results, with_rewards=not without_rewards)))
    if as_json:
        document = grid(found, varied) if sensitivity else found
        say_json(document, indent=2)
    else:
        compare_tables.show(plan, found, varied, experiment.out)
    if not finished:
        say("fsm-exec: interrupted; what is done is kept: the same command with --resume goes on", err=True)
        sys.exit(EXIT_INTERRUPTED)


def _parse_methods(text: str | None, baseline: str) -> tuple[str, ...]:
    """Return the baseline, then the others as they were given; without any, all algorithms but the baseline. Raises
    UserError."""
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
