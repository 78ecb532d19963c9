"""`fsm-exec fidelity` compares generated markets with recorded ones, statistic by statistic, with gates."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fsm_exec.cli.console import Page
from fsm_exec.cli.output import say_json
from fsm_exec.cli.recordings import load_tape
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import US_PER_S, format_fixed
from fsm_exec.paper.tapes.fidelity import LEFT_OUT_US, Figures, measure
from fsm_exec.paper.tapes.fidelity_gates import Verdict, judge
from fsm_exec.paper.tapes.generator import LENGTH_MAX_S, generate
from fsm_exec.paper.tapes.profiles import PROFILES

SECONDS = 23_400  # a trading day of the index recordings
SECONDS_MIN = 2 * LEFT_OUT_US // US_PER_S
SEEDS_MAX = 1_000
PLAIN_WIDTH = 100  # of the table when no terminal says how wide it is
DIGITS = 4  # of a figure in the document


class StatisticRow(msgspec.Struct, kw_only=True):
    """One statistic. Figures are rounded; null = no gate, or nothing to compare with."""

    statistic: str
    unit: str
    recorded: float | None
    generated: float | None
    gate: str | None
    passed: bool | None


class Comparison(msgspec.Struct, kw_only=True):
    """`recording` null: no recording was given, and `rows` say what is generated."""

    recording: str | None
    gates: int
    passed: int
    failed: list[str]
    rows: list[StatisticRow]


class FidelityResult(msgspec.Struct, kw_only=True):
    profile: str
    seeds: str
    seconds: int
    comparisons: list[Comparison]


@click.command()
@click.option(
    "--recording",
    "recordings",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Compare with it; may be repeated.",
)
@click.option("--profile", default="index", show_default=True, help=f"One of: {', '.join(PROFILES)}.")
@click.option("--seeds", default="1-10", show_default=True, help="The tapes to generate, A-B.")
@click.option("--seconds", type=int, default=SECONDS, show_default=True, help="The length of each.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def fidelity(recordings: tuple[Path, ...], profile: str, seeds: str, seconds: int, as_json: bool) -> None:
    """Compare generated markets with recorded ones, gate by gate."""
    if not SECONDS_MIN <= seconds <= LENGTH_MAX_S:
        raise UserError(f"--seconds {seconds}: give a number from {SECONDS_MIN} to {LENGTH_MAX_S}")
    numbers = _parse_seeds(seeds)
    recorded = [(path.name, _measure_recording(path)) for path in recordings]  # first: it may be refused
    generated = [measure(generate(seed, seconds, profile=profile)) for seed in numbers]
    comparisons = [_comparison(name, judge(figures, generated)) for name, figures in recorded]
    if not comparisons:
        comparisons = [_comparison(None, judge(None, generated))]
    result = FidelityResult(profile=profile, seeds=seeds, seconds=seconds, comparisons=comparisons)
    if as_json:
        say_json(result)
    else:
        _print(result)


def _measure_recording(path: Path) -> Figures:
    """Measure a recording. Raises UserError, also for one that is too short to be measured."""
    tape = load_tape(path)
    if tape.length_us < SECONDS_MIN * US_PER_S:
        lasts = format_fixed(tape.length_us // 100_000, 1)
        raise UserError(f"recording {path} lasts {lasts} s; give one of {SECONDS_MIN} s at least")
    return measure(tape)


def _parse_seeds(text: str) -> Sequence[int]:
    """Parse a range. Raises UserError unless it is A-B or A, with 0 <= A <= B."""
    first, _, last = text.partition("-")
    numbers = (first, last or first)
    if not all(number.isascii() and number.isdigit() and len(number) <= 9 for number in numbers):
        raise UserError(f"--seeds {text[:40]}: give two numbers like 1-10")
    seeds = range(int(numbers[0]), int(numbers[1]) + 1)
    if not 1 <= len(seeds) <= SEEDS_MAX:
        raise UserError(f"--seeds {text[:40]}: give 1 to {SEEDS_MAX} seeds, the lower number first")
    return seeds


def _comparison(name: str | None, verdicts: list[Verdict]) -> Comparison:
    gated = [verdict for verdict in verdicts if verdict.passed is not None]
    return Comparison(
        recording=name,
        gates=len(gated),
        passed=sum(verdict.passed is True for verdict in gated),
        failed=[verdict.statistic for verdict in gated if not verdict.passed],
        rows=[
            StatisticRow(
                statistic=verdict.statistic,
                unit=verdict.unit,
                recorded=_rounded(verdict.recorded),
                generated=_rounded(verdict.generated),
                gate=verdict.gate or None,
                passed=verdict.passed,
            )
            for verdict in verdicts
        ],
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def _print(result: FidelityResult) -> None:
    console = Page(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    for comparison in result.comparisons:
        title = f"profile {result.profile}, seeds {result.seeds}, {result.seconds} s each"
        table = Table(
            title=title if comparison.recording is None else f"{title}, against {comparison.recording}",
            box=SIMPLE_HEAD,
        )
        table.add_column("statistic", no_wrap=True)
        for heading in ("recorded", "generated"):
            table.add_column(heading, justify="right")
        for heading in ("unit", "gate", "holds"):
            table.add_column(heading)
        for row in comparison.rows:
            holds = "" if row.passed is None else "yes" if row.passed else "NO"
            table.add_row(row.statistic, _shown(row.recorded), _shown(row.generated), row.unit, row.gate or "", holds)
        console.print(table)
        if comparison.recording is not None:
            failed = f"; not: {', '.join(comparison.failed)}" if comparison.failed else ""
            console.print(f"{comparison.passed} of {comparison.gates} gates hold{failed}")


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"
