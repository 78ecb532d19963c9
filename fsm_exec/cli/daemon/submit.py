"""`fsm-exec submit` gives the daemon one execution, accepted once however often the command is run with its key."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

import click

from fsm_exec.cli.daemon.arguments import TradeCommand, check_cap, check_price, check_quantity, parse_outcome
from fsm_exec.cli.daemon.client_command import daemon_options, open_client, print_json
from fsm_exec.cli.daemon.estimate import print_estimate
from fsm_exec.cli.daemon.sizing import Sizing, edge_of, sizing_options
from fsm_exec.cli.daemon.wording import check_complete, in_words_of_the_command
from fsm_exec.cli.output import say
from fsm_exec.control.client import DaemonAbsent, DaemonFailed, Refused, parse_estimate, parse_submission
from fsm_exec.control.schema import DEFAULT_METHOD, Accepted, Submission
from fsm_exec.core.values.short_text import trim_count, trim_dollars
from fsm_exec.core.values.units import MoneyE6, ceil_div, format_money, parse_count, parse_money

KEY_BYTES: Final = 12


@click.command(cls=TradeCommand)
@click.argument("ticker", metavar="TICKER", required=False)
@click.argument("outcome", metavar="OUTCOME", type=parse_outcome, required=False)
@click.argument("quantity", metavar="QUANTITY", type=check_quantity, required=False)
@click.option(
    "--limit",
    metavar="DOLLARS",
    type=check_price,
    help="The most that is paid per contract before fees, in dollars, as 0.62.",
)
@click.option(
    "--cap", metavar="DOLLARS", type=check_cap, help="The most per contract, fees included; instead of --limit."
)
@click.option("--horizon", "horizon_s", type=click.IntRange(1, 10**9), help="Seconds from now until it ends.")
@click.option("--deadline", help="When it ends, as 2030-01-31T14:05:00Z; instead of --horizon.")
@click.option("--method", default=DEFAULT_METHOD, show_default=True, help="NAME or NAME@VERSION; see: methods list.")
@click.option(
    "--target-price",
    metavar="DOLLARS",
    type=check_price,
    help="The reference design's rule, instead of --limit: what it is worth. Orders may go above it by --max-slippage.",
)
@click.option("--max-slippage", help="How far above --target-price, as a fraction of it.  [default: 0.02]")
@click.option("--worst-price", type=check_price, hidden=True, help="The older name of --limit.")
@sizing_options
@click.option("--model-probability", help="The edge: the model's probability of the outcome, as 0.62.")
@click.option("--expected-value", help="The edge: dollars per contract after the taker fee.")
@click.option("--dry-run", is_flag=True, help="Only say what it would cost, as `estimate` does.")
@click.option("--key", help="Your own name for it: the same key is accepted once.  [default: a new one]")
@daemon_options
def submit(
    url: str | None,
    token_file: Path | None,
    sizing: Sizing,
    model_probability: str | None,
    expected_value: str | None,
    key: str | None,
    *,
    dry_run: bool,
    as_json: bool,
    **given: object,
) -> None:
    """Buy up to QUANTITY contracts of OUTCOME (yes or no) on TICKER, at no more than the limit.

    As `fsm-exec submit TICKER yes 40 --limit 0.62 --horizon 120`. It answers when the execution is durable: from then
    on it survives any crash.
    """
    chosen = secrets.token_hex(KEY_BYTES) if key is None else key
    edge = edge_of(sizing, given["quantity"], model_probability, expected_value)
    check_complete({**given, "edge": edge})
    submission = parse_submission({"key": chosen, "edge": edge, **given})
    if dry_run:
        wanted = {**given, "edge": edge, "limit": given["limit"] or given["worst_price"], "methods": [given["method"]]}
        del wanted["method"], wanted["worst_price"]
        with open_client(url, token_file) as daemon:
            print_estimate(daemon, parse_estimate(wanted), as_json=as_json)
        return
    try:
        with open_client(url, token_file) as daemon:
            accepted = daemon.submit(submission)
    except DaemonAbsent as error:
        message = f"{error}; to ask again without buying twice, add --key {chosen}"
        raise DaemonAbsent(message, may_be_done=error.may_be_done) from error
    except (Refused, DaemonFailed) as error:
        raise type(error)(error.code, in_words_of_the_command(str(error))) from error
    if as_json:
        print_json(accepted)
        return
    say(f"{accepted.execution_id} {'accepted' if accepted.is_new else 'was accepted earlier'}, key {chosen}")
    for line in describe_accepted(submission, accepted):
        say(f"  {line}")


def describe_accepted(submission: Submission, accepted: Accepted) -> list[str]:
    """Describe what was accepted: what is bought, and the most that it may cost."""
    quantity = accepted.quantity or submission.quantity or "0"
    wanted = f"{trim_count(quantity)} {submission.outcome.upper()} of {submission.ticker}"
    ends = f"within {submission.horizon_s} s" if submission.deadline is None else f"by {submission.deadline}"
    lines = [] if accepted.sized is None else [f"sized: {accepted.sized}"]
    lines += [f"buys up to {wanted} {ends}, by {submission.method}"]
    if accepted.limit is None or accepted.cap is None:
        return [*lines, "no price could be formed, so nothing is bought"]
    most = MoneyE6(ceil_div(parse_count(quantity) * parse_money(accepted.cap), 100))
    return [
        *lines,
        f"limit {trim_dollars(accepted.limit)} per contract; cap {trim_dollars(accepted.cap)} with fees; "
        f"at most {trim_dollars(format_money(most))} dollars in all",
    ]
