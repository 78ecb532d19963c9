"""Forecasts against slow references, and the judge that holds them against "the last value"."""

from __future__ import annotations

import math

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fsm_exec.core.signals.forecasts import dry_up_ppm, fill_forecast, fill_mean_e2, fill_ppm, forecasts_of, score
from fsm_exec.core.signals.signals import Signals, SweepCost
from fsm_exec.core.values.units import PPM, CountE2

S = 1_000_000


@settings(suppress_health_check=[HealthCheck.filter_too_much])  # where next to nothing can vary the next test looks
@given(
    st.integers(0, 12 * PPM), st.integers(0, 12 * PPM), st.integers(1_000, 3 * PPM), st.integers(1, 10**7),
    st.integers(0, 600 * S),
)  # fmt: skip
def test_the_chance_of_drying_up(now: int, mean: int, deviation: int, remaining_e2: int, horizon_us: int) -> None:
    """Phi((ln remaining - m_h) / s_h), the depth returning to its mean within a minute."""
    weight = math.exp(-horizon_us / S / 60)
    spread = deviation / PPM * math.sqrt(math.pi / 2) * math.sqrt(1 - weight * weight)
    assume(spread > 0.01)
    expected = mean / PPM + (now - mean) / PPM * weight
    z = (math.log(remaining_e2 / 100) - expected) / spread
    assert (
        abs(dry_up_ppm(now, mean, deviation, CountE2(remaining_e2), horizon_us) - math.erfc(-z / 2**0.5) / 2 * PPM)
        < 500
    )


def test_without_time_or_deviation_the_depth_of_now_decides() -> None:
    """No spread: it is below or it is not."""
    ln_100 = round(math.log(101) * PPM)
    assert dry_up_ppm(ln_100, 0, PPM, CountE2(5_000), 0) == 0
    assert dry_up_ppm(ln_100, 0, PPM, CountE2(50_000), 0) == PPM
    assert dry_up_ppm(ln_100, ln_100, 0, CountE2(50_000), 60 * S) == PPM


def binomial_tail(mean: float, fano: float, needed: int) -> float:
    size, chance = mean / (fano - 1), 1 / fano
    log = math.lgamma
    return 1 - math.fsum(
        math.exp(log(k + size) - log(size) - log(k + 1) + size * math.log(chance) + k * math.log1p(-chance))
        for k in range(needed)
    )


@settings(max_examples=50)
@given(st.integers(1, 30_000), st.integers(110, 20_000), st.integers(1, 250))
def test_the_chance_of_a_fill_is_that_of_a_negative_binomial(mean_e2: int, fano_e2: int, needed: int) -> None:
    """With this mean and this variance over the mean."""
    expected = binomial_tail(mean_e2 / 100, fano_e2 / 100, needed)
    assert abs(fill_ppm(mean_e2, fano_e2, CountE2(needed * 100)) - expected * PPM) <= 2


@settings(max_examples=25)
@given(st.integers(10_000, 300_000), st.integers(1_000, 20_000), st.integers(251, 3_000))
def test_many_contracts_are_counted_in_lots(mean_e2: int, fano_e2: int, needed: int) -> None:
    """Nearly the same: two points in a hundred at most."""
    expected = binomial_tail(mean_e2 / 100, fano_e2 / 100, needed)
    assert abs(fill_ppm(mean_e2, fano_e2, CountE2(needed * 100)) - expected * PPM) <= 20_000


def test_a_fill_that_needs_nothing_is_sure_and_one_without_flow_never_comes() -> None:
    """The two ends."""
    assert fill_ppm(0, 200, CountE2(0)) == PPM
    assert fill_ppm(0, 200, CountE2(100)) == 0


@given(
    st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**7), st.integers(1, 600 * S)
)
def test_what_is_expected_to_leave_the_queue(fast: int, slow: int, cancel: int, ahead: int, horizon_us: int) -> None:
    """The fast rate fades into the slow one; those ahead cancel at their rate."""
    seconds = horizon_us / S
    sold = slow / 1e4 * seconds + (fast - slow) / 1e4 * 10 * (1 - math.exp(-seconds / 10))
    expected = max(0.0, sold) + cancel / PPM * ahead / 100 * seconds
    signals = Signals(at_us=0, sell_rate_fast_e4=fast, sell_rate_slow_e4=slow, cancel_bid_ppm=cancel)
    got = fill_mean_e2(signals, CountE2(ahead), horizon_us)
    assert got is not None
    assert abs(got - expected * 100) <= 3 + expected * 1e-4
    assert fill_mean_e2(Signals(at_us=0, sell_rate_fast_e4=fast), CountE2(ahead), horizon_us) is None


def test_only_what_can_be_said_is_said() -> None:
    """Each forecast needs its signals; what is due at the deadline needs one to come."""
    sweep = SweepCost(count_e2=CountE2(500), now_e6=20_000, mean_30s_e6=18_000)
    signals = Signals(
        at_us=10 * S, micro_price_e5=50_200, sweep_remaining=sweep, dry_up_ppm=120_000, depth_ask_e2=CountE2(400)
    )
    made = {f.kind: (f.value_e6, f.last_value_e6, f.due_at_us) for f in forecasts_of(signals, "yes", 50_000, 100 * S)}
    assert made == {
        "sweep_cost": (18_000, 20_000, 100 * S),
        "dry_up": (120_000, PPM, 100 * S),
        "mid_30s": (502_000, 500_000, 40 * S),
    }
    assert [f.kind for f in forecasts_of(signals, "yes", 50_000, 10 * S)] == ["mid_30s"]
    assert forecasts_of(Signals(at_us=0), "yes", None, S) == []
    assert fill_forecast(signals, "yes", "c1", CountE2(0), CountE2(100)) is None


def test_forecasts_are_held_against_the_last_value() -> None:
    """Half the mean absolute error for a median, the Brier score for a chance; none is no verdict."""
    judged = score("sweep_cost", [(20_000, 30_000, 21_000), (10_000, 10_000, 13_000)])
    assert judged is not None
    assert (str(judged.loss), str(judged.last_value_loss)) == ("0.001000", "0.003000")
    assert judged.beats_last_value
    chances = score("dry_up", [(800_000, 0, PPM), (100_000, 0, 0)])
    assert chances is not None
    assert (str(chances.loss), str(chances.last_value_loss), chances.number) == ("0.025000", "0.500000", 2)
    assert score("dry_up", []) is None
