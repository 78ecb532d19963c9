"""`fsm-exec simulate` searches for a history that breaks the engine's promise. One seed is one history."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click
import msgspec
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fsm_exec.cli.console import Page
from fsm_exec.cli.exit_codes import EXIT_FAILED, EXIT_INTERRUPTED
from fsm_exec.cli.lab.options import WORKERS_AND_CLUSTER, cluster_option
from fsm_exec.cli.output import say, say_json
from fsm_exec.core.errors import UserError
from fsm_exec.lab.simulation.scenario import draw, only
from fsm_exec.lab.simulation.seed_search import Finding, SearchOptions, SeedResult, search_seeds
from fsm_exec.lab.simulation.world import HistoryReport, simulate
from fsm_exec.paper.faults import load_fault_profile, shipped_profile_names
from fsm_exec.paper.tapes.profiles import PROFILES, profile_named

DEFAULT_SEEDS = "1-100"
SEED_MAX = 1_000_000_000
SEEDS_MAX = 1_000_000  # in one command
WORKERS_MAX = 256


class Totals(msgspec.Struct, kw_only=True):
    """Sums over all histories of one command."""

    runs: int = 0
    virtual_s: int = 0
    executions: int = 0
    orders: int = 0
    fills: int = 0
    lives: int = 0
    deaths: int = 0
    doors: int = 0
    faults: int = 0


class SearchResult(msgspec.Struct, kw_only=True):
    """The document of --json for several seeds. `runs_per_s` is a decimal string: histories a real second."""

    seeds: str
    workers: int
    interrupted: bool
    totals: Totals
    runs_per_s: str
    crash_points: list[str]
    findings: list[Finding]


@click.command("simulate")
@click.option("--seeds", metavar="A-B", help=f"All seeds from A to B.  [default: {DEFAULT_SEEDS}]")
@click.option("--seed", type=int, help="One history, with its hash.")
@click.option("--steps", type=int, help="With --seed: only its first actions.")
@click.option("--without", metavar="N,N,...", help="With --seed: leave these actions out.")
@click.option("--profile", help=f"The flow of every market; one of: {', '.join(PROFILES)}.")
@click.option(
    "--faults", help=f"What goes wrong at the exchange: a TOML file, or {', '.join(shipped_profile_names())}."
)
@click.option("--workers", type=int, help="Processes.  [default: one a core]")
@cluster_option
@click.option("--history", type=click.Path(path_type=Path), help="With --seed: write what happened to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def simulate_command(
    seeds: str | None,
    seed: int | None,
    steps: int | None,
    without: str | None,
    profile: str | None,
    faults: str | None,
    workers: int | None,
    cluster: str | None,
    history: Path | None,
    as_json: bool,
) -> None:
    """Live through seeded histories of faults and crashes, and check every invariant. Exit 1 if one breaks."""
    if profile is not None:
        profile_named(profile)
    if faults is not None:
        load_fault_profile(faults)
    options = SearchOptions(profile=profile, faults=faults)
    if seed is not None:
        if seeds is not None or workers is not None or cluster is not None:
            raise UserError("--seed is one history; leave out --seeds, --workers and --cluster")
        _check_number("--seed", seed, SEED_MAX)
        sys.exit(_run_one(seed, steps, _parse_numbers(without), options, history, as_json=as_json))
    for name, value in (("--steps", steps), ("--without", without), ("--history", history)):
        if value is not None:
            raise UserError(f"{name} is for one history; give it with --seed N")
    if cluster is not None and workers is not None:
        raise UserError(WORKERS_AND_CLUSTER)
    count = workers if workers is not None else os.cpu_count() or 1
    if not 1 <= count <= WORKERS_MAX:
        raise UserError(f"--workers {count}: give a number from 1 to {WORKERS_MAX}")
    named = seeds or DEFAULT_SEEDS
    sys.exit(_run_many(named, _parse_range(named), options, count, cluster, as_json=as_json))


def _run_one(
    seed: int,
    steps: int | None,
    without: frozenset[int],
    options: SearchOptions,
    history: Path | None,
    *,
    as_json: bool,
) -> int:
    if steps is not None and steps < 0:
        raise UserError(f"--steps {steps}: give 0 or more")
    scenario = only(draw(seed, profile=options.profile, faults=options.faults), steps, without)
    report = simulate(scenario, keeps=history is not None)
    if history is not None:
        _write(history, report)
    if as_json:
        document = msgspec.structs.replace(report, lines=[], log="")
        say_json(document, indent=2)
    else:
        say(f"seed {seed}: {report.digest}, {report.events} events")
        say(
            f"{len(scenario.markets)} markets, faults {scenario.faults_name} ({report.faults} befell), "
            f"{report.executions} executions, {report.orders} orders, {report.fills} fills, {report.lives} lives, "
            f"{report.doors} doors, {report.virtual_ms // 1_000} s"
        )
        for number, action in scenario.steps:
            say(f"  {number:>3}  {action}")
        say("\n".join(f"FOUND {line}" for line in report.findings) or "Every invariant held.")
    return EXIT_FAILED if report.findings else 0


def _run_many(
    named: str, seeds: range, options: SearchOptions, workers: int, cluster: str | None, *, as_json: bool
) -> int:
    totals, visited, findings = Totals(), set[str](), list[Finding]()
    interrupted = False
    began = time.perf_counter()
    try:
        with _open_lane(seeds, options, min(workers, len(seeds)), cluster) as (results, workers):
            for lived in _with_progress(results, len(seeds), shown=not as_json):
                _add(totals, lived.report)
                visited.update(lived.report.visited)
                if lived.found is not None:
                    findings.append(lived.found)
                    if not as_json:
                        _print_finding(lived.found)
    except KeyboardInterrupt:
        interrupted = True  # what was found is printed
    per_s = totals.runs * 100_000 // max(1, round((time.perf_counter() - began) * 1_000))  # hundredths
    result = SearchResult(
        seeds=named,
        workers=workers,
        interrupted=interrupted,
        totals=totals,
        runs_per_s=f"{per_s // 100}.{per_s % 100:02d}",
        crash_points=sorted(visited),
        findings=sorted(findings, key=lambda found: found.seed),
    )
    if as_json:
        say_json(result, indent=2)
    else:
        say(
            f"{totals.runs} histories, {totals.virtual_s} s of virtual time, {totals.executions} executions, "
            f"{totals.orders} orders, {totals.fills} fills, {totals.deaths} deaths, {totals.faults} faults, "
            f"{result.runs_per_s} histories a second: "
            + (f"{len(findings)} seeds break an invariant." if findings else "every invariant held.")
        )
    if interrupted:
        return EXIT_INTERRUPTED
    return EXIT_FAILED if findings else 0


@contextmanager
def _open_lane(
    seeds: range, options: SearchOptions, workers: int, cluster: str | None
) -> Iterator[tuple[Iterator[SeedResult], int]]:
    """Yield the results as they come, and how many processes work at them."""
    if cluster is None:
        with closing(search_seeds(seeds, options, workers)) as results:
            yield results, workers
        return
    from fsm_exec.lab.cluster import open_cluster  # Dask takes its time to load

    with open_cluster(cluster) as lane, closing(lane.search_seeds(seeds, options)) as results:
        yield results, lane.count_workers()


def _with_progress(results: Iterator[SeedResult], total: int, *, shown: bool) -> Iterable[SeedResult]:
    console = Page(stderr=True)
    if not shown or not console.is_terminal:
        yield from results
        return
    columns = (TextColumn("histories"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total)
        for lived in results:
            progress.advance(task)
            yield lived


def _print_finding(found: Finding) -> None:
    say(f"seed {found.seed}: {found.findings[0]}")
    for line in found.findings[1:]:
        say(f"    {line}")
    say(f"    again: {found.command}")


def _add(totals: Totals, report: HistoryReport) -> None:
    totals.runs += 1
    totals.virtual_s += report.virtual_ms // 1_000
    for name in ("executions", "orders", "fills", "lives", "deaths", "doors", "faults"):
        setattr(totals, name, getattr(totals, name) + getattr(report, name))


def _write(path: Path, report: HistoryReport) -> None:
    try:
        path.write_text("\n".join([*report.lines, "", report.log]), encoding="utf-8")
    except OSError as error:
        raise UserError(f"--history {path}: cannot be written ({error.strerror}); give another path") from error


def _parse_range(text: str) -> range:
    """Raises UserError."""
    first, dash, last = text.partition("-")
    if not (dash and first.isascii() and first.isdigit() and last.isascii() and last.isdigit()):
        raise UserError(f"--seeds {text!r}: give two whole numbers, as in {DEFAULT_SEEDS}")
    begin, end = int(first[:20]), int(last[:20])
    _check_number("--seeds", max(begin, end), SEED_MAX)
    if begin > end or end - begin >= SEEDS_MAX:
        raise UserError(f"--seeds {text}: give up to {SEEDS_MAX} seeds, the lower one first")
    return range(begin, end + 1)


def _check_number(name: str, value: int, most: int) -> None:
    if not 0 <= value <= most:
        raise UserError(f"{name} {value}: give a whole number from 0 to {most}")


def _parse_numbers(text: str | None) -> frozenset[int]:
    """Raises UserError."""
    if text is None:
        return frozenset()
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise UserError(f"--without {text!r}: give the numbers of actions, as in 3,7")
    return frozenset(map(int, parts))
