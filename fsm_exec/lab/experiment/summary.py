"""What an experiment says: a cell for each tape, quantity, horizon and method, and how sure its difference is.

Costs are the all-in shortfall in cents per contract. Everything is against the baseline on the same episodes; an
episode counts only once every method asked for has worked it, so all methods of a cell are judged by the same ones.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import msgspec

from fsm_exec.core.values.units import US_PER_S, CountE2, format_count, rounded_ratio
from fsm_exec.lab.experiment.compare import Field, Scope
from fsm_exec.lab.experiment.results import EpisodeKey, EpisodeResult, Results
from fsm_exec.lab.experiment.tapes import ALL_TAPES as ALL_TAPES  # part of what is said here
from fsm_exec.lab.statistics import Comparison, compare, holm, is_non_inferior

SPREAD_BUCKETS = ("below 2c", "2c to below 4c", "4c or more")
TOUCH_BUCKETS = ("under 0.5", "0.5 to 2", "over 2")
BLOCK_US = 900 * US_PER_S  # a quarter of an hour shares its weather
E7_OF_CENTS_E2 = 1_000  # a total in 10^-7 dollars over a count in hundredths: divided by this, cents per contract


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """Decimal strings. Fills are shares of the quantity; `shortfall`, `delta` and `bound` cents per contract, `delta`
    against the baseline with its 95 % interval (null: too few episodes); `gap_closed` the share of the way from the
    baseline to the bound; `writes` creates, amends and cancels an episode. `horizon` in seconds."""

    tape: str
    quantity: str
    horizon: int
    method: str
    episodes: int
    fill_before_close: str
    fill: str
    shortfall: str
    delta: str
    delta_low: str | None
    delta_high: str | None
    bound: str
    gap_closed: str | None
    writes: str


class Paired(msgspec.Struct, frozen=True, kw_only=True):
    """More about one cell's difference to the baseline. `p_better`: how probable it is that the method is cheaper;
    `p95`: what one difference in twenty exceeds; `variance_ratio`: paired over unpaired; `fill_delta*`: of the share
    filled in the end; `fill_not_worse`: whether a loss of fill above one point can be ruled out; `static`: the cost of
    the best single limit price, known afterwards."""

    tape: str
    quantity: str
    horizon: int
    method: str
    blocks: int
    p_better: str | None
    p95: str
    variance_ratio: str | None
    fill_delta: str
    fill_delta_low: str | None
    fill_delta_high: str | None
    fill_not_worse: bool
    static: str


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """The difference within a part of a cell's episodes. `p_holm` is adjusted for all buckets of the same kind, over
    the methods and cells."""

    tape: str
    quantity: str
    horizon: int
    method: str
    kind: str
    bucket: str
    blocks: int
    episodes: int
    delta: str
    delta_low: str | None
    delta_high: str | None
    p_holm: str | None


class ComparisonReport(msgspec.Struct, frozen=True, kw_only=True):
    """`unfinished` counts episodes of the plan that not every method has worked yet."""

    baseline: str
    unfinished: int
    cells: list[Cell]
    paired: list[Paired]
    buckets: list[Bucket]


class Group(NamedTuple):
    """The episodes of one tape, quantity and horizon."""

    tape: str
    quantity_e2: CountE2
    horizon_us: int
    episodes: list[EpisodeResult]  # with their runs by the names the user gave

    @property
    def quantity(self) -> str:
        return format_count(self.quantity_e2).removesuffix(".00")

    @property
    def horizon_s(self) -> int:
        return self.horizon_us // US_PER_S


def build_report(field: Field, results: Results, *, with_buckets: bool = False) -> ComparisonReport:
    """The cells the field's plan asks for, as far as they have been worked; those of no episode are left out."""
    names = field.plan.full_names
    wanted = set(field.episodes())  # more may be stored: of an earlier plan with other starts or sizes
    complete: list[EpisodeResult] = []
    for episode in results.read(names.values()):
        if episode.key in wanted and len(episode.runs) == len(names):
            runs = {name: episode.runs[full] for name, full in names.items()}
            complete.append(msgspec.structs.replace(episode, runs=runs))
    return summarize(field.plan.scope, complete, unfinished=len(wanted) - len(complete), with_buckets=with_buckets)


def summarize(
    scope: Scope, episodes: Sequence[EpisodeResult], *, unfinished: int, with_buckets: bool
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
        cells=cells,
        paired=paired,
        buckets=_buckets(scope, groups) if with_buckets else [],
    )


def groups_of(scope: Scope, episodes: Sequence[EpisodeResult]) -> list[Group]:
    """Group the episodes by tape, and all tapes together if there are several."""
    tapes = [*scope.tapes, ALL_TAPES] if len(scope.tapes) > 1 else list(scope.tapes)
    groups = []
    for tape in tapes:
        for quantity_e2 in scope.quantities_e2:
            for horizon_us in scope.horizons_us:
                members = [
                    e
                    for e in episodes
                    if e.key.quantity_e2 == quantity_e2
                    and e.key.horizon_us == horizon_us
                    and tape in (ALL_TAPES, e.key.tape)
                ]
                if members:
                    groups.append(Group(tape, quantity_e2, horizon_us, members))
    return groups


def _cell(scope: Scope, group: Group, method: str) -> tuple[Cell, Paired | None]:
    episodes = group.episodes
    asked_e2 = len(episodes) * group.quantity_e2
    cost_e7 = sum(e.runs[method].shortfall_e7 for e in episodes)
    base_e7 = sum(e.runs[scope.baseline].shortfall_e7 for e in episodes)
    bound_e7 = sum(e.bound_e7 for e in episodes)
    difference = None if method == scope.baseline else _difference(scope, group, method, _cents)
    estimate = None if difference is None else difference.estimate
    cell = Cell(
        tape=group.tape,
        quantity=group.quantity,
        horizon=group.horizon_s,
        method=method,
        episodes=len(episodes),
        fill_before_close=str(rounded_ratio(sum(e.runs[method].before_close_e2 for e in episodes), asked_e2, 4)),
        fill=str(rounded_ratio(sum(e.runs[method].filled_e2 for e in episodes), asked_e2, 4)),
        shortfall=_cents_text(cost_e7, asked_e2),
        delta=_cents_text(cost_e7 - base_e7, asked_e2),
        delta_low="0.0000" if estimate is None else _text(estimate.low),
        delta_high="0.0000" if estimate is None else _text(estimate.high),
        bound=_cents_text(bound_e7, asked_e2),
        gap_closed=str(rounded_ratio(base_e7 - cost_e7, base_e7 - bound_e7, 4)) if base_e7 > bound_e7 else None,
        writes=str(rounded_ratio(sum(e.runs[method].writes for e in episodes), len(episodes), 2)),
    )
    if difference is None:
        return cell, None
    fill = _difference(scope, group, method, _fill).estimate
    more = Paired(
        tape=group.tape,
        quantity=group.quantity,
        horizon=group.horizon_s,
        method=method,
        blocks=difference.estimate.blocks,
        p_better=_text(difference.estimate.below_zero),
        p95=f"{difference.p95:.4f}",
        variance_ratio=_text(difference.variance_ratio),
        fill_delta=f"{fill.mean:.4f}",
        fill_delta_low=_text(fill.low),
        fill_delta_high=_text(fill.high),
        fill_not_worse=is_non_inferior(fill),
        static=_cents_text(sum(e.static_e7 for e in episodes), asked_e2),
    )
    return cell, more


def _buckets(scope: Scope, groups: Sequence[Group]) -> list[Bucket]:
    """Summarize the buckets of the widest groups only: parts of parts are too small."""
    found: list[tuple[Bucket, str, float | None]] = []
    widest = ALL_TAPES if len(scope.tapes) > 1 else scope.tapes[0]
    for group in groups:
        if group.tape != widest:
            continue
        for kind, sort, names in (
            ("spread", _spread_bucket, SPREAD_BUCKETS),
            ("quantity/touch", _touch_bucket, TOUCH_BUCKETS),
        ):
            for bucket in names:
                part = group._replace(episodes=[e for e in group.episodes if sort(e) == bucket])
                if not part.episodes:
                    continue
                for method in scope.methods:
                    if method == scope.baseline:
                        continue
                    estimate = _difference(scope, part, method, _cents).estimate
                    row = Bucket(
                        tape=group.tape,
                        quantity=group.quantity,
                        horizon=group.horizon_s,
                        method=method,
                        kind=kind,
                        bucket=bucket,
                        blocks=estimate.blocks,
                        episodes=estimate.episodes,
                        delta=f"{estimate.mean:.4f}",
                        delta_low=_text(estimate.low),
                        delta_high=_text(estimate.high),
                        p_holm=None,
                    )
                    found.append((row, kind, estimate.p_value))
    adjusted: dict[int, float] = {}
    for kind in {kind for _, kind, _ in found}:
        asked = {number: p for number, (_, own, p) in enumerate(found) if own == kind and p is not None}
        adjusted |= holm(asked)
    return [
        msgspec.structs.replace(row, p_holm=_text(adjusted.get(number))) for number, (row, _, _) in enumerate(found)
    ]


def _difference(scope: Scope, group: Group, method: str, figure: Callable[[EpisodeResult, str], float]) -> Comparison:
    """Compare the method with the baseline. The draws depend on what is compared and on nothing else."""
    blocks: dict[EpisodeKey, Hashable] = {e.key: (e.key.tape, e.key.at_us // BLOCK_US) for e in group.episodes}
    seed = zlib.crc32(repr((group.tape, group.quantity_e2, group.horizon_us, method, scope.baseline)).encode())
    found = compare(
        {e.key: figure(e, method) for e in group.episodes},
        {e.key: figure(e, scope.baseline) for e in group.episodes},
        blocks,
        seed=seed,
    )
    assert found is not None, "a group without episodes"
    return found


def _cents(episode: EpisodeResult, method: str) -> float:
    return episode.runs[method].shortfall_e7 / (episode.key.quantity_e2 * E7_OF_CENTS_E2)


def _fill(episode: EpisodeResult, method: str) -> float:
    return episode.runs[method].filled_e2 / episode.key.quantity_e2


def _spread_bucket(episode: EpisodeResult) -> str:
    cents = episode.spread_e4 // 100
    return SPREAD_BUCKETS[0 if cents < 2 else 1 if cents < 4 else 2]


def _touch_bucket(episode: EpisodeResult) -> str:
    quantity, touch = episode.key.quantity_e2, episode.touch_e2
    if 2 * quantity < touch:
        return TOUCH_BUCKETS[0]
    return TOUCH_BUCKETS[1 if quantity <= 2 * touch else 2]


def _cents_text(total_e7: int, count_e2: int) -> str:
    return str(rounded_ratio(total_e7, count_e2 * E7_OF_CENTS_E2, 4))


def _text(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"
