"""`fsm-exec cancel`, `halt` and `resume` control what the daemon does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from fsm_exec.cli.daemon.client_command import Client, daemon_command, daemon_options, open_client, print_json
from fsm_exec.cli.output import say
from fsm_exec.control.client_errors import DaemonAbsent
from fsm_exec.control.open_orders import describe_open_orders
from fsm_exec.core.errors import ExecError

LOOK_S: Final = 0.5
WAIT_MAX_S: Final = 86_400


class OrdersStillLive(ExecError):
    """Orders that were to be cancelled may still be live."""


@click.command()
@click.argument("execution_id")
@daemon_command
def cancel(daemon: Client, execution_id: str, *, as_json: bool) -> None:
    """End one execution: cancel what is live, keep what is filled. Also for a quarantined one."""
    acknowledged = daemon.cancel(execution_id)
    if as_json:
        print_json(acknowledged)
    else:
        say(f"{acknowledged.execution_id} is being cancelled; see: fsm-exec show {acknowledged.execution_id}")
    _say_not_noted(acknowledged.not_noted)


@click.command()
@click.option(
    "--wait",
    "wait_s",
    type=click.IntRange(0, WAIT_MAX_S),
    help="Seconds until it stops waiting for the exchange's word.  [default: as long as `status` says a halt takes]",
)
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file, for [standby].")
@click.option("--lease", metavar="URL", help="Where the lease record of a pair is.  [default: as configured, none]")
@daemon_options
def halt(
    url: str | None,
    token_file: Path | None,
    wait_s: int | None,
    config: Path | None,
    lease: str | None,
    *,
    as_json: bool,
) -> None:
    """End every execution and take no new ones until `fsm-exec resume`.

    It waits until the exchange has said that nothing is live, and fails if that takes too long: the daemon goes on
    cancelling all the same. Where no daemon answers and a standby follows, the halt is noted beside the lease record:
    the engine that leads halts, and one that takes over begins halted.
    """
    try:
        with open_client(url, token_file) as daemon:
            _halt(daemon, wait_s, as_json=as_json)
    except DaemonAbsent as absent:
        from fsm_exec.cli.daemon.halt_note import note_halt  # loads a loop: only where no daemon answers

        raise note_halt(absent, config, lease) from absent


def _halt(daemon: Client, wait_s: int | None, *, as_json: bool) -> None:
    """Halt the daemon. Raises OrdersStillLive and what the client raises."""
    status = daemon.halt()
    _say_not_noted(status.not_noted)
    began_s = time.monotonic()
    within_s = status.halt_within_s if wait_s is None else wait_s
    while not status.nothing_live and time.monotonic() - began_s < within_s:
        time.sleep(LOOK_S)
        status = daemon.status()
    if as_json:
        print_json(status)
    if not status.nothing_live:
        raise OrdersStillLive(
            f"{status.state}, but {describe_open_orders(status)} after {time.monotonic() - began_s:.0f} s; "
            "the daemon goes on "
            "cancelling, see: fsm-exec status"
        )
    if not as_json:
        say(f"{status.state}: the exchange says that nothing is live")


def _say_not_noted(lines: Sequence[str]) -> None:
    if lines:
        say(
            f"fsm-exec: done, but a takeover by the standby may not know of it, the lease record's place does not "
            f"answer: {'; '.join(lines)}; it is noted as soon as it does",
            err=True,
        )


@click.command()
@click.argument("execution_id", required=False)
@daemon_command
def resume(daemon: Client, execution_id: str | None, *, as_json: bool) -> None:
    """Take new work again after a halt; with EXECUTION_ID take up a quarantined execution again."""
    if execution_id is None:
        status = daemon.resume()
        if as_json:
            print_json(status)
        else:
            say(f"{status.state}: new executions are accepted")
        return
    resumed = daemon.resume_execution(execution_id)
    if as_json:
        print_json(resumed)
    else:
        say(f"{resumed.execution_id} is at work again; see: fsm-exec watch {resumed.execution_id}")
