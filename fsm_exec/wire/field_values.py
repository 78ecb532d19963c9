"""Parses values that the wire spells in more than one way, from whichever field is there.

A value that is left out, null or contradictory raises UnitError, naming the field.
"""

from __future__ import annotations

from fsm_exec.core.errors import UnitError
from fsm_exec.core.values.units import Outcome, PriceE4, complement, parse_price

OUTCOMES: dict[str, Outcome] = {"yes": "yes", "no": "no"}
BOOK_SIDES: dict[str, Outcome] = {"bid": "yes", "ask": "no"}  # wire/README.md 4.1
SIDES_AND_ACTIONS: dict[tuple[str | None, str | None], Outcome] = {
    ("yes", "buy"): "yes",
    ("no", "sell"): "yes",
    ("no", "buy"): "no",
    ("yes", "sell"): "no",
}


def parse_outcome(
    outcome_side: str | None,
    book_side: str | None,
    *,
    bought: str | None = None,
    side: str | None = None,
    action: str | None = None,
) -> Outcome:
    """Return the outcome that was bought, from any of the fields that say so, deprecated ones last. An unknown word
    counts as none; the two current fields must agree."""
    by_outcome = OUTCOMES.get(outcome_side or "")
    by_book = BOOK_SIDES.get(book_side or "")
    if by_outcome and by_book and by_outcome != by_book:
        raise UnitError(f"outcome_side {outcome_side!r} and book_side {book_side!r} contradict each other")
    found = by_outcome or by_book or OUTCOMES.get(bought or "") or SIDES_AND_ACTIONS.get((side, action))
    if found is None:
        raise UnitError(f"outcome_side {str(outcome_side)[:20]} and book_side {str(book_side)[:20]} name no side")
    return found


def parse_yes_price(yes: str | None, no: str | None) -> PriceE4:
    """Return the YES price of a pair that must add up to a dollar, or from the one that is there."""
    if yes is None:
        return complement(parse_price(required_text(no, "yes_price_dollars")))
    price = parse_price(yes)
    if no is not None and complement(price) != parse_price(no):
        raise UnitError(f"prices {yes[:20]!r} and {no[:20]!r} do not add up to a dollar")
    return price


def required_text(text: str | None, field: str) -> str:
    """Return a text that is neither missing nor empty."""
    if not text:
        raise missing_field(field)
    return text


def missing_field(field: str) -> UnitError:
    return UnitError(f"{field} is missing")
