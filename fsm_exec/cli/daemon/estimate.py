"""`fsm-exec estimate` says what an execution would cost, as `submit --dry-run` does. Nothing is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from fsm_exec.cli.daemon.arguments import TradeCommand, check_cap, check_price, check_quantity, parse_outcome
from fsm_exec.cli.daemon.client_command import Client, daemon_options, open_client, print_json
from fsm_exec.cli.daemon.market_commands import describe_fee_changes
from fsm_exec.cli.daemon.sizing import Sizing, edge_of, sizing_options
from fsm_exec.cli.daemon.wording import check_complete, in_words_of_the_command
from fsm_exec.cli.output import say
from fsm_exec.cli.tables.columns import Column, figures, names, print_table
from fsm_exec.control.client import DaemonFailed, Refused, parse_estimate
from fsm_exec.control.market_schema import WITHOUT_BASIS, Estimate, EstimateWanted, MethodForecast
from fsm_exec.control.schema import DEFAULT_METHOD
from fsm_exec.core.values.short_text import cents, percent, trim_count, trim_dollars

FORECASTS: Final = "expected cost above the mid, cents per contract, all included"
LIMIT_FROM: Final = {"given": "", "book": " (what buys it all now)", "edge": " (what the edge is worth)"}


@click.command(cls=TradeCommand)
@click.argument("ticker", metavar="TICKER", required=False)
@click.argument("outcome", metavar="OUTCOME", type=parse_outcome, required=False)
@click.argument("quantity", metavar="QUANTITY", type=check_quantity, required=False)
@click.option("--limit", metavar="DOLLARS", type=check_price, help="As of submit.  [default: what buys it all now]")
@click.option("--cap", metavar="DOLLARS", type=check_cap, help="As of submit.")
@click.option("--target-price", metavar="DOLLARS", type=check_price, help="As of submit.")
@click.option("--max-slippage", help="As of submit.")
@click.option("--horizon", "horizon_s", type=click.IntRange(1, 10**9), help="Seconds that it may take.")
@click.option("--deadline", help="When it would end, as 2030-01-31T14:05:00Z; instead of --horizon.")
@click.option("--method", "methods", default=DEFAULT_METHOD, show_default=True, help="One, or several with commas.")
@sizing_options
@daemon_options
def estimate(url: str | None, token_file: Path | None, sizing: Sizing, *, as_json: bool, **given: object) -> None:
    """Say what buying QUANTITY contracts of OUTCOME on TICKER would cost. Nothing is sent.

    What it costs to take it now, what each method is likely to make of it, which limits it would use, and whether
    `submit` would be refused. With --probability also how much to buy.
    """
    given["edge"] = edge_of(sizing, given["quantity"])
    check_complete(given, has_price=True)
    methods = [name.strip() for name in str(given.pop("methods")).split(",") if name.strip()]
    with open_client(url, token_file) as daemon:
        print_estimate(daemon, parse_estimate({**given, "methods": methods}), as_json=as_json)


def print_estimate(daemon: Client, wanted: EstimateWanted, *, as_json: bool) -> None:
    """Ask for an estimate and print it. Raises what the daemon refuses, in words of the command."""
    try:
        told = daemon.estimate(wanted)
    except (Refused, DaemonFailed) as error:
        raise type(error)(error.code, in_words_of_the_command(str(error))) from error
    if as_json:
        print_json(told)
        return
    for line in describe_estimate(told):
        say(line)
    if told.methods:
        print_table(_columns_of(told.methods), title=FORECASTS)
    for one in told.methods:
        if one.no_basis is not None:
            say(f"{one.method}: no basis, {WITHOUT_BASIS.get(one.no_basis, one.no_basis)}")
    if told.fitted_on is not None and told.fitted_to:
        say(f"forecasts: fitted on {told.fitted_on} to {len(told.fitted_to)} tapes")
    for refusal in told.refusals:
        say(f"submit would be refused: {in_words_of_the_command(refusal)}")
    say("nothing was sent")


def describe_estimate(told: Estimate) -> list[str]:
    """Describe an estimate: the limits, the price of taking it now, the writes."""
    quantity, outcome = trim_count(told.quantity), told.outcome.upper()
    bid, ask = (None if price is None else trim_dollars(price) for price in (told.bid, told.ask))
    now = told.taking_now
    lines = [] if told.sized is None else [f"sized: {told.sized}"]
    lines += [
        f"{quantity} {outcome} of {told.ticker} within {told.seconds} s; bid {bid or '-'}, ask {ask or '-'}",
        f"limit {trim_dollars(told.limit)} per contract"
        + LIMIT_FROM[told.limit_from]
        + f"; cap {trim_dollars(told.cap)} with fees; at most {trim_dollars(told.at_most)} dollars in all",
    ]
    if not now.quantity.strip("0."):
        lines.append("taking now: nothing is offered within the limit")
    else:
        above = "" if now.above_mid is None else f", {cents(now.above_mid)} c per contract above the mid"
        lines.append(
            f"taking now: {trim_count(now.quantity)} of {quantity} for {trim_dollars(now.cost)} dollars, "
            f"fees {trim_dollars(now.fees)} of them{above}"
        )
    lines += describe_fee_changes(told.fee_changes)
    for use in told.limits:
        used, with_it = trim_dollars(use.used), trim_dollars(use.after)
        lines.append(f"{use.limit}: {used} of {use.allowed} used, with this {with_it}")
    writes = told.writes
    lines.append(
        f"writes: {writes.to_place} tokens to place, {writes.to_cancel} kept to cancel; "
        f"{writes.left} of {writes.capacity} there"
    )
    return lines


def _columns_of(methods: list[MethodForecast]) -> list[Column]:
    rows = [_forecast_cells(m) for m in methods]
    headings = ("cost", "4 of 5 within", "filled", "all filled")
    return [
        names("method", [m.method for m in methods]),
        *(figures(heading, [row[place] for row in rows]) for place, heading in enumerate(headings)),
    ]


def _forecast_cells(m: MethodForecast) -> tuple[str, str, str, str]:
    if m.cost is None or m.cost_low is None or m.cost_high is None:
        return ("no basis", "-", "-", "-")
    interval = f"{cents(m.cost_low)} to {cents(m.cost_high)}"
    return (cents(m.cost), interval, percent(m.fill_share), percent(m.all_filled))
