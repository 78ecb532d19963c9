"""The worst case reckoned once more: by going through every outcome, from the exchange's own books.

The engine's own arithmetic is not used: a fault in it would hide itself. A market is worth `cash` if it ends NO and a
dollar a contract more if it ends YES; who buys NO sells YES for a dollar less its price.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations
from typing import NamedTuple

from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.values.units import Outcome, PriceE4
from fsm_exec.lab.simulation.wire_rules import all_in_e6

PAYS_E6 = 10_000  # a hundredth of a contract
DOLLAR_E6 = 1_000_000


class Held(NamedTuple):
    """`count_e2` of YES, signed, and the cash it took and brought (fees included), as if only YES were traded."""

    count_e2: int = 0
    cash_e6: int = 0

    def bought(self, outcome: Outcome, count_e2: int, price_e4: int, fee_e6: int) -> Held:
        """Return what is held after a fill."""
        if outcome == "yes":
            return Held(self.count_e2 + count_e2, self.cash_e6 - count_e2 * price_e4 - fee_e6)
        return Held(self.count_e2 - count_e2, self.cash_e6 + count_e2 * (10_000 - price_e4) - fee_e6)


class MayFill(NamedTuple):
    """What may still be bought, and the most a contract costs. `closes`: no more than is held of the other outcome."""

    ticker: str
    outcome: Outcome
    count_e2: int
    all_in_e6: int
    closes: bool = False


class Books(NamedTuple):
    """What is held of the markets that have not settled, and everything that may still fill."""

    held: Mapping[str, Held]
    orders: Sequence[MayFill]


class Layout(NamedTuple):
    """The event of each market, and the events whose markets exclude each other. Its series is an event's first
    part."""

    events: Mapping[str, str]
    exclusive: frozenset[str]

    def series(self, event: str) -> str:
        return event.partition("-")[0]


class Figures(NamedTuple):
    """The worst case at each level, signed; `contracts_e2`: the largest position that a market can come to."""

    markets: dict[str, int]
    events: dict[str, int]
    series: dict[str, int]
    account: int
    contracts_e2: dict[str, int]


def figures_of(books: Books, layout: Layout) -> Figures:
    """Reckon all levels."""
    tickers = sorted({*books.held, *(order.ticker for order in books.orders)})
    orders = {ticker: _capped(ticker, books) for ticker in tickers}
    held = {ticker: books.held.get(ticker, Held()) for ticker in tickers}
    worst_events: dict[str, int] = {}
    worst_series: dict[str, int] = {}
    for event in sorted({layout.events[ticker] for ticker in tickers}):
        mine = [ticker for ticker in tickers if layout.events[ticker] == event]
        worst = min(
            sum(_value_e6(held[ticker], orders[ticker], yes=ticker in won) for ticker in mine)
            for won in _outcomes(mine, exclusive=event in layout.exclusive)
        )
        worst_events[event] = worst
        worst_series[layout.series(event)] = worst_series.get(layout.series(event), 0) + worst
    return Figures(
        markets={
            ticker: min(_value_e6(held[ticker], orders[ticker], yes=yes) for yes in (True, False)) for ticker in tickers
        },
        events=worst_events,
        series=worst_series,
        account=sum(worst_events.values()),
        contracts_e2={ticker: _contracts_e2(held[ticker], orders[ticker]) for ticker in tickers},
    )


def passed_by(before: Figures, after: Figures, ticker: str, layout: Layout, limits: RiskLimits) -> list[str]:
    """Return the limits that a request in `ticker` takes figures past, or further past, in words. What leaves the worst
    case of its event and of its market as they were passes none, whatever it makes of the contracts."""
    event = layout.events[ticker]
    found: list[str] = []
    if not raises_risk(before, after, ticker, layout) and after.markets[ticker] >= before.markets.get(ticker, 0):
        return found
    for level, limit, was, becomes in (
        ("market", limits.max_worst_case_market_dollars, before.markets.get(ticker, 0), after.markets[ticker]),
        ("event", limits.max_worst_case_event_dollars, before.events.get(event, 0), after.events[event]),
        (
            "series",
            limits.max_worst_case_series_dollars,
            before.series.get(layout.series(event), 0),
            after.series[layout.series(event)],
        ),
        ("account", limits.max_worst_case_account_dollars, before.account, after.account),
    ):
        if limit is not None and -becomes > limit * DOLLAR_E6 and becomes < was:
            found.append(f"the worst case of its {level} goes from {was} to {becomes}, the limit is {limit} dollars")
    most, was, becomes = limits.max_contracts_per_market, before.contracts_e2.get(ticker, 0), after.contracts_e2[ticker]
    if most is not None and becomes > most * 100 and becomes > was:
        found.append(f"the contracts of its market go from {was} to {becomes}, the limit is {most}")
    return found


def raises_risk(before: Figures, after: Figures, ticker: str, layout: Layout) -> bool:
    """Whether more can be lost of the event."""
    event = layout.events[ticker]
    return after.events[event] < before.events.get(event, 0)


def loose_order(ticker: str, outcome: Outcome, count_e2: int, price: PriceE4, fees: FeeTerms) -> MayFill:
    """An order that no execution reserves for."""
    return MayFill(ticker, outcome, count_e2, all_in_e6(price, fees, taker=True))


def _capped(ticker: str, books: Books) -> list[MayFill]:
    """The orders of a market. Those that only close fill together no more than is held of the other outcome, or may
    come to be held once what is short of it has been bought back; the dearest ones fill."""
    mine = [order for order in books.orders if order.ticker == ticker]
    found = [order for order in mine if not order.closes]
    yes_e2 = books.held.get(ticker, Held()).count_e2
    for outcome, held in (("no", yes_e2), ("yes", -yes_e2)):
        coming = sum(order.count_e2 for order in mine if order.outcome != outcome and not order.closes)
        short = max(0, -held - sum(order.count_e2 for order in mine if order.outcome != outcome and order.closes))
        left = max(0, held) + max(0, coming - short)
        closing = [order for order in mine if order.outcome == outcome and order.closes]
        for order in sorted(closing, key=lambda order: -order.all_in_e6):
            count = min(order.count_e2, left)
            left -= count
            found.append(order._replace(count_e2=count))
    return found


def _value_e6(held: Held, orders: Iterable[MayFill], *, yes: bool) -> int:
    worth = held.cash_e6 + (held.count_e2 * PAYS_E6 if yes else 0)
    for order in orders:
        paid = order.count_e2 * PAYS_E6 if yes == (order.outcome == "yes") else 0
        worth += min(0, paid + (-order.count_e2 * order.all_in_e6) // 100)
    return worth


def _outcomes(tickers: Sequence[str], *, exclusive: bool) -> Iterator[tuple[str, ...]]:
    """The sets of markets that may end YES together."""
    most = 1 if exclusive else len(tickers)
    return chain.from_iterable(combinations(tickers, size) for size in range(most + 1))


def _contracts_e2(held: Held, orders: Iterable[MayFill]) -> int:
    yes = held.count_e2 + sum(order.count_e2 for order in orders if order.outcome == "yes")
    no = -held.count_e2 + sum(order.count_e2 for order in orders if order.outcome == "no")
    return max(yes, no)
