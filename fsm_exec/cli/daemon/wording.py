"""A field of the API in the words of the command line: what is missing, and what a refusal names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import click

from fsm_exec.control.schema import Submission

WORDS: Final = {
    "ticker": "TICKER",
    "outcome": "OUTCOME",
    "quantity": "QUANTITY",
    "limit": "--limit",
    "cap": "--cap",
    "target_price": "--target-price",
    "worst_price": "--limit",
    "max_slippage": "--max-slippage",
    "horizon_s": "--horizon",
    "deadline": "--deadline",
    "model_probability": "the probability",
    "expected_value": "--expected-value",
    "min_edge": "--min-edge",
}
"""What the command calls a field of the API."""
PRICE: Final = "limit or cap or target_price"
_FIELD: Final = re.compile(rf"\b({'|'.join(name for name in WORDS if '_' in name)})\b")


def check_complete(given: Mapping[str, object], *, has_price: bool = False) -> None:
    """Name all that is missing at once, as the command calls it. `has_price`: it needs none. Raises UsageError."""
    missing = [
        " or ".join(WORDS[name] for name in group.split(" or "))
        for group in Submission.find_missing(given)
        if group != "key" and not (has_price and group == PRICE)
    ]
    if missing:
        raise click.UsageError(f"Missing: {', '.join(missing)}", click.get_current_context())


def in_words_of_the_command(message: str) -> str:
    """Replace the fields of the API in a message by the options they come from."""
    return _FIELD.sub(lambda found: WORDS[found[0]], message)
