"""The account's books in memory: what is held of each market, and what its events say.

Our own fills come with each save, once it is durable. What they cannot tell exactly (a fill that is corrected or taken
back, that may have been counted as made by hand before its order was known, or that is not newer than all others, since
average cost depends on their order) makes the market stale: its books are read again.
"""

from __future__ import annotations

from collections import Counter

import trio
from msgspec.structs import replace

from fsm_exec.core.account.brake import RiskState
from fsm_exec.core.account.differences import Held, held_of
from fsm_exec.core.account.holding import NOTHING, Holding
from fsm_exec.core.account.limits import RiskLimits, shape_under
from fsm_exec.core.account.rows import AccountLook, Difference, MarketHolding, StoredAccount, holding_of
from fsm_exec.core.account.worst_case import OpenOrder, Stake
from fsm_exec.core.journal.rows import ExecutionSave
from fsm_exec.core.market.account import EventShape, MarketFacts
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.store_port import AccountStore
from fsm_exec.core.values.units import US_PER_MS, CountE2, MoneyE6, parse_count, parse_money, parse_price
from fsm_exec.runtime.account.doubts import Doubts


class Ledger:
    """`foreign_orders` are resting orders of the account that no execution of ours has. `archived` is what the fills
    came to that have moved into archives, and are in no market's books here. `stale` has the markets whose books must
    be read again. `look` None: the account was never read, in this process or before."""

    def __init__(self, limits: RiskLimits) -> None:
        self.limits = limits
        self.markets: dict[str, MarketHolding] = {}
        self.archived = NOTHING
        self.shapes: dict[str, EventShape] = {}
        self.facts: dict[str, MarketFacts] = {}
        self.foreign_orders: tuple[OpenOrder, ...] = ()
        self.differences: tuple[Difference, ...] = ()
        self.stale: set[str] = set()
        self._saves: Counter[str] = Counter()  # of fills, by market
        self.look: AccountLook | None = None
        self.risk = RiskState()
        self.was_read = trio.Event()  # by this process
        self.doubts = Doubts()

    def begin(self, stored: StoredAccount) -> None:
        """Go on from what the database knows."""
        self.markets = {one.ticker: one for one in stored.markets}
        self.archived = stored.archived
        self.differences, self.look = stored.differences, stored.look
        self.risk = self.risk if stored.risk is None else stored.risk
        for shape in stored.shapes:
            self.learn_shape(shape)

    def learn_shape(self, shape: EventShape) -> None:
        """Take what an event says, with what the configuration says of its series."""
        self.shapes[shape.event] = shape_under(shape, self.limits)

    def learn_terms(self, terms: MarketTerms) -> None:
        """Take the event and series of a market."""
        known = self.markets.get(terms.ticker)
        self.put(terms.ticker, terms.event, terms.series, known)

    def put(self, ticker: str, event: str, series: str, known: MarketHolding | None) -> None:
        """Keep a market's holding (None: nothing is held), with its event and series where they are known."""
        if known is None:
            nothing = CountE2(0)
            known = MarketHolding(
                ticker=ticker, event=event, series=series, holding=NOTHING, ours_e2=nothing, by_hand_e2=nothing
            )
        before = self.markets.get(ticker)
        place = event or known.event or ("" if before is None else before.event)
        of = series or known.series or ("" if before is None else before.series)
        self.markets[ticker] = replace(known, event=place, series=of)

    def take_save(self, save: ExecutionSave) -> None:
        """Book what one durable step filled."""
        if save.corrected or save.gone:
            self.stale.add(save.ticker)
        if not save.fills:
            return
        self._saves[save.ticker] += 1
        if save.ticker not in self.markets:
            self.put(save.ticker, "", "", None)
        market = self.markets[save.ticker]
        if market.has_by_hand:
            self.stale.add(save.ticker)
        holding, ours, last_at_us = market.holding, int(market.ours_e2), market.last_at_us
        if market.settlement is not None:
            self.stale.add(save.ticker)  # a fill before the end that was heard of after it
            return
        for row in save.fills:
            count = parse_count(row.quantity)
            holding = holding.bought(save.outcome, parse_price(row.price), count, parse_money(row.fee))
            ours += count if save.outcome == "yes" else -count
            if row.traded_at_us // US_PER_MS <= last_at_us // US_PER_MS:
                self.stale.add(save.ticker)
            last_at_us = max(last_at_us, row.traded_at_us)
        self.markets[save.ticker] = replace(market, holding=holding, ours_e2=CountE2(ours), last_at_us=last_at_us)

    async def reload_stale(self, account: AccountStore) -> None:
        """Read the books of stale markets again. A fill that is booked here meanwhile may be in what was read or not:
        then it is read once more. Raises StoreFailed."""
        while self.stale:
            ticker = self.stale.pop()
            saves = self._saves[ticker]
            books = await account.load_books(ticker)
            if self._saves[ticker] == saves:
                self.put(ticker, "", "", holding_of(books))
            await trio.lowlevel.checkpoint()  # who saved in the same moment books its fill now
            if self._saves[ticker] != saves:
                self.stale.add(ticker)

    def take_move(self, ticker: str, brought: Holding) -> None:
        """Book that fills of a settled market have moved into an archive: from the market's books to `archived`."""
        market = self.markets.get(ticker)
        if brought == NOTHING:
            return
        self._saves[ticker] += 1  # books that are being read may have them or not
        self.archived = self.archived.plus(brought)
        if market is not None and market.settlement is not None:
            self.markets[ticker] = replace(market, holding=market.holding.minus(brought))
        else:
            self.stale.add(ticker)

    def stakes(self) -> list[Stake]:
        """What may still be won or lost: every market that was traded and has not settled."""
        return [
            Stake(one.ticker, one.event, one.series, one.holding.count_e2, one.holding.cash_e6)
            for one in self.markets.values()
            if one.settlement is None and one.holding != NOTHING
        ]

    def held(self) -> dict[str, Held]:
        """The books as they are compared with the exchange's positions."""
        return {ticker: held_of(one) for ticker, one in self.markets.items()}

    def explained_e6(self) -> MoneyE6:
        """What all fills and settlements moved the balance by."""
        held = sum(one.holding.balance_change_e6 for one in self.markets.values())
        return MoneyE6(held + self.archived.balance_change_e6)

    def place_of(self, ticker: str) -> tuple[str, str]:
        """Event and series of a market, empty where they are not known."""
        known = self.markets.get(ticker)
        return ("", "") if known is None else (known.event, known.series)
