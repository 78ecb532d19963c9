"""What the engine knows of a market beside its book."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.values.units import MoneyE6, PriceE4, PriceGrid

MarketStatus: TypeAlias = Literal["unopened", "open", "paused", "closed"]
"""`closed` covers everything after trading: closed, determined, disputed, amended, finalized."""


class FeeChange(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """From `at_us` on these fees hold. None: fees without a published formula, so nobody knows what an order costs."""

    at_us: int
    fees: FeeTerms | None


class MarketTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The terms an execution is accepted under. `grid` is in YES prices. `fees` hold until the first of `fee_changes`,
    which are in the order of their times: what has changed since, and what is announced (the end of a waiver, a change
    of the event's or the series' fees). `exchange_index` is the shard of the exchange that has the market: 0 where it
    says nothing. What is stored of a market of shard 0, or without changes of its fees, does not name them."""

    ticker: str
    series: str
    event: str
    category: str
    status: MarketStatus
    grid: PriceGrid
    fees: FeeTerms
    exchange_index: int = 0
    fee_changes: tuple[FeeChange, ...] = ()

    def fees_at(self, at_us: int) -> FeeTerms:
        """The fees in force then; of a time without a formula the last ones that had one."""
        found = self.fees
        for change in self.fee_changes:
            if change.at_us > at_us:
                break
            found = found if change.fees is None else change.fees
        return found

    def fees_within(self, from_us: int, until_us: int) -> tuple[FeeTerms | None, ...]:
        """All fees that are in force at some moment from `from_us` to `until_us`, both included."""
        found: list[FeeTerms | None] = [self.fees]
        for change in self.fee_changes:
            if change.at_us > until_us:
                break
            if change.at_us <= from_us:
                found.clear()
            found.append(change.fees)
        return tuple(found)

    def dearest_fees(self, from_us: int, until_us: int) -> FeeTerms | None:
        """The higher of each rate from `from_us` to `until_us`; None if at some moment there is no formula."""
        if not self.fee_changes:  # nearly always
            return self.fees
        within = self.fees_within(from_us, until_us)
        known = [fees for fees in within if fees is not None]
        if len(known) < len(within):
            return None
        return FeeTerms(max(fees.taker_e10 for fees in known), max(fees.maker_e10 for fees in known))

    def cheapest_fees(self, from_us: int, until_us: int) -> FeeTerms | None:
        """The lower of each rate from `from_us` to `until_us`; None if at some moment there is no formula."""
        if not self.fee_changes:
            return self.fees
        within = self.fees_within(from_us, until_us)
        known = [fees for fees in within if fees is not None]
        if len(known) < len(within):
            return None
        return FeeTerms(min(fees.taker_e10 for fees in known), min(fees.maker_e10 for fees in known))

    @property
    def unpriced_from_us(self) -> int | None:
        """From when on fees have no published formula; None: they have one, as far as is announced."""
        return next((change.at_us for change in self.fee_changes if change.fees is None), None)

    def least_all_in(self, price: PriceE4, *, taker: bool) -> MoneyE6:
        """What a contract costs by the lowest fees there have been, or that are announced."""
        known = [self.fees, *(change.fees for change in self.fee_changes if change.fees is not None)]
        return min(fees.all_in(price, taker=taker) for fees in known)

    def is_within(self, cap: MoneyE6, price: PriceE4, at_us: int, until_us: int, *, taker: bool) -> bool:
        """Whether a contract costs no more than the cap, fee included, whenever from `at_us` to `until_us` it fills."""
        fees = self.dearest_fees(at_us, until_us)
        return fees is not None and fees.all_in(price, taker=taker) <= cap

    def beyond_from_us(self, cap: MoneyE6, price: PriceE4, at_us: int, *, taker: bool) -> int | None:
        """From when on, at `at_us` or later, a contract costs more than the cap, fee included; None: never, as far as
        is announced."""
        if not self.fee_changes:
            return None
        if not self.is_within(cap, price, at_us, at_us, taker=taker):
            return at_us
        return next(
            (
                change.at_us
                for change in self.fee_changes
                if change.at_us > at_us and (change.fees is None or change.fees.all_in(price, taker=taker) > cap)
            ),
            None,
        )

    def with_fees_from(self, at_us: int, now: FeeTerms | None, later: tuple[FeeChange, ...]) -> MarketTerms:
        """The terms as they are known from `at_us` on: what held before stays what it was."""
        past = tuple(change for change in self.fee_changes if change.at_us < at_us)
        kept = msgspec.structs.replace(self, fee_changes=past)
        in_force = kept.fees_within(at_us, at_us)[-1]
        changed = () if in_force == now else (FeeChange(at_us, now),)
        return msgspec.structs.replace(kept, fee_changes=(*past, *changed, *(c for c in later if c.at_us > at_us)))
