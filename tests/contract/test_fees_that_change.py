"""Fees that change: what the exchange announces, bills and says on the stream, and what the client makes of it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.terms import FeeChange
from fsm_exec.core.values.units import US_PER_S, MoneyE6
from tests.contract.test_client_and_paper import placed

if TYPE_CHECKING:
    from tests.contract.conftest import Stage

FREE = FeeTerms(taker_e10=0, maker_e10=0)
USUAL = FeeTerms(taker_e10=700_000_000, maker_e10=0)
FAR_US = 3_600 * US_PER_S


async def test_what_is_announced_is_in_the_terms(stage: Stage) -> None:
    """A waiver that ends, an event's override and its end, other fees of the series: each moment has what will hold."""
    header = stage.exchange.markets[stage.ticker].header
    at_us = stage.clock.now_us() // US_PER_S * US_PER_S + FAR_US
    stage.exchange.fees.waive(stage.ticker, at_us)
    stage.exchange.fees.change_event(header.event, "quadratic_with_maker_fees", Decimal(2), at_us + FAR_US)
    stage.exchange.fees.change_series(header.series, "quadratic", Decimal("0.5"), at_us + 2 * FAR_US)
    stage.exchange.fees.change_event(header.event, None, None, at_us + 3 * FAR_US)
    async with stage.client() as client:
        for terms in (
            await client.fetch_market_terms(stage.ticker),
            (await client.fetch_markets([stage.ticker]))[stage.ticker],
        ):
            assert terms.fees == FREE
            assert terms.fee_changes == (
                FeeChange(at_us, USUAL),
                FeeChange(at_us + FAR_US, FeeTerms(taker_e10=1_400_000_000, maker_e10=350_000_000)),
                FeeChange(at_us + 3 * FAR_US, FeeTerms(taker_e10=350_000_000, maker_e10=0)),
            )


async def test_a_fill_is_billed_by_the_fees_of_its_moment(stage: Stage) -> None:
    """Free while the waiver lasts; after it what the event says, although the order rested before."""
    header = stage.exchange.markets[stage.ticker].header
    stage.exchange.fees.waive(stage.ticker, stage.clock.now_us() + FAR_US)
    async with stage.client() as client:
        await placed(client, stage.now_or_never("yes", "0.5200", "1.00"))
        stage.exchange.fees.waive(stage.ticker, stage.clock.now_us())
        stage.exchange.timeline.advance()
        await placed(client, stage.now_or_never("yes", "0.5200", "1.00"))
        stage.exchange.fees.change_event(header.event, "quadratic", Decimal(2), stage.clock.now_us())
        stage.exchange.timeline.advance()
        await placed(client, stage.now_or_never("yes", "0.5200", "1.00"))
        fills = (await client.fetch_fills(stage.ticker)).fills
    by_time = sorted(fills, key=lambda fill: fill.at_us)
    assert [fill.fee_e6 for fill in by_time] == [MoneyE6(0), MoneyE6(17_500), MoneyE6(35_000)]


async def test_an_event_that_changes_its_fees_is_told(stage: Stage) -> None:
    """The frame names no market: those of the event are read, and each is told its fees, now and later."""
    header = stage.exchange.markets[stage.ticker].header
    async with stage.client() as client:
        await client.fetch_market_terms(stage.ticker)  # so that the listings are fresh, and must be read again
        async with stage.watched(client) as watcher:
            stage.exchange.fees.change_event(header.event, "quadratic", Decimal(3), stage.clock.now_us())
            stage.exchange.timeline.advance()
            await watcher.until_told(lambda: stage.ticker in watcher.fees)
    assert watcher.fees[stage.ticker] == (FeeTerms(taker_e10=2_100_000_000, maker_e10=0), ())
