"""Deliberate faults of an engine whose market changes its fees: see mutants.py.

They show only where fees change, so only such seeds are lived through.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from fsm_exec.core.market.terms import MarketTerms
from tests.lab.mutants import Mutant

if TYPE_CHECKING:
    from fsm_exec.core.market.fees import FeeTerms


def fees_of_the_old_terms(patch: pytest.MonkeyPatch) -> None:
    """Fees are those under which an execution was accepted, also after they have changed."""

    def first(terms: MarketTerms, *_: int) -> FeeTerms:
        return terms.fees

    patch.setattr(MarketTerms, "fees_at", first)
    patch.setattr(MarketTerms, "dearest_fees", first)
    patch.setattr(MarketTerms, "beyond_from_us", lambda *_, **__: None)


def dear_orders_stay(patch: pytest.MonkeyPatch) -> None:
    """What rests beyond the cap by the fees to come is not taken off, and does not end by itself."""
    patch.setattr(MarketTerms, "beyond_from_us", lambda *_, **__: None)


FEE_MUTANTS: Mapping[Mutant, str] = {
    fees_of_the_old_terms: "2: .* beyond",
    dear_orders_stay: "2: .* beyond",
}
"""Each with what it must be found out by."""
