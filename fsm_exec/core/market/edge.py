"""The reason to trade, as the submitter of an execution states it. Core carries it; algorithms may act on it."""

from __future__ import annotations

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import MoneyE6

CERTAIN_PPM = 1_000_000
PPM_DECIMALS = 6


class Edge(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, kw_only=True):
    """`probability_ppm`: the model's probability of the own outcome, in millionths; `expected_value_e6`: dollars per
    contract after the taker fee, negative if it is a loss."""

    probability_ppm: int
    expected_value_e6: MoneyE6


def make_edge(probability_ppm: int, expected_value_e6: MoneyE6) -> Edge:
    """Raises UserError for a probability that is none, or a value no contract of one dollar can have."""
    if not 0 <= probability_ppm <= CERTAIN_PPM:
        raise UserError(f"model probability {probability_ppm} ppm is not between 0 and {CERTAIN_PPM}")
    if not -1_000_000 <= expected_value_e6 <= 1_000_000:
        raise UserError(f"expected value {expected_value_e6} is not between -1 and 1 dollar (in millionths)")
    return Edge(probability_ppm=probability_ppm, expected_value_e6=expected_value_e6)
