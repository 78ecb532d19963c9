"""What happened to one execution, as things that can be drawn: bars, lines and marks, all times and prices integers.

Read off its folded journal. Our clock may have been put back in between: no row is drawn before the one ahead of it.
Fills are at the exchange's time of the trade, all else at the time it reached the engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from fsm_exec.core.execution.describe import describe
from fsm_exec.core.execution.events import (
    Amend,
    AmendRefused,
    Cancel,
    CancelAnswered,
    DrainRequested,
    OrderNotFound,
    OrderNotSent,
    OrderRefused,
    PlaceUnconfirmed,
    ResendCancel,
    Restored,
    StopRequested,
    WriteUnconfirmed,
)
from fsm_exec.core.execution.execution import CHILD_ENDS, CHILD_LIVE, ChildOrder, Execution
from fsm_exec.core.journal.replay import ReplayedRow
from fsm_exec.core.values.units import CountE2, PriceE4

OPEN_END_US: Final = 2**63 - 1  # of what has no end yet
TROUBLES = (OrderRefused, PlaceUnconfirmed, OrderNotSent, OrderNotFound, AmendRefused, WriteUnconfirmed)


class Bar(NamedTuple):
    """A state, from when it was entered until it was left."""

    state: str
    from_us: int
    until_us: int


class OrderTimeline(NamedTuple):
    """One order's states, and how it ended: None if it is open."""

    client_order_id: str
    level: int
    bars: tuple[Bar, ...]
    ended_at_us: int | None
    end: str | None


class Stand(NamedTuple):
    """An order of ours at one price. `sure`: it was known to be at the exchange; otherwise it was on its way, or its
    outcome was not known."""

    client_order_id: str
    from_us: int
    until_us: int
    price_e4: PriceE4
    remaining_e2: CountE2
    sure: bool


class Walk(NamedTuple):
    """A new price of an order, when it was learned to stand. `asked_at_us` None: it was not asked for by us."""

    client_order_id: str
    at_us: int
    asked_at_us: int | None
    from_e4: PriceE4
    to_e4: PriceE4


class Mark(NamedTuple):
    """Something about one order, at its price: `kind` is `cancel sent`, `cancel answered` or `trouble`."""

    kind: str
    client_order_id: str
    at_us: int
    price_e4: PriceE4
    text: str


class Moment(NamedTuple):
    at_us: int
    text: str


class Outage(NamedTuple):
    """From the last sign of life to the row that says that a new process, or a new task, took over."""

    from_us: int
    until_us: int


class Timeline(NamedTuple):
    """`until_us` is its end, or as far as anything is known of it."""

    execution: Execution
    from_us: int
    until_us: int
    states: tuple[Bar, ...]
    orders: tuple[OrderTimeline, ...]
    stands: tuple[Stand, ...]
    walks: tuple[Walk, ...]
    marks: tuple[Mark, ...]
    moments: tuple[Moment, ...]
    outages: tuple[Outage, ...]


def build_timeline(history: Iterable[ReplayedRow], signs_of_life_us: Sequence[int]) -> Timeline:
    """`history` is not empty; `signs_of_life_us` are times at which the engine is known to have worked, beside those of
    the journal, ascending."""
    builder = TimelineBuilder()
    for one in history:
        builder.add(one)
    return builder.build(signs_of_life_us)


class _OrderStory:
    """What is known of one order: its states and the prices it stood at, each with the time since when."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.states: list[tuple[int, str]] = []
        self.stands: list[Stand] = []
        self.ended_at_us: int | None = None
        self.end: str | None = None
        self.stands_no_more = False

    def learn(self, at_us: int, child: ChildOrder) -> None:
        if self.end is None and child.state in CHILD_ENDS:
            self.ended_at_us, self.end = at_us, child.state
        if self.end is None:
            self.states.append((at_us, child.state))
        if self.stands_no_more:
            return
        if self.stands:
            self.stands[-1] = self.stands[-1]._replace(until_us=at_us)
        if child.state in CHILD_ENDS or child.state == "settling":
            self.stands_no_more = True
            return
        remaining = CountE2(child.count_e2 - child.counted_e2)
        stand = Stand(child.client_order_id, at_us, OPEN_END_US, child.price_e4, remaining, child.state in CHILD_LIVE)
        if self.stands and self.stands[-1][3:] == stand[3:]:
            self.stands[-1] = self.stands[-1]._replace(until_us=OPEN_END_US)
        else:
            self.stands.append(stand)

    def stands_until(self, until_us: int) -> Iterator[Stand]:
        for stand in self.stands:
            if min(stand.until_us, until_us) > stand.from_us:
                yield stand._replace(until_us=until_us) if stand.until_us == OPEN_END_US else stand


class TimelineBuilder:
    """Builds a timeline row by row: a journal that grows is read on, and each row is looked at once."""

    def __init__(self) -> None:
        self._execution: Execution | None = None
        self._from_us = self._last_us = 0
        self._states: list[tuple[int, str]] = []
        self._orders: dict[str, _OrderStory] = {}
        self._walks: list[Walk] = []
        self._asked_us: dict[str, int] = {}
        self._marks: list[Mark] = []
        self._moments: list[Moment] = []
        self._gaps: list[Outage] = []

    def add(self, one: ReplayedRow) -> None:
        """Add the row that follows those before."""
        before_us, before, after = self._last_us, one.before, one.advance.execution
        at_us = one.row.at_us if self._execution is None else max(one.row.at_us, before_us)
        if self._execution is None:
            self._from_us = at_us
        self._execution, self._last_us = after, at_us
        if not self._states or self._states[-1][1] != after.state:
            self._states.append((at_us, after.state))
        known = () if before is None else before.children
        for number, child in enumerate(after.children):
            was = known[number] if number < len(known) else None
            if was is not child:
                self._learn(at_us, was, child)
        for intent in one.intents:
            if isinstance(intent, Amend):
                self._asked_us[intent.client_order_id] = at_us
        self._marks += _marks(at_us, one)
        self._moments += _moments(at_us, one)
        if isinstance(one.event, Restored) and before is not None:
            self._gaps.append(Outage(before_us, at_us))

    def _learn(self, at_us: int, before: ChildOrder | None, child: ChildOrder) -> None:
        order = self._orders.setdefault(child.client_order_id, _OrderStory(child.level))
        order.learn(at_us, child)
        if before is not None and before.price_e4 != child.price_e4:
            asked_at_us = self._asked_us.get(child.client_order_id) if child.walks > before.walks else None
            self._walks.append(Walk(child.client_order_id, at_us, asked_at_us, before.price_e4, child.price_e4))

    def build(self, signs_of_life_us: Sequence[int]) -> Timeline:
        """Return the timeline of the rows up to now, one at least; the times are as for `build_timeline`."""
        execution = self._execution
        assert execution is not None, "a journal has a first row"
        until_us = execution.ended_at_us
        if until_us is None:
            until_us = max([self._last_us, *signs_of_life_us[-1:]])
        until_us = max(until_us, self._from_us)
        return Timeline(
            execution=execution,
            from_us=self._from_us,
            until_us=until_us,
            states=_bars(self._states, until_us),
            orders=tuple(_order(name, order, until_us) for name, order in self._orders.items()),
            stands=tuple(stand for order in self._orders.values() for stand in order.stands_until(until_us)),
            walks=tuple(self._walks),
            marks=tuple(self._marks),
            moments=tuple(self._moments),
            outages=tuple(_outage(gap, signs_of_life_us) for gap in self._gaps),
        )


def _bars(states: Sequence[tuple[int, str]], until_us: int) -> tuple[Bar, ...]:
    """States that follow one another without gap or overlap. What was left at once has no length and is not there."""
    bars: list[Bar] = []
    for moment_us, state in states:
        at_us = min(moment_us, until_us)
        if bars and bars[-1].state == state:
            continue
        if bars:
            bars[-1] = bars[-1]._replace(until_us=at_us)
        bars.append(Bar(state, at_us, until_us))
    return tuple(bar for bar in bars if bar.until_us > bar.from_us)


def _order(client_order_id: str, order: _OrderStory, until_us: int) -> OrderTimeline:
    bars = _bars(order.states, until_us if order.ended_at_us is None else order.ended_at_us)
    return OrderTimeline(client_order_id, order.level, bars, order.ended_at_us, order.end)


def _marks(at_us: int, one: ReplayedRow) -> Iterator[Mark]:
    if isinstance(one.event, CancelAnswered):
        yield _mark("cancel answered", one.event.client_order_id, at_us, one, describe(one.event))
    elif isinstance(one.event, TROUBLES):
        yield _mark("trouble", one.event.client_order_id, at_us, one, describe(one.event))
    for intent in one.intents:
        if isinstance(intent, Cancel | ResendCancel):
            yield _mark("cancel sent", intent.client_order_id, at_us, one, describe(intent))


def _mark(kind: str, client_order_id: str, at_us: int, one: ReplayedRow, text: str) -> Mark:
    child = one.advance.execution.child(client_order_id)
    assert child is not None, "the fold refuses an event about an order that is not there"
    return Mark(kind, client_order_id, at_us, child.price_e4, text)


def _moments(at_us: int, one: ReplayedRow) -> Iterator[Moment]:
    """What changes how the whole execution is worked."""
    before, after = one.before, one.advance.execution
    if after.closing is not None and (before is None or before.closing is None):
        yield Moment(at_us, "closing leg")
    if isinstance(one.event, DrainRequested):
        yield Moment(at_us, "process leaves")
    if isinstance(one.event, StopRequested):
        yield Moment(at_us, f"stop: {one.event.reason}")


def _outage(gap: Outage, signs_of_life_us: Sequence[int]) -> Outage:
    seen = [sign for sign in signs_of_life_us if gap.from_us < sign < gap.until_us]
    return Outage(max([gap.from_us, *seen]), gap.until_us)
