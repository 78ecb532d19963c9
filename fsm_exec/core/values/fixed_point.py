"""exp, ln and the normal distribution in integers: the same on every machine, to the last bit.

Weights are Q30: integers of 2^-30. The largest errors, each held against Decimal by a test:
    decay_q30   2 units of 2^-30 (2 in 10^9)
    ln_ppm      2 millionths
    normal_ppm  3 millionths
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from math import isqrt
from typing import Final

from fsm_exec.core.values.units import PPM

ONE_Q30: Final = 1 << 30
MEAN_DEVIATION_TO_SD_PPM: Final = 1_253_314  # sqrt(pi / 2): of a normal distribution, from one to the other

_BITS: Final = 40  # inside, so that the last bit of a result is not lost on the way
_ONE: Final = 1 << _BITS
_MASK: Final = _ONE - 1
_LN2: Final = int(Decimal(2).ln() * _ONE)
_LOG2_E: Final = _ONE * _ONE // _LN2
_DECAY_BITS: Final = 8
_LN_BITS: Final = 6


def _powers(root_bits: int) -> tuple[int, ...]:
    """2^(-i / 2^root_bits) for i = 0 ... 255, in Q40: the first by square roots, the rest by multiplication."""
    fine = 2 * _BITS
    step = 1 << (fine - 1)
    for _ in range(root_bits):
        step = isqrt(step << fine)
    powers = [1 << fine]
    for _ in range((1 << _DECAY_BITS) - 1):
        powers.append(powers[-1] * step >> fine)
    return tuple(power >> (fine - _BITS) for power in powers)


_COARSE: Final = _powers(_DECAY_BITS)
_FINE: Final = _powers(2 * _DECAY_BITS)
_LOGS: Final = tuple(int(((_ONE + (i << (_BITS - _LN_BITS))) * Decimal(2) ** -_BITS).ln() * _ONE) for i in range(64))


def decay_q30(elapsed: int, tau: int) -> int:
    """exp(-elapsed / tau). Both in the same unit; elapsed 0 or more, tau above 0."""
    power = ((elapsed << _BITS) // tau) * _LOG2_E >> _BITS
    halvings = power >> _BITS
    if halvings > 30:
        return 0
    rest = power & _MASK
    value = _COARSE[rest >> 32] * _FINE[rest >> 24 & 255] >> _BITS
    value -= (value * (rest & 0xFFFFFF) >> _BITS) * _LN2 >> _BITS  # 2^-r = 1 - r ln 2 for what is left, below 2^-16
    return value >> (_BITS - 30 + halvings)


def ln_ppm(value: int, unit: int = 1) -> int:
    """ln(value / unit) in millionths, for positive integers below 10^15."""
    return (_ln(value) - _ln_of_unit(unit)) * PPM >> _BITS


@lru_cache(maxsize=16)
def _ln_of_unit(unit: int) -> int:
    return _ln(unit)


def _ln(value: int) -> int:
    bits = value.bit_length() - 1
    mantissa = value << (_BITS - bits) if bits <= _BITS else value >> (bits - _BITS)
    index = (mantissa - _ONE) >> (_BITS - _LN_BITS)
    base = _ONE + (index << (_BITS - _LN_BITS))
    r = ((mantissa - base) << _BITS) // base  # below 2^-6: the fifth power no longer matters
    square = r * r >> _BITS
    cube = square * r >> _BITS
    series = r - square // 2 + cube // 3 - (cube * r >> _BITS) // 4
    return bits * _LN2 + _LOGS[index] + series


def normal_ppm(z_ppm: int) -> int:
    """The chance that a standard normal variable is below z (Abramowitz and Stegun 26.2.17)."""
    z = abs(z_ppm)
    if z >= 6 * PPM:
        return PPM if z_ppm > 0 else 0
    t = PPM**3 // (PPM**2 + 231_642 * z)  # 1 / (1 + 0.2316419 z), in millionths of a unit
    polynomial = 0
    for term in (1_330_274_429, -1_821_255_978, 1_781_477_937, -356_563_782, 319_381_530):  # times 10^-9
        polynomial = (polynomial + term) * t // PPM
    density = 398_942_280 * decay_q30(z * z, 2 * PPM * PPM) >> 30  # exp(-z^2 / 2) / sqrt(2 pi), times 10^-9
    tail = polynomial * density // 10**12
    return tail if z_ppm < 0 else PPM - tail
