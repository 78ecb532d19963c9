"""The lab's commands share options, which become numbers before anything runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import click
import msgspec

from fsm_exec.core.errors import UnitError, UserError
from fsm_exec.core.market.fees import MULTIPLIER_MAX
from fsm_exec.core.values.short_text import trim_dollars
from fsm_exec.core.values.units import PPM, US_PER_S, CountE2, Outcome, format_fixed, parse_count, parse_fixed
from fsm_exec.lab.experiment.compare import Plan
from fsm_exec.lab.experiment.episodes import FEE_TYPES, Conditions, MakerFee
from fsm_exec.paper.matching_engine.fill_models import FILL_MODELS, FillModel
from fsm_exec.paper.matching_engine.price_level import QueueModel

EVERY_MAX_S, HORIZON_MAX_S, LATENCY_MAX_MS, WORKERS_MAX = 86_400, 86_400, 10_000, 256
CENT_E4, REACH_MAX_CENTS = 100, 90

Command = TypeVar("Command", bound=Callable[..., Any])


class ExperimentOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of an experiment as they were given."""

    quantity: str
    horizon: str
    every: int
    outcome: str
    workers: int | None
    cluster: str | None
    out: Path
    resume: bool
    queue_model: str
    fill_model: str
    latency_ms: int
    maker_fee: str | None
    fee_multiplier: str | None
    reach: int

    def plan(self, tapes: tuple[str, ...], methods: tuple[str, ...], baseline: str) -> Plan:
        """Return the plan of the experiment. Raises UserError."""
        return Plan(
            tapes=tapes,
            methods=methods,
            baseline=baseline,
            quantities_e2=parse_quantities(self.quantity),
            horizons_us=parse_horizons(self.horizon, self.latency_ms),
            outcomes=parse_outcomes(self.outcome),
            every_us=parse_interval_us(self.every),
            conditions=parse_conditions(
                self.queue_model, self.latency_ms, self.maker_fee, self.reach, self.fill_model, self.fee_multiplier
            ),
        )

    def processes(self) -> int:
        """Return how many processes of this machine work at it. Raises UserError."""
        if self.cluster is not None and self.workers is not None:
            raise UserError(WORKERS_AND_CLUSTER)
        return worker_count(self.workers)


WORKERS_AND_CLUSTER = "--workers are processes of this machine, and --cluster has its own; give one of them"
cluster_option = click.option(
    "--cluster", metavar="ADDRESS", help="Work on the workers of the Dask scheduler there, as tcp://HOST:8786."
)


def experiment_options(
    *, quantity: str, horizon: str, every: int, out: str, resume: str
) -> Callable[[Command], Command]:
    """Add the options that make `ExperimentOptions`, with these defaults (`resume` is that option's help); the command
    gets them as `experiment`."""
    options = (
        click.option("--quantity", default=quantity, show_default=True, help="Contracts, separated by commas."),
        click.option("--horizon", default=horizon, show_default=True, help="Seconds, separated by commas."),
        click.option("--every", type=int, default=every, show_default=True, help="Seconds from one start to the next."),
        click.option("--outcome", type=click.Choice(["yes", "no", "both"]), default="both", show_default=True),
        click.option("--workers", type=int, help="Processes.  [default: one for each core]"),
        cluster_option,
        click.option("--out", type=click.Path(path_type=Path), default=out, show_default=True, help="Directory."),
        click.option("--resume", is_flag=True, help=resume),
        click.option(
            "--queue-model",
            type=click.Choice(["proportional", "conservative"]),
            default="proportional",
            show_default=True,
            help="Whether cancels bring our orders forward.",
        ),
        click.option(
            "--fill-model",
            type=click.Choice(FILL_MODELS),
            default="recorded",
            show_default=True,
            help="Which recorded limit orders cross to ours.",
        ),
        click.option("--latency-ms", type=int, default=200, show_default=True, help="From decision to match."),
        click.option(
            "--maker-fee",
            type=click.Choice(list(FEE_TYPES)),
            help="Per cent where the taker's is 7.  [default: that of the tape's market]",
        ),
        click.option(
            "--fee-multiplier",
            metavar="M",
            help="Scales all fees: 0.5 where a series pays half.  [default: that of the tape's market]",
        ),
        click.option("--reach", type=int, default=6, show_default=True, help="Cents from the mid to the worst price."),
    )

    def decorate(command: Command) -> Command:
        @wraps(command)
        def with_experiment(**values: Any) -> Any:  # noqa: ANN401 - a command's, whatever they are
            given = {name: values.pop(name) for name in ExperimentOptions.__struct_fields__}
            return command(experiment=ExperimentOptions(**given), **values)

        decorated: Any = with_experiment
        for option in reversed(options):
            decorated = option(decorated)
        return cast("Command", decorated)

    return decorate


def parse_conditions(
    queue_model: str,
    latency_ms: int,
    maker_fee: str | None,
    reach: int = 6,
    fill_model: str = "recorded",
    fee_multiplier: str | None = None,
) -> Conditions:
    """Parse the conditions. Raises UserError for a latency, a reach or a multiplier that makes no sense; the others are
    choices already checked."""
    if not 0 <= latency_ms <= LATENCY_MAX_MS:
        raise UserError(f"--latency-ms {latency_ms}: give milliseconds from 0 to {LATENCY_MAX_MS}")
    if not 1 <= reach <= REACH_MAX_CENTS:
        raise UserError(f"--reach {reach}: give cents from 1 to {REACH_MAX_CENTS}")
    return Conditions(
        queue_model=cast("QueueModel", queue_model),
        fill_model=cast("FillModel", fill_model),
        latency_us=latency_ms * 1_000,
        maker_fee=cast("MakerFee | None", maker_fee),
        reach_e4=reach * CENT_E4,
        fee_multiplier=None if fee_multiplier is None else _parse_multiplier(fee_multiplier),
    )


def _parse_multiplier(text: str) -> str:
    """Parse a multiplier of fees into the shortest text that says it."""
    try:
        value_e6 = parse_fixed(text, 6)
    except UnitError as error:
        raise UserError(f"--fee-multiplier: {error}; give a number like 0.5") from error
    if not 0 <= value_e6 <= MULTIPLIER_MAX * PPM:
        raise UserError(f"--fee-multiplier {text}: give a number from 0 to {MULTIPLIER_MAX}")
    return trim_dollars(format_fixed(value_e6, 6)) if value_e6 % PPM else str(value_e6 // PPM)


def parse_interval_us(every: int) -> int:
    """In microseconds. Raises UserError."""
    if not 1 <= every <= EVERY_MAX_S:
        raise UserError(f"--every {every}: give seconds from 1 to {EVERY_MAX_S}")
    return every * US_PER_S


def parse_outcomes(outcome: str) -> tuple[Outcome, ...]:
    return ("yes", "no") if outcome == "both" else (cast("Outcome", outcome),)


def parse_quantities(text: str) -> tuple[CountE2, ...]:
    found: list[CountE2] = []
    for part in split_list("--quantity", text):
        try:
            count = parse_count(part)
        except UnitError as error:
            raise UserError(f"--quantity: {error}; give contracts above 0 with at most 2 decimals") from error
        if count == 0:
            raise UserError(f"--quantity {part}: give contracts above 0 with at most 2 decimals")
        found.append(count)
    return tuple(dict.fromkeys(found))


def parse_horizons(text: str, latency_ms: int) -> tuple[int, ...]:
    """In microseconds. Raises UserError."""
    least_s = latency_ms * 4 // 1_000 + 1  # an order must be able to get there, trade, and be heard of
    found: list[int] = []
    for part in split_list("--horizon", text):
        if not (part.isascii() and part.isdigit() and least_s <= int(part) <= HORIZON_MAX_S):
            raise UserError(f"--horizon {part[:40]}: give whole seconds from {least_s} to {HORIZON_MAX_S}")
        found.append(int(part) * US_PER_S)
    return tuple(dict.fromkeys(found))


def worker_count(asked: int | None) -> int:
    if asked is None:
        return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    if not 1 <= asked <= WORKERS_MAX:
        raise UserError(f"--workers {asked}: give a number from 1 to {WORKERS_MAX}")
    return asked


def split_list(option: str, text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise UserError(f"{option} {text!r}: give values separated by single commas")
    return parts
