"""What is held and what it has brought, for the control API: from the account's own books, at the prices of now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from fsm_exec.control.account_schema import (
    AccountSeen,
    By,
    DifferenceSeen,
    PositionSeen,
    PositionsSeen,
    ProfitSeen,
    ProfitTable,
)
from fsm_exec.core.account.marks import Mark
from fsm_exec.core.account.profit import ACCOUNT, ProfitLine, line_of
from fsm_exec.core.account.rows import Difference, StoredAccount
from fsm_exec.core.account.statement import PositionLine, position_lines
from fsm_exec.core.errors import VenueError
from fsm_exec.core.exchange_port import Exchange
from fsm_exec.core.market.account import MarketFacts
from fsm_exec.core.market.book import Ladder
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import MoneyE6, complement, format_count, format_money
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.engine import Engine
from fsm_exec.store import SqliteStore

LIVE: Final = "live"


class AccountViews:
    """What the account holds and has brought. The days are those of the time zone in the limits of the risk."""

    def __init__(self, engine: Engine, store: SqliteStore, reads: Exchange, wall: WallClock) -> None:
        self._engine, self._store, self._reads, self._wall = engine, store, reads, wall

    @property
    def _time_zone(self) -> str:
        return "UTC" if self._engine.account is None else self._engine.account.limits.time_zone

    async def positions(self) -> PositionsSeen:
        """Return what is held. A market whose price cannot be had is worth nothing, and says so."""
        stored = await self._store.load_account()
        marks = await self._marks(one.ticker for one in stored.markets if one.holding.count_e2)
        lines = position_lines(stored.markets, marks)
        return PositionsSeen(
            positions=[position_seen(line) for line in lines],
            cost=format_money(MoneyE6(sum(line.profit.cost_e6 for line in lines))),
            value=format_money(MoneyE6(sum(line.value_e6 for line in lines))),
            unrealized=format_money(MoneyE6(sum(line.profit.unrealized_e6 for line in lines))),
            read_at=_read_at(stored),
            damage=list(stored.damage),
        )

    async def profit(self, by: By) -> ProfitTable:
        """Return what was won and lost, by one of its divisions."""
        stored, damage = await self._store.load_account(), list[str]()
        marks = await self._marks(one.ticker for one in stored.markets if one.holding.count_e2)
        tickers = [one.ticker for one in stored.markets]
        profit = await self._store.load_profit(tickers, marks, self._time_zone, damage)
        lines = {
            "market": profit.markets,
            "event": profit.events,
            "series": profit.series,
            "method": profit.methods,
            "execution": profit.executions,
            "day": profit.days,
        }[by]
        alone = by in ("method", "execution")  # only these do not hold the rest as a matter of course
        return ProfitTable(
            by=by,
            lines=[_profit(line) for line in lines],
            by_hand=_profit(profit.by_hand) if alone else None,
            taken_over=_profit(profit.taken_over) if alone else None,
            netted=format_money(profit.netted_e6) if alone else None,
            total=_profit(_total(stored, marks)),
            time_zone=self._time_zone,
            damage=damage,
        )

    async def account(self) -> AccountSeen:
        """Return the account at one look: balance, positions, profit, and where the exchange says something else.
        Raises VenueError."""
        balance = await self._reads.fetch_balance()
        stored = await self._store.load_account()
        marks = await self._marks(one.ticker for one in stored.markets if one.holding.count_e2)
        return AccountSeen(
            at=to_iso(self._wall.now_us()),
            available=format_money(balance.available_e6),
            portfolio=None if balance.portfolio_e6 is None else format_money(balance.portfolio_e6),
            markets_held=sum(one.holding.count_e2 != 0 for one in stored.markets),
            profit=_profit(_total(stored, marks)),
            read_at=_read_at(stored),
            differences=[_difference(one) for one in stored.differences],
            damage=list(stored.damage),
        )

    async def _marks(self, tickers: Iterable[str]) -> dict[str, Mark]:
        """Find the prices of now: of the live book, else of a listing. What cannot be had is left out."""
        found, missing = dict[str, Mark](), list[str]()
        now_us = self._wall.now_us()
        for ticker in tickers:
            feed = self._engine.feeds.get(ticker)
            if feed is None or feed.state != LIVE:
                missing.append(ticker)
                continue
            yes, no = feed.view("yes", depth=0).bids, feed.view("no", depth=0).bids
            found[ticker] = Mark(ticker=ticker, yes_bids=yes, no_bids=no, fees=feed.terms.fees_at(now_us), at_us=now_us)
        if missing:
            try:
                facts, terms = await self._reads.fetch_market_facts(missing), await self._reads.fetch_markets(missing)
            except VenueError:  # the exchange cannot be asked now: what is held is shown all the same
                return found
            for ticker in missing:
                if ticker in facts and ticker in terms:
                    found[ticker] = _mark_of(facts[ticker], terms[ticker], now_us)
        return found


def _total(stored: StoredAccount, marks: Mapping[str, Mark]) -> ProfitLine:
    """Reckon the profit of the account: it needs no archive."""
    total = line_of(ACCOUNT, stored.archived, None)
    for one in stored.markets:
        total = total.plus(line_of(one.ticker, one.holding, marks.get(one.ticker)))
    return total


def _mark_of(facts: MarketFacts, terms: MarketTerms, at_us: int) -> Mark:
    yes: Ladder = ()
    no: Ladder = ()
    if facts.yes_bid_e4 is not None and facts.yes_bid_size_e2:
        yes = ((facts.yes_bid_e4, facts.yes_bid_size_e2),)
    if facts.yes_ask_e4 is not None and facts.yes_ask_size_e2:
        no = ((complement(facts.yes_ask_e4), facts.yes_ask_size_e2),)
    return Mark(ticker=facts.ticker, yes_bids=yes, no_bids=no, fees=terms.fees_at(at_us), at_us=at_us, source="quote")


def position_seen(line: PositionLine) -> PositionSeen:
    """Return a market that is held as the API shows it."""
    profit = line.profit
    return PositionSeen(
        ticker=line.ticker,
        event=line.event,
        series=line.series,
        outcome=line.outcome,
        quantity=format_count(line.count_e2),
        ours=format_count(line.ours_e2),
        others=format_count(line.others_e2),
        average_price=format_money(MoneyE6(profit.cost_e6 * 100 // line.count_e2)),
        cost=format_money(profit.cost_e6),
        value=format_money(line.value_e6),
        unrealized=format_money(profit.unrealized_e6),
        unrealized_at_mid=None if profit.unrealized_mid_e6 is None else format_money(profit.unrealized_mid_e6),
        realized=format_money(profit.realized_e6),
        fees=format_money(profit.fees_e6),
        priced_by=line.mark_source,
        priced_at=None if line.mark_at_us is None else to_iso(line.mark_at_us),
    )


def _profit(line: ProfitLine) -> ProfitSeen:
    return ProfitSeen(
        key=line.key,
        traded=format_count(line.traded_e2),
        paid=format_money(line.traded_e6),
        open_cost=format_money(line.cost_e6),
        realized=format_money(line.realized_e6),
        fees=format_money(line.fees_e6),
        unrealized=format_money(line.unrealized_e6),
        unrealized_at_mid=None if line.unrealized_mid_e6 is None else format_money(line.unrealized_mid_e6),
        total=format_money(line.total_e6),
        unpriced=line.unmarked,
    )


def _difference(one: Difference) -> DifferenceSeen:
    return DifferenceSeen(
        kind=one.kind,
        ticker=one.ticker,
        found_at=to_iso(one.found_at_us),
        ours=one.ours,
        theirs=one.theirs,
        cause=one.cause,
    )


def _read_at(stored: StoredAccount) -> str | None:
    return None if stored.look is None else to_iso(stored.look.at_us)
