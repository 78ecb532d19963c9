"""Every signal against a slow reference that keeps the whole tape and computes each from its formula, with floats."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from fsm_exec.core.market.fees import FeeTerms, fee_terms
from fsm_exec.core.signals.forecasts import dry_up_ppm
from fsm_exec.core.signals.signal_tracker import SignalTracker
from fsm_exec.core.signals.signals import Signals, SweepCost
from fsm_exec.core.signals.sweep_cost import SweepWatch
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, opposite

T0_US = 1_700_000_000_000_000
S = 1_000_000
FEES = fee_terms("quadratic", Decimal(1))
EVENTS = 150


@dataclass
class Moment:
    """The others' book from `at_us` on (bids of both outcomes, cents to contracts), and what was traded then."""

    at_us: int
    books: dict[Outcome, dict[int, int]]
    trade: tuple[Outcome, int] | None = None  # taker, contracts
    cancelled: dict[Outcome, int] = field(default_factory=dict)


def best(bids: dict[int, int]) -> tuple[int, int]:
    price = max(bids, default=0)
    return price, bids.get(price, 0)


def near(bids: dict[int, int]) -> int:
    top = max(bids, default=0)
    return sum(count for price, count in bids.items() if price > top - 3)


def two_sided(moment: Moment) -> bool:
    return bool(moment.books["yes"] and moment.books["no"])


class Played:
    """A random tape, put to the tracker and kept: level changes near a wandering price, one-sided spells, trades whose
    decrease follows at once."""

    def __init__(self, seed: int, watch: SweepWatch | None = None) -> None:
        dice = random.Random(seed)
        self.tracker = SignalTracker(FEES)
        books: dict[Outcome, dict[int, int]] = {"yes": {48: 30, 47: 100}, "no": {50: 20, 48: 200}}
        self.tape = [Moment(T0_US, {o: dict(b) for o, b in books.items()})]
        self.tracker.begin(_levels(books["yes"]), _levels(books["no"]), T0_US)
        if watch is not None:
            self.tracker.watch("e1", watch, T0_US)
        at_us = T0_US
        for _ in range(EVENTS):
            at_us += round(dice.expovariate(1) * S * dice.choice((0, 0.1, 1, 4)))
            outcome: Outcome = dice.choice(("yes", "no"))
            self._one(dice, books, outcome, at_us)
        self.end_us = max(at_us, T0_US + 125 * S)  # by then every signal has been observed for long enough

    def _one(self, dice: random.Random, books: dict[Outcome, dict[int, int]], outcome: Outcome, at_us: int) -> None:
        bids, others = books[outcome], books[opposite(outcome)]
        trade: tuple[Outcome, int] | None = None
        cancelled: dict[Outcome, int] = {}
        highest = 99 - max(others, default=50)
        price = max(1, highest - dice.choice((0, 1, 1, 2, 2, 3, 4, 6)))
        was = bids.get(price, 0)
        if bids and dice.random() < 0.25:  # a taker hits the best level
            price, size = best(bids)
            taken = dice.randint(1, size)
            trade = (opposite(outcome), taken)
            yes_price = price if outcome == "yes" else 100 - price
            self.tracker.trade(trade[0], PriceE4(yes_price * 100), CountE2(taken * 100), at_us)
            count = size - taken
        elif dice.random() < 0.02 and bids:  # everybody leaves this side
            for level in sorted(bids):
                cancelled[outcome] = cancelled.get(outcome, 0) + self._leave(bids, level, outcome, at_us, books)
            self.tape.append(Moment(at_us, {o: dict(b) for o, b in books.items()}, None, {}))
            return
        else:
            count = dice.choice((0, 0, dice.randint(1, 400)))
            if count < was and price > max(bids) - 3:
                cancelled[outcome] = was - count
        self._set(bids, price, count)
        self.tracker.put(outcome, PriceE4(price * 100), CountE2(count * 100), at_us)
        self.tape.append(Moment(at_us, {o: dict(b) for o, b in books.items()}, trade, cancelled))

    def _leave(
        self, bids: dict[int, int], level: int, outcome: Outcome, at_us: int, books: dict[Outcome, dict[int, int]]
    ) -> int:
        """The worst level first, so that the touch goes last."""
        count = bids[level] if level > max(bids) - 3 else 0
        moment = Moment(at_us, {}, None, {outcome: count} if count else {})
        del bids[level]
        self.tracker.put(outcome, PriceE4(level * 100), CountE2(0), at_us)
        moment.books = {o: dict(b) for o, b in books.items()}
        self.tape.append(moment)
        return count

    @staticmethod
    def _set(bids: dict[int, int], price: int, count: int) -> None:
        if count:
            bids[price] = count
        else:
            bids.pop(price, None)


def _levels(bids: dict[int, int]) -> list[tuple[PriceE4, CountE2]]:
    return [(PriceE4(price * 100), CountE2(count * 100)) for price, count in bids.items()]


# The reference: each from its formula, over the whole tape.


def faded(parts: list[tuple[int, float]], now_us: int, tau_s: float) -> float:
    return sum(amount * math.exp(-(now_us - at_us) / S / tau_s) for at_us, amount in parts)


def smoothed(values: list[tuple[int, float | None]], now_us: int, tau_s: float) -> tuple[float, float]:
    """Mean and deviation of a piecewise constant value; None is no value."""
    changes: list[tuple[int, float | None]] = []
    for at_us, value in values:
        if not changes or changes[-1][1] != value:
            changes.append((at_us, value))
    mean = deviation = 0.0
    begun = False
    for (begin_us, value), (end_us, _) in pairwise([*changes, (now_us, None)]):
        if value is None:
            continue
        if not begun:
            mean, begun = value, True
        weight = math.exp(-(end_us - begin_us) / S / tau_s)
        deviation = weight * deviation + (1 - weight) * abs(value - mean)
        mean = weight * mean + (1 - weight) * value
    return mean, deviation


def order_flow(tape: list[Moment]) -> list[tuple[int, float]]:
    """e of each change, for YES."""
    parts: list[tuple[int, float]] = []
    for before, after in pairwise(tape):
        (b0, qb0), (b1, qb1) = best(before.books["yes"]), best(after.books["yes"])
        (n0, qa0), (n1, qa1) = best(before.books["no"]), best(after.books["no"])
        a0, a1 = 100 - n0, 100 - n1
        e = (b1 >= b0) * qb1 - (b1 <= b0) * qb0 - (a1 <= a0) * qa1 + (a1 >= a0) * qa0
        if (b0, qb0, n0, qa0) != (b1, qb1, n1, qa1):
            parts.append((after.at_us, float(e)))
    return parts


def sweep(asks: dict[int, int], count: float, fees: FeeTerms) -> tuple[float, float]:
    """(average price, average price and fee) in dollars; `asks` are bids for the other outcome."""
    left, value, fee = count, 0.0, 0.0
    last = 0.99
    takes: list[tuple[float, float]] = []
    for bid in sorted(asks, reverse=True):
        last = (100 - bid) / 100
        take = min(left, asks[bid])
        takes.append((last, take))
        left -= take
        if left <= 0:
            break
    if left > 0:
        takes.append((min(last + 0.02, 0.99), left))
    for price, take in takes:
        value += price * take
        fee += fees.taker_e10 / 1e10 * take * price * (1 - price)
    return value / count, (value + fee) / count


def mid(moment: Moment, outcome: Outcome) -> float:
    return (best(moment.books[outcome])[0] + 100 - best(moment.books[opposite(outcome)])[0]) / 200


SEEDS = st.integers(0, 10**6)
OUTCOMES = st.sampled_from(["yes", "no"])


def close(got: int | None, expected: float, unit: float, slack: int = 2) -> None:
    assert got is not None
    assert abs(got - expected * unit) <= slack, (got, expected * unit)


@given(SEEDS, OUTCOMES, st.integers(0, 30 * S))
def test_book_and_flow_are_as_their_formulas_say(seed: int, outcome: Outcome, later_us: int) -> None:
    """Imbalance, micro-price, depth, order-flow imbalance and its scale, signed trades; mirrored for NO."""
    played = Played(seed)
    tape, now_us = played.tape, played.end_us + later_us
    got = played.tracker.read(outcome, now_us)
    bids, offers = tape[-1].books[outcome], tape[-1].books[opposite(outcome)]
    (b, qb), (n, qa) = best(bids), best(offers)
    assert (got.depth_bid_e2, got.depth_ask_e2) == (near(bids) * 100, near(offers) * 100)
    assert (got.event_age_us, got.observed_us) == (now_us - tape[-1].at_us, now_us - T0_US)
    if two_sided(tape[-1]):
        close(got.imbalance_ppm, qb / (qb + qa), 1e6)
        close(got.micro_price_e5, (b * qa + (100 - n) * qb) / (qb + qa) / 100, 1e5)
    else:
        assert (got.imbalance_ppm, got.micro_price_e5, got.ofi_z_ppm) == (None, None, None)
    sign = 1 if outcome == "yes" else -1
    ofi = sign * faded(order_flow(tape), now_us, 15)
    close(got.ofi_e2, ofi, 100)
    trades = [(m.at_us, (1.0 if m.trade[0] == "yes" else -1.0) * m.trade[1]) for m in tape if m.trade is not None]
    close(got.trade_flow_e2, sign * faded(trades, now_us, 15), 100)
    if two_sided(tape[-1]):
        both = [
            (m.at_us, float(best(m.books["yes"])[1] + best(m.books["no"])[1]) if two_sided(m) else None) for m in tape
        ]
        usual = max(5.0, smoothed(both, now_us, 60)[0] / 2)
        close(got.ofi_z_ppm, max(-3.0, min(3.0, ofi / usual)), 1e6, slack=4_000)
        mids = [(m.at_us, mid(m, outcome) if two_sided(m) else None) for m in tape]
        close(got.mid_deviation_e5, smoothed(mids, now_us, 60)[1], 1e5)
        close(got.mid_mean_60s_e5, smoothed(mids, now_us, 60)[0], 1e5)
        close(got.touch_mean_60s_e2, smoothed(both, now_us, 60)[0] / 2, 100)
    else:
        assert (got.mid_deviation_e5, got.mid_mean_60s_e5, got.touch_mean_60s_e2) == (None, None, None)


@settings(max_examples=40)
@given(SEEDS, OUTCOMES, st.integers(0, 30 * S))
def test_depth_cancels_and_takers_are_as_their_formulas_say(seed: int, outcome: Outcome, later_us: int) -> None:
    """The logarithm of the depth and its deviation, the share cancelled, the rates of sell takers and their Fano
    factor, the reference design's momentum."""
    played = Played(seed)
    tape, now_us = played.tape, played.end_us + later_us
    got = played.tracker.read(outcome, now_us)
    for side, mean_ppm, deviation_ppm, cancel_ppm in (
        (outcome, got.bid_log_mean_ppm, got.bid_log_deviation_ppm, got.cancel_bid_ppm),
        (opposite(outcome), got.ask_log_mean_ppm, got.ask_log_deviation_ppm, got.cancel_ask_ppm),
    ):
        mean, deviation = smoothed([(m.at_us, math.log(1 + near(m.books[side]))) for m in tape], now_us, 60)
        close(mean_ppm, mean, 1e6, slack=4)
        close(deviation_ppm, deviation, 1e6, slack=4)
        resting, _ = smoothed([(m.at_us, float(near(m.books[side]))) for m in tape], now_us, 60)
        cancelled = faded([(m.at_us, float(m.cancelled.get(side, 0))) for m in tape], now_us, 60) / 60
        if resting > 1:
            close(cancel_ppm, cancelled / resting, 1e6, slack=200 + round(cancelled / resting * 1e6) // 50)
    sold = [(m.at_us, float(m.trade[1])) for m in tape if m.trade is not None and m.trade[0] != outcome]
    close(got.sell_rate_fast_e4, faded(sold, now_us, 10) / 10, 1e4)
    close(got.sell_rate_slow_e4, faded(sold, now_us, 120) / 120, 1e4)
    if got.sell_fano_e2 is not None:
        close(got.sell_fano_e2, fano(sold, now_us), 100, slack=3)
    close(got.seed_momentum_ppm, momentum(tape, outcome, now_us), 1e6)


def fano(sold: list[tuple[int, float]], now_us: int) -> float:
    weights = volumes = squares = 0.0
    last = now_us // (10 * S)
    for bucket in range(T0_US // (10 * S), last):
        weight = math.exp(-(last - 1 - bucket) * 10 / 600)
        volume = sum(count for at_us, count in sold if at_us // (10 * S) == bucket)
        weights, volumes, squares = weights + weight, volumes + weight * volume, squares + weight * volume**2
    return (squares / weights - (volumes / weights) ** 2) / (volumes / weights)


def momentum(tape: list[Moment], outcome: Outcome, now_us: int) -> float:
    """A snapshot at each full second, of what stood just before it; two minutes of them."""
    samples = []
    for second in range(now_us // S - 119, now_us // S + 1):
        before = [m for m in tape if m.at_us < second * S]
        if second > T0_US // S:
            samples.append(sum((before[-1] if before else tape[0]).books[outcome].values()))
    mean = sum(samples) / len(samples)
    return (sum(tape[-1].books[outcome].values()) - mean) / mean


@settings(max_examples=25)
@given(SEEDS, OUTCOMES, st.integers(1, 600), st.integers(0, 30 * S))
def test_the_cost_of_taking_is_as_its_formula_says(seed: int, outcome: Outcome, wanted: int, later_us: int) -> None:
    """For the remainder, half of it and the touch: now, usually, and how unusual; the forecast slippage; the chance of
    drying up."""
    deadline_us = T0_US + 3_600 * S
    played = Played(seed, SweepWatch(outcome, FEES, CountE2(wanted * 100), deadline_us))
    tape, now_us = played.tape, played.end_us + later_us
    got = played.tracker.read(outcome, now_us, "e1")
    if not two_sided(tape[-1]):
        assert (got.sweep_remaining, got.sweep_half, got.sweep_touch, got.ema_slippage_ppm) == (None,) * 4
        return
    touch = best(tape[-1].books[opposite(outcome)])[1]
    check_cost(got.sweep_remaining, tape, outcome, [wanted] * len(tape), now_us)
    check_cost(got.sweep_half, tape, outcome, [wanted / 2] * len(tape), now_us)
    sizes = [float(best(m.books[opposite(outcome)])[1]) for m in tape]
    check_cost(got.sweep_touch, tape, outcome, sizes, now_us)
    assert got.sweep_touch is not None
    assert got.sweep_touch.count_e2 == touch * 100
    slippage = [
        (m.at_us, sweep(m.books[opposite(outcome)], wanted, FEES)[0] / mid(m, outcome) - 1 if two_sided(m) else None)
        for m in tape
    ]
    close(got.ema_slippage_ppm, smoothed(slippage, now_us, 30)[0], 1e6, slack=4)
    assert got.ask_log_mean_ppm is not None
    assert got.ask_log_deviation_ppm is not None
    now_ppm = round(math.log(1 + near(tape[-1].books[opposite(outcome)])) * 1e6)
    expected = dry_up_ppm(
        now_ppm, got.ask_log_mean_ppm, got.ask_log_deviation_ppm, CountE2(wanted * 100), deadline_us - now_us
    )
    assert got.dry_up_ppm is not None
    assert abs(got.dry_up_ppm - expected) <= 100


def check_cost(got: SweepCost | None, tape: list[Moment], outcome: Outcome, counts: list[float], now_us: int) -> None:
    assert got is not None
    costs = [
        (
            m.at_us,
            round((sweep(m.books[opposite(outcome)], q, FEES)[1] - mid(m, outcome)) * 1e6, 3) if two_sided(m) else None,
        )
        for m, q in zip(tape, counts, strict=True)
    ]
    now = costs[-1][1]
    assert now is not None
    close(got.now_e6, now, 1)
    visible = sum(tape[-1].books[opposite(outcome)].values())
    assert got.beyond_depth == (counts[-1] > visible)
    mean, deviation = smoothed(costs, now_us, 30)
    close(got.mean_30s_e6, mean, 1, slack=4)
    close(got.mean_120s_e6, smoothed(costs, now_us, 120)[0], 1, slack=4)
    if deviation > 1_000:
        close(got.z_30s_ppm, max(-10.0, min(10.0, (now - mean) / deviation)), 1e6, slack=20_000)


@settings(max_examples=40)
@given(SEEDS, OUTCOMES, st.integers(0, 30 * S))
def test_the_usual_cost_at_the_touch_is_as_its_formula_says(seed: int, outcome: Outcome, later_us: int) -> None:
    """Mean over 120 s of half the spread and the taker fee at the ask, of a two-sided book, in either outcome; no
    execution is needed for it, and without fees there is none."""
    played = Played(seed)
    tape, now_us = played.tape, played.end_us + later_us
    costs: list[tuple[int, float | None]] = []
    for moment in tape:
        cost = None
        if two_sided(moment):
            ask = (100 - best(moment.books[opposite(outcome)])[0]) / 100
            fee = math.ceil(round(FEES.taker_e10 / 1e10 * ask * (1 - ask) * 1e6, 3))
            cost = round((ask - mid(moment, outcome)) * 1e6) + fee
        costs.append((moment.at_us, cost))
    close(played.tracker.read(outcome, now_us).touch_cost_120s_e6, smoothed(costs, now_us, 120)[0], 1, slack=4)
    played.tracker.fees = None
    played.tracker.begin((), (), now_us)
    assert played.tracker.read(outcome, now_us + 200 * S).touch_cost_120s_e6 is None


def book(tracker: SignalTracker, at_us: int = T0_US) -> None:
    tracker.begin(_levels({48: 100}), _levels({50: 300}), at_us)


def test_nothing_is_told_before_there_is_enough_to_tell() -> None:
    """Missing is None, never 0: each by its own minimum of time and events; counts and ages are always there."""
    tracker = SignalTracker(FEES)
    book(tracker)
    got = tracker.read("yes", T0_US + S)
    assert got == Signals(
        at_us=T0_US + S,
        observed_us=S,
        imbalance_ppm=250_000,
        micro_price_e5=48_500,
        depth_bid_e2=CountE2(10_000),
        depth_ask_e2=CountE2(30_000),
    )
    for at_s in (1, 2):
        tracker.put("yes", PriceE4(4_700), CountE2(at_s * 100), T0_US + at_s * S)
    known_after = {"ofi_e2": 15, "trade_flow_e2": 15, "sell_rate_fast_e4": 10, "sell_rate_slow_e4": 120}
    known_after |= {"ask_log_mean_ppm": 60, "mid_deviation_e5": 60, "cancel_bid_ppm": 60, "seed_momentum_ppm": 30}
    known_after |= {"touch_cost_120s_e6": 120}
    for name, seconds in known_after.items():
        assert getattr(tracker.read("yes", T0_US + seconds * S - 1), name) is None
        assert getattr(tracker.read("yes", T0_US + seconds * S), name) is not None


def test_a_gap_begins_anew_and_silence_says_nothing() -> None:
    """Five minutes without a change of the book, or a new snapshot: nothing smoothed is told."""
    played = Played(1, SweepWatch("yes", FEES, CountE2(500), T0_US + S))
    smooth = ("ofi_e2", "trade_flow_e2", "bid_log_mean_ppm", "cancel_bid_ppm", "sell_rate_slow_e4", "mid_deviation_e5")
    last_us = played.tape[-1].at_us
    before = played.tracker.read("yes", last_us + 300 * S, "e1")
    silent = played.tracker.read("yes", last_us + 301 * S, "e1")
    assert [getattr(before, name) is None for name in smooth] == [False] * len(smooth)
    assert [getattr(silent, name) for name in smooth] == [None] * len(smooth)
    book(played.tracker, played.end_us + S)
    anew = played.tracker.read("yes", played.end_us + 20 * S, "e1")
    assert (anew.book_events, anew.trades, anew.ofi_e2, anew.event_age_us) == (0, 0, None, None)
    assert anew.sweep_remaining is not None
    assert (anew.sweep_remaining.mean_30s_e6, anew.sweep_remaining.z_30s_ppm) == (None, None)


@pytest.mark.parametrize("first", ["the book", "our own account"])
def test_our_own_order_makes_no_flow(first: str) -> None:
    """Whether the book shows it before or after it is taken out: the two changes cancel."""
    tracker = SignalTracker()
    book(tracker)
    at_us = T0_US + 20 * S
    steps = [120, 100] if first == "the book" else [80, 100]
    for contracts in steps:
        tracker.put("yes", PriceE4(4_800), CountE2(contracts * 100), at_us, ours=True)
    got = tracker.read("yes", T0_US + 60 * S)
    assert (got.ofi_e2, got.cancel_bid_ppm) == (0, 0)


def test_our_own_taking_is_not_flow() -> None:
    """The public trade is told, and taken back when it turns out to be ours."""
    tracker = SignalTracker()
    book(tracker)
    for n in range(3):
        tracker.put("yes", PriceE4(4_000), CountE2(100 + n), T0_US + n)
    tracker.trade("yes", PriceE4(5_000), CountE2(700), T0_US + 20 * S)
    tracker.trade("yes", PriceE4(5_000), CountE2(300), T0_US + 20 * S)
    tracker.took("yes", CountE2(700), T0_US + 20 * S)
    got = tracker.read("yes", T0_US + 20 * S)
    assert (got.trade_flow_e2, tracker.read("no", T0_US + 20 * S).sell_rate_fast_e4) == (300, 3_000)


@pytest.mark.parametrize("trade_first", [True, False])
@pytest.mark.parametrize(("apart_s", "is_cancel"), [(0, False), (1, False), (3, True)])
def test_a_decrease_is_a_cancel_unless_a_trade_explains_it(trade_first: bool, apart_s: int, is_cancel: bool) -> None:
    """In either order, up to two seconds apart."""
    tracker = SignalTracker()
    book(tracker)
    at_us = T0_US + 59 * S
    tracker.put("yes", PriceE4(4_000), CountE2(1), T0_US)
    frames = ["trade", "decrease"] if trade_first else ["decrease", "trade"]
    for frame, moment_us in zip(frames, (at_us, at_us + apart_s * S), strict=True):
        if frame == "trade":
            tracker.trade("no", PriceE4(4_800), CountE2(6_000), moment_us)
        else:
            tracker.put("yes", PriceE4(4_800), CountE2(4_000), moment_us)
    got = tracker.read("yes", at_us + 3 * S)
    assert got.cancel_bid_ppm is not None
    assert (got.cancel_bid_ppm > 5_000) is is_cancel
    assert (got.cancel_bid_ppm < 500) is not is_cancel


def test_the_book_of_a_stored_snapshot_is_gone_on_from() -> None:
    """What differs has changed since; what rests on trades begins anew, because they were not heard. What taking at the
    touch usually costs goes on: 1 c and the fee at 0.50 for 100 s, 0.5 c and the fee at 0.49 for 25 s."""
    tracker = SignalTracker(FEES)
    book(tracker)
    tracker.trade("no", PriceE4(4_800), CountE2(600), T0_US + S)
    tracker.go_on(_levels({48: 40, 47: 10}), _levels({51: 5}), T0_US + 100 * S)
    got = tracker.read("yes", T0_US + 110 * S)
    assert (got.book_events, got.observed_us) == (2, 110 * S)
    assert got.ofi_e2 == round((-60 - 5) * 100 * math.exp(-10 / 15))
    assert (got.trade_flow_e2, got.sell_rate_fast_e4, got.cancel_bid_ppm) == (None, 0, None)
    assert got.bid_log_mean_ppm is not None
    before, after = 10_000 + 17_500, 5_000 + 17_493
    later = tracker.read("yes", T0_US + 125 * S)
    close(later.touch_cost_120s_e6, after + (before - after) * math.exp(-25 / 120), 1)


@given(SEEDS)
def test_the_two_outcomes_are_mirrors(seed: int) -> None:
    """One market: what is a gain in flow for YES is a loss for NO."""
    played = Played(seed)
    yes, no = (played.tracker.read(outcome, played.end_us + S) for outcome in ("yes", "no"))
    note(f"{yes} {no}")
    assert (yes.depth_bid_e2, yes.bid_log_mean_ppm) == (no.depth_ask_e2, no.ask_log_mean_ppm)
    assert yes.ofi_e2 == -(no.ofi_e2 or 0)
    assert yes.trade_flow_e2 == -(no.trade_flow_e2 or 0)
    assert yes.mid_deviation_e5 == no.mid_deviation_e5
    if yes.micro_price_e5 is not None and no.micro_price_e5 is not None:
        assert abs(yes.micro_price_e5 + no.micro_price_e5 - 100_000) <= 1
