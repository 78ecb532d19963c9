"""`fsm-exec submit` gives the daemon one execution, accepted once however often the command is run with its key."""

from __future__ import annotations

import secrets

import click

from fsm_exec.cli.daemon.client_command import Client, daemon_command, print_json
from fsm_exec.cli.output import say
from fsm_exec.control.client import DaemonAbsent, parse_submission
from fsm_exec.core.errors import UserError

KEY_BYTES = 12


@click.command()
@click.argument("ticker")
@click.argument("outcome", type=click.Choice(["yes", "no"]))
@click.argument("quantity")
@click.option("--method", default="simple_limit", show_default=True, help="NAME or NAME@VERSION.")
@click.option("--target-price", help="What it is worth, in dollars.")
@click.option("--worst-price", help="The highest price an order may carry.  [default: target + 2 %]")
@click.option("--cap", help="The highest price plus fee per contract; instead of --worst-price.")
@click.option("--max-slippage", help="How far the worst price may be above the target, as 0.02.")
@click.option("--deadline", help="A time with its zone, as 2030-01-31T14:05:00Z.")
@click.option("--horizon", "horizon_s", type=click.IntRange(1, 10**9), help="Seconds from now, instead of --deadline.")
@click.option("--model-probability", help="The edge: the model's probability of the outcome, as 0.62.")
@click.option("--expected-value", help="The edge: dollars per contract after the taker fee.")
@click.option("--key", help="Your own name for it: the same key is accepted once.  [default: a new one]")
@daemon_command
def submit(
    daemon: Client,
    ticker: str,
    outcome: str,
    quantity: str,
    model_probability: str | None,
    expected_value: str | None,
    key: str | None,
    *,
    as_json: bool,
    **rest: object,
) -> None:
    """Buy up to QUANTITY contracts of OUTCOME on TICKER.

    Answers when the execution is durable: from then on it survives any crash.
    """
    if (model_probability is None) != (expected_value is None):
        raise UserError("--model-probability and --expected-value make an edge together; give both or neither")
    edge = (
        None
        if model_probability is None
        else {"model_probability": model_probability, "expected_value": expected_value}
    )
    chosen = secrets.token_hex(KEY_BYTES) if key is None else key
    submission = parse_submission(
        {"key": chosen, "ticker": ticker, "outcome": outcome, "quantity": quantity, "edge": edge, **rest}
    )
    try:
        accepted = daemon.submit(submission)
    except DaemonAbsent as error:
        message = f"{error}; to ask again without buying twice, add --key {chosen}"
        raise DaemonAbsent(message, may_be_done=error.may_be_done) from error
    if as_json:
        print_json(accepted)
    else:
        say(f"{accepted.execution_id} {'accepted' if accepted.is_new else 'was accepted earlier'}, key {chosen}")
