"""What each market charges, and when that changes: a waiver of its own, an override of its event, the fees of its
series. A change is announced until its time and holds from then on; it is never taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from fsm_exec.core.market.fees import FeeTerms, fee_terms
from fsm_exec.paper.ids import Ids
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.matching_engine.market import PaperMarket
from fsm_exec.paper.timing.timeline import Rank, Timeline
from fsm_exec.paper.venue.publisher import Publisher

FREE = FeeTerms(taker_e10=0, maker_e10=0)


class SeriesFees(NamedTuple):
    """From `at_us` on a series has these fees."""

    change_id: str
    series: str
    at_us: int
    fee_type: str
    multiplier: Decimal


class EventFees(NamedTuple):
    """From `at_us` on an event overrides its series' fees so. None: it does not override them any more."""

    change_id: str
    event: str
    at_us: int
    fee_type: str | None
    multiplier: Decimal | None


class FeeSchedule:
    """`series_changes` and `event_changes` are all there were, in the order in which they were announced."""

    def __init__(
        self,
        timeline: Timeline,
        publisher: Publisher,
        markets: Mapping[str, PaperMarket],
        accounts: Mapping[str, Account],
        ids: Ids,
    ) -> None:
        self._timeline, self._publisher, self._ids = timeline, publisher, ids
        self._markets, self._accounts = markets, accounts
        self.series_changes: list[SeriesFees] = []
        self.event_changes: list[EventFees] = []
        self._series: dict[str, SeriesFees] = {}
        self._events: dict[str, EventFees] = {}

    def waive(self, ticker: str, until_us: int) -> None:
        """Trading in a market is free until then."""
        market = self._markets[ticker]
        market.fees_waived_until_us = until_us
        self.bill(market)
        self._timeline.at(until_us, Rank.EXPIRY, ticker, lambda: self.bill(market))

    def change_series(self, series: str, fee_type: str, multiplier: Decimal, at_us: int) -> None:
        """Announce other fees of a series. Raises UserError for fees without a published formula."""
        fee_terms(fee_type, multiplier)
        change = SeriesFees(self._ids.new("fee_change"), series, at_us, fee_type, multiplier)
        self.series_changes.append(change)

        def begin() -> None:
            self._series[series] = change
            self._bill_all()

        self._timeline.at(at_us, Rank.EXPIRY, series, begin)

    def change_event(self, event: str, fee_type: str | None, multiplier: Decimal | None, at_us: int) -> None:
        """Announce what an event overrides of its series' fees; None twice ends that. Raises UserError for fees without
        a published formula."""
        if fee_type is not None:
            fee_terms(fee_type, Decimal(1) if multiplier is None else multiplier)
        change = EventFees(self._ids.new("fee_change"), event, at_us, fee_type, multiplier)
        self.event_changes.append(change)

        def begin() -> None:
            self._events[event] = change
            self._bill_all()
            self._publisher.publish_event_fees(event, fee_type, multiplier, self._timeline.now_us())

        self._timeline.at(at_us, Rank.EXPIRY, event, begin)

    def of_series(self, market: PaperMarket) -> tuple[str, Decimal]:
        """The fees of a market's series now."""
        found = self._series.get(market.header.series)
        if found is None:
            return market.header.fee_type, market.header.fee_multiplier
        return found.fee_type, found.multiplier

    def of_event(self, event: str) -> tuple[str | None, Decimal | None]:
        """What an event overrides of them now."""
        found = self._events.get(event)
        return (None, None) if found is None else (found.fee_type, found.multiplier)

    def _bill_all(self) -> None:
        for market in self._markets.values():
            self.bill(market)

    def bill(self, market: PaperMarket) -> None:
        """Have the market charge what it should from now on."""
        override_type, override = self.of_event(market.header.event)
        base_type, base = self.of_series(market)
        now_us = self._timeline.now_us()
        free = market.fees_waived_until_us is not None and now_us < market.fees_waived_until_us
        fees = FREE if free else fee_terms(override_type or base_type, base if override is None else override)
        if fees == market.fees:
            return
        market.fees = fees
        market.updated_us = now_us
        for account in self._accounts.values():
            account.drop_cached_reserve(market.ticker)
