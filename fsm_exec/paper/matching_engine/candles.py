"""A market's quotes and prices, minute by minute: kept as they change, shown as candlesticks of any length.

Only minutes in which something happened are kept. Prices are YES prices; a side without quotes counts as a bid of 0
and an ask of 1 dollar, as in a market's body.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import NamedTuple

from fsm_exec.core.values.units import ONE_DOLLAR_E4, US_PER_S, CountE2, PriceE4

MINUTE_US = 60_000_000
MINUTE_S = 60


class Bar:
    """First, lowest, highest and last of one value."""

    __slots__ = ("close", "high", "low", "open")

    def __init__(self, value: PriceE4) -> None:
        self.open = self.low = self.high = self.close = value

    def take(self, value: PriceE4) -> None:
        if value < self.low:
            self.low = value
        elif value > self.high:
            self.high = value
        self.close = value

    def join(self, later: Bar) -> None:
        self.low, self.high, self.close = min(self.low, later.low), max(self.high, later.high), later.close


class TradeBar:
    """The trades of a time: their prices, how many contracts, and what these came to."""

    __slots__ = ("bar", "cost", "count_e2")

    def __init__(self, price: PriceE4, count: int) -> None:
        self.bar, self.count_e2, self.cost = Bar(price), count, price * count

    def take(self, price: PriceE4, count: int) -> None:
        self.bar.take(price)
        self.count_e2 += count
        self.cost += price * count

    def join(self, later: TradeBar) -> None:
        self.bar.join(later.bar)
        self.count_e2 += later.count_e2
        self.cost += later.cost

    @property
    def mean_e4(self) -> PriceE4:
        return PriceE4((self.cost + self.count_e2 // 2) // self.count_e2)


class _Minute:
    """Its quotes begin with those the minute before left."""

    __slots__ = ("ask", "bid", "traded")

    def __init__(self, bid: PriceE4, ask: PriceE4) -> None:
        self.bid, self.ask = Bar(bid), Bar(ask)
        self.traded: TradeBar | None = None

    def join(self, later: _Minute) -> None:
        self.bid.join(later.bid)
        self.ask.join(later.ask)
        if self.traded is None:
            self.traded = copy.deepcopy(later.traded)
        elif later.traded is not None:
            self.traded.join(later.traded)


class Candle(NamedTuple):
    """`previous_e4` is the last price before it, `total_e2` all that was ever traded up to its end."""

    end_s: int
    bid: Bar
    ask: Bar
    traded: TradeBar | None
    previous_e4: PriceE4 | None
    total_e2: CountE2


class Candles:
    """The minutes of one market. Records come in order of time."""

    def __init__(self) -> None:
        self._minutes: dict[int, _Minute] = {}
        self._newest = _Minute(PriceE4(0), ONE_DOLLAR_E4)

    def record_quotes(self, bid: PriceE4, ask: PriceE4, at_us: int) -> None:
        minute = self._at(at_us)
        minute.bid.take(bid)
        minute.ask.take(ask)

    def record_trade(self, price: PriceE4, count: int, at_us: int) -> None:
        minute = self._at(at_us)
        if minute.traded is None:
            minute.traded = TradeBar(price, count)
        else:
            minute.traded.take(price, count)

    def _at(self, at_us: int) -> _Minute:
        number = at_us // MINUTE_US
        if number not in self._minutes:
            self._newest = self._minutes[number] = _Minute(self._newest.bid.close, self._newest.ask.close)
        return self._newest

    def between(self, start_s: int, end_s: int, minutes: int, now_us: int) -> Iterator[Candle]:
        """The candles of `minutes` each whose end lies in the span, from the first that something happened in to the
        one that has begun. Those in which nothing happened repeat the quotes: there are no holes."""
        periods = self._periods(minutes)
        length_s = minutes * MINUTE_S
        last = min(end_s // length_s - 1, now_us // (length_s * US_PER_S))
        total, previous = 0, None
        bid, ask = PriceE4(0), ONE_DOLLAR_E4
        for number in range(next(iter(periods), last + 1), last + 1):
            period = periods.get(number) or _Minute(bid, ask)
            bid, ask, before = period.bid.close, period.ask.close, previous
            if period.traded is not None:
                total += period.traded.count_e2
                previous = period.traded.bar.close
            ends_s = (number + 1) * length_s
            if ends_s >= start_s:
                yield Candle(ends_s, period.bid, period.ask, period.traded, before, CountE2(total))

    def _periods(self, minutes: int) -> dict[int, _Minute]:
        """The minutes that were kept, joined, by the number of their period."""
        periods: dict[int, _Minute] = {}
        for number, minute in self._minutes.items():
            known = periods.get(number // minutes)
            if known is None:
                periods[number // minutes] = copy.deepcopy(minute)
            else:
                known.join(minute)
        return periods
