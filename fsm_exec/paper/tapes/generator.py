"""A seeded background flow, so that no recording is needed: drawn whole, before any order of ours is known.

A latent value walks at random, livelier at some times than at others; orders and takers follow the same slow activity.
Limit orders arrive by their distance from the best of the other side, as they were counted on recordings, but no bid
stands beyond the value: those that its moves leave there are pulled, the others live out a lifetime of their own.
Takers come in bursts, with persistent sides, and lean towards the value; every trade is followed by the decrease of the
level it hit. What a market looks like is its profile's affair.

Like the other files named generator it draws with floats: what leaves it is integers.
"""

from __future__ import annotations

import heapq
import math
import random
from bisect import bisect
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, TypeAlias

from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import CountE2, Outcome, PriceE4, opposite
from fsm_exec.paper.random_draws import poisson_moments
from fsm_exec.paper.tapes.profiles import DEFAULT_PROFILE, Profile, Sizes, profile_named
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Change, Tape, TapeEvent, Trade, tape_header

LENGTH_MIN_S, LENGTH_MAX_S = 1, 7 * 24 * 3600
WARM_UP_S = 300  # the book's opening state is that of a market already running
QUICK_PAUSE_S = 0.002
OUTCOMES: tuple[Outcome, Outcome] = ("yes", "no")

CrowdAction: TypeAlias = Literal["arrive", "leave", "print"]


@dataclass(slots=True, eq=False)
class _Resting:
    """A limit order of the crowd: its ladder, its price there in cents, its contracts."""

    outcome: Outcome
    cents: int
    count: int


def generate(
    seed: int,
    seconds: int,
    *,
    profile: str | Profile = DEFAULT_PROFILE,
    ticker: str = "KXPAPER-DEMO-A",
    start_us: int = 0,
) -> Tape:
    """A tape of `seconds`, the same for the same arguments. Raises UserError for a length or a profile that makes no
    sense."""
    if not LENGTH_MIN_S <= seconds <= LENGTH_MAX_S:
        raise UserError(f"a tape of {seconds} s cannot be generated; give {LENGTH_MIN_S} to {LENGTH_MAX_S}")
    chosen = profile_named(profile) if isinstance(profile, str) else profile
    crowd = _Crowd(chosen, seed)
    crowd.run(0, WARM_UP_S)
    opening = crowd.snapshot()
    crowd.events.clear()
    crowd.run(WARM_UP_S, WARM_UP_S + seconds)
    shift_us = start_us - WARM_UP_S * 1_000_000
    events: list[TapeEvent] = [(start_us, opening)]
    events += [(at_us + shift_us, change) for at_us, change in crowd.events]
    header = tape_header(ticker, "linear_cent", category="Generated", title="A generated market")
    return Tape(header, tuple(events))


class _Crowd:
    """All traders of the tape. Times inside are seconds from the start of the warm-up."""

    def __init__(self, profile: Profile, seed: int) -> None:
        self._profile = profile
        # Strings, because their seeding is defined whatever the hash seed. The weather has draws of its own: a seed's
        # value and activity stay when a profile's orders or takers change.
        self._draw = random.Random(f"tape:{seed}")
        self._weather = random.Random(f"weather:{seed}")
        self._arrivals = tuple(accumulate(profile.arrivals))
        self._mood = self._weather.gauss(0, 1)  # of the activity; standard normal at all times
        self._value_c = self._weather.uniform(30, 70)
        self._ladders: dict[Outcome, dict[int, list[_Resting]]] = {"yes": {}, "no": {}}
        self._agenda: list[tuple[float, int, CrowdAction, Outcome, _Resting | None]] = []
        self._entries = 0
        self._taker: Outcome = "yes"
        self.events: list[tuple[int, Change]] = []
        for outcome in OUTCOMES:  # something to measure distances from; the warm-up does the rest
            for behind in range(1, len(profile.arrivals)):
                cents = math.floor(self._fair(outcome)) - behind
                if cents >= 1:
                    self._place(0.0, outcome, cents, behind)

    def snapshot(self) -> BookSnapshot:
        yes, no = (
            tuple((PriceE4(cents * 100), CountE2(self._size(outcome, cents) * 100)) for cents in sorted(ladder))
            for outcome, ladder in self._ladders.items()
        )
        return BookSnapshot(yes, no)

    def run(self, from_s: int, until_s: int) -> None:
        for second in range(from_s, until_s):
            self._begin(second)
            while self._agenda and self._agenda[0][0] < second + 1:
                at_s, _, kind, outcome, resting = heapq.heappop(self._agenda)
                if resting is not None:
                    self._leave(at_s, resting)
                elif kind == "arrive":
                    self._arrive(at_s, outcome)
                else:
                    self._print(at_s, outcome)

    # What happens

    def _begin(self, second: int) -> None:
        """Each second activity and value move, and its pulls, arrivals and bursts are drawn."""
        profile, draw = self._profile, self._draw
        keep = math.exp(-1 / profile.activity_s)
        self._mood = keep * self._mood + math.sqrt(1 - keep * keep) * self._weather.gauss(0, 1)
        self._move_value(profile.value_sd_c * self._activity(profile.value_power))
        for outcome in OUTCOMES:
            self._pull(second, outcome)
            rate = self._arrivals[-1] * self._activity(profile.arrival_power)
            for at_s in poisson_moments(draw, second, rate):
                self._plan(at_s, "arrive", outcome)
        for at_s in poisson_moments(draw, second, profile.bursts_per_s * self._activity(profile.burst_power)):
            self._burst(at_s)

    def _move_value(self, sd_c: float) -> None:
        """A step of a random walk between two walls that throw it back."""
        low, high = self._profile.value_edge_c, 100 - self._profile.value_edge_c
        value = self._value_c + self._weather.gauss(0, sd_c)
        value = 2 * low - value if value < low else 2 * high - value if value > high else value
        self._value_c = min(max(value, low), high)

    def _pull(self, second: int, outcome: Outcome) -> None:
        """Orders that the value has left too near, or on its wrong side, may leave within the second."""
        limit = self._fair(outcome) - self._profile.pull_edge_c
        ladder = self._ladders[outcome]
        for cents in sorted(ladder, reverse=True):
            if cents <= limit:
                break
            for resting in ladder[cents]:
                if self._draw.random() < self._profile.pull_per_s:
                    self._plan(second + self._draw.random(), "leave", outcome, resting)

    def _arrive(self, at_s: float, outcome: Outcome) -> None:
        """A limit order, unless its place is beyond the value."""
        distance = 1 + bisect(self._arrivals, self._draw.random() * self._arrivals[-1])
        cents = 100 - self._best(opposite(outcome)) - distance
        if 1 <= cents <= self._fair(outcome) - self._profile.edge_c:
            self._place(at_s, outcome, cents, distance)

    def _place(self, at_s: float, outcome: Outcome, cents: int, distance: int) -> None:
        profile = self._profile
        shares = profile.small_shares
        if self._draw.random() < shares[min(distance, len(shares)) - 1]:
            sizes, life_s = profile.small, profile.small_life_s
        else:
            sizes, life_s = profile.large, profile.near_life_s if distance <= profile.near_c else profile.life_s
        resting = _Resting(outcome, cents, self._size_of(sizes))
        self._ladders[outcome].setdefault(cents, []).append(resting)
        self._note(at_s, BookDelta(outcome, PriceE4(cents * 100), CountE2(resting.count * 100)))
        self._plan(at_s + self._draw.expovariate(1 / life_s), "leave", outcome, resting)

    def _leave(self, at_s: float, resting: _Resting) -> None:
        """An order is cancelled, with what is left of it; one that has gone already has nothing."""
        if not resting.count:
            return
        ladder = self._ladders[resting.outcome]
        level = ladder[resting.cents]
        level.remove(resting)
        if not level:
            del ladder[resting.cents]
        gone, resting.count = resting.count, 0
        self._note(at_s, BookDelta(resting.outcome, PriceE4(resting.cents * 100), CountE2(-gone * 100)))

    def _burst(self, at_s: float) -> None:
        """A taker, or several of one mind: a geometric number of trades on one side."""
        profile, draw = self._profile, self._draw
        if draw.random() >= profile.repeat:
            pull = max(-1.0, min(1.0, (self._value_c - self._mid_c()) / profile.lean_c))
            self._taker = "yes" if draw.random() < 0.5 + profile.lean * pull else "no"
        self._plan(at_s, "print", self._taker)
        while draw.random() < 1 - 1 / profile.prints_mean:
            at_s += QUICK_PAUSE_S if draw.random() < profile.quick_share else draw.expovariate(1 / profile.pause_s)
            self._plan(at_s, "print", self._taker)

    def _print(self, at_s: float, taker: Outcome) -> None:
        """One trade at the best price, as much of it as is there; a taker who finds nothing goes."""
        outcome = opposite(taker)
        ladder = self._ladders[outcome]
        if not ladder:
            return
        cents = max(ladder)
        part = min(self._size_of(self._profile.trades), self._size(outcome, cents))
        yes_cents = cents if outcome == "yes" else 100 - cents
        self._note(at_s, Trade(taker, PriceE4(yes_cents * 100), CountE2(part * 100)))
        level = ladder[cents]
        left = part
        while left:
            first = level[0]
            taken = min(left, first.count)
            first.count -= taken
            left -= taken
            if not first.count:
                level.pop(0)
        if not level:
            del ladder[cents]
        self._note(at_s, BookDelta(outcome, PriceE4(cents * 100), CountE2(-part * 100)))

    # Drawing

    def _activity(self, power: float) -> float:
        """A power of the lognormal activity, scaled to mean 1."""
        sigma = power * self._profile.activity_sigma
        return math.exp(sigma * self._mood - sigma * sigma / 2)

    def _size_of(self, sizes: Sizes) -> int:
        if self._draw.random() < sizes.common_share:
            values, weights = zip(*sizes.common, strict=True)
            return int(self._draw.choices(values, weights)[0])
        return min(sizes.most, max(sizes.least, round(self._draw.lognormvariate(sizes.mu, sizes.sigma))))

    # Small things

    def _fair(self, outcome: Outcome) -> float:
        return self._value_c if outcome == "yes" else 100 - self._value_c

    def _size(self, outcome: Outcome, cents: int) -> int:
        return sum(resting.count for resting in self._ladders[outcome][cents])

    def _best(self, outcome: Outcome) -> int:
        """The best bid; of an empty side, where one would stand first."""
        return max(self._ladders[outcome], default=0) or max(1, math.floor(self._fair(outcome)) - 1)

    def _mid_c(self) -> float:
        return (self._best("yes") + 100 - self._best("no")) / 2

    def _plan(self, at_s: float, kind: CrowdAction, outcome: Outcome, resting: _Resting | None = None) -> None:
        heapq.heappush(self._agenda, (at_s, self._entries, kind, outcome, resting))
        self._entries += 1

    def _note(self, at_s: float, change: Change) -> None:
        self.events.append((round(at_s * 1_000_000), change))
