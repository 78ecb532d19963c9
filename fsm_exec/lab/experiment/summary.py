"""What an experiment says: a cell for each part, quantity, horizon and method, and how sure its difference is.

Costs are the all-in shortfall in cents per contract. Everything is against the baseline on the same episodes; an
episode counts only once every method asked for has worked it, so all methods of a cell are judged by the same ones.
Which episodes make a part, and what they weigh, is in `groups`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import msgspec

from fsm_exec.core.values.units import rounded_ratio
from fsm_exec.lab.distribution import median, quantile, worst_mean
from fsm_exec.lab.experiment.buckets import Bucket, bucket_rows
from fsm_exec.lab.experiment.compare import Field
from fsm_exec.lab.experiment.differences import E7_OF_CENTS_E2, cents, difference, filled_share
from fsm_exec.lab.experiment.fill_shares import FillShares, fill_rows
from fsm_exec.lab.experiment.groups import Group, Scope, groups_of, products_of
from fsm_exec.lab.experiment.results import EpisodeResult, Results
from fsm_exec.lab.figure_texts import decimal_text
from fsm_exec.lab.products import ALL_PRODUCTS, ALL_TAPES
from fsm_exec.lab.statistics import is_non_inferior


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """Decimal strings. `product`: a series, or "all" of them; `tape`: the only one, or "all". Fills are shares of the
    quantity; costs cents per contract: `shortfall` the mean, `cost_*` the quantiles of its episodes and the mean of the
    worst twentieth. `delta` is against the baseline, with its 95 % interval (null: too few blocks); beside the mean
    the median, the mean without a tenth at each end, and the share of blocks in which the method is cheaper (null: of
    the baseline). `autocorrelation` is that of the means of neighbouring blocks (null: too few, or all alike). `bound`
    is the physical limit (without rewards), `gap_closed` the share of the way there from the baseline; `writes`
    creates, amends and cancels an episode; `reward` what programmes are estimated to pay, already taken off the costs.
    `horizon` in seconds."""

    product: str
    tape: str
    quantity: str
    horizon: int
    method: str
    episodes: int
    fill_before_close: str
    fill: str
    shortfall: str
    cost_p5: str
    cost_median: str
    cost_p95: str
    cost_worst: str
    delta: str
    delta_low: str | None
    delta_high: str | None
    delta_median: str
    delta_trimmed: str
    share_better: str | None
    autocorrelation: str | None
    bound: str
    gap_closed: str | None
    writes: str
    reward: str


class Paired(msgspec.Struct, frozen=True, kw_only=True):
    """More about one cell's difference to the baseline. `is_rough`: the interval stands on few blocks; `p_better`: how
    probable it is that the method is cheaper; `p95`: what one difference in twenty exceeds; `variance_ratio`: paired
    over unpaired; `fill_delta*`: of the share filled in the end; `fill_not_worse`: whether a loss of fill above one
    point can be ruled out; `static`: the cost of the best single limit price, known afterwards."""

    product: str
    tape: str
    quantity: str
    horizon: int
    method: str
    blocks: int
    is_rough: bool
    p_better: str | None
    p95: str
    variance_ratio: str | None
    fill_delta: str
    fill_delta_low: str | None
    fill_delta_high: str | None
    fill_not_worse: bool
    static: str


class ComparisonReport(msgspec.Struct, frozen=True, kw_only=True):
    """`unfinished` counts episodes of the plan that not every method has worked yet; `without_trades` names the tapes
    that hold none: what is said of fills on them is all assumed."""

    baseline: str
    unfinished: int
    without_trades: list[str]
    cells: list[Cell]
    paired: list[Paired]
    fills: list[FillShares]
    buckets: list[Bucket]

    def widest(self) -> list[Cell]:
        """The cells over everything: of all products, or of all tapes of the only one."""
        if not self.cells:
            return []
        parts = [(cell.product, cell.tape) for cell in self.cells]
        everything = (ALL_PRODUCTS, ALL_TAPES)
        return [c for c in self.cells if (c.product, c.tape) == (everything if everything in parts else parts[0])]


def build_report(
    field: Field, results: Results, *, with_buckets: bool = False, each_tape: bool = False, with_rewards: bool = True
) -> ComparisonReport:
    """The cells the field's plan asks for, as far as they have been worked; those of no episode are left out.
    `with_rewards`: what programmes are estimated to pay is taken off the costs."""
    plan = field.plan
    names = plan.full_names
    wanted = set(field.episodes())  # more may be stored: of an earlier plan with other starts or sizes
    complete: list[EpisodeResult] = []
    for episode in results.read(names.values(), with_rewards=with_rewards):
        if episode.key in wanted and len(episode.runs) == len(names):
            runs = {name: episode.runs[full] for name, full in names.items()}
            complete.append(msgspec.structs.replace(episode, runs=runs))
    scope = Scope(
        products=products_of(field.named),
        methods=plan.methods,
        baseline=plan.baseline,
        quantities_e2=plan.quantities_e2,
        horizons_us=plan.horizons_us,
        each_tape=each_tape,
    )
    return summarize(
        scope,
        complete,
        unfinished=len(wanted) - len(complete),
        without_trades=[name for name, tape in field.known_tapes().items() if not tape.trades],
        with_buckets=with_buckets,
    )


def summarize(
    scope: Scope,
    episodes: Sequence[EpisodeResult],
    *,
    unfinished: int,
    without_trades: Sequence[str] = (),
    with_buckets: bool,
) -> ComparisonReport:
    """The cells of these episodes, each worked by every method of the scope."""
    groups = groups_of(scope, episodes)
    cells: list[Cell] = []
    paired: list[Paired] = []
    for group in groups:
        for method in scope.methods:
            cell, more = _cell(scope, group, method)
            cells.append(cell)
            if more is not None:
                paired.append(more)
    return ComparisonReport(
        baseline=scope.baseline,
        unfinished=unfinished,
        without_trades=list(without_trades),
        cells=cells,
        paired=paired,
        fills=fill_rows(scope, groups),
        buckets=bucket_rows(scope, groups) if with_buckets else [],
    )


def _cell(scope: Scope, group: Group, method: str) -> tuple[Cell, Paired | None]:
    is_baseline = method == scope.baseline
    cost_e7 = group.pooled(lambda e: e.runs[method].cost_e7)
    base_e7 = group.pooled(lambda e: e.runs[scope.baseline].cost_e7)
    bound_e7 = group.pooled(lambda e: e.bound_e7)
    found = difference(scope, group, method, cents)
    writes = group.pooled(lambda e: e.runs[method].writes)
    costs = group.weighted(lambda e: cents(e, method))
    cell = Cell(
        product=group.product,
        tape=group.tape,
        quantity=group.quantity,
        horizon=group.horizon_s,
        method=method,
        episodes=len(costs),
        fill_before_close=_share(group, lambda e: e.runs[method].before_close_e2),
        fill=_share(group, lambda e: e.runs[method].filled_e2),
        shortfall=_cents_text(group, cost_e7),
        cost_p5=decimal_text(quantile(costs, 0.05)),
        cost_median=decimal_text(median(costs)),
        cost_p95=decimal_text(quantile(costs, 0.95)),
        cost_worst=decimal_text(worst_mean(costs)),
        delta=_cents_text(group, cost_e7 - base_e7),
        delta_low=decimal_text(0 if is_baseline else found.estimate.low),
        delta_high=decimal_text(0 if is_baseline else found.estimate.high),
        delta_median=decimal_text(found.median),
        delta_trimmed=decimal_text(found.trimmed),
        share_better=None if is_baseline else decimal_text(found.share_better),
        autocorrelation=decimal_text(found.autocorrelation),
        bound=_cents_text(group, bound_e7),
        gap_closed=decimal_text((base_e7 - cost_e7) / (base_e7 - bound_e7)) if base_e7 > bound_e7 else None,
        writes=str(rounded_ratio(writes.numerator, writes.denominator, 2)),
        reward=_cents_text(group, group.pooled(lambda e: e.runs[method].shortfall_e7 - e.runs[method].cost_e7)),
    )
    if is_baseline:
        return cell, None
    fill = difference(scope, group, method, filled_share).estimate
    more = Paired(
        product=group.product,
        tape=group.tape,
        quantity=group.quantity,
        horizon=group.horizon_s,
        method=method,
        blocks=found.estimate.blocks,
        is_rough=found.estimate.is_rough,
        p_better=decimal_text(found.estimate.below_zero),
        p95=decimal_text(found.p95),
        variance_ratio=decimal_text(found.variance_ratio),
        fill_delta=decimal_text(fill.mean),
        fill_delta_low=decimal_text(fill.low),
        fill_delta_high=decimal_text(fill.high),
        fill_not_worse=is_non_inferior(fill),
        static=_cents_text(group, group.pooled(lambda e: e.static_e7)),
    )
    return cell, more


def _share(group: Group, count_e2: Callable[[EpisodeResult], int]) -> str:
    """Of the quantity."""
    return decimal_text(group.pooled(count_e2) / group.quantity_e2)


def _cents_text(group: Group, mean_e7: Fraction) -> str:
    """The mean total of an episode as cents per contract."""
    return decimal_text(mean_e7 / (group.quantity_e2 * E7_OF_CENTS_E2))
