"""`fsm-exec cancel`, `halt` and `resume` control what the daemon does."""

from __future__ import annotations

import time
from typing import Final

import click

from fsm_exec.cli.daemon.client_command import Client, daemon_command, print_json
from fsm_exec.cli.output import say
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


@click.command()
@click.option(
    "--wait",
    "wait_s",
    type=click.IntRange(0, WAIT_MAX_S),
    help="Seconds until it stops waiting for the exchange's word.  [default: as long as `status` says a halt takes]",
)
@daemon_command
def halt(daemon: Client, wait_s: int | None, *, as_json: bool) -> None:
    """End every execution and take no new ones until `fsm-exec resume`.

    It waits until the exchange has said that nothing is live, and fails if that takes too long: the daemon goes on
    cancelling all the same.
    """
    status = daemon.halt()
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
