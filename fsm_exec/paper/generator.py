"""A seeded background flow, so that no recording is needed: moderately liquid, drawn before any order is known.

A latent value walks at random. Limit orders arrive near it with lifetimes of their own; those that it leaves on the
wrong side are pulled. Takers come in clusters (each trade raises the rate of the next), with persistent signs and
lognormal sizes, and lean towards the latent value. Every trade is followed by the decrease of the level it hit. The
starting figures are those of measured index days, several times livelier.

The only file of the exchange that draws with floats: what leaves it is integers.
"""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fsm_exec.core.errors import UserError
from fsm_exec.core.units import CountE2, Outcome, PriceE4, opposite
from fsm_exec.paper.tape import BookDelta, BookSnapshot, Change, Tape, TapeEvent, Trade, tape_header

LENGTH_MIN_S, LENGTH_MAX_S = 1, 7 * 24 * 3600
WARM_UP_S = 120  # the book's opening state is that of a market already running
VALUE_SD_C = 0.30  # of the latent value, cents per square root of a second
VALUE_EDGE_C = 12  # the value stays this far from 0 and from a dollar
ARRIVALS_PER_S = 0.9  # limit orders, each side
OFFSET_WEIGHTS = (9, 18, 21, 17, 13, 9, 7, 4, 2)  # how many cents behind the value they are placed
LIFE_MEAN_S = 40.0
PULL_PER_S = 0.5  # chance that an order on the wrong side of the value is pulled in the next second
SIZE_MU, SIZE_SIGMA, SIZE_MAX = 4.3, 1.3, 5_000
TRADES_PER_S = 0.09  # without clustering
BRANCHING, DECAY_PER_S = 0.65, 0.1  # each trade brings 0.65 more, within about 10 s
TRADE_MU, TRADE_SIGMA, TRADE_MAX = 1.7, 1.5, 2_000
SIGN_REPEAT = 0.6
LEAN = 0.3  # how much a taker's side follows the value, at a cent and a half from the mid

Happening: TypeAlias = Literal["arrive_yes", "arrive_no", "die", "step"]


@dataclass(slots=True, eq=False)
class _Resting:
    """A limit order of the crowd: its ladder, its price there in cents, its contracts."""

    outcome: Outcome
    cents: int
    count: int


def generate(seed: int, seconds: int, *, ticker: str = "KXPAPER-DEMO-A", start_us: int = 0) -> Tape:
    """A tape of `seconds`, the same for the same arguments. Raises UserError for a length that makes no sense."""
    if not LENGTH_MIN_S <= seconds <= LENGTH_MAX_S:
        raise UserError(f"a tape of {seconds} s cannot be generated; give {LENGTH_MIN_S} to {LENGTH_MAX_S}")
    crowd = _Crowd(random.Random(f"tape:{seed}"))  # a string: its seeding is defined, whatever the hash seed
    crowd.run(WARM_UP_S)
    opening = crowd.snapshot()
    crowd.events.clear()
    crowd.run(WARM_UP_S + seconds)
    shift_us = start_us - WARM_UP_S * 1_000_000
    events: list[TapeEvent] = [(start_us, opening)]
    events += [(at_us + shift_us, change) for at_us, change in crowd.events]
    header = tape_header(ticker, "linear_cent", category="Generated", title="A generated market")
    return Tape(header, tuple(events))


class _Crowd:
    """Everybody but us. Times inside are seconds from the start of the warm-up."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._value_c = draw.uniform(30, 70)
        self._ladders: dict[Outcome, dict[int, list[_Resting]]] = {"yes": {}, "no": {}}
        self._agenda: list[tuple[float, int, Happening, _Resting | None]] = []
        self._entries = 0
        self._excitement = 0.0
        self._excited_s = 0.0
        self._taker: Outcome = "yes"
        self.events: list[tuple[int, Change]] = []
        self._plan(0.0, "step", None)
        for outcome in self._ladders:
            for behind in range(1, len(OFFSET_WEIGHTS)):
                self._place(0.0, outcome, self._wished(outcome, behind))
        self._plan(0.0, "arrive_yes", None)
        self._plan(0.0, "arrive_no", None)
        self._next_trade_s = self._draw_trade_time(0.0)

    def snapshot(self) -> BookSnapshot:
        yes, no = (
            tuple((PriceE4(cents * 100), CountE2(self._size(outcome, cents) * 100)) for cents in sorted(ladder))
            for outcome, ladder in self._ladders.items()
        )
        return BookSnapshot(yes, no)

    def run(self, until_s: int) -> None:
        while min(self._agenda[0][0], self._next_trade_s) < until_s:
            if self._next_trade_s < self._agenda[0][0]:
                self._trade(self._next_trade_s)
                self._next_trade_s = self._draw_trade_time(self._next_trade_s)
                continue
            at_s, _, kind, resting = heapq.heappop(self._agenda)
            if kind == "step":
                self._step(at_s)
            elif resting is not None:
                self._remove(at_s, resting, resting.count)
            else:
                outcome: Outcome = "yes" if kind == "arrive_yes" else "no"
                behind = self._draw.choices(range(len(OFFSET_WEIGHTS)), OFFSET_WEIGHTS)[0]
                self._place(at_s, outcome, self._wished(outcome, behind))
                self._plan(at_s + self._draw.expovariate(ARRIVALS_PER_S), kind, None)

    # What happens

    def _step(self, at_s: float) -> None:
        """Each second the value moves, and orders it left behind may be pulled."""
        value = self._value_c + self._draw.gauss(0, VALUE_SD_C)
        self._value_c = min(max(value, VALUE_EDGE_C), 100 - VALUE_EDGE_C)
        for outcome, ladder in self._ladders.items():
            fair = self._value_c if outcome == "yes" else 100 - self._value_c
            for cents in sorted(ladder):
                for resting in list(ladder[cents]) if cents > fair else ():
                    if self._draw.random() < PULL_PER_S and len(ladder) > 1:
                        self._remove(at_s, resting, resting.count)
        self._plan(at_s + 1, "step", None)

    def _place(self, at_s: float, outcome: Outcome, cents: int) -> None:
        count = self._draw_size(SIZE_MU, SIZE_SIGMA, SIZE_MAX)
        resting = _Resting(outcome, cents, count)
        self._ladders[outcome].setdefault(cents, []).append(resting)
        self._note(at_s, BookDelta(outcome, PriceE4(cents * 100), CountE2(count * 100)))
        self._plan(at_s + self._draw.expovariate(1 / LIFE_MEAN_S), "die", resting)

    def _wished(self, outcome: Outcome, behind: int) -> int:
        """The price of a new order `behind` cents from the value, never reaching the other side."""
        fair = self._value_c if outcome == "yes" else 100 - self._value_c
        other = max(self._ladders[opposite(outcome)], default=0)
        return max(1, min(math.floor(fair) - behind, 99 - other))

    def _remove(self, at_s: float, resting: _Resting, count: int) -> None:
        """Take `count` contracts off an order; one that has gone already has none."""
        if not count:
            return
        resting.count -= count
        level = self._ladders[resting.outcome][resting.cents]
        if not resting.count:
            level.remove(resting)
            if not level:
                del self._ladders[resting.outcome][resting.cents]
        self._note(at_s, BookDelta(resting.outcome, PriceE4(resting.cents * 100), CountE2(-count * 100)))

    def _trade(self, at_s: float) -> None:
        """One taker sweeps up to its size, but never the last level of a side."""
        self._excite(at_s)
        if self._draw.random() > SIGN_REPEAT:
            lean = LEAN * max(-1.0, min(1.0, (self._value_c - self._mid_c()) / 1.5))
            self._taker = "yes" if self._draw.random() < 0.5 + lean else "no"
        outcome = opposite(self._taker)
        ladder = self._ladders[outcome]
        left = self._draw_size(TRADE_MU, TRADE_SIGMA, TRADE_MAX)
        while left and len(ladder) > 1:
            cents = max(ladder)
            part = min(left, self._size(outcome, cents))
            left -= part
            self._hit(at_s, outcome, cents, part)

    def _hit(self, at_s: float, outcome: Outcome, cents: int, part: int) -> None:
        """A trade of `part`, then one decrease of its level, first come first."""
        yes_cents = cents if outcome == "yes" else 100 - cents
        self._note(at_s, Trade(self._taker, PriceE4(yes_cents * 100), CountE2(part * 100)))
        level = self._ladders[outcome][cents]
        left = part
        while left:
            first = level[0]
            taken = min(left, first.count)
            first.count -= taken
            left -= taken
            if not first.count:
                level.pop(0)
        if not level:
            del self._ladders[outcome][cents]
        self._note(at_s, BookDelta(outcome, PriceE4(cents * 100), CountE2(-part * 100)))

    # Drawing

    def _draw_trade_time(self, now_s: float) -> float:
        """The next trade of a self-exciting process, by thinning: its rate only falls until then."""
        at_s = now_s
        while True:
            bound = TRADES_PER_S + self._excitement_at(at_s)
            at_s += self._draw.expovariate(bound)
            if self._draw.random() * bound <= TRADES_PER_S + self._excitement_at(at_s):
                return at_s

    def _excitement_at(self, at_s: float) -> float:
        return self._excitement * math.exp(-DECAY_PER_S * max(0.0, at_s - self._excited_s))

    def _excite(self, at_s: float) -> None:
        self._excitement = self._excitement_at(at_s) + BRANCHING * DECAY_PER_S
        self._excited_s = at_s

    def _draw_size(self, mu: float, sigma: float, most: int) -> int:
        return min(most, max(1, round(self._draw.lognormvariate(mu, sigma))))

    # Small things

    def _size(self, outcome: Outcome, cents: int) -> int:
        return sum(resting.count for resting in self._ladders[outcome][cents])

    def _mid_c(self) -> float:
        """An empty side counts as a bid at nothing."""
        return (max(self._ladders["yes"], default=0) + 100 - max(self._ladders["no"], default=0)) / 2

    def _plan(self, at_s: float, kind: Happening, resting: _Resting | None) -> None:
        heapq.heappush(self._agenda, (at_s, self._entries, kind, resting))
        self._entries += 1

    def _note(self, at_s: float, change: Change) -> None:
        self.events.append((round(at_s * 1_000_000), change))
