"""The account as people read it: each market that is held, what it cost, what it is worth, and whose it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from fsm_exec.core.account.marks import Mark, Source
from fsm_exec.core.account.profit import ProfitLine, line_of
from fsm_exec.core.account.rows import MarketHolding
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome


class PositionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One market that is held. Counts are of `outcome`; `ours_e2` is what our executions bought of it net of the other
    outcome (negative: of that), `others_e2` the rest: by hand, by other programs, or taken over. `profit` has cost,
    fees, realised and unrealised. `mark_at_us` and `mark_source` None: no price of the market is known."""

    ticker: str
    event: str
    series: str
    outcome: Outcome
    count_e2: CountE2
    ours_e2: CountE2
    others_e2: CountE2
    value_e6: MoneyE6
    profit: ProfitLine
    mark_at_us: int | None
    mark_source: Source | None


def position_lines(markets: Iterable[MarketHolding], marks: Mapping[str, Mark]) -> tuple[PositionLine, ...]:
    """The markets that are held, by ticker; `marks` by ticker."""
    found = []
    for one in sorted(markets, key=lambda market: market.ticker):
        outcome = one.holding.outcome
        if outcome is None:
            continue
        mark = marks.get(one.ticker)
        sign = 1 if outcome == "yes" else -1
        profit = line_of(one.ticker, one.holding, mark)
        found.append(
            PositionLine(
                ticker=one.ticker,
                event=one.event,
                series=one.series,
                outcome=outcome,
                count_e2=CountE2(sign * one.holding.count_e2),
                ours_e2=CountE2(sign * one.ours_e2),
                others_e2=CountE2(sign * (one.holding.count_e2 - one.ours_e2)),
                value_e6=MoneyE6(profit.unrealized_e6 + profit.cost_e6),
                profit=profit,
                mark_at_us=None if mark is None else mark.at_us,
                mark_source=None if mark is None else mark.source,
            )
        )
    return tuple(found)
