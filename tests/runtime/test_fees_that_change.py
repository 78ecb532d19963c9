"""An engine at the paper exchange whose fees change while it works: no contract ever costs more than the cap."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import trio

from fsm_exec.core.execution.events import FeesChanged
from fsm_exec.core.execution.timing import FEE_LEAD_US
from fsm_exec.core.journal.snapshot import decode_entry
from fsm_exec.core.market.limits import Limits
from fsm_exec.core.values.units import MoneyE6
from fsm_exec.kalshi.market_poller import FEES_INTERVAL_S
from tests.runtime.killed_engine import open_restart_bench
from tests.runtime.support import TICKER, Stage, price, staged

if TYPE_CHECKING:
    from trio.testing import MockClock

S = 1_000_000
CAP = MoneyE6(480_000)  # 48 cents without fees; 46 with the usual ones (0.477388)
EVENT = "KXTEST-A"


def cost_e6(stage: Stage) -> list[int]:
    """What each contract the engine bought cost, as the exchange billed it; a fee is rounded up to a hundredth of a
    cent."""
    fills = [fill for fill in stage.exchange.account.fills if fill.order.client_order_id.startswith("fx")]
    return [fill.price_e4 * 100 + fill.fee_e6 * 100 // fill.count_e2 for fill in fills]


async def test_a_waiver_that_ends_takes_the_order_off_before(autojump_clock: MockClock) -> None:
    """What rests at the cap without fees is off when they begin; the next order asks for what fits with them."""
    async with staged() as stage:
        paper, ends_us = stage.exchange.paper, stage.wall.now_us() + (FEES_INTERVAL_S + 100) * S
        paper.fees.waive(TICKER, ends_us)
        await trio.sleep(FEES_INTERVAL_S + 10)  # nothing tells of a waiver but the next read
        name = await stage.submit(limits=Limits(price(48), price(48), CAP), horizon_s=300)
        await trio.sleep(10)
        first = stage.exchange.order(stage.order_of(name))
        assert (first.price_e4, first.status) == (4_800, "resting")
        assert first.expiration_us == ends_us // S * S
        await trio.sleep_until(trio.current_time() + (ends_us - FEE_LEAD_US - stage.wall.now_us()) / S + 1)
        assert first.status == "canceled", "a signed request may arrive as late as that"
        second = stage.exchange.order(stage.order_of(name))
        assert second.price_e4 == 4_600
        await trio.sleep(60)  # the fees have begun
        stage.exchange.fill(10, second.client_order_id)
        await stage.ended(name)
        assert cost_e6(stage) == [460_000]


async def test_fees_that_rise_at_once_are_learned_from_a_frame(autojump_clock: MockClock) -> None:
    """An override of the event, unannounced: the frame has the fees read, the order is taken off, and the fact is in
    the journal before what is decided by it."""
    async with staged() as stage:
        paper = stage.exchange.paper
        event, now_us = paper.markets[TICKER].header.event, stage.wall.now_us()
        paper.fees.change_event(event, "quadratic", Decimal(0), now_us)
        await trio.sleep(5)
        name = await stage.submit(limits=Limits(price(48), price(48), CAP), horizon_s=60)
        await trio.sleep(5)
        first = stage.exchange.order(stage.order_of(name))
        paper.fees.change_event(event, "quadratic", Decimal(1), stage.wall.now_us())
        await trio.sleep(5)
        assert first.status == "canceled"
        assert stage.exchange.order(stage.order_of(name)).price_e4 == 4_600
        rows = await stage.database.load_journal(name)
        events = [decode_entry(row.event, row.intents)[0] for row in rows]
        assert [type(one) for one in events].count(FeesChanged) == 1
        await stage.ended(name)


async def test_fees_that_rose_while_no_engine_ran_are_known_first(
    autojump_clock: MockClock,
) -> None:
    """The next process reads the terms anew: the order that rests beyond the cap of now is taken off at once."""
    async with open_restart_bench() as world:
        paper = world.exchange.paper
        paper.fees.change_event(EVENT, "quadratic", Decimal(0), paper.timeline.now_us())
        paper.timeline.advance()
        await world.killed_after(rest_at_the_cap)
        (name,) = world.exchange.resting
        first = world.exchange.order(name)
        assert (first.price_e4, first.status) == (4_800, "resting")
        paper.fees.change_event(EVENT, "quadratic", Decimal(1), paper.timeline.now_us())
        paper.timeline.advance()
        async with world.life() as stage:
            await trio.sleep(3)
            assert first.status == "canceled"
            (other,) = world.exchange.resting
            assert world.exchange.order(other).price_e4 == 4_600
            await stage.engine.drain(cancel_orders=True)
        assert (await world.events("e000001")).count("FeesChanged") == 1


async def rest_at_the_cap(stage: Stage) -> None:
    """One execution with one order that rests at the cap without fees."""
    await stage.submit(limits=Limits(price(48), price(48), CAP), horizon_s=300)
    await trio.sleep(2)
