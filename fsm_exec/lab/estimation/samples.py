"""Executions whose cost is known, each with what its market showed when it began.

An experiment stores the book at arrival, not what went before: that is read off its tapes again, by the very tracker
and functions that the estimator uses, at the moment and with the delay at which the engine saw it. A stored execution
has the book it arrived at; the signals beside it are those of its first decision.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from fsm_exec.algorithms.catalogue import row_of
from fsm_exec.core.algorithm.market_view import VIEW_DEPTH_LEVELS, MarketView, mid_of
from fsm_exec.core.costs.estimate_table import TapeSource
from fsm_exec.core.costs.market_features import MarketFeatures, market_features
from fsm_exec.core.errors import UserError
from fsm_exec.core.journal.rows import MethodRow
from fsm_exec.core.market.fees import fee_terms
from fsm_exec.core.signals.signal_tracker import SignalTracker
from fsm_exec.core.values.units import PPM, CountE2, Outcome, PriceE4, complement, opposite
from fsm_exec.lab.experiment.episode_runner import LabError
from fsm_exec.lab.experiment.episodes import Conditions, limits_at, with_fees
from fsm_exec.lab.experiment.methods import resolve
from fsm_exec.lab.experiment.results import FILE_NAME, EpisodeResult, results_at
from fsm_exec.lab.experiment.tapes import fingerprint, open_tape
from fsm_exec.lab.experiment.watched_tape import WatchedTape
from fsm_exec.paper.tapes.tape import Tape

REACH: Final = "reach_e4"  # the one condition that may differ between experiments: each sample has its own


class Sample(NamedTuple):
    """One execution. `source` is its tape or database, `product` the series of its market, `settings` a hash of what
    its method does; `resting`: all was filled before the closing leg."""

    source: str
    at_us: int
    outcome: Outcome
    product: str
    method: str
    settings: str
    horizon_us: int
    quantity_e2: CountE2
    spread_e4: int
    mid_e5: int
    room_e4: int
    features: MarketFeatures
    cost_e5: int
    filled_ppm: int
    complete: bool
    resting: bool


class SampleSet(NamedTuple):
    """Samples with where they are from. `unobserved` executions are left out: their market had been watched for less
    than a minute. `conditions` are those that the experiments have in common."""

    samples: tuple[Sample, ...]
    sources: tuple[TapeSource, ...]
    conditions: dict[str, str]
    unobserved: int


def load_samples(directories: Iterable[Path]) -> SampleSet:
    """Read the results of `fsm-exec compare` in each directory. Raises UserError for what is none, for tapes that are
    gone or changed since, for experiments under different conditions but for the reach, and for what is given twice."""
    samples: list[Sample] = []
    sources: dict[str, TapeSource] = {}
    common: dict[str, str] | None = None
    unobserved = 0
    for directory in dict.fromkeys(path.resolve() for path in directories):
        with results_at(directory / FILE_NAME) as results:
            stated, prints = results.stated(), results.fingerprints()
            episodes = list(results.read(results.methods()))
        conditions = {name: value for name, value in stated.items() if name != REACH}
        if common is not None and conditions != common:
            raise UserError(f"{directory} was measured under other conditions; fit what was measured alike")
        common = conditions
        for name in dict.fromkeys(result.key.tape for result in episodes):
            tape = _opened(name, prints[name], directory)
            of_tape = [result for result in episodes if result.key.tape == name]
            found, left_out = _of_tape(name, tape, of_tape, conditions_of(stated))
            samples += found
            unobserved += left_out
            source = _source(name, tape, prints[name], len(found))
            known = sources.get(source.name, msgspec.structs.replace(source, executions=0))
            if known.fingerprint != source.fingerprint:
                raise UserError(f"{directory}: another tape is called {source.name} too; rename one of them")
            sources[source.name] = msgspec.structs.replace(known, executions=known.executions + source.executions)
    if len(set(samples)) < len(samples):
        raise UserError("some executions are in two of the directories; give each only once")
    return SampleSet(tuple(samples), tuple(sources.values()), common or {}, unobserved)


def _source(name: str, tape: Tape, known_by: str, executions: int) -> TapeSource:
    return TapeSource(
        name=Path(name).name,
        kind="tape",
        first_us=tape.first_us,
        last_us=tape.events[-1][0],
        executions=executions,
        fingerprint=known_by,
    )


def conditions_of(stated: dict[str, str]) -> Conditions:
    """Return the conditions of an experiment as `Plan.stated` wrote them. Raises UserError for others."""
    values = {name: None if text == "None" else text for name, text in stated.items()}
    try:
        return msgspec.convert(values, Conditions, strict=False)
    except msgspec.ValidationError as error:
        raise UserError(f"these results were not measured by this version of fsm-exec compare ({error})") from error


def _opened(name: str, expected: str, directory: Path) -> Tape:
    tape = open_tape(name).tape
    if fingerprint(tape) != expected:
        raise UserError(f"tape {name} is not what it was when {directory} was measured; measure it again")
    return tape


def _of_tape(name: str, tape: Tape, episodes: list[EpisodeResult], conditions: Conditions) -> tuple[list[Sample], int]:
    header = with_fees(tape, conditions).header
    fees = fee_terms(header.fee_type, header.fee_multiplier)
    keys = {(result.key.at_us, result.key.outcome) for result in episodes}
    views = dict(views_at(tape, sorted(keys), conditions.feed_us))
    samples: list[Sample] = []
    unobserved = 0
    for result in episodes:
        key = result.key
        view = views[key.at_us, key.outcome]
        if view.trusted_mid_e5 != result.mid_e5:
            raise LabError(f"{name} at {key.at_us}: the book is not the one the engine saw: a bug")
        worst = limits_at(result.mid_e5, view.grid, fees, conditions.reach_e4).worst_e4
        features = market_features(view, fees, key.quantity_e2, worst)
        if isinstance(features, MarketFeatures):
            samples += _of_episode(result, header.series, features, worst)
        else:
            unobserved += len(result.runs)
    return samples, unobserved


def _of_episode(result: EpisodeResult, product: str, features: MarketFeatures, worst: PriceE4) -> Iterator[Sample]:
    key = result.key
    for method, run in result.runs.items():
        yield Sample(
            source=Path(key.tape).name,
            at_us=key.at_us,
            outcome=key.outcome,
            product=product,
            method=method,
            settings=_settings(method),
            horizon_us=key.horizon_us,
            quantity_e2=key.quantity_e2,
            spread_e4=result.spread_e4,
            mid_e5=result.mid_e5,
            room_e4=worst - result.mid_e5 // 10,
            features=features,
            cost_e5=cost_e5(run.shortfall_e7, key.quantity_e2),
            filled_ppm=run.filled_e2 * PPM // key.quantity_e2,
            complete=run.filled_e2 >= key.quantity_e2,
            resting=run.before_close_e2 >= key.quantity_e2,
        )


def cost_e5(shortfall_e7: int, quantity_e2: CountE2) -> int:
    """A total in 10^-7 dollars for a count in hundredths, as 10^-5 dollars per contract, half up."""
    return (2 * shortfall_e7 + quantity_e2) // (2 * quantity_e2)


@cache
def _settings(method: str) -> str:
    return settings_hash(row_of(resolve(method)))


def settings_hash(method: MethodRow) -> str:
    """Return a hash of what a method does: it shows whether its name still means the same."""
    return hashlib.sha256(f"{method.algorithm}\0{method.config}".encode()).hexdigest()


def views_at(
    tape: Tape, moments: Iterable[tuple[int, Outcome]], feed_us: int
) -> Iterator[tuple[tuple[int, Outcome], MarketView]]:
    """The market as an engine sees it at each moment, which ascend, with everything up to `feed_us` before it."""
    watched = WatchedTape(tape)
    for at_us, outcome in moments:
        seen_us = at_us - feed_us
        tracker = watched.watch_until(seen_us)
        yield (at_us, outcome), _view(tracker, tape, outcome, at_us, seen_us)


def _view(tracker: SignalTracker, tape: Tape, outcome: Outcome, at_us: int, seen_us: int) -> MarketView:
    bids = tuple(tracker.side(outcome).best_first())[:VIEW_DEPTH_LEVELS]
    offers = tuple(tracker.side(opposite(outcome)).best_first())[:VIEW_DEPTH_LEVELS]
    asks = tuple((complement(price), count) for price, count in offers)
    whole = bool(bids and asks)
    return MarketView(
        at_us=at_us,
        book_seq=0,
        feed="live",
        feed_age_us=0,
        status="open",
        grid=tape.header.grid.seen_from(outcome),
        bids=bids,
        asks=asks,
        mid_e5=mid_of(bids[0][0], asks[0][0]) if whole else None,
        spread_e4=asks[0][0] - bids[0][0] if whole else None,
        signals=tracker.read(outcome, seen_us),
    )
