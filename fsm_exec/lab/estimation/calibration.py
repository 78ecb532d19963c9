"""How well estimates hold on executions they were not fitted on.

Held out: the tapes are dealt into at most ten hands, and the executions of each hand are estimated by a table fitted on
all the others: never a moment of the same tape, which is a day of the recorded index and a whole window of gold. A
table that is given beside is judged on those sources only that it does not name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from fsm_exec.core.costs.estimate import MethodEstimate, weigh_features
from fsm_exec.core.costs.estimate_table import EstimateTable, MethodTable
from fsm_exec.core.values.units import PPM, US_PER_S
from fsm_exec.lab.estimation.fitting import CENT_E5, fit_methods
from fsm_exec.lab.estimation.samples import Sample, SampleSet

HANDS: Final = 10
ALL: Final = "all"


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """The executions of one product (or of `ALL`) under one method: of one horizon, or of all (`horizon_s` None).

    `inside`, `below` and `above` are shares of outcomes; the widths and errors are cents per contract, an error being
    what was estimated less what came. A skill is 1 - Brier score / that of a forecast which always says the product's
    own rate in these very executions (None where that never errs): above zero is better than
    knowing that rate."""

    product: str
    method: str
    horizon_s: int | None
    executions: int
    sources: int
    inside: float
    below: float
    above: float
    width: float
    error: float
    absolute_error: float
    complete_said: float
    complete: float
    complete_skill: float | None
    resting_said: float
    resting: float
    resting_skill: float | None


class Judged(NamedTuple):
    """An execution beside what was said of it."""

    sample: Sample
    estimate: MethodEstimate


def judge_held_out(samples: Sequence[Sample]) -> list[Judged]:
    """Estimate each sample by the others' tapes. Those for whose method or horizon too few are left are not judged."""
    hands = {source: number % HANDS for number, source in enumerate(sorted({sample.source for sample in samples}))}
    judged: list[Judged] = []
    for hand in range(min(HANDS, len(hands))):
        methods = fit_methods(sample for sample in samples if hands[sample.source] != hand)
        judged += _judge((sample for sample in samples if hands[sample.source] == hand), methods)
    return judged


def judge_table(found: SampleSet, table: EstimateTable) -> list[Judged]:
    """Estimate by `table` what it was not fitted on."""
    known = {source.fingerprint for source in table.sources}
    fresh = {source.name for source in found.sources if source.fingerprint not in known}
    return list(_judge((sample for sample in found.samples if sample.source in fresh), table.methods))


def _judge(samples: Iterable[Sample], methods: Mapping[str, MethodTable]) -> Iterator[Judged]:
    for sample in samples:
        method = methods.get(sample.method)
        if method is not None and method.cells[0].horizon_us <= sample.horizon_us <= method.cells[-1].horizon_us:
            yield Judged(sample, weigh_features(sample.method, method, sample.features, sample.horizon_us))


def calibrations(judged: Iterable[Judged]) -> list[Calibration]:
    """By product and method: each horizon, and all together where there are several; after them all products."""
    groups: dict[tuple[str, str], dict[int, list[Judged]]] = defaultdict(lambda: defaultdict(list))
    known = list(judged)
    for each in known:
        groups[each.sample.product, each.sample.method][each.sample.horizon_us].append(each)
    if len({each.sample.product for each in known}) > 1:
        for each in known:
            groups[ALL, each.sample.method][each.sample.horizon_us].append(each)
    found: list[Calibration] = []
    for (product, method), by_horizon in sorted(groups.items(), key=lambda item: (item[0][0] == ALL, item[0])):
        for horizon_us, members in sorted(by_horizon.items()):
            found.append(_calibration(product, method, horizon_us // US_PER_S, members))
        if len(by_horizon) > 1:
            together = [each for members in by_horizon.values() for each in members]
            found.append(_calibration(product, method, None, together))
    return found


def _calibration(product: str, method: str, horizon_s: int | None, judged: Sequence[Judged]) -> Calibration:
    number = len(judged)
    below = above = width = error = absolute = 0
    for sample, estimate in judged:
        assert estimate.low_e5 is not None
        assert estimate.high_e5 is not None
        assert estimate.cost_e5 is not None
        below += sample.cost_e5 < estimate.low_e5
        above += sample.cost_e5 > estimate.high_e5
        width += estimate.high_e5 - estimate.low_e5
        error += estimate.cost_e5 - sample.cost_e5
        absolute += abs(estimate.cost_e5 - sample.cost_e5)
    complete = _chance([(each.estimate.complete_ppm or 0, each.sample.complete) for each in judged])
    resting = _chance([(each.estimate.resting_ppm or 0, each.sample.resting) for each in judged])
    return Calibration(
        product=product,
        method=method,
        horizon_s=horizon_s,
        executions=number,
        sources=len({each.sample.source for each in judged}),
        inside=1 - (below + above) / number,
        below=below / number,
        above=above / number,
        width=width / number / CENT_E5,
        error=error / number / CENT_E5,
        absolute_error=absolute / number / CENT_E5,
        complete_said=complete.said,
        complete=complete.rate,
        complete_skill=complete.skill,
        resting_said=resting.said,
        resting=resting.rate,
        resting_skill=resting.skill,
    )


class _Chance(NamedTuple):
    said: float
    rate: float
    skill: float | None


def _chance(pairs: Sequence[tuple[int, bool]]) -> _Chance:
    number = len(pairs)
    said = sum(chance for chance, _ in pairs) / number / PPM
    rate = sum(happened for _, happened in pairs) / number
    score = sum((chance / PPM - happened) ** 2 for chance, happened in pairs) / number
    usual = rate * (1 - rate)
    return _Chance(said, rate, 1 - score / usual if usual else None)
