"""Student's distribution, for intervals and p-values of few blocks. The standard library has only the normal's."""

from __future__ import annotations

import math
from statistics import NormalDist


def student_quantile(share: float, freedom: int) -> float:
    """Student's quantile from the normal's (Hill 1970's expansion in 1 / freedom): right to a thousandth from three
    degrees of freedom on for the levels used here; one and two are exact."""
    if freedom == 1:
        return math.tan(math.pi * (share - 0.5))
    if freedom == 2:
        return (2 * share - 1) * math.sqrt(2 / (4 * share * (1 - share)))
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, start=1))


def student_share(value: float, freedom: int) -> float:
    """How probable a draw of Student's distribution below `value` is: exact for whole degrees of freedom (Abramowitz
    and Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan(value / math.sqrt(freedom))
    cosine = math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0 if freedom == 1 else term
    for power in range(2 + odd, freedom - 1, 2):
        term *= (power - 1) / power * cosine**2
        total += term
    within = 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
    return (1 + within) / 2
