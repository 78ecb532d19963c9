"""Searching an algorithm's settings, judged on days the search has not seen.

Every seed draws its own candidates at random from the ranges, the defaults always among them, and every candidate
works the same episodes of all tapes. Within a product (series) every episode weighs the same, and products weigh the
same. Then, for each tape in turn and each seed, the candidate that was cheapest on the
other tapes is taken, and its cost on this one counts: leave one day out. Costs are averaged over the seeds, because one
search alone may be lucky. New settings are offered only if these unseen costs are below those of the defaults, with the
whole 95 % interval; then, and only then, the search is asked for the best on all tapes.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.lab.blocks import number_blocks
from fsm_exec.lab.experiment.compare import Field
from fsm_exec.lab.experiment.differences import cents, filled_share
from fsm_exec.lab.experiment.groups import products_of
from fsm_exec.lab.experiment.methods import resolve, with_settings
from fsm_exec.lab.experiment.results import EpisodeKey, Results
from fsm_exec.lab.figure_texts import decimal_text
from fsm_exec.lab.statistics import Estimate, compare, is_non_inferior


class Range(msgspec.Struct, frozen=True):
    """From where a setting is drawn: evenly, with as many decimals as its bounds were given with."""

    setting: str
    low: Decimal
    high: Decimal
    decimals: int

    def draw(self, rng: random.Random) -> str:
        unit = Decimal(1).scaleb(-self.decimals)
        return str(self.low + rng.randint(0, int((self.high - self.low) / unit)) * unit)


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """`candidates` by seed: names of methods, the defaults first."""

    algorithm: str
    baseline: str
    candidates: dict[int, tuple[str, ...]]

    @property
    def methods(self) -> tuple[str, ...]:
        """All that has to be worked, each once, the baseline first."""
        return tuple(dict.fromkeys([self.baseline, *(name for names in self.candidates.values() for name in names)]))


class Fold(msgspec.Struct, frozen=True, kw_only=True):
    """What one seed chose without having seen one tape, and what it cost there. Cents per contract."""

    held_out: str
    seed: int
    chosen: str
    seen_cost: str
    unseen_cost: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The tuned settings against a method on held-out tapes: cents per contract, shares of the quantity filled."""

    against: str
    episodes: int
    delta: str
    delta_low: str | None
    delta_high: str | None
    fill_delta: str
    fill_not_worse: bool


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """`chosen` is the method to use from now on, null if the defaults stand: the best of all candidates on all tapes.
    Its own cost is nowhere stated, as all tapes were seen in choosing it: `differences` are of what was chosen unseen.
    """

    algorithm: str
    folds: list[Fold]
    differences: list[Difference]
    wins: bool
    chosen: str | None


def parse_range(text: str) -> Range:
    """SETTING=LOW:HIGH. Raises UserError."""
    setting, _, bounds = text.partition("=")
    low_text, _, high_text = bounds.partition(":")
    try:
        low, high = Decimal(low_text), Decimal(high_text)
    except ArithmeticError:
        raise UserError(f"--vary {text!r}: give SETTING=LOW:HIGH, two numbers") from None
    if not (setting and low.is_finite() and high.is_finite() and low < high):
        raise UserError(f"--vary {text!r}: give SETTING=LOW:HIGH with LOW below HIGH")
    decimals = max(len(part.partition(".")[2]) for part in (low_text, high_text))
    return Range(setting.strip(), low, high, decimals)


def draw_search(algorithm: str, baseline: str, ranges: Sequence[Range], count: int, seeds: Iterable[int]) -> Search:
    """`count` candidates a seed. Raises UserError for an algorithm or a setting there is not, or bounds beyond its own;
    whatever lies between the bounds must be allowed too."""
    default = resolve(algorithm).algorithm
    for which in ("low", "high"):
        resolve(with_settings(default, {r.setting: str(getattr(r, which)) for r in ranges}))
    candidates: dict[int, tuple[str, ...]] = {}
    for seed in seeds:
        rng = random.Random(seed)
        drawn = [with_settings(default, {r.setting: r.draw(rng) for r in ranges}) for _ in range(count - 1)]
        candidates[seed] = tuple(dict.fromkeys([algorithm, *drawn]))
    return Search(algorithm=algorithm, baseline=baseline, candidates=candidates)


def judge(search: Search, field: Field, results: Results) -> Tuning:
    """The outcome of a search whose plan has been worked to its end. Raises UserError if it has not."""
    plan = field.plan
    wanted = set(field.episodes())
    names = plan.full_names
    products = products_of(field.named)
    episodes = [e for e in results.read(names.values()) if e.key in wanted and len(e.runs) == len(names)]
    if len(episodes) < len(wanted):
        raise UserError(f"{len(wanted) - len(episodes)} episodes are not complete; add --resume to go on")
    costs = {name: {e.key: cents(e, full) for e in episodes} for name, full in names.items()}
    fills = {name: {e.key: filled_share(e, full) for e in episodes} for name, full in names.items()}
    folds: list[Fold] = []
    unseen_costs: dict[EpisodeKey, list[float]] = {}
    unseen_fills: dict[EpisodeKey, list[float]] = {}
    for held_out in plan.tapes:
        for seed, candidates in search.candidates.items():
            seen = {name: _mean(products, costs[name], without=held_out) for name in candidates}
            chosen = min(candidates, key=seen.__getitem__)
            unseen = [key for key in costs[chosen] if key.tape == held_out]
            for key in unseen:
                unseen_costs.setdefault(key, []).append(costs[chosen][key])
                unseen_fills.setdefault(key, []).append(fills[chosen][key])
            folds.append(
                Fold(
                    held_out=held_out,
                    seed=seed,
                    chosen=chosen,
                    seen_cost=decimal_text(seen[chosen]),
                    unseen_cost=decimal_text(sum(costs[chosen][key] for key in unseen) / len(unseen)),
                )
            )
    numbered = number_blocks((e.key.tape, e.key.at_us) for e in episodes)
    blocks = {e.key: numbered[e.key.tape, e.key.at_us] for e in episodes}
    series = {e.key: products[e.key.tape] for e in episodes}
    ours = {key: sum(values) / len(values) for key, values in unseen_costs.items()}
    filled = {key: sum(values) / len(values) for key, values in unseen_fills.items()}
    differences: list[Difference] = []
    wins = False
    for against in dict.fromkeys([search.algorithm, search.baseline]):
        cost = compare(ours, costs[against], blocks, series)
        fill = compare(filled, fills[against], blocks, series)
        assert cost is not None, "tapes without episodes"
        assert fill is not None, "tapes without episodes"
        differences.append(_difference(against, cost.estimate, fill.estimate))
        if against == search.algorithm:
            wins = cost.estimate.high is not None and cost.estimate.high < 0
    everything = dict.fromkeys(name for candidates in search.candidates.values() for name in candidates)
    best = min(everything, key=lambda name: _mean(products, costs[name], without=None))
    return Tuning(
        algorithm=search.algorithm,
        folds=folds,
        differences=differences,
        wins=wins,
        chosen=best if wins and best != search.algorithm else None,
    )


def _mean(products: Mapping[str, str], costs: Mapping[EpisodeKey, float], *, without: str | None) -> float:
    """The mean over the cells, each a product, quantity and horizon: a cell of more episodes does not weigh more."""
    cells: dict[object, list[float]] = {}
    for key, cost in costs.items():
        if key.tape != without:
            cells.setdefault((products[key.tape], key.quantity_e2, key.horizon_us), []).append(cost)
    return sum(sum(values) / len(values) for values in cells.values()) / len(cells)


def _difference(against: str, cost: Estimate, fill: Estimate) -> Difference:
    return Difference(
        against=against,
        episodes=cost.episodes,
        delta=decimal_text(cost.mean),
        delta_low=decimal_text(cost.low),
        delta_high=decimal_text(cost.high),
        fill_delta=decimal_text(fill.mean),
        fill_not_worse=is_non_inferior(fill),
    )
