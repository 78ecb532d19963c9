"""What Kalshi charges. Model fees, and the rounding of each fill with its order's accumulator.

Source: wire/README.md 9 (fee schedule of July 2026; fee rounding, six-decimal version). Rates are
integers of 10^-10 so that a multiplier with six decimals stays exact.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import (
    ONE_CONTRACT_E2,
    ONE_DOLLAR_E4,
    CountE2,
    MoneyE6,
    PriceE4,
    ceil_div,
    format_fixed,
    parse_fixed,
)

TAKER_RATE = Decimal("0.07")
MAKER_SHARE = {  # of the taker rate, by the series' fee_type
    "quadratic": Decimal(0),
    "quadratic_with_maker_fees": Decimal("0.25"),
    "quadratic_with_combo_maker_fees": Decimal("0.5"),
}
MULTIPLIER_MAX = 10  # known ones are 0 to 2; above 14 price + fee no longer rises with the price, which limits rely on
BALANCE_STEP_E6 = MoneyE6(100)  # a direct member's balance has four decimals of a dollar


class FeeTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rates of one market: fee per contract = rate x P x (1 - P)."""

    taker_e10: int
    maker_e10: int

    def model_fee(self, price: PriceE4, count: CountE2, *, taker: bool) -> MoneyE6:
        """The fee of `count` contracts at `price`, rounded up to a millionth of a dollar."""
        rate = self.taker_e10 if taker else self.maker_e10
        return MoneyE6(ceil_div(rate * count * price * (ONE_DOLLAR_E4 - price), 10**14))

    def all_in(self, price: PriceE4, *, taker: bool) -> MoneyE6:
        """price + f(price): what one contract costs at most, before balance rounding."""
        return MoneyE6(price * ONE_CONTRACT_E2 + self.model_fee(price, ONE_CONTRACT_E2, taker=taker))


def fee_terms(fee_type: str, multiplier: Decimal) -> FeeTerms:
    """The terms of a series. Raises UserError for a fee type whose formula is not published (`flat`)."""
    share = MAKER_SHARE.get(fee_type)
    if share is None:
        raise UserError(f"fee type {fee_type!r} has no published formula; choose another market")
    if not (multiplier.is_finite() and 0 <= multiplier <= MULTIPLIER_MAX):
        raise UserError(f"fee multiplier {multiplier} is not between 0 and {MULTIPLIER_MAX}; choose another market")
    taker = TAKER_RATE * multiplier * 10**10
    return FeeTerms(taker_e10=_ceil(taker), maker_e10=_ceil(taker * share))


class FeeWords(NamedTuple):
    """The rates of a market as its series states them; `multiplier` is a decimal."""

    fee_type: str
    multiplier: str


def fee_words(fees: FeeTerms) -> FeeWords | None:
    """Return the words that `parse_fee_words` reads as these rates; None: no series has such rates."""
    multiplier_e10 = fees.taker_e10 * 10**10 // int(TAKER_RATE * 10**10)
    multiplier = format_fixed(multiplier_e10, 10).rstrip("0").removesuffix(".")
    return next(
        (words for kind in MAKER_SHARE if parse_fee_words(*(words := FeeWords(kind, multiplier))) == fees), None
    )


def describe_fees(fees: FeeTerms | None) -> str:
    """Return the rates for people, as multiples of price x (1 - price); None: fees without a published formula."""
    if fees is None:
        return "no published formula"
    taker, maker = (format_fixed(rate, 10).rstrip("0").removesuffix(".") for rate in (fees.taker_e10, fees.maker_e10))
    return f"taker {taker}, maker {maker} x price x (1 - price)"


def parse_fee_words(fee_type: str, multiplier: str) -> FeeTerms:
    """Parse the terms of a series from text. Raises UserError as `fee_terms` does, and UnitError for a multiplier that
    is no number."""
    return fee_terms(fee_type, Decimal(parse_fixed(multiplier, 10)).scaleb(-10))


def _ceil(value: Decimal) -> int:
    return int(value.to_integral_value(rounding="ROUND_CEILING"))


class FilledFee(msgspec.Struct, frozen=True):
    """One fill's fee in its parts; `net` is what is billed, `balance_change` what the account's cash moves by."""

    net: MoneyE6
    accumulator: MoneyE6
    balance_change: MoneyE6


def fill_fee(model: MoneyE6, revenue: MoneyE6, accumulator: MoneyE6, step: MoneyE6 = BALANCE_STEP_E6) -> FilledFee:
    """Bill one fill.

    `model` is its model fee, `revenue` its signed cash without fee (buying YES: -count x price), `accumulator` what
    this order's earlier fills have overpaid. The balance moves by multiples of `step`, rounded down; what that
    rounding takes is collected in the accumulator and given back in whole steps, never below a fee of zero.
    """
    exact = revenue - model
    aligned = exact // step * step
    rounding = exact - aligned
    accumulator = MoneyE6(accumulator + rounding)
    rebate = min(accumulator // step * step, (model + rounding) // step * step)
    return FilledFee(
        net=MoneyE6(model + rounding - rebate),
        accumulator=MoneyE6(accumulator - rebate),
        balance_change=MoneyE6(aligned + rebate),
    )
