"""Composes what a market charges, now and later, from its own waiver, its event and its series (wire/README.md 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Final, NamedTuple

from fsm_exec.core.errors import UserError
from fsm_exec.core.market.fees import MAKER_SHARE, FeeTerms, fee_terms
from fsm_exec.core.market.terms import FeeChange
from fsm_exec.kalshi import translate
from fsm_exec.kalshi.translate import Malformed
from fsm_exec.wire import client_bodies
from fsm_exec.wire.field_values import missing_field, required_text

NO_FEES: Final = FeeTerms(taker_e10=0, maker_e10=0)


class Stated(NamedTuple):
    """Words for fees. None in those of an event: the series' hold."""

    fee_type: str | None
    multiplier: Decimal | None


class Announced(NamedTuple):
    """From `at_us` on these words hold for a series, or for an event."""

    name: str
    at_us: int
    stated: Stated


class FeePlan(NamedTuple):
    """The fees in force, and what is to come of them."""

    now: FeeTerms
    later: tuple[FeeChange, ...] = ()


class Announcements(NamedTuple):
    """What is announced, in the order of the times, of series and of events; and what frames have just said of events,
    which a read may not show yet."""

    series: Sequence[Announced] = ()
    events: Sequence[Announced] = ()
    told: Mapping[str, Stated] = {}


NOTHING_ANNOUNCED: Final = Announcements()


def fee_plan(
    market: client_bodies.Market,
    event: client_bodies.Event,
    series: client_bodies.Series,
    now_us: int,
    known: Announcements,
) -> FeePlan:
    """Compose the fees. Raises Malformed for words of now that say nothing, and UserError for fees of now that have no
    published formula; what is announced in such words is a time from which nobody knows the fees."""
    waived_until = market.fee_waiver_expiration_time
    waived_us = translate.time_us(waived_until) if waived_until else 0
    of_event = Stated(event.fee_type_override, event.fee_multiplier_override)
    of_event = known.told.get(event.event_ticker or "", of_event)
    of_series = Stated(series.fee_type, series.fee_multiplier)
    event_changes = [one for one in known.events if one.name == event.event_ticker]
    series_changes = [one for one in known.series if one.name == series.ticker]

    def fees_at(at_us: int) -> FeeTerms:
        if at_us < waived_us:
            return NO_FEES
        override, base = _last(event_changes, at_us, of_event), _last(series_changes, at_us, of_series)
        with translate.malformed_as(f"series {str(series.ticker)[:40]}"):
            fee_type = required_text(override.fee_type or base.fee_type, "fee_type")
            multiplier = base.multiplier if override.multiplier is None else override.multiplier
            if multiplier is None:
                raise missing_field("fee_multiplier")
        return _priced(str(market.ticker), fee_type, multiplier)

    before: FeeTerms | None = (now := fees_at(now_us))
    later: list[FeeChange] = []
    times = {waived_us, *(one.at_us for one in (*event_changes, *series_changes))}
    for at_us in sorted(at_us for at_us in times if at_us > now_us):
        fees: FeeTerms | None = None
        with suppress(UserError, Malformed):  # nobody knows them: a row that says nonsense spoils nothing of today
            fees = fees_at(at_us)
        if fees != before:
            later.append(FeeChange(at_us, fees))
            before = fees
    return FeePlan(now, tuple(later))


def _priced(ticker: str, fee_type: str, multiplier: Decimal) -> FeeTerms:
    try:
        return fee_terms(fee_type, multiplier)
    except UserError as error:
        if fee_type in MAKER_SHARE:  # then the multiplier is wrong, which no user chose
            raise Malformed(f"market {ticker[:40]}: {error}") from error
        raise


def _last(changes: Sequence[Announced], at_us: int, stated: Stated) -> Stated:
    """Return what the last change until `at_us` says; without one what is stated today."""
    return next((one.stated for one in reversed(changes) if one.at_us <= at_us), stated)
