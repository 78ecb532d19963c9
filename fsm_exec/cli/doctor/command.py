"""`fsm-exec doctor` checks whether installation, configuration and account can do what they are for.

Each check is one line with its remedy. Nothing is written to the exchange, except with `--live`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
import msgspec
import trio

from fsm_exec.cli.config import load_config
from fsm_exec.cli.doctor.account_checks import check_account
from fsm_exec.cli.doctor.check import Check
from fsm_exec.cli.doctor.installation import check_installation, load_usable
from fsm_exec.cli.doctor.live_check import check_live, confirm_live
from fsm_exec.cli.doctor.standby_checks import check_standby
from fsm_exec.cli.exit_codes import EXIT_FAILED
from fsm_exec.cli.output import say, say_json
from fsm_exec.core.errors import UserError


@click.command()
@click.option("--config", "config_path", type=click.Path(path_type=Path), help="The configuration file.")
@click.option("--live", is_flag=True, help="Also place an order that nobody takes, see it, and cancel it.")
@click.option("--cents", is_flag=True, help="With --live: also buy one contract and sell it again.")
@click.option("--market", "ticker", help="Where --live is tried.  [default: a busy one]")
@click.option("--yes", is_flag=True, help="Ask nothing before --live.")
@click.option("--standby", is_flag=True, help="Also check the pair: lease record, clocks, Litestream, replica and lag.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def doctor(
    config_path: Path | None, live: bool, cents: bool, ticker: str | None, yes: bool, standby: bool, as_json: bool
) -> None:
    """Look at the installation, the configuration, the key and the exchange."""
    if not live and (cents or ticker is not None):
        raise UserError("--cents and --market say how --live is tried; give --live too")
    if live:
        confirm_live(load_config(config_path), cents=cents, is_agreed=yes)
    checks = make_checks(config_path)
    if live and all(check.verdict != "fail" for check in checks):
        checks += make_live_checks(config_path, ticker, cents=cents)
    if standby:
        checks += trio.run(check_standby, load_config(config_path))
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


def make_live_checks(config_path: Path | None, ticker: str | None, *, cents: bool) -> list[Check]:
    """Try an order at the exchange, and with `cents` a contract."""
    loaded, key = load_usable(config_path)
    assert loaded is not None, "nothing failed before"
    assert key is not None
    return trio.run(partial(check_live, loaded, key, ticker, cents=cents))


def say_checks(checks: Sequence[Check]) -> None:
    """Print a line for each check."""
    width = max(len(check.name) for check in checks)
    for check in checks:
        say(f"{check.verdict:<4}  {check.name:<{width}}  {check.text}")
