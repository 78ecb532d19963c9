"""Takes our own doings out of a kept tape: what is left is the market as it would have been without them.

The exchange's book contains our orders. What of a level is ours is known from the frames that our orders caused, and
from our fills. Three things are taken out, each of which lets something else of the market stand:

  our orders that rest         their size; a trade that hit one of the forked execution's stays a trade of the market:
                               its taker came for that price, and meets whoever rests there in the lab
  what the execution took      is displayed on, as if nobody had, until a bid reaches it or others leave its level: the
                               exchange of the lab takes the decreases after a take for those whom it took, too
  the account's other orders   their size, and the trades that hit them: what they did is the same whatever is tried

What others of the account took stays taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import ONE_DOLLAR_E4, CountE2, Outcome, PriceE4, in_outcome, opposite
from fsm_exec.lab.fork.kept_frames import KeptChange
from fsm_exec.paper.tapes.moments import ImpossibleBook, order_within_moments
from fsm_exec.paper.tapes.reading import move_trades_to_their_decreases
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, TapeEvent, Trade

NEAR_US: Final = 3_000_000  # a fill, its trade and its change of the book are at most so far apart
OUTCOMES: Final[tuple[Outcome, Outcome]] = ("yes", "no")
Level = tuple[Outcome, PriceE4]


class OwnFill(NamedTuple):
    """A fill of this account's, in its own outcome. `is_forked`: of the execution that is tried again."""

    outcome: Outcome
    price_e4: PriceE4
    count_e2: CountE2
    is_taker: bool
    traded_at_us: int
    trade_id: str | None
    is_forked: bool


class OwnOrders(NamedTuple):
    """The account's doings in one market. `outcomes`: by client order id; `forked`: those of the execution that is
    tried again; `resting`: what of each level was ours when the tape begins."""

    outcomes: Mapping[str, Outcome]
    forked: frozenset[str]
    fills: Sequence[OwnFill]
    resting: Mapping[Level, int]


def net_events(changes: Sequence[KeptChange], own: OwnOrders) -> list[TapeEvent]:
    """Return the tape's events without our own doings. Raises UserError for a book that cannot be."""
    netting = _Netting(changes, own)
    netting.run()
    try:
        events = order_within_moments(move_trades_to_their_decreases(netting.events))
        return order_within_moments(_merged(events, netting.hits))
    except ImpossibleBook as error:
        raise UserError(f"the kept tape without our own orders: {error}") from error


class _Netting:
    """`events`: of the market alone; `hits`: trades that met an order of the forked execution."""

    def __init__(self, changes: Sequence[KeptChange], own: OwnOrders) -> None:
        self.events: list[TapeEvent] = []
        self.hits: list[TapeEvent] = []
        self._changes, self._own = changes, own
        self._gross: dict[Level, int] = defaultdict(int)
        self._ours: dict[Level, int] = defaultdict(int, own.resting)
        self._restored: dict[Level, int] = defaultdict(int)
        self._shown: dict[Level, int] = defaultdict(int)
        self._rests: dict[str, Level] = {}
        self._trades: dict[int, OwnFill] = {}  # by the number of the change
        self._filled: dict[int, int] = defaultdict(int)  # of a decrease, what of it was ours
        self._match_fills()

    def _match_fills(self) -> None:
        """Find each fill's trade and, of one that hit us, the decrease of our level."""
        trades = [number for number, each in enumerate(self._changes) if isinstance(each.change, Trade)]
        decreases: dict[Level, list[int]] = defaultdict(list)
        for number, each in enumerate(self._changes):
            if isinstance(each.change, BookDelta) and each.change.delta_e2 < 0 and each.by not in self._own.outcomes:
                decreases[each.change.outcome, each.change.price_e4].append(number)
        for fill in self._own.fills:
            found = self._nearest(fill, [n for n in trades if n not in self._trades and self._is_trade_of(n, fill)])
            if found is not None:
                self._trades[found] = fill
            if not fill.is_taker:
                self._match_decreases(fill, found, decreases[fill.outcome, fill.price_e4])

    def _match_decreases(self, fill: OwnFill, trade: int | None, candidates: Sequence[int]) -> None:
        """Say of the decreases of our level which are this fill: one of its size before others, the nearest first."""
        at_us = fill.traded_at_us if trade is None else self._changes[trade].at_us
        near = [n for n in candidates if abs(self._changes[n].at_us - at_us) <= NEAR_US and self._open(n) > 0]
        near.sort(key=lambda n: (self._open(n) != fill.count_e2, abs(self._changes[n].at_us - at_us), n))
        left = int(fill.count_e2)
        for number in near:
            part = min(left, self._open(number))
            self._filled[number] += part
            left -= part
            if not left:
                return

    def _open(self, number: int) -> int:
        """What of a decrease is not known to be ours."""
        change = self._changes[number].change
        assert isinstance(change, BookDelta)
        return -change.delta_e2 - self._filled[number]

    def _is_trade_of(self, number: int, fill: OwnFill) -> bool:
        each = self._changes[number]
        change = each.change
        assert isinstance(change, Trade)
        if each.trade_id is not None and fill.trade_id is not None:
            return each.trade_id == fill.trade_id
        taker = fill.outcome if fill.is_taker else opposite(fill.outcome)
        price = in_outcome(change.yes_price_e4, fill.outcome)
        return (change.taker, price, change.count_e2) == (taker, fill.price_e4, fill.count_e2)

    def _nearest(self, fill: OwnFill, numbers: Sequence[int]) -> int | None:
        def apart_us(number: int) -> int:
            each = self._changes[number]
            return abs((each.at_us if each.stamped_us is None else each.stamped_us) - fill.traded_at_us)

        found = min(numbers, key=apart_us, default=None)
        return None if found is None or apart_us(found) > NEAR_US else found

    # One change after the other.

    def run(self) -> None:
        for number, each in enumerate(self._changes):
            match each.change:
                case BookSnapshot() as book:
                    self._take_book(each.at_us, book)
                case BookDelta() as delta:
                    self._take_delta(number, each, delta)
                case Trade() as trade:
                    fill = self._trades.get(number)
                    if fill is None or (fill.is_taker and not fill.is_forked):
                        self.events.append((each.at_us, trade))
                    elif not fill.is_taker and fill.is_forked:
                        self.hits.append((each.at_us, trade))

    def _take_book(self, at_us: int, book: BookSnapshot) -> None:
        self._gross.clear()
        self._restored.clear()
        for outcome, levels in zip(OUTCOMES, (book.yes, book.no), strict=True):
            self._gross.update({(outcome, price): int(count) for price, count in levels})
        self._shown.clear()
        for level in self._gross:
            if (count := self._net(level)) > 0:
                self._shown[level] = count
        yes, no = (
            tuple((price, CountE2(count)) for (side, price), count in sorted(self._shown.items()) if side == outcome)
            for outcome in OUTCOMES
        )
        self.events.append((at_us, BookSnapshot(yes, no)))

    def _take_delta(self, number: int, each: KeptChange, delta: BookDelta) -> None:
        level = (delta.outcome, delta.price_e4)
        self._gross[level] += delta.delta_e2
        if each.by in self._own.outcomes:
            self._take_own(each.by or "", level, delta.delta_e2)
        elif delta.delta_e2 > 0:
            self._drop_crossed(each.at_us, level)
        else:
            ours = min(self._filled[number], self._ours[level])
            self._ours[level] -= ours
            if -delta.delta_e2 > ours:
                self._restored[level] = 0
        self._show(each.at_us, level)

    def _take_own(self, name: str, level: Level, delta: int) -> None:
        """A change that an order of ours caused: it rests or leaves, or it took from the other ladder."""
        if level[0] == self._own.outcomes[name]:
            self._ours[level] = max(0, self._ours[level] + delta)
        elif name in self._own.forked:
            self._restored[level] -= delta

    def _drop_crossed(self, at_us: int, level: Level) -> None:
        """A bid of the market reaches what we had taken: it would have taken it then."""
        outcome, price = level
        for other in [key for key, count in self._restored.items() if count and key[0] != outcome]:
            if other[1] + price >= ONE_DOLLAR_E4:
                self._restored[other] = 0
                self._show(at_us, other)

    def _net(self, level: Level) -> int:
        return max(0, self._gross[level] - self._ours[level]) + self._restored[level]

    def _show(self, at_us: int, level: Level) -> None:
        count = self._net(level)
        if count != self._shown[level]:
            change = BookDelta(level[0], level[1], CountE2(count - self._shown[level]))
            self._shown[level] = count
            self.events.append((at_us, change))


def _merged(events: list[TapeEvent], hits: list[TapeEvent]) -> list[TapeEvent]:
    """Both in the order of time; a trade that hit us before what else came at its moment."""
    merged: list[TapeEvent] = []
    waiting = iter(hits)
    hit = next(waiting, None)
    for event in events:
        while hit is not None and hit[0] <= event[0]:
            merged.append(hit)
            hit = next(waiting, None)
        merged.append(event)
    return merged if hit is None else [*merged, hit, *waiting]
