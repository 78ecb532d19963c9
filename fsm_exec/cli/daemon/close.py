"""`fsm-exec close` closes a position: it buys the other outcome, never more than is held."""

from __future__ import annotations

import secrets

import click

from fsm_exec.cli.daemon.arguments import TradeCommand, check_price, check_quantity
from fsm_exec.cli.daemon.client_command import Client, daemon_command, print_json
from fsm_exec.cli.daemon.submit import KEY_BYTES
from fsm_exec.cli.output import say
from fsm_exec.control.account_schema import CLOSE_HORIZON_S, CLOSE_METHOD, ClosedMarket, CloseWanted
from fsm_exec.control.client import DaemonAbsent
from fsm_exec.core.errors import ExecError
from fsm_exec.core.values.short_text import trim_count, trim_dollars


class NotAllClosed(ExecError):
    """Of an event, some markets could not be closed."""


@click.command(cls=TradeCommand)
@click.argument("ticker", metavar="[TICKER]", required=False)
@click.argument("quantity", metavar="[QUANTITY]", type=check_quantity, required=False)
@click.option(
    "--limit",
    metavar="DOLLARS",
    type=check_price,
    help="The least received per contract held, before fees.  [default: what all of it brings now, less two ticks]",
)
@click.option("--all", "all_of_it", is_flag=True, help="All that is held of --event.")
@click.option("--event", metavar="EVENT", help="With --all: the event whose markets are closed.")
@click.option("--horizon", "horizon_s", type=click.IntRange(1, 10**9), default=CLOSE_HORIZON_S, show_default=True)
@click.option("--method", default=CLOSE_METHOD, show_default=True, help="One whose orders never rest.")
@click.option("--key", help="Your own name for it: the same key is accepted once.  [default: a new one]")
@daemon_command
def close(
    daemon: Client,
    ticker: str | None,
    quantity: str | None,
    *,
    limit: str | None,
    all_of_it: bool,
    event: str | None,
    horizon_s: int,
    method: str,
    key: str | None,
    as_json: bool,
) -> None:
    """Close what is held of TICKER, or up to QUANTITY of it, by buying the other outcome.

    It never buys more than is held at the moment, whatever is traded beside it. To get out of YES at 0.60 or more, NO
    is bought at 0.40 or less: the limit is that of what is held, 0.60, and both are shown.
    """
    check_what(ticker, event, all_of_it=all_of_it)
    chosen = secrets.token_hex(KEY_BYTES) if key is None else key
    wanted = CloseWanted(
        key=chosen, ticker=ticker, event=event, quantity=quantity, limit=limit, method=method, horizon_s=horizon_s
    )
    try:
        closing = daemon.close_position(wanted)
    except DaemonAbsent as error:
        message = f"{error}; to ask again without closing twice, add --key {chosen}"
        raise DaemonAbsent(message, may_be_done=error.may_be_done) from error
    if as_json:
        print_json(closing)
    elif not closing.markets:
        say(f"nothing is held of {event}")
    else:
        for market in closing.markets:
            say(describe(market))
    refused = [market.ticker for market in closing.markets if market.refusal is not None]
    if refused:
        raise NotAllClosed(f"not closed: {', '.join(refused)}; see why above, or: fsm-exec positions")


def check_what(ticker: str | None, event: str | None, *, all_of_it: bool) -> None:
    """Check that it is said what to close. Raises UsageError."""
    context = click.get_current_context()
    if ticker is None and event is None:
        raise click.UsageError("Missing: TICKER, or --all --event EVENT", context)
    if ticker is not None and (event is not None or all_of_it):
        raise click.UsageError("give TICKER, or --all --event EVENT, not both", context)
    if event is not None and not all_of_it:
        raise click.UsageError(f"to close all that is held of {event}, add --all", context)


def describe(market: ClosedMarket) -> str:
    """Describe what was set to work for a market."""
    if market.accepted is None:
        return f"{market.ticker}: {market.refusal}"
    accepted = market.accepted
    how = "accepted" if accepted.is_new else "was accepted earlier"
    line = f"{accepted.execution_id} {how}, key {accepted.key}: closes {market.ticker}"
    if market.quantity is None or market.held is None or market.limit is None or market.after_fee is None:
        return line
    line += f", up to {trim_count(market.quantity)} {market.held.upper()} at {trim_dollars(market.limit)} or more, "
    line += f"{trim_dollars(market.after_fee)} after fees"
    if market.outcome is not None and accepted.limit is not None and accepted.cap is not None:
        other = f"{market.outcome.upper()} at {trim_dollars(accepted.limit)} or less"
        line += f" (buys {other}, {trim_dollars(accepted.cap)} with fees)"
    return line
