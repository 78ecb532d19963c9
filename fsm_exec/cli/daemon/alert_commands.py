"""`fsm-exec alerts`: what somebody is to hear of, and whether it arrives."""

from __future__ import annotations

import sys

import click

from fsm_exec.cli.daemon.client_command import Client, daemon_command, print_json
from fsm_exec.cli.exit_codes import EXIT_FAILED
from fsm_exec.cli.output import say
from fsm_exec.cli.tables.columns import Column, print_table, words
from fsm_exec.cli.tables.times import day_and_clock
from fsm_exec.control.alert_schema import ALERTS_MAX, AlertSeen, AlertsTested


@click.command()
@click.option("--test", "is_test", is_flag=True, help="Send a test through each channel, whatever the hour.")
@click.option("--standing", is_flag=True, help="Only those that are not over.")
@click.option("--limit", type=click.IntRange(1, ALERTS_MAX), default=50, show_default=True)
@daemon_command
def alerts(daemon: Client, is_test: bool, standing: bool, limit: int, *, as_json: bool) -> None:
    """List alerts, newest first, and how each fares with the channels of the configuration.

    With --test the exit code is 1 if a channel did not take it, or there is none.
    """
    if is_test:
        _print_test(daemon.test_alerts(), as_json=as_json)
        return
    found = daemon.alerts(standing=standing, limit=limit)
    if as_json:
        print_json(found)
        return
    if found.alerts:
        print_table(
            [
                Column("at", [day_and_clock(one.at) for one in found.alerts]),
                words("kind", [one.kind for one in found.alerts]),
                words("delivered", [_delivered(one) for one in found.alerts]),
                words("alert", [_text(one) for one in found.alerts]),
            ]
        )
    through = ", ".join(found.channels) or "no channel: see [alerts] of the configuration"
    say(f"{found.pending} to be told; through {through}")


def _print_test(tested: AlertsTested, *, as_json: bool) -> None:
    if as_json:
        print_json(tested)
    else:
        for one in tested.channels:
            say(f"{one.channel}: {'taken' if one.delivered else f'NOT taken: {one.why}'}")
        if not tested.channels:
            say("no channel is configured: see [alerts] of the configuration")
    if not tested.channels or not all(one.delivered for one in tested.channels):
        sys.exit(EXIT_FAILED)


def _delivered(one: AlertSeen) -> str:
    if one.state != "pending":
        return "yes" if one.state == "delivered" else "-"
    failed = [f"{each.channel}: {each.why} ({each.attempts} times)" for each in one.deliveries if each.why is not None]
    return "; ".join(failed) or "not yet"


def _text(one: AlertSeen) -> str:
    said = f" (said {one.times} times)" if one.times > 1 else ""
    return f"{one.text}{said}" if one.over_at is not None or one.recovery else f"{one.text}{said}, and stands"
