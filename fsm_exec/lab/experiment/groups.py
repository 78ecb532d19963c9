"""The episodes that a figure is of: those of a product, of all products together, or of one tape.

A product is a series of markets, read off the ticker (KXGOLD15M of KXGOLD15M-26AUG101815-15). Within a product every
episode weighs the same, whichever tape it is of; of all together every product weighs the same, however many episodes
it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from fsm_exec.core.values.units import US_PER_S, CountE2, format_count
from fsm_exec.lab.experiment.results import EpisodeKey, EpisodeResult
from fsm_exec.lab.experiment.tapes import NamedTape
from fsm_exec.lab.products import ALL_PRODUCTS, ALL_TAPES


class Scope(NamedTuple):
    """Which cells there are: what a comparison says does not depend on how its episodes were chosen. `products`: the
    series of each tape; `each_tape` asks for cells of each tape alone as well."""

    products: Mapping[str, str]
    methods: tuple[str, ...]
    baseline: str
    quantities_e2: tuple[CountE2, ...]
    horizons_us: tuple[int, ...]
    each_tape: bool = False

    @property
    def series(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.products.values())))


class Group(NamedTuple):
    """The episodes of one part, quantity and horizon. `product` is a series, or ALL_PRODUCTS; `tape` the only one of
    the part, or ALL_TAPES. `by_product`: the episodes of each series in it."""

    product: str
    tape: str
    quantity_e2: CountE2
    horizon_us: int
    by_product: dict[str, list[EpisodeResult]]

    @property
    def episodes(self) -> list[EpisodeResult]:
        return [episode for episodes in self.by_product.values() for episode in episodes]

    @property
    def quantity(self) -> str:
        return format_count(self.quantity_e2).removesuffix(".00")

    @property
    def horizon_s(self) -> int:
        return self.horizon_us // US_PER_S

    @property
    def product_of(self) -> dict[EpisodeKey, str]:
        return {e.key: product for product, episodes in self.by_product.items() for e in episodes}

    def pooled(self, figure: Callable[[EpisodeResult], int]) -> Fraction:
        """The mean of an exact figure of its episodes, as the module weighs them."""
        means = [Fraction(sum(map(figure, episodes)), len(episodes)) for episodes in self.by_product.values()]
        return sum(means, Fraction(0)) / len(means)

    def weighted(self, figure: Callable[[EpisodeResult], float]) -> list[tuple[float, float]]:
        """The figure of each episode with its weight."""
        return [(figure(e), 1 / len(episodes)) for episodes in self.by_product.values() for e in episodes]

    def part(self, sort: Callable[[EpisodeResult], str], wanted: str) -> Group:
        """Those of its episodes that `sort` calls so; there may be none."""
        kept = {product: [e for e in episodes if sort(e) == wanted] for product, episodes in self.by_product.items()}
        return self._replace(by_product={product: episodes for product, episodes in kept.items() if episodes})


def products_of(tapes: Iterable[NamedTape]) -> dict[str, str]:
    """The series of each tape, by the tape's name."""
    return {name: tape.header.series for name, tape in tapes}


def groups_of(scope: Scope, episodes: Sequence[EpisodeResult]) -> list[Group]:
    """Those of the scope that have episodes: each product, then all together, then each tape if that was asked for."""
    found = []
    for product, tapes in _parts(scope):
        for quantity_e2 in scope.quantities_e2:
            for horizon_us in scope.horizons_us:
                by_product: dict[str, list[EpisodeResult]] = {}
                for e in episodes:
                    if e.key.tape in tapes and (e.key.quantity_e2, e.key.horizon_us) == (quantity_e2, horizon_us):
                        by_product.setdefault(scope.products[e.key.tape], []).append(e)
                if by_product:
                    ordered = {series: by_product[series] for series in sorted(by_product)}
                    tape = tapes[0] if len(tapes) == 1 else ALL_TAPES
                    found.append(Group(product, tape, quantity_e2, horizon_us, ordered))
    return found


def _parts(scope: Scope) -> list[tuple[str, list[str]]]:
    """Each part as its product and its tapes; a product of a single tape is not said twice."""
    of_product = {series: [tape for tape, own in scope.products.items() if own == series] for series in scope.series}
    parts = list(of_product.items())
    if len(of_product) > 1:
        parts.append((ALL_PRODUCTS, list(scope.products)))
    if scope.each_tape:
        parts += [(series, [tape]) for series, tapes in of_product.items() if len(tapes) > 1 for tape in tapes]
    return parts
