"""Draws from distributions: floats inside, integers out wherever the exchange uses them."""

from __future__ import annotations

import math
import random

Z_99 = 2.3263478740408408  # 99 % of a standard normal lie below it


def lognormal_us(draw: random.Random, median_us: int, p99_us: int) -> int:
    """Microseconds, of the lognormal with this median and this 99th percentile; 0 < median_us <= p99_us."""
    sigma = math.log(p99_us / median_us) / Z_99
    return round(median_us * math.exp(sigma * draw.gauss(0, 1)))


def poisson_moments(draw: random.Random, from_s: float, rate: float) -> list[float]:
    """The moments of a Poisson process of `rate` a second, within the second from `from_s`."""
    moments: list[float] = []
    after_s = draw.expovariate(rate)
    while after_s < 1:
        moments.append(from_s + after_s)
        after_s += draw.expovariate(rate)
    return moments
