"""`fsm-exec tune` searches an algorithm's settings on some days and believes only what it sees on the others.

What wins is written as a file that `fsm-exec methods add` takes. It says a name and no version: versions count up in
the database that the method is added to, where earlier ones are.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fsm_exec.algorithms.catalogue import check_own
from fsm_exec.cli.console import Page
from fsm_exec.cli.exit_codes import EXIT_INTERRUPTED
from fsm_exec.cli.lab import options, progress
from fsm_exec.cli.lab.options import experiment_options
from fsm_exec.cli.output import say, say_json
from fsm_exec.cli.recordings import say_cut_off, say_without_trades
from fsm_exec.core.errors import UserError
from fsm_exec.lab.experiment.compare import Field
from fsm_exec.lab.experiment.methods import resolve
from fsm_exec.lab.experiment.results import open_results
from fsm_exec.lab.experiment.tapes import expand_tapes, short_names
from fsm_exec.lab.experiment.tuning import Search, Tuning, draw_search, judge, parse_range
from fsm_exec.plugins import installed

CANDIDATES_MAX, SEED_MAX = 1_000, 2**63 - 1
FILE_NAME = "method.json"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence for a method: `delta` is the cost on unseen tapes against `against`, in cents per contract."""

    tapes: tuple[str, ...]
    against: str
    delta: str
    delta_low: str | None
    delta_high: str | None


class NewMethod(msgspec.Struct, frozen=True, kw_only=True):
    """The file of a search that won, as `cli.database.methods.MethodFile` reads it. `config` has all settings, also
    those left at their defaults."""

    name: str
    algorithm: str
    config: dict[str, object]
    evidence: Evidence


@click.command()
@click.option(
    "--tape",
    "tapes",
    multiple=True,
    required=True,
    help="A recording, a directory or a glob of them, or PROFILE:SEED; at least two.",
)
@click.option("--algorithm", required=True, help="Whose settings are searched: NAME, or NAME[SETTING=VALUE;...].")
@click.option("--name", help="What a winner is to be called.  [default: tuned_ALGORITHM]")
@click.option("--vary", "ranges", multiple=True, required=True, help="SETTING=LOW:HIGH; may be repeated.")
@click.option("--candidates", type=int, default=16, show_default=True, help="Settings tried for each seed.")
@click.option("--seeds", default="1,2,3", show_default=True, help="Of the searches, separated by commas.")
@click.option("--baseline", default="passive_mid", show_default=True, help="What the outcome is also held against.")
@experiment_options(
    quantity="20",
    horizon="45",
    every=300,
    out="fsm-exec-tune",
    resume="Go on with what --out holds.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def tune(
    tapes: tuple[str, ...],
    algorithm: str,
    name: str | None,
    ranges: tuple[str, ...],
    candidates: int,
    seeds: str,
    baseline: str,
    experiment: options.ExperimentOptions,
    as_json: bool,
) -> None:
    """Search an algorithm's settings, leaving one tape out at a time.

    Settings that win on tapes the search has not seen are written to method.json in --out. To work with them:

    \b
    fsm-exec methods add --db DATABASE --file OUT/method.json
    fsm-exec submit --method tuned_ALGORITHM ...
    """
    tapes = expand_tapes(tapes)
    if len(tapes) < 2:
        raise UserError("--tape: a search needs a tape it has not seen; give at least two")
    if not 2 <= candidates <= CANDIDATES_MAX:
        raise UserError(f"--candidates {candidates}: give a number from 2 to {CANDIDATES_MAX}")
    called = name if name is not None else f"tuned_{resolve(algorithm).algorithm}"
    check_own(called, installed())
    search = draw_search(algorithm, baseline, [parse_range(text) for text in ranges], candidates, _parse_seeds(seeds))
    plan = experiment.plan(tapes, search.methods, baseline)
    processes = experiment.processes()
    field = Field(plan)
    for opened in field.named:
        say_cut_off(*opened)
        say_without_trades(*opened)
    with open_results(experiment.out, resume=experiment.resume) as results:
        if not progress.run_episodes(field, results, processes, experiment.cluster):
            say("fsm-exec: interrupted; what is done is kept: the same command with --resume goes on", err=True)
            sys.exit(EXIT_INTERRUPTED)
        found = judge(search, field, results)
    path = _write(called, search, found, tapes, experiment.out)
    if as_json:
        document = {**msgspec.structs.asdict(found), "method_file": None if path is None else str(path.resolve())}
        say_json(document, indent=2)
    else:
        _print(called, found, path)


def _parse_seeds(text: str) -> tuple[int, ...]:
    parts = options.split_list("--seeds", text)
    if not all(part.isascii() and part.isdigit() and int(part) <= SEED_MAX for part in parts):
        raise UserError(f"--seeds {text!r}: give whole numbers separated by commas")
    return tuple(dict.fromkeys(int(part) for part in parts))


def _write(name: str, search: Search, found: Tuning, tapes: tuple[str, ...], out: Path) -> Path | None:
    """Write the settings that won as a file; None if none did: then the file of an earlier search goes too. Raises
    UserError."""
    path = out / FILE_NAME
    try:
        if found.chosen is None:
            path.unlink(missing_ok=True)
            return None
        chosen, won = resolve(found.chosen), found.differences[0]
        evidence = Evidence(
            tapes=tapes,
            against=search.algorithm,
            delta=won.delta,
            delta_low=won.delta_low,
            delta_high=won.delta_high,
        )
        config = msgspec.to_builtins(chosen.config)
        document = NewMethod(name=name, algorithm=chosen.algorithm, config=config, evidence=evidence)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give another --out") from error
    return path


def _print(name: str, found: Tuning, path: Path | None) -> None:
    console = Page()
    table = Table(title="What each search chose, cents per contract", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("unseen tape", overflow="fold")
    table.add_column("seed", justify="right")
    table.add_column("chosen", overflow="fold")
    table.add_column("cost seen", justify="right")
    table.add_column("unseen", justify="right")
    titles = short_names(fold.held_out for fold in found.folds)
    for fold in found.folds:
        table.add_row(titles[fold.held_out], str(fold.seed), fold.chosen, fold.seen_cost, fold.unseen_cost)
    console.print(table)
    for d in found.differences:
        interval = "too few blocks" if d.delta_low is None else f"[{d.delta_low}, {d.delta_high}]"
        fill = "fill not worse" if d.fill_not_worse else "fill may be worse"
        line = f"unseen, against {d.against}: {d.delta} {interval}; fill {d.fill_delta} ({fill})"
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if path is None:
        console.print("The defaults stand: nothing was surely cheaper on tapes that the search had not seen.")
    else:
        chosen = (
            f"Chosen: {found.chosen}, the best on all tapes. What is said above is of what the searches chose unseen."
        )
        console.print(chosen, highlight=False, markup=False, soft_wrap=True)
        add = f"fsm-exec methods add --db DATABASE --file {shlex.quote(str(path.resolve()))}"
        console.print(f"To work with it: {add}", highlight=False, markup=False, soft_wrap=True)
        console.print(f"and then: fsm-exec submit --method {name} ...", highlight=False, markup=False, soft_wrap=True)
