"""The least an account can be worth, whatever happens: the figure every limit of risk is about.

Wealth is linear in each outcome: a market is worth its cash (paid negative, received positive, fees included) plus what
its contracts pay, one dollar each or nothing. So it does not matter how the exchange nets. Values between nothing and a
dollar lie between the two ends. An order that may still fill counts, in each outcome apart, as filled where that makes
the outcome worse and as unfilled elsewhere; a partial fill lies between. So no order that fills, ends or is cancelled
ever makes the figure worse than it was when the order was counted.

The markets of a mutually exclusive event share outcomes: one of them ends YES, or none does. Everything else is taken
to be independent, and worst cases add up: markets of other events, of events nobody could read, in no event, and
markets an event's shape does not name (it is older than they are).

All money is in millionths of a dollar and rounded against us. What is not in it: the exchange rounds the balance at
each order by less than 0.0001 dollar.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias, TypeVar

import msgspec
from msgspec.structs import replace

from fsm_exec.core.market.account import EventShape
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome

_PAYOFF_E6_PER_E2 = 10_000  # a contract pays a dollar, so a hundredth of one pays ten thousand millionths


class Stake(msgspec.Struct, frozen=True, gc=False):
    """What is held of one unsettled market: `count_e2` signed (+ YES, - NO), `cash_e6` what it brought so far (paid
    negative, received positive, fees included). `event` and `series` may be empty: in none."""

    ticker: str
    event: str
    series: str
    count_e2: CountE2
    cash_e6: MoneyE6


class OpenOrder(msgspec.Struct, frozen=True, gc=False):
    """What may still be bought of `outcome`: the open part of an execution, or an order that rests. `all_in_e6` is the
    most a contract costs, fee included; `count_e2` is 0 or more. `reduces_only`: it never buys more than is held of the
    other outcome at the time, and so counts with no more than may be held: all such orders of a market together."""

    ticker: str
    event: str
    series: str
    outcome: Outcome
    count_e2: CountE2
    all_in_e6: MoneyE6
    reduces_only: bool = False


class Exposure(msgspec.Struct, frozen=True):
    """The worst case of each market, event and series and of the account: signed dollars in millionths, negative where
    something can be lost. `contracts_e2` is the largest position each market can come to, either way. A market in no
    event is an event of its own name, an event in no series a series of its own name."""

    by_market: dict[str, int]
    by_event: dict[str, int]
    by_series: dict[str, int]
    account_e6: int
    contracts_e2: dict[str, int]


Held: TypeAlias = Stake | OpenOrder
HeldT = TypeVar("HeldT", Stake, OpenOrder)


def event_of(held: Held) -> str:
    """The name of the event it counts in."""
    return held.event or held.ticker


def series_of(event: Sequence[Held]) -> str:
    """The name of the series that one event's stakes and orders count in; there is at least one of them."""
    return next((held.series for held in event if held.series), event_of(event[0]))


def held_by_event(
    stakes: Iterable[Stake], orders: Iterable[OpenOrder]
) -> dict[str, tuple[list[Stake], list[OpenOrder]]]:
    """Stakes and orders by event."""
    found: dict[str, tuple[list[Stake], list[OpenOrder]]] = {}
    for stake in stakes:
        found.setdefault(event_of(stake), ([], []))[0].append(stake)
    for order in orders:
        found.setdefault(event_of(order), ([], []))[1].append(order)
    return found


def cost_e6(order: OpenOrder) -> int:
    """What the order costs at most if all of it fills, fee included, rounded up."""
    return -(-order.count_e2 * order.all_in_e6 // 100)


def filled_value_e6(order: OpenOrder, *, pays: bool) -> int:
    """What the order is worth once filled, if its outcome pays or not, less what it costs."""
    return (order.count_e2 * _PAYOFF_E6_PER_E2 if pays else 0) - cost_e6(order)


def cut_to_held(stakes: Iterable[Stake], orders: Iterable[OpenOrder]) -> list[OpenOrder]:
    """One market's orders, those that only reduce with the counts they can have together: what is held of the other
    outcome, and what may come to be held. The dearest of them get it."""
    every = list(orders)
    closes = sorted((one for one in every if one.reduces_only), key=lambda one: -one.all_in_e6)
    if not closes:
        return every
    others = [one for one in every if not one.reduces_only]
    held = sum(stake.count_e2 for stake in stakes)
    room = {"no": _room(held, "no", others, closes), "yes": _room(-held, "yes", others, closes)}
    for close in closes:
        count = CountE2(max(0, min(close.count_e2, room[close.outcome])))
        room[close.outcome] -= count
        others.append(replace(close, count_e2=count))
    return others


def _room(held_e2: int, outcome: Outcome, others: Sequence[OpenOrder], closes: Sequence[OpenOrder]) -> int:
    """How much can be closed by buying `outcome`, of which the other one is held so much (or, below zero, is short so
    much: what brings that back to nothing can be a close, too)."""
    coming = sum(one.count_e2 for one in others if one.outcome != outcome)
    back = sum(one.count_e2 for one in closes if one.outcome != outcome)
    return max(0, held_e2) + max(0, coming + min(0, held_e2 + back))


def values_of_market_e6(stakes: Iterable[Stake], orders: Iterable[OpenOrder]) -> tuple[int, int]:
    """What one market's stakes and orders are worth if it ends NO, and if it ends YES: each order as filled where that
    is worse."""
    stakes = tuple(stakes)
    if_no = if_yes = 0
    for stake in stakes:
        if_no += stake.cash_e6 + max(0, -stake.count_e2) * _PAYOFF_E6_PER_E2
        if_yes += stake.cash_e6 + max(0, stake.count_e2) * _PAYOFF_E6_PER_E2
    for order in cut_to_held(stakes, orders):
        if_no += min(0, filled_value_e6(order, pays=order.outcome == "no"))
        if_yes += min(0, filled_value_e6(order, pays=order.outcome == "yes"))
    return if_no, if_yes


def worst_case_e6(stakes: Iterable[Stake], orders: Iterable[OpenOrder], shape: EventShape | None) -> int:
    """The least that the stakes and orders of ONE event can be worth, signed; `shape` None: nothing is known of it."""
    stakes_of, orders_of = _by_ticker(stakes), _by_ticker(orders)
    values = {t: values_of_market_e6(stakes_of.get(t, ()), orders_of.get(t, ())) for t in {**stakes_of, **orders_of}}
    if shape is None or not shape.mutually_exclusive:
        return sum(min(pair) for pair in values.values())
    listed = set(shape.tickers)
    alone = [pair for ticker, pair in values.items() if ticker not in listed]
    if_none = sum(if_no for ticker, (if_no, _) in values.items() if ticker in listed)
    # What it adds that this one ends YES and not NO. One that is not held adds nothing: "none of ours".
    added = [values[ticker][1] - values[ticker][0] if ticker in values else 0 for ticker in listed]
    if alone or not shape.exhaustive or not added:
        added.append(0)
    return if_none + min(added) + sum(min(pair) for pair in alone)


def contracts_e2(stakes: Iterable[Stake], orders: Iterable[OpenOrder]) -> int:
    """The largest position, of either outcome, that one market can come to, whichever of its orders fill."""
    stakes = tuple(stakes)
    most_yes = most_no = 0
    for stake in stakes:
        most_yes += stake.count_e2
        most_no -= stake.count_e2
    for order in cut_to_held(stakes, orders):
        if order.outcome == "yes":
            most_yes += order.count_e2
        else:
            most_no += order.count_e2
    return max(most_yes, most_no)


def exposure_of(stakes: Sequence[Stake], orders: Sequence[OpenOrder], shapes: Mapping[str, EventShape]) -> Exposure:
    """The worst case at each level. `shapes` is by event; one without a shape is taken to be of independent markets."""
    by_market: dict[str, int] = {}
    by_event: dict[str, int] = {}
    by_series: defaultdict[str, int] = defaultdict(int)
    contracts: dict[str, int] = {}
    for event, here in held_by_event(stakes, orders).items():
        stakes_of, orders_of = _by_ticker(here[0]), _by_ticker(here[1])
        for ticker in {**stakes_of, **orders_of}:
            market = stakes_of.get(ticker, []), orders_of.get(ticker, [])
            by_market[ticker] = min(values_of_market_e6(*market))
            contracts[ticker] = contracts_e2(*market)
        by_event[event] = worst_case_e6(*here, shapes.get(event))
        by_series[series_of((*here[0], *here[1]))] += by_event[event]
    return Exposure(by_market, by_event, dict(by_series), sum(by_event.values()), contracts)


def loss_e6(worst_e6: int) -> int:
    """The worst case as a loss, which limits are about: 0 where nothing can be lost."""
    return max(0, -worst_e6)


def _by_ticker(held: Iterable[HeldT]) -> dict[str, list[HeldT]]:
    """The same, by market."""
    found: dict[str, list[HeldT]] = {}
    for one in held:
        found.setdefault(one.ticker, []).append(one)
    return found
