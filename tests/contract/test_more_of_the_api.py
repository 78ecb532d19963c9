"""The rest of the client against the paper exchange, over both wires: each call, and what is shown after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
import trio
from msgspec.structs import replace

from fsm_exec.core.errors import VenueRefused
from fsm_exec.core.exchange_port import Exchange
from fsm_exec.core.market.account import GroupChanged, GroupCreated
from fsm_exec.core.market.incentives import IncentiveProgram
from fsm_exec.core.market.orders import (
    AllCancelled,
    Cancelled,
    CancelOrder,
    Decreased,
    DecreaseOrder,
    Placed,
    PlaceOrder,
    Refused,
    Unknown,
)
from fsm_exec.core.values.units import CountE2, MoneyE6, parse_count, parse_price
from fsm_exec.kalshi.market_poller import POLL_DELAY_S
from fsm_exec.kalshi.rate_budget import usable_tokens
from fsm_exec.paper.server.rate_limit import BASIC, TIERS
from fsm_exec.paper.tapes.tape import BookDelta, BookSnapshot, Trade, tape_header

if TYPE_CHECKING:
    from tests.contract.conftest import Stage

OTHER = "KXTEST-26OCT01-B"


def cancel_of(order: PlaceOrder, order_id: str) -> CancelOrder:
    return CancelOrder(effect_id="x", client_order_id=order.client_order_id, order_id=order_id, ticker=order.ticker)


async def placed(exchange: Exchange, order: PlaceOrder) -> Placed:
    answer = await exchange.place(order)
    assert isinstance(answer, Placed), answer
    return answer


def open_other_market(stage: Stage) -> None:
    stage.exchange.add_market(tape_header(OTHER, "linear_cent", category="Testing"))
    stage.exchange.apply(OTHER, BookSnapshot(((parse_price("0.30"), parse_count("7")),), ()))


async def test_a_decrease_takes_contracts_off(stage: Stage) -> None:
    """By and to; the order stays, smaller. Of an order that is gone it is refused."""
    order = stage.order("no", "0.4300", "10.00")
    async with stage.client() as client:
        answer = await placed(client, order)
        wish = DecreaseOrder(
            effect_id="x",
            client_order_id=order.client_order_id,
            order_id=answer.order_id,
            ticker=order.ticker,
            reduce_by_e2=CountE2(250),
        )
        less = await client.decrease(wish)
        assert isinstance(less, Decreased)
        assert less.remaining_e2 == 750
        least = await client.decrease(msgspec.structs.replace(wish, reduce_by_e2=None, reduce_to_e2=CountE2(100)))
        assert isinstance(least, Decreased)
        (row,) = (await client.fetch_orders()).orders
        assert (row.status, row.remaining_e2) == ("resting", 100)
        await client.cancel(cancel_of(order, answer.order_id))
        gone = await client.decrease(wish)
        assert isinstance(gone, Refused)
        assert gone.code == "not_found"


async def test_batches_answer_order_by_order(stage: Stage) -> None:
    """One order is accepted, one off the grid refused, one repeats an id and is in doubt; cancels likewise."""
    async with stage.client() as client:
        first = stage.order("yes", "0.4300", "1.00")
        await placed(client, first)
        good, bad = stage.order("yes", "0.4200", "1.00"), stage.order("yes", "0.4250", "1.00")
        answers = await client.place_batch([good, bad, first])
        assert isinstance(answers[0], Placed)
        assert isinstance(answers[1], Refused)
        assert answers[1].code == "invalid_price"
        assert isinstance(answers[2], Unknown)
        assert "order_already_exists" in answers[2].why
        resting = (await client.fetch_orders()).orders
        assert {row.client_order_id for row in resting} == {first.client_order_id, good.client_order_id}
        wishes = [cancel_of(good, row.order_id) for row in resting]
        unknown_id = "00000000-0000-4000-8000-000000000000"
        ends = await client.cancel_batch([*wishes, cancel_of(good, unknown_id)])
        assert [type(end) for end in ends] == [Cancelled, Cancelled, Refused]
        assert {row.status for row in (await client.fetch_orders()).orders} == {"canceled"}


async def test_a_crowd_of_cancels_is_answered_one_by_one(stage: Stage) -> None:
    """More orders than one request may name: each has its own answer, in the order of asking."""
    async with stage.client() as client:
        await client.account.refresh_budget()
        assert await client.cancel_batch([]) == ()
        orders = [stage.order("yes", "0.0100", f"{number}.00") for number in range(1, 131)]
        ids = [(await placed(client, order)).order_id for order in orders]
        ends = await client.cancel_batch([cancel_of(*each) for each in zip(orders, ids, strict=True)])
        assert [end.order_id for end in ends if isinstance(end, Cancelled)] == ids
        assert [end.reduced_by_e2 for end in ends if isinstance(end, Cancelled)] == [o.count_e2 for o in orders]


async def test_the_budget_is_told(stage: Stage) -> None:
    """What is left falls with what is written; before the account's limits are known they are the lowest tier's."""
    async with stage.client() as client:
        assert client.budget().write_per_s == BASIC.write.refill
        async with stage.watched(client):
            await client.account.refresh_budget()
            before = client.budget()
            assert before.write_per_s == TIERS["prestige"].write.refill
            assert (before.place_tokens, before.cancel_tokens) == (10, 2)
            assert 0 < before.write_left <= before.write_capacity
            assert before.cancelling_us(before.write_left // 2) == 0
            await client.place_batch([stage.order("yes", "0.0100", "1.00") for _ in range(5)])
            assert client.statistics().write.spent_mt == 50_000


async def test_cancel_all_leaves_nothing_resting(stage: Stage) -> None:
    """One call without a body, and every order is gone."""
    async with stage.client() as client:
        for price in ("0.4100", "0.4200", "0.4300"):
            await placed(client, stage.order("yes", price, "1.00"))
        assert await client.cancel_all() == AllCancelled()
        assert {row.status for row in (await client.fetch_orders()).orders} == {"canceled"}


async def test_positions_and_balance_move_with_a_fill(stage: Stage) -> None:
    """What is held, what it cost and what is left, exactly."""
    async with stage.client() as client:
        before = await client.account.fetch_balance()
        await placed(client, stage.now_or_never("no", "0.5600", "4.00"))
        (position,) = await client.account.fetch_positions()
        fees = sum(fill.fee_e6 for fill in (await client.fetch_fills()).fills)
        assert (position.ticker, position.count_e2, position.fees_e6) == (stage.ticker, -400, fees)
        after = await client.account.fetch_balance()
        spent = sum(fill.price_e4 * fill.count_e2 for fill in (await client.fetch_fills()).fills)
        assert before.available_e6 - after.available_e6 == spent + fees
        assert await client.account.fetch_positions("KXNONE-1") == ()


async def test_places_in_the_queue(stage: Stage) -> None:
    """What was displayed on joining is ahead."""
    async with stage.client() as client:
        answer = await placed(client, stage.order("yes", "0.4500", "1.00"))
        (place,) = await client.account.fetch_queue_positions([stage.ticker])
        assert (place.order_id, place.ahead_e2) == (answer.order_id, 1_000)


async def test_a_group_lives_and_cancels_its_orders(stage: Stage) -> None:
    """Made, joined, triggered, refused until reset, deleted."""
    async with stage.client() as client:
        made = await client.groups.create(CountE2(500))
        assert isinstance(made, GroupCreated)
        group_id = made.group_id
        joined = await placed(client, stage.order("yes", "0.4300", "1.00", order_group_id=group_id))
        group = await client.groups.fetch(group_id)
        assert (group.limit_e2, group.order_ids) == (500, (joined.order_id,))
        assert await client.groups.set_limit(group_id, CountE2(600)) == GroupChanged(group_id)
        assert [group.limit_e2 for group in await client.groups.fetch_all()] == [600]
        assert await client.groups.trigger(group_id) == GroupChanged(group_id)
        (row,) = (await client.fetch_orders()).orders
        assert row.status == "canceled"
        assert not isinstance(await client.place(stage.order("yes", "0.4300", "1.00", order_group_id=group_id)), Placed)
        assert await client.groups.reset(group_id) == GroupChanged(group_id)
        await placed(client, stage.order("yes", "0.4300", "1.00", order_group_id=group_id))
        assert await client.groups.delete(group_id) == GroupChanged(group_id)
        assert isinstance(await client.groups.delete(group_id), Refused)
        assert await client.groups.fetch_all() == ()


async def test_what_becomes_of_a_group_is_told(stage: Stage) -> None:
    """Made, limited, triggered, reset, triggered by its limit, deleted; each order that it ended names its group and no
    reason. Another member's group is not told."""
    async with stage.client() as other, stage.client() as client, stage.watched(client) as watcher:
        groups, about = client.groups, parse_count("1.00")
        assert isinstance(await other.groups.create(about), GroupCreated)
        made = await groups.create(parse_count("500.00"))
        assert isinstance(made, GroupCreated)
        name = made.group_id
        rests = await placed(client, stage.order("yes", "0.4300", "1.00", order_group_id=name))
        assert await groups.set_limit(name, about) == GroupChanged(name)
        assert await groups.trigger(name) == GroupChanged(name)
        assert await groups.reset(name) == GroupChanged(name)
        await placed(client, stage.now_or_never("yes", "0.5200", "1.00", order_group_id=name))
        assert await groups.delete(name) == GroupChanged(name)
        await watcher.until(lambda: len(watcher.groups) == 6)
        changes = ["created", "limit_updated", "triggered", "reset", "triggered", "deleted"]
        assert watcher.groups == [(name, change) for change in changes]
        (ended,) = [one for one in watcher.orders if (one.order_id, one.status) == (rests.order_id, "canceled")]
        assert (ended.group_id, ended.reason) == (name, None)


async def test_books_of_both_calls_agree(stage: Stage) -> None:
    """One book at a time, or several, whole or cut to the best levels."""
    open_other_market(stage)
    async with stage.client() as client:
        one = await client.public.fetch_order_book(stage.ticker)
        both = await client.public.fetch_order_books([stage.ticker, OTHER])
        assert (one.yes, one.no) == (both[stage.ticker].yes, both[stage.ticker].no)
        assert both[OTHER].no == {}
        assert (await client.public.fetch_order_book(stage.ticker, depth=1)).yes == {4_500: 1_000}


async def test_markets_events_and_series_are_listed(stage: Stage) -> None:
    """By series, by event and by name."""
    open_other_market(stage)
    async with stage.client() as client:
        market = await client.public.fetch_market(stage.ticker)
        listed = await client.public.fetch_markets(event=market.event_ticker)
        assert {row.ticker for row in listed} == {stage.ticker, OTHER}
        assert [row.ticker for row in await client.public.fetch_markets(tickers=[OTHER])] == [OTHER]
        assert await client.public.fetch_markets(tickers=[OTHER], status="settled") == ()
        assert market.event_ticker in {row.event_ticker for row in await client.public.fetch_events("KXTEST")}
        assert "KXTEST" in {row.ticker for row in await client.public.fetch_series()}
        with pytest.raises(VenueRefused):
            await client.public.fetch_market("KXNONE-1")


async def test_programmes_are_read_as_they_were_announced(stage: Stage) -> None:
    """Those that run, field by field."""
    open_other_market(stage)
    now_us = stage.exchange.timeline.now_us()
    liquidity = IncentiveProgram(
        program_id="p-1",
        ticker=stage.ticker,
        kind="liquidity",
        description="daily",
        start_us=now_us,
        end_us=now_us + 60_000_000,
        reward_e4=600_000,
        paid_out=False,
        discount_bps=5_000,
        target_e2=CountE2(30_000),
        max_reward_e4=10_000,
    )
    volume = replace(liquidity, program_id="p-2", ticker=OTHER, kind="volume", discount_bps=None, target_e2=None)
    for program in (liquidity, volume, replace(volume, program_id="p-3", start_us=now_us + 30_000_000)):
        stage.exchange.incentives.add(program)
    async with stage.client() as client:
        listing = await client.fetch_incentives()
    assert sorted(listing.programs, key=lambda each: each.program_id) == [liquidity, volume]


async def test_the_terms_of_many_markets_are_those_of_each(stage: Stage) -> None:
    """One call for all of them says what one call each does; an unknown market is missing."""
    open_other_market(stage)
    async with stage.client() as client:
        found = await client.fetch_markets([stage.ticker, OTHER, "KXNONE-1"])
        assert found == {ticker: await client.fetch_market_terms(ticker) for ticker in (stage.ticker, OTHER)}


async def test_a_market_lives_its_life_on_the_stream(stage: Stage) -> None:
    """Paused, opened again, with another grid, closed and settled: the listener is told of each at once."""
    async with stage.client() as client, stage.watched(client) as watcher:
        for change, status in (
            (stage.exchange.deactivate_market, "paused"),
            (stage.exchange.activate_market, "open"),
        ):
            change(stage.ticker)
            await watcher.until(lambda wanted=status: watcher.statuses.get(stage.ticker) == wanted)  # type: ignore[misc]
        stage.exchange.change_grid(stage.ticker, "deci_cent")
        await watcher.until(lambda: stage.ticker in watcher.grids)
        assert watcher.grids[stage.ticker] == (await client.fetch_market_terms(stage.ticker)).grid
        stage.exchange.close_market(stage.ticker)
        stage.exchange.determine_market(stage.ticker, "yes")
        await watcher.until(lambda: watcher.statuses[stage.ticker] == "closed")


async def test_a_lost_frame_does_not_leave_a_closed_market_open(stage: Stage) -> None:
    """The next frame of the channel shows the gap, whatever market it is about, and the markets are read."""
    async with stage.client() as client, stage.watched(client) as watcher:
        await trio.sleep(2 * POLL_DELAY_S)  # what a new connection reads is behind us
        stage.exchange.publisher.lose_next("market_lifecycle_v2")
        stage.exchange.deactivate_market(stage.ticker)
        watcher.statuses.clear()
        open_other_market(stage)  # tells everybody that it was created
        await watcher.until_told(lambda: watcher.statuses.get(stage.ticker) == "paused")


async def test_public_trades_are_listed(stage: Stage) -> None:
    """A trade of ours and one of others, in YES prices."""
    async with stage.client() as client:
        await placed(client, stage.now_or_never("yes", "0.5200", "2.00"))
        stage.exchange.apply(stage.ticker, Trade("no", parse_price("0.45"), parse_count("3")))
        trades = {(t.taker, t.yes_price_e4, t.count_e2) for t in await client.public.fetch_trades(stage.ticker)}
        assert trades == {("yes", 5_200, 200), ("no", 4_500, 300)}


async def test_the_status_and_the_limits_are_told(stage: Stage) -> None:
    """The exchange trades, and the budget takes over what it allows."""
    async with stage.client() as client:
        status = await client.public.fetch_status()
        assert (status.exchange_active, status.trading_active) == (True, True)
        limits, costs = await client.account.fetch_limits(), await client.account.fetch_endpoint_costs()
        await client.account.refresh_budget()
        assert limits.write is not None
        assert client.statistics().write.refill_mt_per_s == limits.write.refill_rate * 1_000
        assert client.statistics().write.capacity_mt == usable_tokens(limits.write) * 1_000
        assert costs.default_cost == 10


async def test_the_budget_keeps_the_exchange_from_refusing(stage: Stage) -> None:
    """More orders at once than the lowest tier's bucket holds: all are answered, none with a 429."""
    stage.gate.rate_limiter.tier = BASIC
    async with stage.client(cash=MoneyE6(10_000_000_000)) as client:
        await client.account.refresh_budget()
        many = client.statistics().write.capacity_mt // 10_000 + 8
        answers = []

        async def place(order: PlaceOrder) -> None:
            answers.append(await client.place(order))

        async with trio.open_nursery() as nursery:
            for _ in range(many):
                nursery.start_soon(place, stage.order("yes", "0.0100", "1.00"))
        assert [answer for answer in answers if not isinstance(answer, Placed)] == []
        assert client.statistics().write.refused == 0


async def test_a_market_added_to_the_stream_shows_its_book(stage: Stage) -> None:
    """Snapshot and changes of a second market come on the same connection; once removed, nothing more does."""
    open_other_market(stage)
    async with stage.client() as client, stage.watched(client) as watcher:
        client.watch(OTHER)
        await watcher.until(lambda: OTHER in watcher.books)
        assert watcher.books[OTHER].yes == {3_000: 700}
        stage.exchange.apply(OTHER, BookDelta("yes", parse_price("0.31"), CountE2(100)))
        await watcher.until(lambda: watcher.books[OTHER].yes == {3_000: 700, 3_100: 100})
        client.unwatch(OTHER)
        stage.exchange.apply(stage.ticker, BookDelta("yes", parse_price("0.40"), CountE2(100)))
        await watcher.until(lambda: 4_000 in watcher.book.yes)
        stage.exchange.apply(OTHER, BookDelta("yes", parse_price("0.32"), CountE2(100)))
        stage.exchange.apply(stage.ticker, BookDelta("yes", parse_price("0.41"), CountE2(100)))
        await watcher.until(lambda: 4_100 in watcher.book.yes)
        assert 3_200 not in watcher.books[OTHER].yes
        assert watcher.gaps == 0
