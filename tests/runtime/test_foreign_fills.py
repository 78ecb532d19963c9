"""What is traded by hand beside an engine: it counts as soon as the stream or a listing tells of it, and counts once;
fills of ours are never taken for it for good."""

from __future__ import annotations

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.account.rows import AccountFill
from fsm_exec.core.errors import RiskRefused, VenueUnavailable
from fsm_exec.core.market.account import Position, Settlement
from fsm_exec.core.market.orders import FillListing, FillReport
from fsm_exec.runtime.account.account import AccountSetup
from tests.runtime.bent_exchange import NEIGHBOUR
from tests.runtime.killed_engine import open_restart_bench
from tests.runtime.support import TICKER, Stage, count, staged
from tests.runtime.test_account import LOOK_S, TEN, account_of

FRAME_S = 1


def held_e2(stage: Stage) -> tuple[int, int]:
    """What is held of the market by our books in memory, and at the exchange."""
    return (
        account_of(stage).ledger.markets[TICKER].holding.count_e2,
        stage.exchange.account.position(TICKER).count_e2,
    )


async def stored_by_hand_e2(stage: Stage) -> int:
    """What was made by hand, by the rows."""
    (one,) = [one for one in (await stage.database.load_account()).markets if one.ticker == TICKER]
    return one.by_hand_e2


async def test_a_trade_by_hand_counts_when_its_frame_has_come(autojump_clock: MockClock) -> None:
    """It is durable and uses the limit at once; the listing that shows it again adds nothing."""
    async with staged(risk=TEN) as stage:
        await trio.sleep(LOOK_S)
        stage.exchange.take_by_hand("yes", 18, 50)
        await trio.sleep(FRAME_S)
        ours, theirs = held_e2(stage)
        assert (ours, await stored_by_hand_e2(stage)) == (theirs, 1_800)
        with pytest.raises(RiskRefused):
            await stage.submit(contracts=10, cents=40)
        await trio.sleep(3 * LOOK_S)
        assert (held_e2(stage), await stored_by_hand_e2(stage)) == ((theirs, theirs), 1_800)
        assert [found.cause for found in account_of(stage).ledger.differences] == ["by_hand"]


async def test_a_trade_just_before_a_look_is_known_by_it(autojump_clock: MockClock) -> None:
    """No frame tells of it and it is a second old: the listing is believed, however young, whatever our clock says."""
    async with staged(risk=TEN) as stage:
        await trio.sleep(LOOK_S)
        stage.exchange.mute = True
        await trio.sleep(LOOK_S - 2)
        stage.exchange.take_by_hand("yes", 18, 50)
        await trio.sleep(3)
        ours, theirs = held_e2(stage)
        assert ours == theirs
        with pytest.raises(RiskRefused):
            await stage.submit(contracts=10, cents=40)


async def test_what_is_traded_during_the_first_look_counts_once(autojump_clock: MockClock) -> None:
    """The first look takes over what is held when it asks for that; a trade just before is in it, and in the listing
    of fills, and is no fill of after it."""
    async with open_restart_bench() as world:
        exchange = world.exchange
        trades = [lambda: exchange.take_by_hand("yes", 4, 50)]

        async def settled(since_us: int | None = None) -> tuple[Settlement, ...]:
            if trades:
                trades.pop()()
                await trio.sleep(1)
            return await exchange.client.fetch_settlements(since_us)

        exchange.fetch_settlements = settled  # type: ignore[method-assign]
        async with world.life(account=AccountSetup(world.database, TEN)) as stage:
            await trio.sleep(3 * LOOK_S)
            assert held_e2(stage) == (700, 700)
            assert await stored_by_hand_e2(stage) == 0
            assert account_of(stage).ledger.differences == ()


async def test_what_is_filled_of_an_order_made_by_hand_does_not_rest_too(autojump_clock: MockClock) -> None:
    """It was listed whole; a fill that the stream tells of is held from then on, and the rest of it may still fill."""
    async with staged(risk=TEN) as stage:
        await trio.sleep(LOOK_S)
        stage.exchange.strange_order("by-hand-1", cents=40, contracts=10)
        await trio.sleep(LOOK_S)
        before, _ = held_e2(stage)
        stage.exchange.fill(6, "by-hand-1")
        await trio.sleep(FRAME_S)
        resting = [one.count_e2 for one in account_of(stage).ledger.foreign_orders if one.ticker == TICKER]
        assert (held_e2(stage)[0] - before, resting) == (600, [400])
        await trio.sleep(LOOK_S)
        resting = [one.count_e2 for one in account_of(stage).ledger.foreign_orders if one.ticker == TICKER]
        assert (held_e2(stage)[0] - before, resting) == (600, [400])


async def test_a_fill_of_an_order_without_an_answer_waits(autojump_clock: MockClock) -> None:
    """The order's answer is late, its fill is listed: it is nobody's yet, then its execution's, and never by hand."""
    async with staged(risk=TEN) as stage:
        await trio.sleep(LOOK_S)
        stage.exchange.answer_s = 8
        stage.exchange.mute = True
        await stage.submit(contracts=5, horizon_s=300)
        await trio.sleep(FRAME_S)
        fill = stage.exchange.fill(2, *stage.exchange.resting[-1:])
        foreign_fills = account_of(stage)._poller.foreign_fills
        listed = replace(fill, client_order_id=None, listed_id=fill.fill_id)
        assert await foreign_fills.save_foreign([listed]) == {TICKER}
        assert await stored_by_hand_e2(stage) == 0
        by_hand = replace(fill, order_id="of-nobody", client_order_id="by-hand-1")
        assert await foreign_fills.save_foreign([by_hand]) == {TICKER}
        assert await stored_by_hand_e2(stage) == 200, "an order under another name is none of ours"
        await trio.sleep(4 * LOOK_S)
        assert await stored_by_hand_e2(stage) == 200
        assert account_of(stage).ledger.markets[TICKER].ours_e2 == 200


async def test_a_trade_by_hand_does_not_wait_for_an_order_in_doubt(autojump_clock: MockClock) -> None:
    """No frame tells of it, and an order of ours in its market has no answer for long: the listing of orders says that
    it is not ours."""
    async with staged(risk=TEN) as stage:
        await trio.sleep(LOOK_S)
        stage.exchange.mute = True
        stage.exchange.place_fates.append("lost there")
        await stage.submit(contracts=1, cents=40, horizon_s=300)
        await trio.sleep(FRAME_S)
        stage.exchange.take_by_hand("yes", 18, 50)
        (fill,) = [one for one in stage.exchange.account.fills if one.count_e2 == 1_800]
        listing = await stage.exchange.fetch_fills(TICKER, since_us=fill.at_us - 1_000_000)
        (listed,) = [one for one in listing.fills if one.trade_id == fill.trade_id]
        (execution,) = stage.engine.executions_at_work()
        assert [child.order_id for child in execution.children if child.is_open] == [None]
        assert await account_of(stage)._poller.foreign_fills.save_foreign([listed]) == frozenset()
        assert await stored_by_hand_e2(stage) == 1_800


async def test_a_fill_counted_as_made_by_hand_is_its_orders_when_that_is_known(autojump_clock: MockClock) -> None:
    """It was saved as nobody's while its order had no id here: it counts once then, in memory too, and nothing is
    unexplained."""
    async with staged(risk=TEN) as stage:
        await trio.sleep(LOOK_S)
        stage.exchange.answer_s = 8
        stage.exchange.mute = True
        execution_id = await stage.submit(contracts=5, horizon_s=300)
        await trio.sleep(FRAME_S)
        fill = stage.exchange.fill(2, *stage.exchange.resting[-1:])
        await stage.database.save_account_fills([_row(fill)])
        ledger = account_of(stage).ledger
        ledger.stale.add(TICKER)
        await ledger.reload_stale(stage.database)
        assert ledger.markets[TICKER].by_hand_e2 == 200
        await trio.sleep(4 * LOOK_S)
        assert stage.engine.actors[execution_id].execution.filled_e2 == count(2)
        ours, theirs = held_e2(stage)
        assert (ours, ledger.markets[TICKER].by_hand_e2) == (theirs, 0)
        assert ledger.differences == ()


async def test_the_event_of_what_is_held_is_learned(autojump_clock: MockClock) -> None:
    """Nobody asked for the market: its event and what that says of its markets are known after the first look."""
    async with staged(risk=RiskLimits(max_worst_case_event_dollars=100)) as stage:
        await trio.sleep(LOOK_S)
        ledger = account_of(stage).ledger
        assert ledger.markets[NEIGHBOUR].holding.count_e2
        event, _ = ledger.place_of(NEIGHBOUR)
        assert event in ledger.shapes


async def lose_a_frame(stage: Stage) -> None:
    """Of two trades by hand the second is told of. Together they leave more NO than the second alone does."""
    stage.exchange.mute = True
    stage.exchange.take_by_hand("no", 9, 52)
    await trio.sleep(1)
    stage.exchange.mute = False
    stage.exchange.take_by_hand("yes", 5, 50)


def count_looks(stage: Stage) -> list[float]:
    """Note from now on when the positions are read."""
    looks: list[float] = []

    async def counted() -> tuple[Position, ...]:
        looks.append(trio.current_time())
        return await stage.exchange.client.fetch_positions()

    stage.exchange.fetch_positions = counted  # type: ignore[method-assign]
    return looks


async def test_a_trade_whose_frame_is_lost_counts_when_the_next_frame_has_come(autojump_clock: MockClock) -> None:
    """That one says another position than our books come to: the account is looked at, once, and at once."""
    async with staged(risk=TEN) as stage:
        await trio.sleep(LOOK_S)
        looks = count_looks(stage)
        before, _ = held_e2(stage)
        await lose_a_frame(stage)
        await trio.sleep(2 * FRAME_S)
        assert held_e2(stage) == (before - 400, before - 400)
        assert len(looks) == 1
        assert not account_of(stage).ledger.doubts


async def test_nothing_is_let_in_by_books_that_miss_a_trade(autojump_clock: MockClock) -> None:
    """A request waits for the look that finds it. While none is answered only what closes is let in; then all is."""
    async with staged(risk=TEN) as stage:
        await trio.sleep(LOOK_S)
        unanswered = True

        async def failing(
            ticker: str | None = None, order_id: str | None = None, *, since_us: int | None = None
        ) -> FillListing:
            if unanswered:
                raise VenueUnavailable("no answer")
            return await stage.exchange.client.fetch_fills(ticker, order_id, since_us=since_us)

        stage.exchange.fetch_fills = failing  # type: ignore[method-assign]
        await lose_a_frame(stage)
        await trio.sleep(FRAME_S)
        with pytest.raises(RiskRefused) as refused:
            await stage.submit(contracts=1, cents=40)
        assert refused.value.limit == "account"
        unanswered = False
        await stage.submit(contracts=1, cents=40)
        ours, theirs = held_e2(stage)
        assert ours == theirs


async def test_a_market_that_fills_of_ours_move_too_is_not_looked_at_for_it(autojump_clock: MockClock) -> None:
    """Trades by hand and fills of ours come in the same moments; every frame's position is that of our books then."""
    async with staged(risk=RiskLimits(max_worst_case_market_dollars=1_000)) as stage:
        await trio.sleep(LOOK_S)
        await stage.submit(contracts=50, horizon_s=300)
        await trio.sleep(FRAME_S)
        looks = count_looks(stage)
        for number in range(20):
            stage.exchange.fill(1, stage.exchange.resting[-1])
            stage.exchange.take_by_hand("no" if number % 2 else "yes", 2, 52)
            stage.exchange.fill(1, stage.exchange.resting[-1])
            await trio.sleep(0.5)
        await trio.sleep(FRAME_S)
        ours, theirs = held_e2(stage)
        assert ours == theirs
        assert len(looks) <= 1


def _row(fill: FillReport) -> AccountFill:
    return AccountFill(
        order_id=fill.order_id,
        fill_id=fill.fill_id,
        ticker=fill.ticker,
        outcome=fill.outcome,
        price_e4=fill.price_e4,
        count_e2=fill.count_e2,
        fee_e6=fill.fee_e6,
        is_taker=fill.is_taker,
        traded_at_us=fill.at_us,
    )
