"""`fsm-exec doctor` checks whether installation, configuration and account can do what they are for.

Each check is one line with its remedy. Nothing is written to the exchange.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
import msgspec
import trio

from fsm_exec.cli.doctor.account_checks import check_account
from fsm_exec.cli.doctor.check import Check
from fsm_exec.cli.doctor.installation import check_installation, load_usable
from fsm_exec.cli.exit_codes import EXIT_FAILED
from fsm_exec.cli.output import say, say_json


@click.command()
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="The configuration file.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def doctor(config_path: Path | None, as_json: bool) -> None:
    """Look at the installation, the configuration, the key and the exchange."""
    checks = make_checks(config_path)
    if as_json:
        say_json({"checks": [msgspec.to_builtins(check) for check in checks]})
    else:
        say_checks(checks)
    if any(check.verdict == "fail" for check in checks):
        sys.exit(EXIT_FAILED)


def make_checks(config_path: Path | None, *, asks_exchange: bool = True) -> list[Check]:
    """Look at everything that a configuration leads to; the exchange is asked unless told otherwise."""
    checks = list(check_installation(config_path))
    loaded, key = load_usable(config_path)
    if asks_exchange and loaded is not None and key is not None:
        checks += trio.run(partial(check_account, loaded, key))
    return checks


def say_checks(checks: Sequence[Check]) -> None:
    """Print a line for each check."""
    width = max(len(check.name) for check in checks)
    for check in checks:
        say(f"{check.verdict:<4}  {check.name:<{width}}  {check.text}")
