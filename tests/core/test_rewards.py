"""What programmes pay, by the published formulas: vectors worked by hand, and an oracle that counts contract by
contract."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fsm_exec.core.costs.rewards import (
    capped_e12,
    fill_reward_e12,
    score_side,
    second_reward_e12,
    share_of_snapshot,
    whole_period_volume,
)
from fsm_exec.core.errors import LocalError
from fsm_exec.core.market.incentives import IncentiveProgram
from fsm_exec.core.market.price_structures import grid_of
from fsm_exec.core.values.units import LINEAR_CENT, CountE2, PriceE4, PriceGrid, parse_count, parse_price

DAY_US = 86_400_000_000


def program(kind: str = "liquidity", dollars: int = 100, **more: object) -> IncentiveProgram:
    fields: dict[str, object] = {
        "program_id": "p",
        "ticker": "T",
        "kind": kind,
        "start_us": 0,
        "end_us": DAY_US,
        "reward_e4": dollars * 10_000,
        "paid_out": False,
        "discount_bps": 5_000,
        "target_e2": parse_count("300"),
        **more,
    }
    return IncentiveProgram(**fields)  # type: ignore[arg-type]


def book(*levels: tuple[str, str]) -> list[tuple[PriceE4, CountE2]]:
    return [(parse_price(price), parse_count(count)) for price, count in levels]


def share(
    bids: list[tuple[PriceE4, CountE2]],
    own: list[tuple[PriceE4, CountE2]],
    grid: PriceGrid = LINEAR_CENT,
    **more: object,
) -> Fraction | None:
    score = score_side(bids, grid, program(**more))  # type: ignore[arg-type]
    return None if score is None else share_of_snapshot(score, dict(bids), dict(own))


THREE = (("0.57", "100"), ("0.56", "300"), ("0.55", "1000"))


@pytest.mark.parametrize(
    ("bids", "own", "expected"),
    [
        # 300 wanted: 100 at the best price x 1, then all 300 of the next x 1/2; the third price is not scored.
        (THREE, [("0.57", "50")], Fraction(50, 250)),
        (THREE, [("0.56", "50")], Fraction(25, 250)),
        (THREE, [("0.55", "1000")], Fraction(0)),
        # Reached to the hundredth: what is below is not scored.
        ((("0.57", "300"), ("0.56", "300")), [("0.56", "300")], Fraction(0)),
        (THREE, [("0.57", "100"), ("0.56", "300")], Fraction(1)),
        # More than the book displays is not scored: an order may be on its way off it.
        (THREE, [("0.57", "200")], Fraction(100, 250)),
        # A gap of three cents: x 1/8.
        ((("0.50", "10"), ("0.47", "400")), [("0.47", "400")], Fraction(50, 60)),
        # Parts of contracts.
        ((("0.50", "299.99"), ("0.49", "0.02")), [("0.49", "0.01")], Fraction(1, 60_000)),
        # The target is not reached, nothing is there, or the best bid is at the highest price.
        ((("0.57", "299.99"),), [("0.57", "1")], None),
        ((), [], None),
        ((("0.99", "5000"),), [("0.99", "5")], None),
        ((("0.98", "5000"),), [("0.98", "5")], Fraction(1, 1_000)),
    ],
)
def test_a_share_of_a_snapshot(
    bids: list[tuple[str, str]], own: list[tuple[str, str]], expected: Fraction | None
) -> None:
    """Walked from the best price until the target is reached, each tick at the discount, shared by score."""
    assert share(book(*bids), book(*own)) == expected


def test_distance_is_in_ticks_of_the_grid() -> None:
    """Where the grid has tenths of a cent, a tenth is a step; across its edge steps of both sizes count."""
    tapered = grid_of("tapered_deci_cent")
    bids = book(("0.12", "100"), ("0.099", "400"))  # two cents and a tenth: three steps
    assert share(bids, book(("0.099", "400")), tapered) == Fraction(50, 150)
    assert tapered.mirrored().ticks_between(parse_price("0.099"), parse_price("0.12")) == 3
    assert share(book(("0.998", "400")), book(("0.998", "4")), tapered) == Fraction(1, 100)  # 0.999 is the highest


def test_a_second_of_a_programme() -> None:
    """100 dollars a day: half of 100 / 86,400 dollars a side and second, of which a fifth is 0.000115740740."""
    assert second_reward_e12(program(), Fraction(1, 5)) == 115_740_740
    assert second_reward_e12(program(), Fraction(1)) * 2 * 86_400 <= 100 * 10**12
    assert second_reward_e12(program(end_us=500_000), Fraction(1)) == 50 * 10**12  # half a second counts as one


@pytest.mark.parametrize(
    ("dollars", "price", "count", "traded", "expected"),
    [
        (500, "0.50", "10", "100000", 25_000_000_000),  # 500 / 200,000 sides x 10
        (5_000, "0.50", "10", "100000", 50_000_000_000),  # half a cent at most
        (5_000, "0.03", "10", "100000", 50_000_000_000),
        (5_000, "0.97", "10", "100000", 50_000_000_000),
        (5_000, "0.02", "10", "100000", 0),
        (5_000, "0.9710", "10", "100000", 0),
        (1, "0.50", "0.01", "300", 16_666_666),  # 1 / 600 x 0.01, rounded down
        (1, "0.50", "300", "7", 500_000_000_000),  # no more was filled than was traded: half of all sides
    ],
)
def test_a_fill_of_a_volume_programme(dollars: int, price: str, count: str, traded: str, expected: int) -> None:
    """Pro rata over both sides of what trades at 3 to 97 cents, half a cent a contract and side at most."""
    paid = fill_reward_e12(program("volume", dollars), parse_price(price), parse_count(count), parse_count(traded))
    assert paid == expected


def test_the_volume_of_a_period() -> None:
    """It is that of the last 24 hours, scaled to how long the programme runs; and one account has a limit."""
    week = program("volume", end_us=7 * DAY_US, max_reward_e4=10_000)
    assert whole_period_volume(parse_count("100"), week) == parse_count("700")
    assert (capped_e12(week, 2 * 10**12), capped_e12(program(), 2 * 10**12)) == (10**12, 2 * 10**12)


def test_what_a_programme_does_not_state_is_not_guessed() -> None:
    """Without a target or a discount nothing is scored."""
    for missing in ({"target_e2": None}, {"discount_bps": None}):
        with pytest.raises(LocalError):
            score_side(book(*THREE), LINEAR_CENT, program(**missing))  # type: ignore[arg-type]
        assert not program(**missing).scores_orders  # type: ignore[arg-type]
    assert program().scores_orders
    assert not program("volume").scores_orders


counts = st.integers(1, 60_000).map(CountE2)
ladders = st.dictionaries(st.integers(1, 98).map(lambda cent: PriceE4(cent * 100)), counts, min_size=1, max_size=12)


@given(ladders, ladders, st.integers(0, 10_000), st.integers(1, 200_000).map(CountE2), st.integers(0, 10**8))
def test_shares_are_those_of_an_oracle(
    others: dict[PriceE4, CountE2], ours: dict[PriceE4, CountE2], bps: int, target: CountE2, reward: int
) -> None:
    """Every hundredth of a contract counted alone gives the same share; ours and the others' are the whole, and what a
    second pays to both is its pool but for less than 10^-12 dollars each."""
    wanted = program(discount_bps=bps, target_e2=target, reward_e4=reward)
    whole = {price: CountE2(others.get(price, 0) + ours.get(price, 0)) for price in others | ours}
    bids = sorted(whole.items(), reverse=True)
    score = score_side(bids, LINEAR_CENT, wanted)
    expected = oracle(bids, ours, Fraction(bps, 10_000), target)
    assert (score is None) == (expected is None)
    if score is None or expected is None:
        return
    mine, theirs = (share_of_snapshot(score, whole, each) for each in (ours, others))
    assert mine == expected
    assert mine + theirs == 1
    paid = second_reward_e12(wanted, mine) + second_reward_e12(wanted, theirs)
    exact = Fraction(reward * 10**8, 2 * 86_400)
    assert exact - 2 < paid <= exact


def oracle(
    bids: list[tuple[PriceE4, CountE2]], ours: dict[PriceE4, CountE2], discount: Fraction, target: CountE2
) -> Fraction | None:
    """Our part of the score, by the text of the programme; None: the side does not qualify."""
    reference, size, total, own = bids[0][0], 0, Fraction(0), Fraction(0)
    for price, count in bids:
        multiplier = discount ** ((reference - price) // 100)
        total += multiplier * count
        own += multiplier * ours.get(price, 0)
        size += count
        if size >= target:
            return own / total
    return None
