"""The table of estimates, from samples: a cell for each method and horizon.

The mean is a least-squares sum of the features, the two ends of the interval are quantile sums, the chances are
probits. Each end is then moved so that it misses as many samples as it should: a tenth on either side. Where outcomes
pile up in one place (a limit at the mid that is filled at once always gains half the spread, taking a deep offer costs
what it costs) one end misses fewer than a tenth whatever it is; then the other may miss more, so that four in five are
inside. Only what is observable goes in; nothing knows the name of a market.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Final

from fsm_exec.core.costs.estimate_table import TABLE_VERSION, EstimateCell, EstimateTable, MethodTable, Range, Weights
from fsm_exec.core.costs.market_features import FEATURES
from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import PPM
from fsm_exec.lab.estimation.regression import Row, dot, fit_chance, fit_mean, fit_quantile
from fsm_exec.lab.estimation.samples import Sample, SampleSet

EXECUTIONS_MIN: Final = 100  # in a cell: fewer say nothing about a tenth of them
MISSED: Final = 0.2  # of outcomes outside of the interval
NEARLY: Final = 0.01
CENT_E5: Final = 1_000
UNITS: Final = {"taking": CENT_E5, "half": CENT_E5, "unrest": CENT_E5, "size": PPM, "pace": PPM, "room": PPM}
"""What is about one of each feature."""


def fit_table(found: SampleSet, fitted_on: date) -> EstimateTable:
    """Fit all methods at all horizons of which there are enough. Raises UserError if there are none."""
    methods = fit_methods(found.samples)
    if not methods:
        raise UserError(
            f"no method has {EXECUTIONS_MIN} executions of one horizon; measure more of them with fsm-exec compare"
        )
    return EstimateTable(
        version=TABLE_VERSION,
        fitted_on=fitted_on,
        features=FEATURES,
        conditions=found.conditions,
        sources=found.sources,
        methods=methods,
    )


def fit_methods(samples: Iterable[Sample]) -> dict[str, MethodTable]:
    """Return the table of each method that has a cell. Raises UserError for one whose name means two things."""
    by_method: dict[str, dict[int, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    for sample in samples:
        by_method[sample.method][sample.horizon_us].append(sample)
    found: dict[str, MethodTable] = {}
    for name, by_horizon in sorted(by_method.items()):
        enough = {horizon: cell for horizon, cell in sorted(by_horizon.items()) if len(cell) >= EXECUTIONS_MIN}
        used = [sample for cell in enough.values() for sample in cell]
        if used:
            found[name] = MethodTable(
                settings=_only(name, {sample.settings for sample in used}),
                quantity_e2=_range(sample.quantity_e2 for sample in used),
                spread_e4=_range(sample.spread_e4 for sample in used),
                mid_e5=_range(sample.mid_e5 for sample in used),
                room_e4=_range(sample.room_e4 for sample in used),
                cells=tuple(_fit_cell(horizon, cell) for horizon, cell in enough.items()),
            )
    return found


def _only(name: str, settings: set[str]) -> str:
    if len(settings) > 1:
        raise UserError(f"method {name} is not the same method everywhere; fit its executions apart")
    return settings.pop()


def _range(values: Iterable[int]) -> Range:
    known = list(values)
    return Range(min(known), max(known))


def _fit_cell(horizon_us: int, samples: Sequence[Sample]) -> EstimateCell:
    rows = [feature_row(sample) for sample in samples]
    costs = [sample.cost_e5 / CENT_E5 for sample in samples]
    low, high = _fit_interval(rows, costs)

    def chance(of: Callable[[Sample], float]) -> Weights:
        return _weights(fit_chance(rows, [of(sample) for sample in samples]), PPM)

    return EstimateCell(
        horizon_us=horizon_us,
        executions=len(samples),
        cost=_weights(fit_mean(rows, costs), CENT_E5),
        low=_weights(low, CENT_E5, math.floor),
        high=_weights(high, CENT_E5, math.ceil),
        filled=chance(lambda sample: sample.filled_ppm / PPM),
        complete=chance(lambda sample: sample.complete),
        resting=chance(lambda sample: sample.resting),
    )


def feature_row(sample: Sample) -> Row:
    """Return 1 and the features, each in its unit."""
    values = zip(FEATURES, sample.features.values, strict=True)
    return (1.0, *(value / UNITS[name] for name, value in values))


def _fit_interval(rows: Sequence[Row], costs: Sequence[float]) -> tuple[list[float], list[float]]:
    tail = MISSED / 2
    low, below = _lower_end(rows, costs, tail)
    high, above = _upper_end(rows, costs, tail)
    if below + above < MISSED - NEARLY:
        if below < above:
            high, _ = _upper_end(rows, costs, MISSED - below, high)
        else:
            low, _ = _lower_end(rows, costs, MISSED - above, low)
    return low, high


def _upper_end(
    rows: Sequence[Row], costs: Sequence[float], missed: float, start: Sequence[float] | None = None
) -> tuple[list[float], float]:
    """Return the weights, and the share above: at most `missed`."""
    weights = fit_quantile(rows, costs, 1 - missed, start)
    off = sorted(cost - dot(weights, row) for row, cost in zip(rows, costs, strict=True))
    reach = off[-1 - math.floor(missed * len(off))] + 1 / CENT_E5
    weights[0] += reach
    return weights, sum(each > reach for each in off) / len(off)


def _lower_end(
    rows: Sequence[Row], costs: Sequence[float], missed: float, start: Sequence[float] | None = None
) -> tuple[list[float], float]:
    turned = None if start is None else [-weight for weight in start]
    weights, below = _upper_end(rows, [-cost for cost in costs], missed, turned)
    return [-weight for weight in weights], below


def _weights(found: Sequence[float], unit: int, constant: Callable[[float], int] = round) -> Weights:
    """Turn weights of scaled features into those of a table, whose value is in `unit`ths."""
    scaled = zip(FEATURES, found[1:], strict=True)
    return Weights(
        constant(found[0] * unit), tuple(round(weight * unit * PPM / UNITS[name]) for name, weight in scaled)
    )
