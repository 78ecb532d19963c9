"""Blocks of half an hour: which moments are drawn together, how alike neighbours are, what that costs an interval."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from fsm_exec.lab.blocks import BLOCK_US, Block, BlockId, autocorrelation, blocks_of, number_blocks
from fsm_exec.lab.statistics import estimate

SEED = 20_261_130
MINUTE_US = 60_000_000
DAY = [minute * MINUTE_US for minute in range(5, 390)]  # starts of an index market: 13 half hours, the last one short


def numbers(moments: Iterable[int], market: str = "A") -> list[int]:
    """The block of each moment of one market."""
    found = number_blocks((market, at_us) for at_us in moments)
    return [found[market, at_us].number for at_us in moments]


def test_a_day_is_blocks_of_half_an_hour() -> None:
    """Thirteen of them from the first start on, each of 30 starts but the last."""
    found = numbers(DAY)
    assert [found.count(number) for number in range(13)] == [30] * 12 + [25]


@pytest.mark.parametrize(("minutes", "blocks"), [(1, 1), (15, 1), (30, 1), (44, 1), (46, 2), (74, 2), (76, 3)])
def test_a_short_market_is_one_block_and_no_rest_is_small(minutes: int, blocks: int) -> None:
    """A quarter of an hour that lies across a half hour of the clock is one block; what remains is one from half its
    length on."""
    start_us = 7 * MINUTE_US + 25 * BLOCK_US
    found = numbers([start_us + minute * MINUTE_US for minute in range(minutes + 1)])
    assert sorted(set(found)) == list(range(blocks))


def test_markets_share_no_block() -> None:
    """The same minute of two markets is two blocks, whatever the order in which moments come."""
    moments = [("A", 0), ("B", 0), ("A", 3 * BLOCK_US), ("B", MINUTE_US)]
    found = number_blocks(moments)
    assert found == number_blocks(reversed(moments))
    assert found["A", 0] != found["B", 0] == found["B", MINUTE_US]
    assert found["A", 3 * BLOCK_US] == BlockId("A", 2)


def test_the_order_of_reading_leaves_no_trace() -> None:
    """Nor do the names of what is compared: the interval is that of the sample."""
    rng = random.Random(SEED)
    values = [(BlockId(market, number), rng.gauss(0, 1)) for market in "ba" for number in range(9) for _ in range(4)]
    mixed = rng.sample(values, len(values))
    assert list(blocks_of(values)) == list(blocks_of(mixed))
    assert estimate(list(blocks_of(values).values())) == estimate(list(blocks_of(mixed).values()))


def weather(rng: random.Random, alike: float, number: int) -> list[float]:
    """Draws of unit variance, each with the correlation `alike` to the one before it."""
    found = [rng.gauss(0, 1)]
    for _ in range(number - 1):
        found.append(alike * found[-1] + (1 - alike**2) ** 0.5 * rng.gauss(0, 1))
    return found


@pytest.mark.parametrize("alike", [0.0, 0.4])
def test_a_planted_autocorrelation_is_measured(alike: float) -> None:
    """Over many markets of 20 blocks, within .03 of what was planted less what any short series loses."""
    rng = random.Random(SEED)
    found = {
        BlockId(market, number): Block(mean * 10, 10)
        for market in range(300)
        for number, mean in enumerate(weather(rng, alike, 20))
    }
    measured = autocorrelation([found])
    assert measured == pytest.approx(alike, abs=0.03), f"seed {SEED}"


def test_neighbours_are_of_one_market() -> None:
    """Markets of one block have no neighbours, and three neighbours are too few to say; equal blocks say nothing."""
    assert autocorrelation([{BlockId(market, 0): Block(float(market), 1) for market in range(50)}]) is None
    assert autocorrelation([{BlockId("A", number): Block(float(number), 1) for number in range(3)}]) is None
    assert autocorrelation([{BlockId("A", number): Block(1.0, 1) for number in range(9)}]) is None
    up_and_down = {BlockId("A", number): Block(float(number % 2), 1) for number in range(50)}
    assert autocorrelation([up_and_down]) == pytest.approx(-1.0, abs=0.01)


def coverage(minutes: int, days: int, samples: int) -> float:
    """How many intervals of blocks of so many minutes hold a planted mean, on days whose minutes resemble each other
    as measured: blocks of a quarter of an hour with a correlation of about a third."""
    rng = random.Random(SEED)
    held = 0
    for _ in range(samples):
        values: list[tuple[BlockId, float]] = []
        for day in range(days):
            drawn = weather(rng, 0.88, len(DAY))
            values += [
                (BlockId(day, place // minutes), 0.3 + value + rng.gauss(0, 1)) for place, value in enumerate(drawn)
            ]
        found = estimate(list(blocks_of(values).values()), seed=rng.getrandbits(32), resamples=300)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.3 <= found.high
    return held / samples


def test_half_an_hour_holds_the_truth_oftener_than_a_quarter() -> None:
    """On two days whose weather lasts for minutes: nine intervals in ten and more, where blocks of a quarter of an hour
    are surer than they may be. What is missing to 95 % is why the autocorrelation is printed."""
    half, quarter = coverage(30, 2, 400), coverage(15, 2, 400)
    assert 0.89 <= half <= 0.97, f"seed {SEED}"
    assert quarter < half - 0.02, f"seed {SEED}"


def strata(rng: random.Random, sizes: tuple[int, ...], effects: tuple[float, ...]) -> list[list[Block]]:
    return [
        [Block(rng.gauss(effect, 0.5) * count, count) for count in (rng.randint(20, 40) for _ in range(size))]
        for size, effect in zip(sizes, effects, strict=True)
    ]


def test_products_weigh_the_same() -> None:
    """Forty blocks of one product and twelve of another: the mean is half way between theirs, and 93 to 97 % of the
    intervals hold it."""
    rng = random.Random(SEED)
    held, samples = 0, 500
    for _ in range(samples):
        found = estimate(*strata(rng, (40, 12), (0.0, 1.0)), seed=rng.getrandbits(32), resamples=500)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.5 <= found.high
    assert 0.93 <= held / samples <= 0.97, f"seed {SEED}"


def test_a_product_of_few_blocks_makes_the_whole_rough() -> None:
    """Three games beside forty half hours: the spread between the games is what nobody knows."""
    rng = random.Random(SEED)
    many, few = strata(rng, (40, 3), (0.0, 0.0))
    assert not estimate(many).is_rough
    assert estimate(few).is_rough
    together = estimate(many, few)
    assert together.is_rough
    assert together.blocks == 43
    assert together.low is not None
    assert estimate(many, few[:1]).low is None


def test_of_one_product_nothing_is_pooled() -> None:
    """It is what it is alone."""
    (blocks,) = strata(random.Random(SEED), (30,), (0.2,))
    assert estimate(blocks, []) == estimate(blocks)
    with pytest.raises(ValueError, match="no episodes"):
        estimate([], [])
