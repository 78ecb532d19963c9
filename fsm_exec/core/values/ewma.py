"""Means and sums that forget, for events at irregular times, in integers.

The value is piecewise constant: at an event after dt, with w = exp(-dt / tau), the mean becomes w m + (1 - w) x_old,
where x_old is the value that held during dt; only then does the value change. A decayed sum becomes w S + amount, and
its rate is S / tau. Looking changes nothing, so a figure does not depend on who looked before. Each step rounds by
less than 2^-19 of a unit, and what was rounded decays with the rest.

Times may step back (the exchange's stamps do, by milliseconds): no time passes then.
"""

from __future__ import annotations

from typing import Final

from fsm_exec.core.values.fixed_point import ONE_Q30, decay_q30
from fsm_exec.core.values.units import PPM

_FRACTION: Final = 20  # bits below the unit
_HALF: Final = 1 << (_FRACTION - 1)


class DecayedSum:
    """A sum whose parts fade; positive and negative amounts may be added."""

    __slots__ = ("_at_us", "_sum", "tau_us")

    def __init__(self, tau_us: int) -> None:
        self.tau_us = tau_us
        self._sum = 0
        self._at_us = 0

    def add(self, amount: int, at_us: int) -> None:
        if at_us > self._at_us:
            if self._sum:
                self._sum = self._sum * decay_q30(at_us - self._at_us, self.tau_us) >> 30
            self._at_us = at_us
        self._sum += amount << _FRACTION

    def value(self, at_us: int) -> int:
        return self._faded(at_us) + _HALF >> _FRACTION

    def rate(self, at_us: int, scale: int) -> int:
        """The amount a second, times `scale`."""
        return self._faded(at_us) * scale * 1_000_000 // self.tau_us + _HALF >> _FRACTION

    def _faded(self, at_us: int) -> int:
        if at_us <= self._at_us:
            return self._sum
        return self._sum * decay_q30(at_us - self._at_us, self.tau_us) >> 30


class DecayedLevel:
    """The mean alone. It begins with the first value."""

    __slots__ = ("_at_us", "_mean", "_now", "_since_us", "tau_us")

    def __init__(self, tau_us: int) -> None:
        self.tau_us = tau_us
        self._mean = self._at_us = self._since_us = 0
        self._now: int | None = None

    def put(self, value: int | None, at_us: int) -> None:
        """The value from `at_us` on; None while there is none: that time counts for nothing."""
        now = self._now
        if value == now:
            return
        if now is None:
            if self._since_us == 0 and value is not None:
                self._mean = value << _FRACTION
                self._since_us = at_us
            if at_us > self._at_us:
                self._at_us = at_us
        elif at_us > self._at_us:
            self._mean += ((now << _FRACTION) - self._mean) * (
                ONE_Q30 - decay_q30(at_us - self._at_us, self.tau_us)
            ) >> 30
            self._at_us = at_us
        self._now = value

    @property
    def current(self) -> int | None:
        return self._now

    def observed_us(self, at_us: int) -> int:
        """Since when there has been a value."""
        return max(0, at_us - self._since_us) if self._since_us else 0

    def mean(self, at_us: int) -> int:
        now, mean = self._now, self._mean
        if now is not None and at_us > self._at_us:
            gone = ONE_Q30 - decay_q30(at_us - self._at_us, self.tau_us)
            mean += ((now << _FRACTION) - mean) * gone >> 30
        return mean + _HALF >> _FRACTION


class DecayedMean:
    """Mean and mean absolute deviation. Both begin with the first value: the mean at it, the deviation at 0. The
    deviation is taken from the mean that stood when the value came."""

    __slots__ = ("_at_us", "_deviation", "_mean", "_now", "_since_us", "tau_us")

    decay_q30 = staticmethod(decay_q30)

    def __init__(self, tau_us: int) -> None:
        self.tau_us = tau_us
        self._mean = self._deviation = self._at_us = self._since_us = 0
        self._now: int | None = None

    def put(self, value: int | None, at_us: int) -> None:
        """The value from `at_us` on; None while there is none: that time counts for nothing."""
        now = self._now
        if value == now:
            return
        if now is None:  # that time counts for nothing
            if self._since_us == 0 and value is not None:
                self._mean = value << _FRACTION
                self._since_us = at_us
            if at_us > self._at_us:
                self._at_us = at_us
        elif at_us > self._at_us:  # as `_faded`, written out: this runs for every change of a book
            gone = ONE_Q30 - self.decay_q30(at_us - self._at_us, self.tau_us)
            off = (now << _FRACTION) - self._mean
            self._mean += off * gone >> 30
            self._deviation += (abs(off) - self._deviation) * gone >> 30
            self._at_us = at_us
        self._now = value

    @property
    def current(self) -> int | None:
        return self._now

    def observed_us(self, at_us: int) -> int:
        """Since when there has been a value."""
        return max(0, at_us - self._since_us) if self._since_us else 0

    def mean(self, at_us: int) -> int:
        return self._faded(at_us)[0] + _HALF >> _FRACTION

    def look(self, at_us: int, limit_ppm: int) -> tuple[int, int, int | None]:
        """Mean, deviation and z = (now - mean) / deviation, within +-`limit_ppm`; z is None while the deviation is 0
        or there is no value now."""
        mean, deviation = self._faded(at_us)
        z = None
        if deviation > 0 and self._now is not None:
            z = max(-limit_ppm, min(limit_ppm, ((self._now << _FRACTION) - mean) * PPM // deviation))
        return mean + _HALF >> _FRACTION, deviation + _HALF >> _FRACTION, z

    def _faded(self, at_us: int) -> tuple[int, int]:
        if at_us <= self._at_us or self._now is None:
            return self._mean, self._deviation
        gone = ONE_Q30 - self.decay_q30(at_us - self._at_us, self.tau_us)
        off = (self._now << _FRACTION) - self._mean
        return self._mean + (off * gone >> 30), self._deviation + ((abs(off) - self._deviation) * gone >> 30)


def put_both(level: DecayedLevel, mean: DecayedMean, value: int, of_mean: int, at_us: int) -> None:
    """`level.put(value, at_us)` and `mean.put(of_mean, at_us)`, for two of the same tau that mostly change at the same
    times: what has faded since is then reckoned once."""
    now, was = level._now, mean._now
    since_us = level._at_us
    if now is None or was is None or mean._at_us != since_us or now == value or was == of_mean or at_us <= since_us:
        level.put(value, at_us)
        mean.put(of_mean, at_us)
        return
    gone = ONE_Q30 - decay_q30(at_us - since_us, level.tau_us)
    level._mean += ((now << _FRACTION) - level._mean) * gone >> 30
    off = (was << _FRACTION) - mean._mean
    mean._mean += off * gone >> 30
    mean._deviation += (abs(off) - mean._deviation) * gone >> 30
    level._at_us = mean._at_us = at_us
    level._now, mean._now = value, of_mean
