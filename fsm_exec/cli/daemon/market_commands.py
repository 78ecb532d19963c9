"""`fsm-exec markets` finds what there is to trade, `book` shows what it trades at."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

import click

from fsm_exec.cli.daemon.arguments import parse_outcome
from fsm_exec.cli.daemon.client_command import Client, daemon_command, print_json
from fsm_exec.cli.daemon.execution_tables import dollars_or_dash
from fsm_exec.cli.output import say
from fsm_exec.cli.tables.columns import LATE, Column, figures, names, print_table
from fsm_exec.control.market_schema import LEVELS_MAX, MARKETS_MAX, BookLevel, FeesFrom, MarketBook, MarketLine
from fsm_exec.core.values.short_text import trim_count, trim_dollars
from fsm_exec.core.values.units import Outcome

DAY_AND_MINUTE: Final = slice(len("2023-"), len("2023-04-10T18:00"))


@click.command()
@click.argument("search", nargs=-1)
@click.option("--closed", is_flag=True, help="Also markets that do not trade.")
@click.option("--limit", type=click.IntRange(1, MARKETS_MAX), default=50, show_default=True)
@daemon_command
def markets(daemon: Client, search: tuple[str, ...], *, closed: bool, limit: int, as_json: bool) -> None:
    """Find markets to trade: by the beginning of a ticker, or by words of the title.

    Prices are of YES; to see those of NO: fsm-exec book TICKER no.
    """
    found = daemon.markets(" ".join(search), closed=closed, limit=limit)
    if as_json:
        print_json(found)
        return
    if not found.markets:
        say("no market found; leave the words out for all, or add --closed")
        return
    print_table(markets_columns(found.markets))
    if found.has_more:
        say("there may be more: give more of a ticker or title, or a higher --limit")


@click.command()
@click.argument("ticker")
@click.argument("outcome", metavar="[yes|no]", type=parse_outcome, default="yes")
@click.option("--levels", type=click.IntRange(1, LEVELS_MAX), default=10, show_default=True, help="Of each side.")
@daemon_command
def book(daemon: Client, ticker: str, outcome: Outcome, *, levels: int, as_json: bool) -> None:
    """Show the book of a market, from the side of YES unless told otherwise.

    The ask is what buying costs now. Levels with orders of this account are marked with their size.
    """
    shown = daemon.book(ticker, outcome, levels=levels)
    if as_json:
        print_json(shown)
        return
    for line in _heads_of(shown):
        say(line)
    print_table(ladder_columns(shown))


def markets_columns(found: Sequence[MarketLine]) -> list[Column]:
    """Return markets with what they trade at."""
    closes = ["-" if m.closes_at is None else m.closes_at[DAY_AND_MINUTE].replace("T", " ") for m in found]
    volume = ["-" if m.volume_24h is None else m.volume_24h.partition(".")[0] for m in found]
    return [
        names("market", [m.ticker for m in found]),
        names("title", [m.title for m in found], then=((LATE + 1, None),)),
        Column("status", [m.status for m in found]),
        figures("bid", [dollars_or_dash(m.bid) for m in found]),
        figures("ask", [dollars_or_dash(m.ask) for m in found]),
        figures("24 h", volume, then=((LATE, None),)),
        figures("closes", closes),
    ]


def _heads_of(shown: MarketBook) -> list[str]:
    market = shown.market
    lines = [shown.ticker if market is None or not market.title else f"{shown.ticker}  {market.title}"]
    facts = []
    if market is not None:
        facts.append(market.status)
        if market.volume_24h is not None:
            facts.append(f"{trim_count(market.volume_24h)} traded in 24 h")
        if market.closes_at is not None:
            facts.append(f"closes {market.closes_at[: len('2023-04-10T18:00:00')]}Z")
    facts.append("live" if shown.source == "stream" else "up to 15 s old")
    lines.append("; ".join(facts))
    lines += describe_fee_changes(shown.fee_changes)
    if shown.spread is not None and shown.mid is not None:
        lines.append(f"{shown.outcome.upper()}: spread {trim_dollars(shown.spread)}, mid {trim_dollars(shown.mid)}")
    return lines


def describe_fee_changes(changes: Sequence[FeesFrom]) -> list[str]:
    """Return a line for each announced change of a market's fees."""
    return [
        f"fees from {change.at[: len('2023-04-10T18:00:00')]}Z: "
        + (
            "without a published formula"
            if change.taker is None or change.maker is None
            else f"{trim_dollars(change.taker)} as taker, {trim_dollars(change.maker)} as maker, x price x (1 - price)"
        )
        for change in changes
    ]


def ladder_columns(shown: MarketBook) -> list[Column]:
    """Return the levels of a book, bids and asks side by side, best first."""
    has_own = any(level.own.strip("0.") for level in (*shown.bids, *shown.asks))
    outcome = shown.outcome.upper()
    ours = ("ours",) if has_own else ()
    headings = (*ours, "contracts", f"bid {outcome}", f"ask {outcome}", "contracts", *ours)
    rows = [
        (*reversed(_cells(bid, has_own=has_own)), *_cells(ask, has_own=has_own))
        for bid, ask in zip_longest(shown.bids, shown.asks)
    ]
    return [figures(heading, [row[place] for row in rows]) for place, heading in enumerate(headings)]


def _cells(level: BookLevel | None, *, has_own: bool) -> list[str]:
    """Return the cells of a level from the middle outwards: price, contracts, ours."""
    if level is None:
        return [""] * (3 if has_own else 2)
    cells = [trim_dollars(level.price), trim_count(level.quantity)]
    if has_own:
        cells.append(trim_count(level.own) if level.own.strip("0.") else "")
    return cells
