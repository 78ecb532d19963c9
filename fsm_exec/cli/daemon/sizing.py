"""The options by which a chance gives the quantity, as `submit` and `estimate` take them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Final, TypeAlias

import click

from fsm_exec.core.errors import UserError

Sizing: TypeAlias = dict[str, str | None]
"""What was given of the options, by the names of the API."""

PROBABILITY: Final = "model_probability"
_OPTIONS: Final = (
    click.option(
        "--probability",
        help="Instead of QUANTITY and --limit: the chance of the outcome, as 0.62. How much to buy, and at what price "
        "at most, follows by fractional Kelly, with fees and what is held counted in.",
    ),
    click.option("--shrink", help="With --probability: how far it is trusted.  [default: 1]"),
    click.option("--fraction", help="With --probability: the part of the bankroll to play with.  [default: 0.25]"),
    click.option("--bankroll", metavar="DOLLARS", help="With --probability.  [default: what is available]"),
    click.option(
        "--min-edge",
        metavar="DOLLARS",
        help="With --probability: what a contract has to be worth beyond its price and fee.  [default: 0]",
    ),
)


def sizing_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which is given them as `sizing`."""

    @wraps(command)
    def with_sizing(
        *args: object,
        probability: str | None,
        shrink: str | None,
        fraction: str | None,
        bankroll: str | None,
        min_edge: str | None,
        **kwargs: object,
    ) -> None:
        sizing = {PROBABILITY: probability, "shrink": shrink, "fraction": fraction, "bankroll": bankroll}
        command(*args, sizing={**sizing, "min_edge": min_edge}, **kwargs)

    wrapped: Callable[..., None] = with_sizing
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def edge_of(
    sizing: Sizing, quantity: object, model_probability: str | None = None, expected_value: str | None = None
) -> dict[str, str | None] | None:
    """Return the edge that was given, for sizing or beside a quantity. Raises UserError for half of one, and for one
    that is to find a quantity which is given."""
    if sizing[PROBABILITY] is None:
        if given := [name for name, value in sizing.items() if value is not None]:
            raise UserError(f"--{given[0].replace('_', '-')} goes with --probability")
        if (model_probability is None) != (expected_value is None):
            raise UserError("--model-probability and --expected-value make an edge together; give both or neither")
        if model_probability is None:
            return None
        return {PROBABILITY: model_probability, "expected_value": expected_value}
    if model_probability is not None or expected_value is not None:
        raise UserError("--probability sizes by itself: leave --model-probability and --expected-value out")
    if quantity is not None:
        raise UserError("--probability finds the quantity: leave QUANTITY out")
    return sizing
