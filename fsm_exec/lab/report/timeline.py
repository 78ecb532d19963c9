"""What happened to one execution, as things that can be drawn: bars, lines and marks, all times and prices integers.

Read off its folded journal. Our clock may have been put back in between: no row is drawn before the one ahead of it.
Fills are at the exchange's time of the trade, all else at the time it reached the engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

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


def build_timeline(history: Sequence[ReplayedRow], signs_of_life_us: Sequence[int]) -> Timeline:
    """`history` is not empty; `signs_of_life_us` are times at which the engine is known to have worked, beside those of
    the journal, ascending."""
    times = _times(history)
    last = history[-1].advance.execution
    until_us = last.ended_at_us if last.ended_at_us is not None else max([times[-1], *signs_of_life_us[-1:]])
    until_us = max(until_us, times[0])
    rows = list(zip(times, history, strict=True))
    return Timeline(
        execution=last,
        from_us=times[0],
        until_us=until_us,
        states=_bars([(at_us, one.advance.execution.state) for at_us, one in rows], until_us),
        orders=tuple(_order(rows, child, until_us) for child in last.children),
        stands=tuple(stand for child in last.children for stand in _stands(rows, child.client_order_id, until_us)),
        walks=tuple(_walks(rows)),
        marks=tuple(_marks(rows)),
        moments=tuple(_moments(rows)),
        outages=tuple(_outages(rows, signs_of_life_us)),
    )


def _times(history: Sequence[ReplayedRow]) -> list[int]:
    times: list[int] = []
    for one in history:
        times.append(max([one.row.at_us, *times[-1:]]))
    return times


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


def _order(rows: Sequence[tuple[int, ReplayedRow]], child: ChildOrder, until_us: int) -> OrderTimeline:
    states: list[tuple[int, str]] = []
    ended_at_us = end = None
    for at_us, one in rows:
        now = one.advance.execution.child(child.client_order_id)
        if now is not None and now.state in CHILD_ENDS:
            ended_at_us, end = at_us, now.state
            break
        if now is not None:
            states.append((at_us, now.state))
    bars = _bars(states, until_us if ended_at_us is None else ended_at_us)
    return OrderTimeline(child.client_order_id, child.level, bars, ended_at_us, end)


def _stands(rows: Sequence[tuple[int, ReplayedRow]], client_order_id: str, until_us: int) -> list[Stand]:
    found: list[Stand] = []
    for at_us, one in rows:
        child = one.advance.execution.child(client_order_id)
        if child is None:
            continue
        if found:
            found[-1] = found[-1]._replace(until_us=at_us)
        if child.state in CHILD_ENDS or child.state == "settling":
            break
        remaining = CountE2(child.count_e2 - child.counted_e2)
        stand = Stand(client_order_id, at_us, until_us, child.price_e4, remaining, child.state in CHILD_LIVE)
        if found and found[-1][3:] == stand[3:]:
            found[-1] = found[-1]._replace(until_us=until_us)
        else:
            found.append(stand)
    return [stand for stand in found if stand.until_us > stand.from_us]


def _walks(rows: Sequence[tuple[int, ReplayedRow]]) -> list[Walk]:
    found: list[Walk] = []
    asked: dict[str, int] = {}
    for at_us, one in rows:
        for child in one.advance.execution.children:
            before = None if one.before is None else one.before.child(child.client_order_id)
            if before is not None and before.price_e4 != child.price_e4:
                asked_at_us = asked.get(child.client_order_id) if child.walks > before.walks else None
                found.append(Walk(child.client_order_id, at_us, asked_at_us, before.price_e4, child.price_e4))
        for intent in one.intents:
            if isinstance(intent, Amend):
                asked[intent.client_order_id] = at_us
    return found


def _marks(rows: Sequence[tuple[int, ReplayedRow]]) -> list[Mark]:
    found: list[Mark] = []
    for at_us, one in rows:
        if isinstance(one.event, CancelAnswered):
            found.append(_mark("cancel answered", one.event.client_order_id, at_us, one, describe(one.event)))
        elif isinstance(one.event, TROUBLES):
            found.append(_mark("trouble", one.event.client_order_id, at_us, one, describe(one.event)))
        found += [
            _mark("cancel sent", intent.client_order_id, at_us, one, describe(intent))
            for intent in one.intents
            if isinstance(intent, Cancel | ResendCancel)
        ]
    return found


def _mark(kind: str, client_order_id: str, at_us: int, one: ReplayedRow, text: str) -> Mark:
    child = one.advance.execution.child(client_order_id)
    assert child is not None, "the fold refuses an event about an order that is not there"
    return Mark(kind, client_order_id, at_us, child.price_e4, text)


def _moments(rows: Sequence[tuple[int, ReplayedRow]]) -> list[Moment]:
    """What changes how the whole execution is worked."""
    found: list[Moment] = []
    for at_us, one in rows:
        before, after = one.before, one.advance.execution
        if after.closing is not None and (before is None or before.closing is None):
            found.append(Moment(at_us, "closing leg"))
        if isinstance(one.event, DrainRequested):
            found.append(Moment(at_us, "process leaves"))
        if isinstance(one.event, StopRequested):
            found.append(Moment(at_us, f"stop: {one.event.reason}"))
    return found


def _outages(rows: Sequence[tuple[int, ReplayedRow]], signs_of_life_us: Sequence[int]) -> list[Outage]:
    found: list[Outage] = []
    for (before_us, _), (at_us, one) in pairwise(rows):
        if isinstance(one.event, Restored):
            seen = [sign for sign in signs_of_life_us if before_us < sign < at_us]
            found.append(Outage(max([before_us, *seen]), at_us))
    return found
