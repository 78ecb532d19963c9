"""`fsm-exec positions`, `pnl` and `account`: what is held, what it has brought, and what the exchange says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import click

from fsm_exec.cli.daemon.client_command import Client, daemon_command, print_json
from fsm_exec.cli.database.damage import say_damage
from fsm_exec.cli.output import say
from fsm_exec.cli.tables.columns import LATE, Column, figures, names, print_table, words
from fsm_exec.cli.tables.times import day_and_clock
from fsm_exec.control.account_schema import AccountSeen, By, DifferenceSeen, PositionSeen, ProfitTable
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
        print_table(positions_columns(seen.positions))
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
    print_table(profit_columns(table), total=True)
    if by == "day":
        say(f"days of {table.time_zone}; what is unrealised belongs to no day")
    if table.netted is not None and parse_money(table.netted):
        say(f"netted: {signed(table.netted)} dollars, by the exchange between what stands alone here")
    if table.total.unpriced:
        say(f"{table.total.unpriced} markets without a known price are taken to bring nothing")
    say_damage(table.damage)


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
        print_table(differences_columns(seen.differences), title="differences")
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


def positions_columns(found: Sequence[PositionSeen]) -> list[Column]:
    """Return what is held, market by market, with what closing it now brings."""
    has_others = any(parse_money(one.others) for one in found)
    others = [figures("others'", [trim_count(one.others) for one in found])] if has_others else []
    at_mid = ["-" if one.unrealized_at_mid is None else signed(one.unrealized_at_mid) for one in found]
    return [
        names("market", [one.ticker for one in found]),
        figures("held", [f"{trim_count(one.quantity)} {one.outcome.upper()}" for one in found]),
        *others,
        figures("at", [trim_dollars(one.average_price[: len("0.0000")]) for one in found]),
        figures("cost", [dollars(one.cost) for one in found], then=((LATE + 1, None),)),
        figures("now", ["?" if one.priced_by is None else dollars(one.value) for one in found]),
        figures("unrealised", [signed(one.unrealized) for one in found]),
        figures("at mid", at_mid, then=((LATE, None),)),
    ]


def profit_columns(table: ProfitTable) -> list[Column]:
    """Return the columns of the profit; the last row is all of it together."""
    apart = [one for one in (table.by_hand, table.taken_over) if one is not None and parse_money(one.traded)]
    lines = [*table.lines, *apart, table.total]
    at_mid = ["-" if one.unrealized_at_mid is None else signed(one.unrealized_at_mid) for one in lines]
    return [
        names(table.by, [*(one.key for one in lines[:-1]), "in all"]),
        figures("bought", [trim_count(one.traded) for one in lines], then=((LATE + 1, None),)),
        figures("realised", [signed(one.realized) for one in lines]),
        figures("fees", [dollars(one.fees) for one in lines]),
        figures("unrealised", [signed(one.unrealized) for one in lines]),
        figures("at mid", at_mid, then=((LATE, None),)),
        figures("total", [signed(one.total) for one in lines]),
    ]


def differences_columns(found: Sequence[DifferenceSeen]) -> list[Column]:
    """Return where the exchange says something else than our books."""
    return [
        Column("of", [one.kind for one in found]),
        names("market", [one.ticker or "-" for one in found]),
        figures("ours", [one.ours for one in found]),
        figures("theirs", [one.theirs for one in found]),
        words("cause", [one.cause.replace("_", " ") for one in found]),
        Column("since", [day_and_clock(one.found_at) for one in found]),
    ]


def _say_notes(unpriced: Sequence[str], damage: Sequence[str]) -> None:
    if unpriced:
        say(f"no price is known of {', '.join(unpriced)}: taken to bring nothing")
    for line in damage:
        say(f"damaged: {line}")
