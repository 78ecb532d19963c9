"""`fsm-exec algorithms` lists those that ship and those of installed packages, and checks whether one keeps the rules.

`check` puts an algorithm through the properties that ours must have. Exit codes: 0 it has them all, 1 it breaks one,
2 there is none of this name, or it cannot be used.
"""

from __future__ import annotations

import sys

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fsm_exec.cli.console import Page
from fsm_exec.cli.database.methods import say_broken_packages
from fsm_exec.cli.exit_codes import EXIT_FAILED
from fsm_exec.cli.output import say, say_json
from fsm_exec.core.errors import UserError
from fsm_exec.lab.algorithm_checks.checking import Verdict, check_algorithm
from fsm_exec.lab.algorithm_checks.version import family_named
from fsm_exec.plugins import installed

CASES_MAX, SEED_MAX = 100_000, 2**31 - 1


class AlgorithmRow(msgspec.Struct, frozen=True, kw_only=True):
    """An algorithm; `distribution` None: it ships with fsm-exec."""

    name: str
    distribution: str | None
    version: str | None
    lab_only: bool


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    algorithm: str
    distribution: str | None
    version: str | None
    passed: bool
    checks: list[Verdict]


@click.group()
def algorithms() -> None:
    """List the algorithms there are, and check one."""


@algorithms.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def list_algorithms(as_json: bool) -> None:
    """Every algorithm that can be used, and where it is from. What cannot is said on stderr."""
    found = [_row_of(name, family.lab_only) for name, family in installed().usable().items()]
    say_broken_packages()
    if as_json:
        say_json({"algorithms": found})
        return
    table = Table(box=SIMPLE_HEAD)
    for heading in ("algorithm", "from", "version"):
        table.add_column(heading, overflow="fold")
    for one in found:
        note = " (lab only)" if one.lab_only else ""
        table.add_row(one.name + note, one.distribution or "fsm-exec", one.version or "")
    Page().print(table)


@algorithms.command()
@click.argument("name")
@click.option("--cases", type=int, default=200, show_default=True, help="How many cases it is put to.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the first case; the next has the next.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def check(name: str, cases: int, seed: int, as_json: bool) -> None:
    """Put algorithm NAME, or what ships as NAME@VERSION, through what every algorithm must pass.

    It is the code of this environment that runs, with settings drawn within their bounds. A check that fails names the
    seed of its case: the same command with that --seed and --cases 1 meets it again.
    """
    if not 1 <= cases <= CASES_MAX:
        raise UserError(f"--cases {cases}: give a number from 1 to {CASES_MAX}")
    if not 0 <= seed <= SEED_MAX:
        raise UserError(f"--seed {seed}: give a number from 0 to {SEED_MAX}")
    family = family_named(name)
    verdicts: list[Verdict] = []
    for verdict in check_algorithm(family, cases, seed):
        verdicts.append(verdict)
        if not as_json:
            say(_line(verdict))
    passed = all(verdict.why is None for verdict in verdicts)
    if as_json:
        one = _row_of(family.name, family.lab_only)
        say_json(
            CheckResult(
                algorithm=name, distribution=one.distribution, version=one.version, passed=passed, checks=verdicts
            )
        )
    else:
        say(f"{name} {'keeps all of them' if passed else 'is not to be traded with'}")
    if not passed:
        sys.exit(EXIT_FAILED)


def _row_of(name: str, lab_only: bool) -> AlgorithmRow:
    origin = installed().origin(name)
    return AlgorithmRow(
        name=name,
        distribution=None if origin is None else origin.distribution,
        version=None if origin is None else origin.version,
        lab_only=lab_only,
    )


def _line(verdict: Verdict) -> str:
    if verdict.why is None:
        return f"ok      {verdict.name}: {verdict.claim}"
    return f"BROKEN  {verdict.name}: {verdict.why} (--seed {verdict.seed})"
