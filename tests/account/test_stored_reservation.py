"""What a row whose snapshot cannot be read may cost: never less than it could be."""

from __future__ import annotations

from typing import Any

import pytest

from fsm_exec.core.account.stored_reservation import StoredReservation, orders_of
from fsm_exec.core.account.worst_case import exposure_of
from fsm_exec.core.values.units import MoneyE6

WHOLE: dict[str, Any] = {
    "ticker": "T",
    "event": "E",
    "series": "S",
    "outcome": "yes",
    "target_e2": 3_000,
    "reserved_e6": 12_504_001,
}


@pytest.mark.parametrize(
    ("lost", "at_least_e6", "at_most_e6"),
    [
        ((), 12_504_001, 12_504_031),
        (("target_e2",), 12_504_001, 13_000_000),
        (("reserved_e6",), 30_000_000, 30_000_000),
        (("outcome",), 12_504_001, 12_504_031),
        (("event", "series"), 12_504_001, 12_504_031),
        (("ticker", "event", "series", "outcome"), 12_504_001, 12_504_031),
    ],
)
def test_what_is_lost_of_a_row_never_makes_it_cost_less(
    lost: tuple[str, ...], at_least_e6: int, at_most_e6: int
) -> None:
    """The worst case of the account has at least what was reserved, and hardly more where the quantity is known."""
    row = StoredReservation(execution_id="e000001", **{name: WHOLE[name] for name in WHOLE if name not in lost})
    orders = orders_of(row)
    assert orders is not None
    exposure = exposure_of((), orders, {})
    assert at_least_e6 <= -exposure.account_e6 <= at_most_e6
    assert list(exposure.by_market) == ["e000001" if "ticker" in lost else "T"]


def test_what_is_not_reserved_is_nothing_and_what_is_not_known_has_no_bound() -> None:
    """An execution that has ended reserves 0; without quantity and reservation nothing can be said."""
    assert orders_of(StoredReservation(execution_id="e000001", reserved_e6=MoneyE6(0))) == ()
    assert orders_of(StoredReservation(execution_id="e000001", ticker="T", outcome="no")) is None
