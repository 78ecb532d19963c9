"""The liquidity of a book: depth, levels, spread and concentration as in the reference design; depth by distance."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from fsm_exec.core.market.book import Ladder
from fsm_exec.core.values.units import CountE2, PriceE4, complement, rounded_ratio


class Liquidity(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a whole book, as bids for either outcome. Concentration: the share of a side that stands at its
    best price. None where a side, or both for the spread, are needed and empty."""

    yes_total_e2: CountE2
    no_total_e2: CountE2
    yes_levels: int
    no_levels: int
    yes_concentration: Decimal | None
    no_concentration: Decimal | None
    spread_e4: int | None


def measure_liquidity(yes: Ladder, no: Ladder) -> Liquidity:
    """`yes` and `no` are bids of the two outcomes, best first."""
    yes_total, no_total = (CountE2(sum(count for _, count in side)) for side in (yes, no))
    return Liquidity(
        yes_total_e2=yes_total,
        no_total_e2=no_total,
        yes_levels=len(yes),
        no_levels=len(no),
        yes_concentration=rounded_ratio(yes[0][1], yes_total, 6) if yes else None,
        no_concentration=rounded_ratio(no[0][1], no_total, 6) if no else None,
        spread_e4=complement(no[0][0]) - yes[0][0] if yes and no else None,
    )


def depth_within(ladder: Ladder, distance_e4: int, *, cut_at: int) -> CountE2 | None:
    """What stands at the best price and less than the distance behind it, of either kind of ladder. None where the
    ladder was cut to `cut_at` levels and may have held more so near; 0 for an empty one."""
    if not ladder:
        return CountE2(0)
    best: PriceE4 = ladder[0][0]
    near = [count for price, count in ladder if abs(price - best) < distance_e4]
    return None if len(near) == cut_at else CountE2(sum(near))
