"""Sizing against the closed form, against trying every quantity, and against chance."""

from __future__ import annotations

import math
import random
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest

from fsm_exec.core.account.sizing import Belief, Size, Stakes, WhyNothing, size_of
from fsm_exec.core.errors import UserError
from fsm_exec.core.market.book import Ladder
from fsm_exec.core.market.fees import fee_terms
from fsm_exec.core.values.units import LINEAR_CENT, PPM, CountE2, MoneyE6, PriceE4

FEES = fee_terms("quadratic", Decimal(1))
DEEP: Ladder = ((PriceE4(5_600), CountE2(10**9)),)


def belief(probability_ppm: int = 620_000, dollars: int = 1_000, **changes: int) -> Belief:
    given = {"probability_ppm": probability_ppm, "bankroll_e6": MoneyE6(dollars * 1_000_000), **changes}
    return Belief(**given)  # type: ignore[arg-type]


NO_STAKES = Stakes()


def sized(believed: Belief, asks: Ladder = DEEP, held: Stakes = NO_STAKES) -> Size:
    return size_of(believed, asks, LINEAR_CENT, FEES, held)


@pytest.mark.parametrize("fraction_ppm", [1_000_000, 250_000, 100_000])
@pytest.mark.parametrize("probability_ppm", [580_000, 620_000, 700_000, 950_000])
def test_at_one_price_it_is_kellys_fraction(probability_ppm: int, fraction_ppm: int) -> None:
    """n = L B (p - k) / (k (1 - k)): the whole of f* = (p - k) / (1 - k), fee included, to the contract."""
    found = sized(belief(probability_ppm, fraction_ppm=fraction_ppm))
    k = FEES.all_in(PriceE4(5_600), taker=True)
    played = Decimal(1_000 * fraction_ppm) / 1_000_000
    exact = played * (probability_ppm - k) * 1_000_000 / (Decimal(k) * (1_000_000 - k))
    assert 0 <= exact - found.quantity_e2 // 100 < 1
    assert found.worst_e4 == 5_600, "at the full quantity one more is worth its price and no more"


def test_no_other_quantity_grows_faster() -> None:
    """Of 300 random books and holdings: the expected logarithm of the wealth that is played with is no higher at any
    other number of contracts that the book holds, but perhaps at one more, since the optimum is rounded down."""
    seed = 20261130
    chance = random.Random(seed)
    for trial in range(300):
        price, asks = chance.randint(5, 80) * 100, []
        for _ in range(chance.randint(1, 5)):
            asks.append((PriceE4(price), CountE2(chance.randint(1, 60) * 100)))
            price += chance.randint(1, 4) * 100
        held = Stakes(
            own_e2=CountE2(chance.choice((0, 0, 5, 40)) * 100),
            other_e2=CountE2(chance.choice((0, 0, 0, 20)) * 100),
            cost_e6=MoneyE6(chance.choice((0, 3_000_000, 20_000_000))),
        )
        believed = belief(chance.randint(20, 980) * 1_000, chance.choice((20, 100, 500)), fraction_ppm=500_000)
        found = sized(believed, tuple(asks), held)
        growth = growths(believed, tuple(asks), held)
        number = found.quantity_e2 // 100
        others = {one: value for one, value in growth.items() if one != number + 1}
        best = max(others.values(), default=0.0)
        assert growth.get(number, 0.0) >= best - 1e-12, (seed, trial, found, max(others, key=others.__getitem__))


def growths(believed: Belief, asks: Ladder, held: Stakes) -> dict[int, float]:
    """The expected logarithm by number of contracts, as floats and by trying: nothing of what is tested."""
    p = believed.probability_ppm / 1e6
    base = believed.bankroll_e6 * believed.fraction_ppm / 1e12 - held.cost_e6 / 1e6
    spent, found, number = 0.0, dict[int, float](), 0
    prices = [price for price, count in asks for _ in range(count // 100)]
    for price in [None, *prices]:
        if price is not None:
            spent += FEES.all_in(price, taker=True) / 1e6
            number += 1
        fails, comes = base - spent + held.other_e2 / 100, base - spent + held.own_e2 / 100 + number
        if fails <= 0 or comes <= 0:
            break
        found[number] = p * math.log(comes) + (1 - p) * math.log(fails)
    return found


def test_a_minimum_edge_is_left_of_every_contract_and_one_more_would_not_leave_it() -> None:
    """Of 300 random books: as many as a search by ones finds with r in rational numbers, less the more is asked for."""
    seed = 20261131
    chance = random.Random(seed)
    for trial in range(300):
        price, asks = chance.randint(5, 80) * 100, []
        for _ in range(chance.randint(1, 5)):
            asks.append((PriceE4(price), CountE2(chance.randint(1, 60) * 100)))
            price += chance.randint(1, 4) * 100
        believed = belief(chance.randint(20, 980) * 1_000, 100, min_edge_e6=chance.choice((5_000, 20_000, 80_000)))
        found = sized(believed, tuple(asks))
        p, least = Fraction(believed.probability_ppm, PPM), Fraction(believed.min_edge_e6, PPM)
        w0 = w1 = Fraction(25)
        number = 0
        for each in (FEES.all_in(at, taker=True) for at, count in asks for _ in range(count // 100)):
            k = Fraction(each, 1_000_000)
            after0, after1 = w0 - k, w1 - k + 1
            if after0 <= 0 or k > p * after0 / (p * after0 + (1 - p) * after1) - least:
                break
            w0, w1, number = after0, after1, number + 1
        assert found.quantity_e2 == number * 100, (seed, trial, found)
        if number:
            assert Fraction(found.cap_e6, PPM) <= p * w0 / (p * w0 + (1 - p) * w1) - least
            plain = sized(msgspec.structs.replace(believed, min_edge_e6=MoneyE6(0)), tuple(asks))
            assert plain.quantity_e2 >= found.quantity_e2


def test_growth_by_chance_is_highest_at_the_stated_fraction() -> None:
    """4,000 bets a path, the same luck for all: the full fraction grows fastest, half of it less, twice of it less."""
    chance = random.Random(7)
    p, k = 0.62, FEES.all_in(PriceE4(5_600), taker=True) / 1e6
    number = sized(belief(fraction_ppm=1_000_000)).quantity_e2 / 100
    luck = [chance.random() < p for _ in range(400_000)]
    growth = {}
    for factor in (0.5, 1.0, 2.0):
        staked = factor * number * k / 1_000
        gained, lost = math.log(1 + staked * (1 - k) / k), math.log(1 - staked)
        growth[factor] = sum(gained if won else lost for won in luck)
    assert growth[1.0] > growth[0.5] > 0
    assert growth[1.0] > growth[2.0]


NOTHING: list[tuple[Belief, Ladder, Stakes, WhyNothing]] = [
    (belief(), (), Stakes(), "no_offer"),
    (belief(577_000), DEEP, Stakes(), "no_edge"),
    (belief(20_000), DEEP, Stakes(), "no_edge"),
    (belief(dollars=1), DEEP, Stakes(), "below_one_contract"),
    (belief(dollars=100), DEEP, Stakes(own_e2=CountE2(5_000), cost_e6=MoneyE6(28_000_000)), "no_bankroll"),
]


@pytest.mark.parametrize(("believed", "asks", "held", "why"), NOTHING)
def test_zero_says_why(believed: Belief, asks: Ladder, held: Stakes, why: WhyNothing) -> None:
    """And asks for nothing."""
    found = sized(believed, asks, held)
    assert (found.quantity_e2, found.why_nothing, found.cap_e6) == (0, why, 0)


def test_depth_position_and_doubt_make_it_less() -> None:
    """Less of a book that gets dearer, less beside what is held, more where the other outcome is held, less when the
    probability is trusted less; and never above the cap."""
    whole = sized(belief())
    steps = tuple((PriceE4(5_600 + 100 * step), CountE2(1_000)) for step in range(20))
    deep = sized(belief(), steps)
    assert 0 < deep.quantity_e2 < whole.quantity_e2
    assert FEES.all_in(deep.worst_e4, taker=True) <= deep.cap_e6
    held = Stakes(own_e2=CountE2(2_000), cost_e6=MoneyE6(11_500_000))
    beside = sized(belief(), held=held).quantity_e2
    assert abs(beside - (whole.quantity_e2 - 2_000)) <= 200

    assert sized(belief(shrink_ppm=800_000)).quantity_e2 < whole.quantity_e2
    hedged = sized(belief(), held=Stakes(other_e2=CountE2(2_000), cost_e6=MoneyE6(9_000_000)))
    assert hedged.quantity_e2 > whole.quantity_e2


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"probability_ppm": 0}, "above 0 and below 1"),
        ({"probability_ppm": 1_000_000}, "above 0 and below 1"),
        ({"probability_ppm": -1}, "above 0 and below 1"),
        ({"fraction_ppm": 0}, "fraction"),
        ({"fraction_ppm": 1_000_001}, "fraction"),
        ({"shrink_ppm": 0}, "shrink"),
        ({"min_edge_e6": -1}, "min_edge"),
        ({"min_edge_e6": 1_000_000}, "min_edge"),
        ({"dollars": 0}, "bankroll"),
        ({"dollars": -5}, "bankroll"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, int], says: str) -> None:
    """In one line that names it."""
    with pytest.raises(UserError, match=says):
        sized(belief(**changes))
