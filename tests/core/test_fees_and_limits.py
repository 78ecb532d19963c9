"""What Kalshi charges, by the published vectors; and what an execution may pay at most."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm_exec.core.errors import UserError
from fsm_exec.core.market.fees import MAKER_SHARE, FeeTerms, fee_terms, fee_words, fill_fee, parse_fee_words
from fsm_exec.core.market.limits import largest_within, resolve_limits
from fsm_exec.core.values.units import (
    LINEAR_CENT,
    CountE2,
    MoneyE6,
    PriceE4,
    PriceGrid,
    PriceRange,
    parse_count,
    parse_money,
    parse_price,
)

if TYPE_CHECKING:
    from tests.core.conftest import World

DECI = PriceGrid(
    (
        PriceRange(PriceE4(0), PriceE4(1_000), PriceE4(10)),
        PriceRange(PriceE4(1_000), PriceE4(9_000), PriceE4(100)),
        PriceRange(PriceE4(9_000), PriceE4(10_000), PriceE4(10)),
    )
)


@pytest.mark.parametrize(
    ("count", "price", "maker", "trade", "rounding", "net"),
    [
        ("1", "0.52", False, "0.017472", "0.000028", "0.0175"),  # recorded
        ("1", "0.99", False, "0.000693", "0.000007", "0.0007"),  # recorded
        ("100", "0.50", False, "1.75", "0", "1.75"),
        ("3", "0.37", False, "0.048951", "0.000049", "0.049"),
        ("0.01", "0.37", False, "0.000164", "0.000036", "0.0002"),
        ("7", "0.123", True, "0.013215", "0.000085", "0.0133"),
    ],
)
def test_the_published_vectors(count: str, price: str, maker: bool, trade: str, rounding: str, net: str) -> None:
    """One fill of a fresh order of a direct member (wire/README.md 9)."""
    terms = fee_terms("quadratic_with_maker_fees", Decimal(1))
    model = terms.model_fee(parse_price(price), parse_count(count), taker=not maker)
    revenue = MoneyE6(-parse_price(price) * parse_count(count))
    billed = fill_fee(model, revenue, MoneyE6(0))
    assert model == parse_money(trade)
    assert billed.net == parse_money(net) == model + parse_money(rounding)
    assert billed.balance_change == revenue - billed.net


def test_an_fcm_members_balance_moves_in_cents() -> None:
    """The documentation's own example."""
    billed = fill_fee(parse_money("0.003639"), parse_money("-0.055"), MoneyE6(0), step=MoneyE6(10_000))
    assert (billed.net, billed.balance_change) == (parse_money("0.005"), parse_money("-0.06"))
    assert billed.accumulator == parse_money("0.001361")


def test_what_rounding_takes_is_given_back_within_the_order() -> None:
    """Four fills of one contract at 0.37: 0.0164, then 0.0163 three times."""
    terms = fee_terms("quadratic", Decimal(1))
    accumulator = MoneyE6(0)
    nets = []
    for _ in range(4):
        model = terms.model_fee(PriceE4(3_700), CountE2(100), taker=True)
        billed = fill_fee(model, MoneyE6(-370_000), accumulator)
        accumulator = billed.accumulator
        nets.append(billed.net)
    assert nets == [16_400, 16_300, 16_300, 16_300]


@given(
    st.lists(st.tuples(st.integers(1, 9_999), st.integers(1, 10**6), st.booleans()), min_size=1, max_size=20),
    st.sampled_from([100, 10_000]),
)
def test_billing_never_loses_a_millionth(fills: list[tuple[int, int, bool]], step: int) -> None:
    """Balance and fee add up, the balance moves in whole steps, no fee is negative, and an order overpays its model
    fees by what is left in the accumulator: less than a step per fill."""
    terms = fee_terms("quadratic_with_maker_fees", Decimal(1))
    accumulator, overpaid = MoneyE6(0), 0
    for price, count, taker in fills:
        model = terms.model_fee(PriceE4(price), CountE2(count), taker=taker)
        revenue = MoneyE6(-price * count)
        billed = fill_fee(model, revenue, accumulator, MoneyE6(step))
        assert billed.balance_change == revenue - billed.net
        assert billed.balance_change % step == 0
        assert billed.net >= 0
        overpaid += billed.net - model
        accumulator = billed.accumulator
        assert accumulator == overpaid
        assert 0 <= accumulator < step * len(fills)


@given(st.integers(0, 10_000), st.integers(0, 10**9), st.booleans())
def test_the_model_fee_is_rounded_up_and_symmetric(price: int, count: int, taker: bool) -> None:
    """The least millionth not below rate x count x p x (1 - p), the same for YES and NO."""
    terms = fee_terms("quadratic_with_combo_maker_fees", Decimal("1.5"))
    fee = terms.model_fee(PriceE4(price), CountE2(count), taker=taker)
    rate = Decimal("0.07") * Decimal("1.5") * (1 if taker else Decimal("0.5"))
    exact = rate * count * price * (10_000 - price) / 10_000  # in millionths: count is e2, both prices e4
    assert fee - 1 < exact <= fee
    assert fee == terms.model_fee(PriceE4(10_000 - price), CountE2(count), taker=taker)


@pytest.mark.parametrize(
    ("fee_type", "taker", "maker"),
    [
        ("quadratic", 700_000_000, 0),
        ("quadratic_with_maker_fees", 700_000_000, 175_000_000),
        ("quadratic_with_combo_maker_fees", 700_000_000, 350_000_000),
    ],
)
def test_rates_by_fee_type(fee_type: str, taker: int, maker: int) -> None:
    """And a multiplier of nothing is free."""
    assert fee_terms(fee_type, Decimal(1)) == FeeTerms(taker, maker)
    assert fee_terms(fee_type, Decimal(0)) == FeeTerms(0, 0)


@pytest.mark.parametrize("multiplier", ["-1", "NaN", "Infinity", "15", "1000"])
def test_a_multiplier_that_makes_no_sense_is_refused(multiplier: str) -> None:
    """Above 14 the fee would outrun the price, and a dearer price could cost less."""
    with pytest.raises(UserError):
        fee_terms("quadratic", Decimal(multiplier))


def test_a_fee_without_a_published_formula_is_refused() -> None:
    """Nothing is guessed."""
    for fee_type in ("flat", "", "cubic"):
        with pytest.raises(UserError):
            fee_terms(fee_type, Decimal(1))


@pytest.mark.parametrize(
    ("target", "worst", "cap"),
    [("0.50", "0.51", "0.527493"), ("0.05", "0.05", "0.053325"), ("0.99", "0.99", "0.990693")],
)
def test_limits_by_default(world: World, target: str, worst: str, cap: str) -> None:
    """Vectors worked by hand: two per cent above the target, or the target, and the taker's fee on top."""
    limits = resolve_limits(parse_price(target), LINEAR_CENT, world.fees)
    assert (limits.worst_e4, limits.cap_e6) == (parse_price(worst), parse_money(cap))
    assert limits.target_e4 == parse_price(target)


def test_limits_from_a_worst_price_or_a_cap(world: World) -> None:
    """Either gives the other."""
    by_worst = resolve_limits(PriceE4(5_000), LINEAR_CENT, world.fees, worst=PriceE4(5_500))
    assert by_worst.cap_e6 == world.fees.all_in(PriceE4(5_500), taker=True)
    by_cap = resolve_limits(PriceE4(5_000), LINEAR_CENT, world.fees, cap=by_worst.cap_e6)
    assert by_cap.worst_e4 == 5_500
    under = resolve_limits(PriceE4(5_000), LINEAR_CENT, world.fees, cap=MoneyE6(by_worst.cap_e6 - 1))
    assert under.worst_e4 == 5_400


def test_limits_that_cannot_be_are_refused(world: World) -> None:
    """Off the grid, both at once, no price at all, or a target nobody may pay."""
    for target, cap, worst in (
        (5_050, None, None),
        (0, None, None),
        (10_000, None, None),
        (5_000, None, 5_150),
        (5_000, 527_493, 5_100),
        (5_000, 0, None),
        (5_000, 10_000, None),
        (5_000, None, 4_900),
        (5_000, 500_000, None),
    ):
        with pytest.raises(UserError):
            resolve_limits(
                PriceE4(target),
                LINEAR_CENT,
                world.fees,
                cap=None if cap is None else MoneyE6(cap),
                worst=None if worst is None else PriceE4(worst),
            )


@given(st.integers(0, 1_200_000), st.integers(0, 10), st.booleans(), st.sampled_from([LINEAR_CENT, DECI]))
def test_the_largest_price_within_a_cap(cap: int, multiplier: int, taker: bool, grid: PriceGrid) -> None:
    """The binary search finds what trying every price finds."""
    fees = fee_terms("quadratic_with_maker_fees", Decimal(multiplier))
    tried = [
        price
        for price in map(PriceE4, range(0, 10_000, 10))
        if grid.contains(price) and fees.all_in(price, taker=taker) <= cap
    ]
    assert largest_within(MoneyE6(cap), grid, fees, taker=taker) == max(tried, default=None)


@given(
    target=st.integers(1, 99),
    beyond=st.integers(0, 30),
    by=st.sampled_from(["slippage", "worst", "cap"]),
    multiplier=st.integers(0, 10),
    fee_type=st.sampled_from(["quadratic", "quadratic_with_maker_fees", "quadratic_with_combo_maker_fees"]),
)
def test_no_price_up_to_the_worst_is_beyond_the_cap(
    target: int, beyond: int, by: str, multiplier: int, fee_type: str
) -> None:
    """However the limits were given: whoever compares prices with the worst price has compared their cost with the cap.
    So a comparison with the cap that forgot the fee, after one with the worst price, would let nothing pass."""
    fees = fee_terms(fee_type, Decimal(multiplier))
    price = PriceE4(target * 100)
    worst = PriceE4(min(9_900, price + beyond * 100))
    if by == "cap":
        limits = resolve_limits(price, LINEAR_CENT, fees, cap=fees.all_in(worst, taker=True))
    else:
        limits = resolve_limits(price, LINEAR_CENT, fees, worst=worst if by == "worst" else None)
    for each in range(100, limits.worst_e4 + 1, 100):
        for taker in (True, False):
            assert fees.all_in(PriceE4(each), taker=taker) <= limits.cap_e6


@given(st.sampled_from(sorted(MAKER_SHARE)), st.integers(0, 10_000_000))
def test_rates_have_the_words_of_a_series(fee_type: str, multiplier_e6: int) -> None:
    """Whatever a series states, with up to six decimals: its rates have words, which are read as these rates."""
    fees = fee_terms(fee_type, Decimal(multiplier_e6).scaleb(-6))
    words = fee_words(fees)
    assert words is not None
    assert parse_fee_words(*words) == fees


def test_rates_of_no_series_have_no_words() -> None:
    """A maker who pays a third is in no schedule."""
    assert fee_words(FeeTerms(taker_e10=300, maker_e10=100)) is None
