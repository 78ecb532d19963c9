"""`fsm-exec risk`: what the account may lose, what of each limit is used, and the ways back after a loss."""

from __future__ import annotations

import click

from fsm_exec.cli.daemon.client_command import Client, daemon_command, print_json
from fsm_exec.cli.output import say
from fsm_exec.cli.tables.columns import Column, figures, print_table, words
from fsm_exec.cli.tables.times import day_and_clock
from fsm_exec.control.account_schema import RiskLimitSeen, RiskSeen
from fsm_exec.control.schema import RiskStanding
from fsm_exec.core.values.short_text import dollars


@click.group(invoke_without_command=True)
@daemon_command
def risk(daemon: Client, *, as_json: bool) -> None:
    """Show what may be lost, what of each limit is used, and how the brake stands.

    With `resume` what adds risk is accepted again after a loss; with `reduce` a halt by risk lets what raises no worst
    case in.
    """
    if click.get_current_context().invoked_subcommand is None:
        _print(daemon.risk(), as_json=as_json)


@risk.command()
@click.option("--accept-loss", is_flag=True, help="Whatever was lost: day and peak begin anew with the equity of now.")
@daemon_command
def resume(daemon: Client, *, accept_loss: bool, as_json: bool) -> None:
    """Accept what adds risk again; refused while the loss is too large, unless it is accepted."""
    _print(daemon.risk_resume(accept_loss=accept_loss), as_json=as_json)


@risk.command()
@daemon_command
def reduce(daemon: Client, *, as_json: bool) -> None:
    """Go from halted to reducing: what raises no worst case is accepted."""
    _print(daemon.risk_reduce(), as_json=as_json)


def describe_brake(seen: RiskSeen | RiskStanding) -> str:
    """Describe the brake: its state, since when, and why."""
    since = "" if seen.since is None else f" since {seen.since[: len('2023-04-10T18:00:00')]}Z"
    return f"{seen.state}{since}{f': {seen.why}' if seen.why else ''}"


def describe_standing(seen: RiskStanding | None) -> str:
    """Describe on one line what the status has of the risk."""
    if seen is None:
        return "no account is kept, so no limit of it holds"
    unread = "" if seen.account_read else "; the account has not been read yet, so what may add risk is refused"
    return f"{describe_brake(seen)}; at most {dollars(seen.worst_case)} dollars can be lost{unread}"


def _print(seen: RiskSeen, *, as_json: bool) -> None:
    if as_json:
        print_json(seen)
        return
    say(f"risk is {describe_brake(seen)}")
    day = "" if seen.day is None else f" ({seen.day}, {seen.time_zone})"
    say(
        f"at most {dollars(seen.worst_case)} dollars can be lost; today{day} {dollars(seen.daily_loss)} were, "
        f"{dollars(seen.drawdown)} since the peak"
    )
    for event, loss in seen.events.items():
        say(f"  {event}: {dollars(loss)}")
    print_table(_limits_columns(seen.limits))
    if seen.brakes_off:
        say(f"brakes off, set them in [risk]: {', '.join(seen.brakes_off)}")
    for move in seen.moves:
        say(f"{day_and_clock(move.at)}  {move.moved_from} -> {move.moved_to}, by {move.who}: {move.why}")


def _limits_columns(limits: list[RiskLimitSeen]) -> list[Column]:
    known = [(one, one.allowed) for one in limits if one.allowed is not None]
    used = [
        "-" if one.used is None else dollars(one.used) if one.limit.endswith("dollars") else one.used
        for one, _ in known
    ]
    return [
        Column("limit", [one.limit for one, _ in known]),
        figures("used", used),
        words("of", [allowed for _, allowed in known], right=True),
    ]
