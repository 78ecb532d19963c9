"""Signals that only some readers ask for: each is what it is when all are asked for, to the last digit."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsm_exec.core.market.bid_ladder import BidLadder
from fsm_exec.core.market.book import sweep
from fsm_exec.core.market.completion import COMPLETION_PRICE_MAX_E4, price_beyond_depth
from fsm_exec.core.market.fees import fee_terms
from fsm_exec.core.signals.forecasts import SIGNALS_OF_FORECASTS
from fsm_exec.core.signals.order_flow import SAMPLES, SAMPLES_MIN, ReferenceMomentum
from fsm_exec.core.signals.signal_tracker import SignalTracker
from fsm_exec.core.signals.signals import ON_DEMAND, Signals, SweepCost, keep_read
from fsm_exec.core.signals.sweep_cost import KEPT_UP, OfferTotals, SweepWatch
from fsm_exec.core.values.ewma import DecayedLevel, DecayedMean, put_both
from fsm_exec.core.values.units import PPM, CountE2, Outcome, PriceE4, complement

T0_US = 1_700_000_000_000_000
S = 1_000_000
FEES = fee_terms("quadratic", Decimal(1))
SEEDS = st.integers(0, 10**6)
READS = st.none() | st.frozensets(st.sampled_from(sorted(ON_DEMAND)))
DEADLINE_US = T0_US + 900 * S


@dataclass
class Change:
    outcome: Outcome
    price_e4: PriceE4
    count_e2: CountE2
    at_us: int
    trade: bool


def changes(seed: int, number: int = 250) -> list[Change]:
    """Levels near a wandering middle, now and then a whole side that leaves; some are trades as well."""
    dice = random.Random(seed)
    at_us, middle = T0_US, 50
    found: list[Change] = []
    for _ in range(number):
        at_us += dice.choice((0, 0, 30_000, S, 4 * S))
        middle = min(max(middle + dice.choice((-1, 0, 0, 0, 1)), 20), 80)
        outcome: Outcome = dice.choice(("yes", "no"))
        own = middle if outcome == "yes" else 100 - middle
        price = PriceE4((own - 1 - dice.choice((0, 0, 1, 1, 2, 3, 5, 9))) * 100)
        count = CountE2(dice.choice((0, dice.randint(1, 500), 100 * dice.randint(1, 60))))
        found.append(Change(outcome, price, count, at_us, dice.random() < 0.15))
    return found


def begun() -> SignalTracker:
    tracker = SignalTracker(FEES)
    bids = [(PriceE4(4_800), CountE2(3_000)), (PriceE4(4_700), CountE2(10_000))]
    tracker.begin(bids, [(PriceE4(5_000), CountE2(2_000)), (PriceE4(4_800), CountE2(20_000))], T0_US)
    return tracker


def apply(tracker: SignalTracker, change: Change) -> None:
    # The middle wanders, so the bids of the others would cross: the side in the way has left first.
    other: Outcome = "no" if change.outcome == "yes" else "yes"
    for price in [price for price, _ in tracker.side(other).best_first() if price + change.price_e4 >= 10_000]:
        tracker.put(other, price, CountE2(0), change.at_us)
    tracker.put(change.outcome, change.price_e4, change.count_e2, change.at_us)
    if change.trade:
        yes_price = change.price_e4 if change.outcome == "yes" else complement(change.price_e4)
        tracker.trade(other, yes_price, CountE2(change.count_e2 or 100), change.at_us)


def watch_of(outcome: Outcome, wanted: int, read: frozenset[str] | None, *, forecast: bool = False) -> SweepWatch:
    return SweepWatch(outcome, FEES, CountE2(wanted), DEADLINE_US, read, forecast=forecast)


WANTED = st.sampled_from([0, 1, 50, 300, 1_000, 7_300, 60_000])
BOTH: tuple[Outcome, Outcome] = ("yes", "no")
OUTCOMES = st.sampled_from(BOTH)


@settings(max_examples=60)
@given(SEEDS, OUTCOMES, WANTED, READS, st.booleans(), st.integers(0, 40 * S))
def test_a_reading_of_some_is_the_reading_of_all_without_the_rest(
    seed: int, outcome: Outcome, wanted: int, read: frozenset[str] | None, forecast: bool, later_us: int
) -> None:
    """Whether the costs of taking are kept up for these alone or for everybody, and however often somebody looks."""
    whole, part = begun(), begun()
    whole.watch("e1", watch_of(outcome, wanted, None), T0_US)
    part.watch("e1", watch_of(outcome, wanted, read, forecast=forecast), T0_US)
    dice = random.Random(seed)
    for change in changes(seed):
        apply(whole, change)
        apply(part, change)
        if dice.random() < 0.05:
            left = CountE2(dice.choice((0, 1, 100, 2_000, 50_000)))
            whole.want("e1", left, change.at_us)
            part.want("e1", left, change.at_us)
        if dice.random() < 0.1:
            part.read(outcome, change.at_us, "e1", read)
        if dice.random() < 0.1:
            now_us = change.at_us + later_us
            all_of_it = whole.read(outcome, now_us, "e1")
            assert part.read(outcome, now_us, "e1", read) == keep_read(all_of_it, read)
            if forecast:
                assert part.read(outcome, now_us, "e1", SIGNALS_OF_FORECASTS) == _of_forecasts(all_of_it, read)


def _of_forecasts(signals: Signals, read: frozenset[str] | None) -> Signals:
    """Of the remainder's cost only the mean of 30 s is kept up for forecasts alone."""
    kept, cost = keep_read(signals, SIGNALS_OF_FORECASTS), signals.sweep_remaining
    if cost is None or read is None or "sweep_remaining" in read:
        return kept
    return msgspec.structs.replace(
        kept, sweep_remaining=msgspec.structs.replace(cost, mean_120s_e6=None, z_120s_ppm=None)
    )


@settings(max_examples=40)
@given(SEEDS, OUTCOMES, st.lists(WANTED, min_size=1, max_size=6))
def test_measuring_what_a_change_concerns_is_measuring_everything(
    seed: int, outcome: Outcome, wanted: list[int]
) -> None:
    """Against a tracker that measures every execution's costs at every change of the book."""
    tracker, thorough = begun(), begun()
    for n, count in enumerate(wanted):
        for one in (tracker, thorough):
            one.watch(f"e{n}", watch_of(outcome, count, None if n % 2 else KEPT_UP - {"sweep_touch"}), T0_US)
    for change in changes(seed):
        apply(tracker, change)
        apply(thorough, change)
        thorough._measure_all(thorough.event_us)
    for n in range(len(wanted)):
        for later_us in (0, 45 * S, 200 * S):
            now_us = tracker.event_us + later_us
            assert tracker.read(outcome, now_us, f"e{n}") == thorough.read(outcome, now_us, f"e{n}")


@settings(max_examples=40)
@given(SEEDS, OUTCOMES, st.integers(1, 249))
def test_what_is_the_markets_is_the_same_whoever_reads_it_and_since_when(
    seed: int, outcome: Outcome, joined: int
) -> None:
    """An execution that comes late sees the means a market has had from its beginning; its own costs begin with it,
    as if the market had begun then with the book it has."""
    market, alone = begun(), begun()
    late = SignalTracker(FEES)
    for n, change in enumerate(changes(seed)):
        if n == joined:
            market.watch("e1", watch_of(outcome, 700, None), change.at_us)
            late.begin(list(market.side("yes").best_first()), list(market.side("no").best_first()), market.event_us)
            late.watch("e1", watch_of(outcome, 700, None), change.at_us)
        for one in (market, alone, *([late] if n >= joined else [])):
            apply(one, change)
    now_us = market.event_us + 130 * S
    got, of_one = market.read(outcome, now_us, "e1"), KEPT_UP | {"dry_up_ppm"}
    assert keep_read(got, ON_DEMAND - of_one) == keep_read(alone.read(outcome, now_us), ON_DEMAND - of_one)
    if late.events >= 2:
        assert keep_read(got, KEPT_UP).sweep_remaining == late.read(outcome, now_us, "e1").sweep_remaining
        assert got.ema_slippage_ppm == late.read(outcome, now_us, "e1").ema_slippage_ppm


def test_a_mean_begins_when_its_execution_is_first_watched() -> None:
    """The rule, with numbers: at 30 s of watching it is told, and what was before does not count."""
    tracker = begun()
    tracker.put("no", PriceE4(5_000), CountE2(0), T0_US + 60 * S)  # the best offer leaves: taking is dearer from now on
    tracker.put("yes", PriceE4(4_000), CountE2(1), T0_US + 60 * S)
    tracker.watch("e1", watch_of("yes", 100, frozenset({"sweep_remaining"})), T0_US + 60 * S)
    early = tracker.read("yes", T0_US + 90 * S - 1, "e1").sweep_remaining
    known = tracker.read("yes", T0_US + 90 * S, "e1").sweep_remaining
    assert early is not None
    assert known is not None
    assert (early.mean_30s_e6, known.mean_30s_e6) == (None, known.now_e6)


def test_nothing_is_kept_up_for_who_reads_nothing_of_it() -> None:
    """No series of its own, in memory or at a change; it may still ask whether the offers will last."""
    tracker = begun()
    tracker.watch("none", watch_of("yes", 100, frozenset({"ofi_z_ppm"})), T0_US)
    tracker.watch("lasting", watch_of("yes", 100, frozenset({"dry_up_ppm"})), T0_US)
    assert not any(tracker._kept_up.values())
    for n in (1, 2):
        tracker.put("yes", PriceE4(4_700), CountE2(n), T0_US + n * S)
    asked = tracker.read("yes", T0_US + 70 * S, "lasting", frozenset({"dry_up_ppm"}))
    assert asked.dry_up_ppm is not None
    assert asked.ofi_z_ppm is None
    tracker.watch("all", watch_of("yes", 100, None), T0_US + 70 * S)
    assert len(tracker._kept_up["yes"]) == 1
    for name in ("all", "lasting", "none", "nobody"):
        tracker.unwatch(name)
    assert not any(tracker._kept_up.values())
    assert not tracker.watches


@settings(max_examples=30)
@given(SEEDS, OUTCOMES)
def test_a_new_beginning_is_a_beginning(seed: int, outcome: Outcome) -> None:
    """After a gap nothing is left of what was known, also where the book is the one that stood before."""
    again, fresh = begun(), SignalTracker(FEES)
    again.watch("e1", watch_of(outcome, 700, None), T0_US)
    for change in changes(seed, 60):
        apply(again, change)
    at_us = again.event_us + S
    yes, no = (list(again.side(side).best_first()) for side in BOTH)
    for tracker in (again, fresh):
        tracker.begin(yes, no, at_us)
    fresh.watch("e1", watch_of(outcome, 700, None), at_us)
    for change in changes(seed + 1, 40):
        for tracker in (again, fresh):
            apply(tracker, moved(change, at_us - T0_US))
    now_us = again.event_us + 130 * S
    assert again.read(outcome, now_us, "e1") == fresh.read(outcome, now_us, "e1")


def moved(change: Change, by_us: int) -> Change:
    """The same later."""
    return replace(change, at_us=change.at_us + by_us)


def test_other_fees_count_from_the_next_change_of_the_touch() -> None:
    """Also when only its size changes: the usual cost of taking goes towards what it costs now."""
    tracker, same = begun(), begun()
    for one, fees in ((tracker, fee_terms("quadratic", Decimal(2))), (same, FEES)):
        one.fees = fees
        for n in (1, 2):
            one.put("yes", PriceE4(4_800), CountE2(3_000 + n), T0_US + n * S)
    cost, before = (
        one.read("yes", T0_US + 200 * S, read=frozenset({"touch_cost_120s_e6"})).touch_cost_120s_e6
        for one in (tracker, same)
    )
    assert cost is not None
    assert before is not None
    assert before < cost < before + FEES.model_fee(PriceE4(5_000), CountE2(100), taker=True)


LEVELS = st.lists(st.tuples(st.integers(1, 99), st.integers(1, 9_000)), max_size=8, unique_by=lambda level: level[0])


@given(LEVELS, st.lists(st.integers(1, 40_000), min_size=1, max_size=6))
def test_running_totals_are_the_totals_of_each_sweep(levels: list[tuple[int, int]], counts: list[int]) -> None:
    """Asked in any order, against taking level by level."""
    offers = BidLadder()
    for cents, count in levels:
        offers.put(PriceE4(cents * 100), CountE2(count))
    asks = tuple((complement(price), count) for price, count in offers.best_first())
    totals = OfferTotals(offers)
    for count in counts:
        takes, left = sweep(asks, CountE2(count))
        last = takes[-1][0] if takes else PriceE4(COMPLETION_PRICE_MAX_E4)
        every = [*takes, *([(price_beyond_depth(last), left)] if left else [])]
        rate = sum(price * size * (10_000 - price) for price, size in every)
        swept = totals.sweep(CountE2(count), FEES)
        assert swept.value_e6 == sum(price * size for price, size in every)
        assert swept.fee_e6 == -(-FEES.taker_e10 * rate // 10**14)
        assert (swept.last_e4, swept.beyond_depth) == (last, bool(left))


@given(st.lists(st.tuples(st.integers(0, 130 * S), st.integers(0, 3)), max_size=60), st.integers(0, 300 * S))
def test_snapshots_kept_in_runs_are_those_of_every_second(steps: list[tuple[int, int]], later_us: int) -> None:
    """Against a list of one a second, of which the last two minutes count."""
    momentum, at_us, last_us = ReferenceMomentum(), T0_US + 300_000, T0_US
    samples: list[int] = []
    now = 0
    for passed_us, size in [(0, 7), *steps]:
        at_us += passed_us
        samples += [now] * (at_us // S - last_us // S)
        now, last_us = size, at_us
        momentum.put(size, at_us)
    now_us = at_us + later_us
    samples = [*samples, *[now] * (now_us // S - last_us // S)][-SAMPLES:]
    total = sum(samples)
    expected = (now * len(samples) - total) * PPM // total if len(samples) >= SAMPLES_MIN and total > 0 else None
    assert momentum.ppm(now_us) == expected
    assert len(momentum._runs) <= SAMPLES + 1


VALUES = st.lists(st.tuples(st.integers(0, 90 * S), st.integers(0, 3), st.integers(0, 3)), max_size=40)


@given(VALUES, st.integers(0, 90 * S))
def test_two_means_put_together_are_each_put_alone(steps: list[tuple[int, int, int]], later_us: int) -> None:
    """Also where only one of the two has changed, and one without a deviation is the same mean."""
    level, mean = DecayedLevel(60 * S), DecayedMean(60 * S)
    alone, plain = DecayedMean(60 * S), DecayedMean(60 * S)
    at_us = T0_US
    for passed_us, one, other in steps:
        at_us += passed_us
        put_both(level, mean, one, other, at_us)
        alone.put(one, at_us)
        plain.put(other, at_us)
    now_us = at_us + later_us
    assert (level.current, level.mean(now_us)) == (alone.current, alone.mean(now_us))
    assert (mean.current, mean.look(now_us, PPM)) == (plain.current, plain.look(now_us, PPM))
    assert level.observed_us(now_us) == alone.observed_us(now_us)


@pytest.mark.parametrize("name", sorted(ON_DEMAND))
def test_each_signal_can_be_asked_for_alone(name: str) -> None:
    """And nothing else comes with it."""
    tracker = begun()
    tracker.watch("e1", watch_of("yes", 700, frozenset({name})), T0_US)
    for n in range(40):
        tracker.put("yes", PriceE4(4_800), CountE2(3_000 + n), T0_US + n * 4 * S)
        tracker.trade("no", PriceE4(4_800), CountE2(100 + 900 * (n % 4)), T0_US + n * 4 * S)
    got = tracker.read("yes", T0_US + 160 * S, "e1", frozenset({name}))
    given = {other for other in ON_DEMAND if getattr(got, other) is not None}
    assert given == {name}
    assert isinstance(getattr(got, name), SweepCost if name.startswith("sweep_") else int)
