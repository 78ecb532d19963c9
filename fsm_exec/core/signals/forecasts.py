"""Forecasts, and how they are judged: each must beat "the last value" out of sample, or stay off.

Dry-up: ln(1 + depth within 3c) is read as a process that returns to its mean m with the tau of that mean (60 s) and
has its standard deviation s around it (from the mean absolute deviation, as for a normal distribution). At t + h:
    m_h = m + (now - m) exp(-h / tau)        s_h = s sqrt(1 - exp(-2 h / tau))
    P(depth < remaining) = Phi((ln remaining - m_h) / s_h)
The stored forecasts are there to show whether s_h is calibrated.

Fill: P(S >= A + x) for A contracts ahead in the queue and x of ours, S negative binomial with the mean
(mu + theta A) h, where mu is the rate of sell takers: slow + (fast - slow) (tau_f / h) (1 - exp(-h / tau_f)), the fast
rate fading into the slow one; theta the share of what rests that is cancelled in a second; variance / mean = Fano.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext
from math import isqrt
from typing import Final, Literal, TypeAlias

import msgspec

from fsm_exec.core.signals.order_flow import FAST_TAU_US
from fsm_exec.core.signals.signals import Signals
from fsm_exec.core.values.fixed_point import MEAN_DEVIATION_TO_SD_PPM, ONE_Q30, decay_q30, ln_ppm, normal_ppm
from fsm_exec.core.values.units import ONE_CONTRACT_E2, PPM, CountE2, Outcome, ceil_div, rounded_ratio

DEPTH_TAU_US: Final = 60_000_000
FANO_MIN_E2: Final = 101  # a negative binomial is wider than a Poisson distribution
FILL_STEPS_MAX: Final = 250  # more contracts than this are counted in equal lots

Kind: TypeAlias = Literal["sweep_cost", "dry_up", "fill_30s", "mid_30s"]
PROBABILITIES: Final[frozenset[str]] = frozenset({"dry_up", "fill_30s"})
QUANTILES_PPM: Final[Mapping[str, int]] = {"sweep_cost": 500_000, "mid_30s": 500_000}
SHORT_US: Final = 30_000_000
SIGNALS_OF_FORECASTS: Final = frozenset(
    {
        *("sweep_remaining", "dry_up_ppm", "cancel_bid_ppm"),
        *("sell_rate_fast_e4", "sell_rate_slow_e4", "sell_fano_e2"),
    }
)
"""What forecasts are made of, beside what every reading has."""


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What is expected at `due_at_us`, and what "nothing changes" would say. Dollars a contract, or a probability, in
    millionths. `subject` is what a chance of filling is about, an order at its price; `count_e2` what was asked for.

    `sweep_cost`: of `count_e2` at the deadline, expected at its 30 s mean. `dry_up`: that the offers within 3 cents do
    not hold `count_e2` then. `mid_30s`: the mid in 30 s, expected at the micro-price. `fill_30s`: that an order is
    filled within 30 s if it stays where it is."""

    kind: Kind
    outcome: Outcome
    made_at_us: int
    due_at_us: int
    value_e6: int
    last_value_e6: int
    count_e2: CountE2 | None = None
    subject: str | None = None


class ForecastScore(msgspec.Struct, frozen=True, kw_only=True):
    """Forecasts of one kind beside what happened: `loss` theirs, `last_value_loss` that of "nothing changes". Of a
    quantity the mean pinball loss at its quantile in dollars a contract (half the mean absolute error for a median);
    of a probability the Brier score."""

    kind: str
    number: int
    loss: Decimal
    last_value_loss: Decimal

    @property
    def beats_last_value(self) -> bool:
        return self.loss < self.last_value_loss


def dry_up_ppm(now_ppm: int, mean_ppm: int, deviation_ppm: int, remaining: CountE2, horizon_us: int) -> int:
    """P(depth within 3 cents < `remaining` contracts after `horizon_us`); logarithms in millionths."""
    weight = decay_q30(max(0, horizon_us), DEPTH_TAU_US)
    expected = mean_ppm + ((now_ppm - mean_ppm) * weight >> 30)
    deviation = deviation_ppm * MEAN_DEVIATION_TO_SD_PPM // PPM
    spread = deviation * isqrt((ONE_Q30 << 30) - weight * weight) >> 30
    off = ln_ppm(remaining, ONE_CONTRACT_E2) - expected
    if spread <= 0:
        return PPM if off > 0 else 0
    return normal_ppm(off * PPM // spread)


def fill_mean_e2(signals: Signals, ahead: CountE2, horizon_us: int) -> int | None:
    """Contracts expected to leave the queue in front of us, and us, until then; None without the rates."""
    fast, slow = signals.sell_rate_fast_e4, signals.sell_rate_slow_e4
    if fast is None or slow is None or horizon_us <= 0:
        return None
    faded = (ONE_Q30 - decay_q30(horizon_us, FAST_TAU_US)) * FAST_TAU_US  # Q30 microseconds
    sold = slow * horizon_us + ((fast - slow) * faded >> 30)  # 10^-4 contracts x microseconds
    cancelled = (signals.cancel_bid_ppm or 0) * ahead * horizon_us // (PPM * PPM)
    return max(0, sold // 100_000_000) + cancelled


def fill_ppm(mean_e2: int, fano_e2: int, needed: CountE2) -> int:
    """P(S >= `needed`) for a negative binomial S with this mean and variance / mean."""
    if needed <= 0:
        return PPM
    if mean_e2 <= 0:
        return 0
    steps = ceil_div(needed, ONE_CONTRACT_E2)
    lot = ceil_div(steps, FILL_STEPS_MAX)
    steps = ceil_div(steps, lot)
    with localcontext(prec=20) as context:
        fano = context.divide(Decimal(max(fano_e2, FANO_MIN_E2 * lot)), Decimal(ONE_CONTRACT_E2 * lot))
        mean = context.divide(Decimal(mean_e2), Decimal(ONE_CONTRACT_E2 * lot))
        size = context.divide(mean, fano - 1)
        chance = context.divide(fano - 1, fano)
        term = (-size * fano.ln()).exp()
        below = Decimal(0)
        for k in range(steps):
            below += term
            term = context.divide(term * (k + size) * chance, Decimal(k + 1))
        return min(PPM, max(0, int((1 - below) * PPM)))


def forecasts_of(signals: Signals, outcome: Outcome, mid_e5: int | None, deadline_us: int) -> list[Forecast]:
    """The forecasts of one view, those that can be made."""
    at_us = signals.at_us
    found: list[Forecast] = []
    sweep = signals.sweep_remaining
    if deadline_us > at_us and sweep is not None and sweep.now_e6 is not None:
        count = sweep.count_e2
        if sweep.mean_30s_e6 is not None:
            found.append(
                _forecast("sweep_cost", outcome, at_us, deadline_us, sweep.mean_30s_e6, sweep.now_e6, count_e2=count)
            )
        if signals.dry_up_ppm is not None and signals.depth_ask_e2 is not None:
            now = PPM if signals.depth_ask_e2 < count else 0
            found.append(_forecast("dry_up", outcome, at_us, deadline_us, signals.dry_up_ppm, now, count_e2=count))
    if signals.micro_price_e5 is not None and mid_e5 is not None:
        found.append(_forecast("mid_30s", outcome, at_us, at_us + SHORT_US, signals.micro_price_e5 * 10, mid_e5 * 10))
    return found


def fill_forecast(signals: Signals, outcome: Outcome, subject: str, ahead: CountE2, count: CountE2) -> Forecast | None:
    """Forecast the fill of an order about to join its level behind `ahead`; None without the signals it rests on."""
    mean = fill_mean_e2(signals, ahead, SHORT_US)
    if mean is None or signals.sell_fano_e2 is None:
        return None
    chance = fill_ppm(mean, signals.sell_fano_e2, CountE2(ahead + count))
    due_us = signals.at_us + SHORT_US
    return _forecast("fill_30s", outcome, signals.at_us, due_us, chance, 0, count_e2=count, subject=subject)


def _forecast(
    kind: Kind,
    outcome: Outcome,
    made_at_us: int,
    due_at_us: int,
    value_e6: int,
    last_value_e6: int,
    *,
    count_e2: CountE2 | None = None,
    subject: str | None = None,
) -> Forecast:
    return Forecast(
        kind=kind,
        outcome=outcome,
        made_at_us=made_at_us,
        due_at_us=due_at_us,
        value_e6=value_e6,
        last_value_e6=last_value_e6,
        count_e2=count_e2,
        subject=subject,
    )


def score(kind: str, rows: Iterable[tuple[int, int, int]]) -> ForecastScore | None:
    """Judge (forecast, last value, what happened), in millionths; None without any."""
    loss = last = number = 0
    for forecast, last_value, happened in rows:
        number += 1
        loss += _loss(kind, forecast, happened)
        last += _loss(kind, last_value, happened)
    if number == 0:
        return None
    unit = number * PPM * PPM
    return ForecastScore(
        kind=kind,
        number=number,
        loss=rounded_ratio(loss, unit, 6),
        last_value_loss=rounded_ratio(last, unit, 6),
    )


def _loss(kind: str, forecast: int, happened: int) -> int:
    """In 10^-12: of a probability the square of the miss, of a quantile the pinball loss."""
    if kind in PROBABILITIES:
        return (forecast - happened) ** 2
    quantile = QUANTILES_PPM[kind]
    miss = happened - forecast
    return miss * quantile if miss >= 0 else -miss * (PPM - quantile)
