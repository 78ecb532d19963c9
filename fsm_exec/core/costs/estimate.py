"""What an order is likely to cost, and how likely it is to be filled, told before it is given.

Each method has a table fitted by the lab (`core/costs/estimate_table.py`): for a few horizons the expected cost, the
two ends of an interval that holds 80 % of outcomes, and chances of filling, each a weighted sum of what the market
shows at the moment. Between two horizons the answers of both are weighed. Outside of what was fitted there is no
answer, and a word says why.

Everything is in the outcome that is bought. A cost is the shortfall of `core/costs/metrics.py`: all that is paid, fees
and completion at the deadline included, less the mid at arrival, per contract of the target; positive = cost.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import Final, Literal, TypeAlias

import msgspec

from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.costs.estimate_table import EstimateCell, EstimateTable, MethodTable, Weights
from fsm_exec.core.costs.market_features import MarketFeatures, Missing, market_features
from fsm_exec.core.market.book import sweep
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.values.fixed_point import normal_ppm
from fsm_exec.core.values.units import CountE2, MoneyE6, PriceE4

INTERVAL_PERCENT: Final = 80

NoBasis: TypeAlias = Literal["method", "book", "observation", "horizon", "quantity", "spread", "price", "limit"]
"""Why there is no estimate: the method is not in the table; the book is one-sided or not live; the market has not been
observed for long enough; the horizon, quantity, spread, price of the market or room up to the limit lies outside of
what was fitted."""


class TakingCost(msgspec.Struct, frozen=True, kw_only=True):
    """What taking would cost now: `count_e2` contracts are on offer up to the limit, of those that are wanted; they
    cost `cost_e6` with fees, `fee_e6` of it; `above_mid_e5` is what that is above the mid, per contract (None without
    a mid, or where nothing is on offer)."""

    count_e2: CountE2
    cost_e6: MoneyE6
    fee_e6: MoneyE6
    above_mid_e5: int | None


class MethodEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """What one method is likely to make of an order. Where `no_basis` says why, nothing else is known.

    `cost_e5` is expected per contract, in 10^-5 dollars (1,000 are a cent), positive = cost; `low_e5` to `high_e5`
    holds 80 % of outcomes: where few of them are very dear, the mean of all may lie beyond it. `filled_ppm` is the
    share expected to be filled by the end, `complete_ppm` the chance that all is, `resting_ppm` that all is before the
    closing leg takes what is left. `executions`: how many the answer rests on.
    """

    method: str
    no_basis: NoBasis | None = None
    cost_e5: int | None = None
    low_e5: int | None = None
    high_e5: int | None = None
    filled_ppm: int | None = None
    complete_ppm: int | None = None
    resting_ppm: int | None = None
    executions: int = 0


class ProposedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked about: so many contracts, within the horizon, at `worst_e4` each at most, before fees."""

    quantity_e2: CountE2
    horizon_us: int
    worst_e4: PriceE4


def taking_cost(view: MarketView, fees: FeeTerms, quantity_e2: CountE2, worst_e4: PriceE4) -> TakingCost:
    """Sweep the offers of the view up to `worst_e4`. Nothing is on offer in a book that is not live."""
    asks = tuple(level for level in view.asks if level[0] <= worst_e4) if view.feed == "live" else ()
    takes, left = sweep(asks, quantity_e2)
    fee = MoneyE6(sum(fees.model_fee(price, size, taker=True) for price, size in takes))
    cost = MoneyE6(sum(price * size for price, size in takes) + fee)
    count = CountE2(quantity_e2 - left)
    mid = view.trusted_mid_e5
    above = None if mid is None or not count else cost * 10 // count - mid
    return TakingCost(count_e2=count, cost_e6=cost, fee_e6=fee, above_mid_e5=above)


def estimate(
    view: MarketView, fees: FeeTerms, order: ProposedOrder, methods: Iterable[str], table: EstimateTable
) -> tuple[MethodEstimate, ...]:
    """Return one estimate for each of `methods` (full names, NAME@VERSION), in their order. `view` is the market in
    the outcome to be bought, with its signals: a market must have been watched for a minute."""
    features = market_features(view, fees, order.quantity_e2, order.worst_e4) if order.quantity_e2 > 0 else None
    return tuple(_of_method(name, table.methods.get(name), view, features, order) for name in methods)


def _of_method(
    name: str,
    method: MethodTable | None,
    view: MarketView,
    features: MarketFeatures | Missing | None,
    order: ProposedOrder,
) -> MethodEstimate:
    if method is None:
        return MethodEstimate(method=name, no_basis="method")
    if features is None:
        return MethodEstimate(method=name, no_basis="quantity")
    if not isinstance(features, MarketFeatures):
        return MethodEstimate(method=name, no_basis=features)
    outside = _outside(method, view, order)
    if outside is not None:
        return MethodEstimate(method=name, no_basis=outside)
    return weigh_features(name, method, features, order.horizon_us)


def _outside(method: MethodTable, view: MarketView, order: ProposedOrder) -> NoBasis | None:
    """Name what about the order or the market the fit never met."""
    mid = view.trusted_mid_e5
    if mid is None:
        return "book"
    if not method.cells[0].horizon_us <= order.horizon_us <= method.cells[-1].horizon_us:
        return "horizon"
    if not method.quantity_e2.holds(order.quantity_e2):
        return "quantity"
    if not method.spread_e4.holds(view.asks[0][0] - view.bids[0][0]):
        return "spread"
    if not method.mid_e5.holds(mid):
        return "price"
    if not method.room_e4.holds(order.worst_e4 - mid // 10):
        return "limit"
    return None


def weigh_features(name: str, method: MethodTable, features: MarketFeatures, horizon_us: int) -> MethodEstimate:
    """Weigh the answers of the two fitted horizons around this one, which must lie between the first and the last."""
    cells, values = method.cells, features.values
    after = bisect_left(cells, horizon_us, key=lambda cell: cell.horizon_us)
    later = cells[after]
    earlier = later if later.horizon_us == horizon_us else cells[after - 1]
    span = max(1, later.horizon_us - earlier.horizon_us)
    share = horizon_us - earlier.horizon_us if later is not earlier else span

    def between(first: int, second: int) -> int:
        return first + (second - first) * share // span

    def cost(pick: Callable[[EstimateCell], Weights]) -> int:
        return between(pick(earlier).value(values), pick(later).value(values))

    def chance(pick: Callable[[EstimateCell], Weights]) -> int:
        return between(*(normal_ppm(pick(cell).value(values)) for cell in (earlier, later)))

    low, high = sorted((cost(lambda cell: cell.low), cost(lambda cell: cell.high)))
    complete = chance(lambda cell: cell.complete)
    return MethodEstimate(
        method=name,
        cost_e5=cost(lambda cell: cell.cost),
        low_e5=low,
        high_e5=high,
        filled_ppm=max(complete, chance(lambda cell: cell.filled)),
        complete_ppm=complete,
        resting_ppm=min(complete, chance(lambda cell: cell.resting)),
        executions=min(earlier.executions, later.executions),
    )
