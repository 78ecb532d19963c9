"""What the account has won and lost: by market, event, series, method, execution, day, and by hand.

Realised profit is by average cost and without fees, fees stand apart, unrealised is what closing now brings less what
the open contracts cost. A market of which no price is known is taken to bring nothing, and counted in `unmarked`.

Markets add up to events, series and the account: exactly. Executions do not: each is reckoned as if it were alone, and
where two of them hold the two outcomes of a market the exchange has netted them, which is worth the spread and the fees
of closing both. That difference is a figure of its own, `netted_e6`, so that it all adds up again.

A day has what was realised and paid in fees on it, in one time zone; what is unrealised belongs to no day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from fsm_exec.core.account.brake import day_of
from fsm_exec.core.account.holding import NOTHING, Holding
from fsm_exec.core.account.marks import Mark
from fsm_exec.core.account.rows import Bought, MarketBooks, TakenOver, holding_of
from fsm_exec.core.market.account import Settlement
from fsm_exec.core.values.units import ONE_DOLLAR_E4, CountE2, MoneyE6, PriceE4, complement

BY_HAND: Final = "by hand"
TAKEN_OVER: Final = "taken over"
ACCOUNT: Final = "account"


class ProfitLine(msgspec.Struct, frozen=True, kw_only=True):
    """What one of them has brought, in millionths of a dollar. `key` is its name. `traded_e2` counts contracts bought,
    `cost_e6` is what its open contracts cost. `unrealized_mid_e6` None: no mid of some market is known. `unmarked`
    counts markets whose open contracts are taken to bring nothing, as no price of them is known."""

    key: str
    traded_e2: CountE2 = CountE2(0)
    traded_e6: MoneyE6 = MoneyE6(0)
    cost_e6: MoneyE6 = MoneyE6(0)
    realized_e6: MoneyE6 = MoneyE6(0)
    fees_e6: MoneyE6 = MoneyE6(0)
    unrealized_e6: MoneyE6 = MoneyE6(0)
    unrealized_mid_e6: MoneyE6 | None = MoneyE6(0)
    unmarked: int = 0

    @property
    def total_e6(self) -> MoneyE6:
        """Everything together: realised less fees, and what closing now would bring or cost."""
        return MoneyE6(self.realized_e6 - self.fees_e6 + self.unrealized_e6)

    def plus(self, other: ProfitLine) -> ProfitLine:
        """The two as one, under this name."""
        mids = self.unrealized_mid_e6, other.unrealized_mid_e6
        return ProfitLine(
            key=self.key,
            traded_e2=CountE2(self.traded_e2 + other.traded_e2),
            traded_e6=MoneyE6(self.traded_e6 + other.traded_e6),
            cost_e6=MoneyE6(self.cost_e6 + other.cost_e6),
            realized_e6=MoneyE6(self.realized_e6 + other.realized_e6),
            fees_e6=MoneyE6(self.fees_e6 + other.fees_e6),
            unrealized_e6=MoneyE6(self.unrealized_e6 + other.unrealized_e6),
            unrealized_mid_e6=None if mids[0] is None or mids[1] is None else MoneyE6(mids[0] + mids[1]),
            unmarked=self.unmarked + other.unmarked,
        )


class Profit(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `executions` and `methods` stand alone, as do `by_hand` (no execution made it) and `taken_over` (no
    fill explains it); `netted_e6` is what the account's total is beyond the sum of these."""

    total: ProfitLine
    markets: tuple[ProfitLine, ...]
    events: tuple[ProfitLine, ...]
    series: tuple[ProfitLine, ...]
    days: tuple[ProfitLine, ...]
    methods: tuple[ProfitLine, ...]
    executions: tuple[ProfitLine, ...]
    by_hand: ProfitLine
    taken_over: ProfitLine
    netted_e6: MoneyE6


def line_of(key: str, holding: Holding, mark: Mark | None) -> ProfitLine:
    """What one holding of a market has brought; None: no price of the market is known."""
    unrealized, mid, unmarked = MoneyE6(0), MoneyE6(0), 0
    mid_or_none: MoneyE6 | None = mid
    if holding.count_e2:
        unmarked = int(mark is None)
        value = MoneyE6(0) if mark is None else mark.closing_value_e6(holding.count_e2)
        unrealized = MoneyE6(value - holding.cost_e6)
        at_mid = None if mark is None else mark.mid_value_e6(holding.count_e2)
        mid_or_none = None if at_mid is None else MoneyE6(at_mid - holding.cost_e6)
    elif holding.cost_e6:  # taken over at a cost, and nothing is left of it
        unrealized = mid_or_none = MoneyE6(-holding.cost_e6)
    return ProfitLine(
        key=key,
        traded_e2=holding.traded_e2,
        traded_e6=holding.traded_e6,
        cost_e6=holding.cost_e6,
        realized_e6=holding.realized_e6,
        fees_e6=holding.fees_e6,
        unrealized_e6=unrealized,
        unrealized_mid_e6=mid_or_none,
        unmarked=unmarked,
    )


def profit_of(books: Iterable[MarketBooks], marks: Mapping[str, Mark], time_zone: str = "UTC") -> Profit:
    """Reckon the profit of these markets; `marks` by ticker. Raises UserError for an unknown time zone."""
    total, alone = ProfitLine(key=ACCOUNT), ProfitLine(key="alone")
    markets = []
    kinds: dict[str, dict[str, ProfitLine]] = {kind: {} for kind in ("event", "series", "day", "method", "execution")}
    special = {key: ProfitLine(key=key) for key in (BY_HAND, TAKEN_OVER)}
    for one in books:
        mark = marks.get(one.ticker)
        market = line_of(one.ticker, holding_of(one).holding, mark)
        markets.append(market)
        total = total.plus(market)
        _add(kinds["event"], one.event or one.ticker, market)
        _add(kinds["series"], one.series or one.event or one.ticker, market)
        for day in _days(one, lambda at_us: day_of(at_us, time_zone)):
            _add(kinds["day"], day.key, day)
        for (execution_id, method), holding in _alone(one).items():
            line = line_of(execution_id, holding, mark)
            alone = alone.plus(line)
            if execution_id in special:
                special[execution_id] = special[execution_id].plus(line)
            else:
                _add(kinds["execution"], execution_id, line)
                _add(kinds["method"], method, line)
    return Profit(
        total=total,
        markets=tuple(markets),
        events=_lines(kinds["event"]),
        series=_lines(kinds["series"]),
        days=_lines(kinds["day"]),
        methods=_lines(kinds["method"]),
        executions=_lines(kinds["execution"]),
        by_hand=special[BY_HAND],
        taken_over=special[TAKEN_OVER],
        netted_e6=MoneyE6(total.total_e6 - alone.total_e6),
    )


def _add(lines: dict[str, ProfitLine], key: str, line: ProfitLine) -> None:
    lines[key] = lines[key].plus(line) if key in lines else replace(line, key=key)


def _lines(lines: dict[str, ProfitLine]) -> tuple[ProfitLine, ...]:
    return tuple(lines[key] for key in sorted(lines))


def _days(books: MarketBooks, day: Callable[[int], str]) -> list[ProfitLine]:
    """What each day realised, paid in fees and traded of one market."""
    found: dict[str, ProfitLine] = {}
    holding = NOTHING
    for entry in books.entries:
        after = _booked(holding, entry)
        _add(found, key := day(entry.at_us), _change(key, holding, after))
        holding = after
    if books.settlement is not None:
        _add(found, key := day(books.settlement.at_us), _change(key, holding, holding.settled(books.settlement)))
    return list(found.values())


def _change(key: str, before: Holding, after: Holding) -> ProfitLine:
    return ProfitLine(
        key=key,
        traded_e2=CountE2(after.traded_e2 - before.traded_e2),
        traded_e6=MoneyE6(after.traded_e6 - before.traded_e6),
        realized_e6=MoneyE6(after.realized_e6 - before.realized_e6),
        fees_e6=MoneyE6(after.fees_e6 - before.fees_e6),
    )


def _booked(holding: Holding, entry: Bought | TakenOver) -> Holding:
    if isinstance(entry, TakenOver):
        return holding.taken_over(entry.count_e2, entry.cost_e6)
    return holding.bought(entry.outcome, entry.price_e4, entry.count_e2, entry.fee_e6)


def _alone(books: MarketBooks) -> dict[tuple[str, str], Holding]:
    """What each execution would hold if the market were its own, by its id and method; beside them what was made by
    hand, and what was taken over."""
    found: dict[tuple[str, str], Holding] = {}
    for entry in books.entries:
        if isinstance(entry, TakenOver):
            key = TAKEN_OVER, ""
        elif entry.execution_id is None:
            key = BY_HAND, ""
        else:
            key = entry.execution_id, entry.method or ""
        found[key] = _booked(found.get(key, NOTHING), entry)
    if books.settlement is None:
        return found
    value_e4 = _paid_e4(books, books.settlement)
    return {
        key: one.paid_out(one.cost_e6 if value_e4 is None else one.value_e6(value_e4)) for key, one in found.items()
    }


def _paid_e4(books: MarketBooks, settlement: Settlement) -> PriceE4 | None:
    """What a YES contract of a settled market paid, as it was stated, or as the sum for what was held says. None:
    nobody knows, and what stands alone is taken to have got its cost back."""
    if settlement.value_e4 is not None:
        return settlement.value_e4
    held = holding_of(replace(books, settlement=None)).holding.count_e2
    if held == 0:
        return None
    each = PriceE4(min(int(ONE_DOLLAR_E4), settlement.revenue_e6 // abs(held)))
    return each if held > 0 else complement(each)
