"""After how many trades the work is paid for: exact sums, independent intervals, and what is assumed without them."""

from __future__ import annotations

import random

from fsm_exec.core.values.units import MoneyE6
from fsm_exec.lab.break_even import Saving, assumed_saving, break_even, observed_saving
from tests.lab.review_rows import trade


def dollars(amount: int) -> MoneyE6:
    return MoneyE6(amount * 1_000_000)


def test_the_seeds_scale() -> None:
    """40 hours at 50 dollars, and 4 dollars saved a trade: 500 trades. A rest is one trade more."""
    saving = Saving("assumed", dollars(4), None, None, 0, 0)
    assert break_even(dollars(2_000), saving).trades == 500
    assert break_even(MoneyE6(dollars(2_000) + 1), saving).trades == 501


def test_what_is_observed_is_the_difference_of_mean_costs() -> None:
    """Ten contracts cost 2c a contract resting and 1.25c walking: 7.5 cents a trade, at equal sizes. Who was ended by
    his owner, and whose cost is unknown, is in neither mean; a method of neither kind is not compared."""
    rows = [
        *(trade(n, shortfall_e7=2_000_000) for n in range(20)),
        *(trade(n, shortfall_e7=1_250_000, method="deadline_walker") for n in range(30)),
        trade(shortfall_e7=90_000_000, reason="user"),
        trade(shortfall_e7=90_000_000, method="twap"),
        trade(shortfall_e7=None),
    ]
    found = observed_saving(rows)
    assert found == Saving("observed", MoneyE6(75_000), MoneyE6(75_000), MoneyE6(75_000), 20, 30)
    assert break_even(dollars(75), found) == (dollars(75), found, 1_000, 1_000, 1_000)


def test_its_interval_holds_the_planted_saving_as_often_as_it_says() -> None:
    """Costs that share the weather of their quarter of an hour, and scatter by more than the 5 cents a trade that they
    differ; the trades of the interval's ends lie around those of the mean."""
    draw = random.Random(1)
    held = 0
    for _ in range(200):
        rows = [
            trade(block, shortfall_e7=round(draw.gauss(mean + weather, 500_000)), method=method)
            for method, mean in (("simple_limit", 2_000_000), ("adaptive_limit", 1_500_000))
            for block in range(20)
            for weather in [draw.gauss(0, 500_000)]
            for _ in range(draw.randint(1, 6))
        ]
        found = observed_saving(rows)
        assert found is not None
        assert found.low_e6 is not None
        assert found.high_e6 is not None
        held += found.low_e6 <= 50_000 <= found.high_e6
    assert 0.92 * 200 <= held < 200
    paid = break_even(dollars(100), Saving("observed", MoneyE6(50_000), MoneyE6(40_000), MoneyE6(80_000), 2, 2))
    assert (paid.trades, paid.at_least, paid.at_most) == (2_000, 1_250, 2_500)


def test_a_loss_never_pays() -> None:
    """Walking cost more: no number of trades. Where only the interval's end is a loss, only that end never pays."""
    rows = [trade(shortfall_e7=1), trade(shortfall_e7=2_000_000, method="deadline_walker")]
    found = observed_saving(rows)
    assert found is not None
    assert (found.low_e6, found.high_e6) == (None, None)
    assert break_even(dollars(1), found).trades is None
    across = Saving("observed", MoneyE6(10), MoneyE6(-5), MoneyE6(25), 2, 2)
    assert break_even(MoneyE6(100), across)[2:] == (10, 4, None)


def test_without_both_kinds_a_saving_is_assumed_or_there_is_none() -> None:
    """2 % of a trade of ten contracts at 0.50: ten cents. Without a trade there is no price to take it of."""
    rows = [trade(shortfall_e7=5), trade(filled=0)]
    assert observed_saving(rows) is None
    assert assumed_saving(rows, 2_000_000) == Saving("assumed", MoneyE6(100_000), None, None, 0, 0)
    assert assumed_saving([trade(filled=0)], 2_000_000) is None
