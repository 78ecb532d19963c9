"""`fsm-exec cancel`, `halt` and `resume`: steering what the daemon does."""

from __future__ import annotations

import click

from fsm_exec.cli.daemon import ControlClient, print_json, talks_to_daemon
from fsm_exec.cli.output import say


@click.command()
@click.argument("execution_id")
@talks_to_daemon
def cancel(daemon: ControlClient, execution_id: str, *, as_json: bool) -> None:
    """End one execution: cancel what is live, keep what is filled. Also for a quarantined one."""
    told = daemon.cancel(execution_id)
    if as_json:
        print_json(told)
    else:
        say(f"{told.execution_id} is being cancelled; see: fsm-exec show {told.execution_id}")


@click.command()
@talks_to_daemon
def halt(daemon: ControlClient, *, as_json: bool) -> None:
    """End every execution and take no new ones until `fsm-exec resume`."""
    told = daemon.halt()
    if as_json:
        print_json(told)
    else:
        say(
            f"{told.state}: {told.at_work} executions are ending; nothing is live at the exchange after "
            f"{told.halt_within_s} s, if it answers"
        )


@click.command()
@click.argument("execution_id", required=False)
@talks_to_daemon
def resume(daemon: ControlClient, execution_id: str | None, *, as_json: bool) -> None:
    """Take new work again after a halt; with EXECUTION_ID take up a quarantined execution again."""
    if execution_id is None:
        told = daemon.resume()
        if as_json:
            print_json(told)
        else:
            say(f"{told.state}: new executions are accepted")
        return
    resumed = daemon.resume_execution(execution_id)
    if as_json:
        print_json(resumed)
    else:
        say(f"{resumed.execution_id} is at work again; see: fsm-exec watch {resumed.execution_id}")
