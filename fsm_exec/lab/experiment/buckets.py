"""The differences by liquidity at arrival: within buckets of the spread, and of the quantity over the touch."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fsm_exec.lab.experiment.differences import cents, difference
from fsm_exec.lab.experiment.groups import Group, Scope
from fsm_exec.lab.experiment.results import EpisodeResult
from fsm_exec.lab.figure_texts import decimal_text
from fsm_exec.lab.products import ALL_PRODUCTS, ALL_TAPES
from fsm_exec.lab.statistics import holm

SPREAD_BUCKETS = ("below 2c", "2c to below 4c", "4c or more")
TOUCH_BUCKETS = ("under 0.5", "0.5 to 2", "over 2")


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """The difference within a part of a cell's episodes. `p_holm` is adjusted for all buckets of the same kind, over
    the methods and cells."""

    product: str
    tape: str
    quantity: str
    horizon: int
    method: str
    kind: str
    bucket: str
    blocks: int
    is_rough: bool
    episodes: int
    delta: str
    delta_low: str | None
    delta_high: str | None
    p_holm: str | None


def bucket_rows(scope: Scope, groups: Sequence[Group]) -> list[Bucket]:
    """The rows of the widest groups only: parts of parts are too small."""
    widest = ALL_PRODUCTS if len(scope.series) > 1 else scope.series[0]
    found: list[tuple[Bucket, str, float | None]] = []
    for group in groups:
        if group.product != widest or (group.tape != ALL_TAPES and len(scope.products) > 1):
            continue
        for kind, sort, names in (
            ("spread", _spread_bucket, SPREAD_BUCKETS),
            ("quantity/touch", _touch_bucket, TOUCH_BUCKETS),
        ):
            for bucket in names:
                part = group.part(sort, bucket)
                if not part.by_product:
                    continue
                for method in scope.methods:
                    if method == scope.baseline:
                        continue
                    estimate = difference(scope, part, method, cents).estimate
                    row = Bucket(
                        product=group.product,
                        tape=group.tape,
                        quantity=group.quantity,
                        horizon=group.horizon_s,
                        method=method,
                        kind=kind,
                        bucket=bucket,
                        blocks=estimate.blocks,
                        is_rough=estimate.is_rough,
                        episodes=estimate.episodes,
                        delta=decimal_text(estimate.mean),
                        delta_low=decimal_text(estimate.low),
                        delta_high=decimal_text(estimate.high),
                        p_holm=None,
                    )
                    found.append((row, kind, estimate.p_value))
    adjusted: dict[int, float] = {}
    for kind in {kind for _, kind, _ in found}:
        asked = {number: p for number, (_, own, p) in enumerate(found) if own == kind and p is not None}
        adjusted |= holm(asked)
    return [
        msgspec.structs.replace(row, p_holm=decimal_text(adjusted.get(number)))
        for number, (row, _, _) in enumerate(found)
    ]


def _spread_bucket(episode: EpisodeResult) -> str:
    whole_cents = episode.spread_e4 // 100
    return SPREAD_BUCKETS[0 if whole_cents < 2 else 1 if whole_cents < 4 else 2]


def _touch_bucket(episode: EpisodeResult) -> str:
    quantity, touch = episode.key.quantity_e2, episode.touch_e2
    if 2 * quantity < touch:
        return TOUCH_BUCKETS[0]
    return TOUCH_BUCKETS[1 if quantity <= 2 * touch else 2]
