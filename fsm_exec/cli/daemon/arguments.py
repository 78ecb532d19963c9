"""What a trader types: an outcome, a count, a price. A mistake is refused before anything is sent, by the name it has
on the command line."""

from __future__ import annotations

import re
from typing import Final

import click

from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import format_count, parse_count, parse_money, parse_price, price_hint

E6_PER_DOLLAR: Final = 1_000_000
OUTCOMES: Final = {"yes": "yes", "y": "yes", "no": "no", "n": "no"}


def parse_outcome(text: str) -> str:
    """Parse YES or NO, however it is written. Raises BadParameter."""
    outcome = OUTCOMES.get(text.strip().lower())
    if outcome is None:
        raise click.BadParameter(f"{text!r} is no outcome; give yes or no")
    return outcome


def check_quantity(text: str) -> str:
    """Return contracts above 0 as they are written in full. Raises BadParameter."""
    try:
        count = parse_count(text)
    except UserError as error:
        raise click.BadParameter(f"{error}; give contracts above 0, as 40 or 2.5") from None
    if count == 0:
        raise click.BadParameter(f"{text!r}: give contracts above 0, as 40 or 2.5")
    return format_count(count)


def check_price(text: str) -> str:
    """Return a price as it is given, once it is one. Raises BadParameter."""
    try:
        parse_price(text)
    except UserError as error:
        advice = "" if price_hint(text) else "; give dollars per contract, as 0.62"
        raise click.BadParameter(f"{error}{advice}") from None
    return text


def check_cap(text: str) -> str:
    """Return a price with its fee as it is given, once it is one. Raises BadParameter."""
    advice = price_hint(text) or "; give dollars per contract, as 0.64"
    try:
        cap = parse_money(text)
    except UserError as error:
        raise click.BadParameter(f"{error}{advice}") from None
    if not 0 < cap <= E6_PER_DOLLAR:
        raise click.BadParameter(f"{text!r} is not between 0 and 1 dollar{advice}")
    return text


class TradeCommand(click.Command):
    """A command that takes counts: a negative one is a mistake of its own, not an option that does not exist."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)  # the parser takes them out
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            typed = next((one for one in given if re.fullmatch(r"-[0-9.,]+", one)), None)
            if typed is None or not typed.startswith(error.option_name[:2]):
                raise
            message = f"{typed} is below 0; give contracts above 0 (to sell is to buy the other outcome)"
            raise click.UsageError(message, ctx) from None
