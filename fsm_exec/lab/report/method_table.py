"""The table a trading desk would show of a database: one row for each method, and for each of its liquidity buckets.

Costs are totals in 10^-7 dollars over what was asked for, so big executions count for more, and the parts of the
shortfall add up to it; an execution whose cost is not known is left out of them and counted. Executions that their
owner ended say nothing about a method and are kept out. Nothing that is unknown is taken for zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from fsm_exec.core.costs.rows import MetricsRow
from fsm_exec.core.values.units import US_PER_S, CountE2, PriceE4, PriceGrid, parse_count, parse_price
from fsm_exec.lab.blocks import Block, BlockId, number_blocks
from fsm_exec.lab.distribution import weigh_alike
from fsm_exec.lab.report.quantiles import Spread, spread
from fsm_exec.lab.review import BY_OWNER
from fsm_exec.lab.statistics import Estimate, estimate
from fsm_exec.store.reads.report_queries import Markout, WorkedExecution

ENDED: Final = ("filled", "cancelled")
PARTS: Final = ("delay", "spread", "drift", "fees", "opportunity", "over_fill", "liquidity_reward", "volume_reward")
MARKOUTS_S: Final = (1, 5, 30, 300)
E7_OF_CENTS_E2: Final = 1_000  # 10^-7 dollars over hundredths of a contract: divided by this, cents per contract
BUNDLES: Final = 200  # more blocks than this are drawn in bundles: as independent, and a bootstrap of seconds
TICKS_MAX: Final = 4
UNKNOWN: Final = "unknown"


class Scored(NamedTuple):
    """An ended execution that counts."""

    worked: WorkedExecution
    metrics: MetricsRow

    @property
    def cost(self) -> Decimal | None:
        """All-in, estimated rewards taken off, cents per contract."""
        total = self.metrics.cost_e7
        return None if total is None else cents(total, self.worked.target_e2)


class MethodTableRow(NamedTuple):
    """Cents per contract of what was asked for, but for `arrival` (paid above the mid at arrival) and `markouts`
    (gains, by seconds), which are per contract filled. Fills and `maker_share` are shares. `first_fill_s` and
    `full_fill_s`: when half of the executions have got there (Kaplan and Meier: who ended without it counts until
    then); None: not half. None elsewhere: nothing is known. `estimate` is of the shortfall, in cents."""

    method: str
    bucket: str
    executions: int
    unpriced: int
    asked_e2: int
    fill_by_order: Decimal
    fill_by_quantity: Decimal
    arrival: Decimal | None
    parts: dict[str, Decimal]
    estimate: Estimate | None
    costs: Spread | None
    markouts: dict[int, Decimal]
    markouts_missing: int
    maker_share: Decimal | None
    first_fill_s: int | None
    full_fill_s: int | None
    writes: Decimal | None
    walks: Decimal


def score_executions(executions: Iterable[WorkedExecution], *, with_rewards: bool = True) -> list[Scored]:
    """Those that have ended by themselves and been reckoned, with what programmes pay or as if there were none."""
    return [
        Scored(e, e.metrics if with_rewards else e.metrics.without_rewards())
        for e in executions
        if e.metrics is not None and e.state in ENDED and e.reason not in BY_OWNER
    ]


def method_rows(
    members: Sequence[Scored],
    markouts: Mapping[tuple[str, int], Markout],
    sort: Callable[[Scored], str] | None = None,
) -> list[MethodTableRow]:
    """A row for each method, and within it for each of the buckets that `sort` names; in the order of their names."""
    groups: dict[tuple[str, str], list[Scored]] = defaultdict(list)
    for one in members:
        groups[one.worked.method, "all" if sort is None else sort(one)].append(one)
    return [_row(method, bucket, groups[method, bucket], markouts) for method, bucket in sorted(groups)]


def by_touch(one: Scored) -> str:
    """The quantity over what was offered at the best ask at arrival."""
    if one.metrics.arrival_ask_size is None:
        return UNKNOWN
    quantity, touch = one.worked.target_e2, parse_count(one.metrics.arrival_ask_size)
    if 2 * quantity < touch:
        return "below 0.5"
    return "from 0.5 to 2" if quantity <= 2 * touch else "over 2"


def by_spread(grids: Mapping[str, PriceGrid]) -> Callable[[Scored], str]:
    """The spread at arrival in ticks of the market's own grid."""

    def sort(one: Scored) -> str:
        bid, ask, grid = one.metrics.arrival_bid, one.metrics.arrival_ask, grids.get(one.worked.ticker)
        if bid is None or ask is None or grid is None:
            return UNKNOWN
        found = ticks(grid.seen_from(one.worked.outcome), parse_price(bid), parse_price(ask))
        return "1 tick" if found <= 1 else "2 to 3 ticks" if found < TICKS_MAX else "4 ticks or more"

    return sort


def ticks(grid: PriceGrid, bid: PriceE4, ask: PriceE4) -> int:
    """Steps of the grid from the bid up to the ask; `TICKS_MAX` stands for more as well."""
    count, price = 0, ask
    while price > bid and count < TICKS_MAX:
        count += 1
        lower = grid.floor(price - 1)
        if lower is None:
            break
        price = lower
    return count


def cents(total_e7: int, count_e2: int) -> Decimal:
    """A total over a count as cents per contract."""
    return Decimal(total_e7) / (count_e2 * E7_OF_CENTS_E2)


def half_reached(times: Iterable[tuple[int, bool]]) -> int | None:
    """From (seconds, whether it happened then or was only watched until then): when it has happened to half of them,
    by Kaplan and Meier; None if it has not."""
    at_risk, alive = 0, Decimal(1)
    by_time: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for seconds, happened in times:
        by_time[seconds][0] += happened
        by_time[seconds][1] += 1
        at_risk += 1
    for seconds in sorted(by_time):
        happened_now, left_now = by_time[seconds]
        alive *= 1 - Decimal(happened_now) / at_risk
        if 2 * alive <= 1:
            return seconds
        at_risk -= left_now
    return None


def _row(
    method: str, bucket: str, members: Sequence[Scored], markouts: Mapping[tuple[str, int], Markout]
) -> MethodTableRow:
    asked_e2 = sum(one.worked.target_e2 for one in members)
    fills = [parse_count(one.metrics.filled_quantity) for one in members]
    shares = [Decimal(filled) / one.worked.target_e2 for filled, one in zip(fills, members, strict=True)]
    priced = [one for one in members if one.metrics.shortfall_e7 is not None]
    priced_e2 = sum(one.worked.target_e2 for one in priced)
    parts = {
        name: cents(sum(getattr(one.metrics, f"{name}_e7") or 0 for one in priced), priced_e2)
        for name in PARTS
        if priced
    }
    gains, missing = _markouts(members, markouts)
    writes = [known for one in members if (known := _writes(one.metrics)) is not None]
    return MethodTableRow(
        method=method,
        bucket=bucket,
        executions=len(members),
        unpriced=len(members) - len(priced),
        asked_e2=asked_e2,
        fill_by_order=sum(shares, Decimal(0)) / len(shares),
        fill_by_quantity=Decimal(sum(fills)) / asked_e2,
        arrival=_weighted([(m.arrival_slippage, filled) for (_, m), filled in zip(members, fills, strict=True)], 100),
        parts=parts,
        estimate=_estimate(priced) if priced else None,
        costs=spread(weigh_alike(float(cost) for one in priced if (cost := one.cost) is not None)) if priced else None,
        markouts=gains,
        markouts_missing=missing,
        maker_share=_weighted([(m.maker_share, filled) for (_, m), filled in zip(members, fills, strict=True)], 1),
        first_fill_s=half_reached(_times(members, "time_to_first_fill")),
        full_fill_s=half_reached(_times(members, "time_to_full_fill")),
        writes=Decimal(sum(writes)) / len(writes) if writes else None,
        walks=Decimal(sum(m.walks_executed for _, m in members)) / len(members),
    )


def _estimate(priced: Sequence[Scored]) -> Estimate:
    """Estimate the mean cost in cents from blocks (`lab.blocks`), weighted by quantity."""
    numbered = number_blocks((one.worked.ticker, one.worked.accepted_us) for one in priced)
    blocks: dict[BlockId, list[int]] = defaultdict(lambda: [0, 0])
    for one in priced:
        total = blocks[numbered[one.worked.ticker, one.worked.accepted_us]]
        total[0] += one.metrics.cost_e7 or 0
        total[1] += one.worked.target_e2
    bundles = [[0, 0] for _ in range(min(BUNDLES, len(blocks)))]
    for number, block in enumerate(sorted(blocks, key=lambda each: (str(each.market), each.number))):
        cost_e7, asked_e2 = blocks[block]
        bundles[number % BUNDLES][0] += cost_e7
        bundles[number % BUNDLES][1] += asked_e2
    return estimate([Block(cost_e7 / E7_OF_CENTS_E2, asked_e2) for cost_e7, asked_e2 in bundles])


def _markouts(members: Sequence[Scored], markouts: Mapping[tuple[str, int], Markout]) -> tuple[dict[int, Decimal], int]:
    """The gains by horizon, where any is known; and of how many executions one is missing somewhere."""
    gains: dict[int, Decimal] = {}
    missing: set[str] = set()
    for horizon in MARKOUTS_S:
        gain_e7 = count_e2 = 0
        for one in members:
            found = markouts.get((one.worked.execution_id, horizon))
            if found is None:
                if parse_count(one.metrics.filled_quantity):
                    missing.add(one.worked.execution_id)
                continue
            gain_e7, count_e2 = gain_e7 + found.gain_e7, count_e2 + found.count_e2
            if found.missing_e2:
                missing.add(one.worked.execution_id)
        if count_e2:
            gains[horizon] = cents(gain_e7, count_e2)
    return gains, len(missing)


def _weighted(values: Iterable[tuple[str | None, CountE2]], scale: int) -> Decimal | None:
    known = [(Decimal(text), count) for text, count in values if text is not None]
    total = sum(count for _, count in known)
    return scale * sum((value * count for value, count in known), Decimal(0)) / total if total else None


def _writes(metrics: MetricsRow) -> int | None:
    """None if one of the counts is not known: a part is not the whole."""
    creates, amends, cancels = metrics.creates, metrics.amends, metrics.cancels
    return None if creates is None or amends is None or cancels is None else creates + amends + cancels


def _times(members: Sequence[Scored], name: str) -> Iterable[tuple[int, bool]]:
    for worked, metrics in members:
        reached: int | None = getattr(metrics, name)
        watched = max(0, worked.updated_us - worked.accepted_us) // US_PER_S
        yield (watched, False) if reached is None else (reached, True)
