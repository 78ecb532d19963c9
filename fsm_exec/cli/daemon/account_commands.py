"""`fsm-exec positions`, `pnl` and `account`: what is held, what it has brought, and what the exchange says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fsm_exec.cli.daemon.client_command import Client, daemon_command, open_console, print_json
from fsm_exec.cli.daemon.execution_tables import day_and_clock
from fsm_exec.cli.output import say
from fsm_exec.control.account_schema import AccountSeen, By, DifferenceSeen, PositionSeen, ProfitSeen, ProfitTable
from fsm_exec.core.values.short_text import dollars, signed, trim_count, trim_dollars
from fsm_exec.core.values.units import parse_money


@click.command()
@daemon_command
def positions(daemon: Client, *, as_json: bool) -> None:
    """Show what is held, by hand too, and what closing it now would bring, fees taken off.

    To close one: fsm-exec close TICKER
    """
    seen = daemon.positions()
    if as_json:
        print_json(seen)
        return
    if not seen.positions:
        say("nothing is held")
    else:
        open_console().print(_positions_table(seen.positions))
        say(
            f"cost {dollars(seen.cost)}, closing now brings {dollars(seen.value)}, unrealised {signed(seen.unrealized)}"
        )
    _say_notes([one.ticker for one in seen.positions if one.priced_by is None], seen.damage)


@click.command()
@click.option("--by", type=click.Choice(get_args(By)), default="market", show_default=True)
@daemon_command
def pnl(daemon: Client, *, by: By, as_json: bool) -> None:
    """Show what was won and lost, in dollars: realised, fees, and what closing now would bring or cost."""
    table = daemon.profit(by)
    if as_json:
        print_json(table)
        return
    open_console().print(_profit_table(table))
    if by == "day":
        say(f"days of {table.time_zone}; what is unrealised belongs to no day")
    if table.netted is not None and parse_money(table.netted):
        say(f"netted: {signed(table.netted)} dollars, by the exchange between what stands alone here")
    if table.total.unpriced:
        say(f"{table.total.unpriced} markets without a known price are taken to bring nothing")


@click.command()
@daemon_command
def account(daemon: Client, *, as_json: bool) -> None:
    """Show balance, positions and profit, and where the exchange says something else than our books."""
    seen = daemon.account()
    if as_json:
        print_json(seen)
        return
    for line in _account_lines(seen):
        say(line)
    if seen.differences:
        open_console().print(_differences_table(seen.differences))
    _say_notes([], seen.damage)


def _account_lines(seen: AccountSeen) -> list[str]:
    profit = seen.profit
    held = "nothing held" if not seen.markets_held else f"{seen.markets_held} markets held"
    lines = [
        f"available {dollars(seen.available)} dollars"
        + ("" if seen.portfolio is None else f", positions {dollars(seen.portfolio)} by the exchange's own count"),
        f"{held}; profit {signed(profit.total)} dollars: realised {signed(profit.realized)}, "
        f"fees {dollars(profit.fees)}, unrealised {signed(profit.unrealized)}",
    ]
    if seen.read_at is None:
        return [*lines, "not yet compared with the exchange's own list"]
    compared = f"compared with the exchange's own list at {seen.read_at[: len('2023-04-10T18:00:00')]}Z"
    return [*lines, compared + ("" if seen.differences else ": no difference")]


def _positions_table(found: Sequence[PositionSeen]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("market", overflow="fold")
    has_others = any(parse_money(one.others) for one in found)
    others = ("others'",) if has_others else ()
    for heading in ("held", *others, "at", "cost", "now", "unrealised", "at mid"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in found:
        table.add_row(
            one.ticker,
            f"{trim_count(one.quantity)} {one.outcome.upper()}",
            *([trim_count(one.others)] if has_others else []),
            trim_dollars(one.average_price[: len("0.0000")]),
            dollars(one.cost),
            "?" if one.priced_by is None else dollars(one.value),
            signed(one.unrealized),
            "-" if one.unrealized_at_mid is None else signed(one.unrealized_at_mid),
        )
    return table


def _profit_table(table: ProfitTable) -> Table:
    made = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    made.add_column(table.by, overflow="fold")
    for heading in ("bought", "realised", "fees", "unrealised", "at mid", "total"):
        made.add_column(heading, justify="right", no_wrap=True)
    apart = [one for one in (table.by_hand, table.taken_over) if one is not None and parse_money(one.traded)]
    for line in (*table.lines, *apart):
        made.add_row(line.key, *_figures(line))
    made.add_section()
    made.add_row("in all", *_figures(table.total))
    return made


def _figures(line: ProfitSeen) -> list[str]:
    return [
        trim_count(line.traded),
        signed(line.realized),
        dollars(line.fees),
        signed(line.unrealized),
        "-" if line.unrealized_at_mid is None else signed(line.unrealized_at_mid),
        signed(line.total),
    ]


def _differences_table(found: Sequence[DifferenceSeen]) -> Table:
    table = Table(title="differences", title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("of", no_wrap=True)
    table.add_column("market", overflow="fold")
    for heading in ("ours", "theirs"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("cause", overflow="fold")
    table.add_column("since", no_wrap=True)
    for one in found:
        cause = one.cause.replace("_", " ")
        table.add_row(one.kind, one.ticker or "-", one.ours, one.theirs, cause, day_and_clock(one.found_at))
    return table


def _say_notes(unpriced: Sequence[str], damage: Sequence[str]) -> None:
    if unpriced:
        say(f"no price is known of {', '.join(unpriced)}: taken to bring nothing")
    for line in damage:
        say(f"damaged: {line}")
