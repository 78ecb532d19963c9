"""Markets on several shards and accounts with several subaccounts: the client against the paper exchange."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec
import pytest

from fsm_exec.core.errors import VenueRefused
from fsm_exec.core.market.account import GroupChanged, GroupCreated
from fsm_exec.core.market.orders import (
    AllCancelled,
    Amended,
    AmendOrder,
    Cancelled,
    CancelOrder,
    Decreased,
    DecreaseOrder,
    Placed,
    PlaceOrder,
    Refused,
)
from fsm_exec.core.values.units import CountE2, MoneyE6, parse_price
from fsm_exec.kalshi.client import KalshiClient
from fsm_exec.paper.tapes.tape import BookSnapshot, tape_header
from tests.contract.conftest import CASH, Stage

ELSEWHERE = "KXTEST-26OCT01-S"
SHARD = 2
ORDERS = "/portfolio/events/orders"


@pytest.fixture
def shards(stage: Stage) -> Stage:
    """The exchange with a second market, on another shard than the first."""
    stage.exchange.add_market(tape_header(ELSEWHERE, "linear_cent", category="Testing"), exchange_index=SHARD)
    levels = ((parse_price("0.4000"), CountE2(1_000)),)
    stage.exchange.apply(ELSEWHERE, BookSnapshot(levels, levels))
    return stage


async def placed(client: KalshiClient, order: PlaceOrder) -> Placed:
    answer = await client.place(order)
    assert isinstance(answer, Placed), answer
    return answer


def cancel_of(order: PlaceOrder, order_id: str) -> CancelOrder:
    return CancelOrder(effect_id="c", client_order_id=order.client_order_id, order_id=order_id, ticker=order.ticker)


@pytest.mark.parametrize("reads_terms", [True, False])
async def test_an_order_of_another_shard_is_worked_like_any(shards: Stage, reads_terms: bool) -> None:
    """Placed, amended, decreased, cancelled, alone and in batches: whether the client has learned the shard from the
    market's terms and names it, or leaves it to the exchange to find it by the ticker."""
    async with shards.client() as client:
        if reads_terms:
            assert (await client.fetch_market_terms(ELSEWHERE)).exchange_index == SHARD
            assert (await client.fetch_market_terms(shards.ticker)).exchange_index == 0
        order = shards.order("yes", "0.3000", "5.00", ticker=ELSEWHERE)
        answer = await placed(client, order)
        assert [row.ticker for row in (await client.fetch_orders(resting=True)).orders] == [ELSEWHERE]
        amend = AmendOrder(
            effect_id="a",
            client_order_id=order.client_order_id,
            order_id=answer.order_id,
            ticker=ELSEWHERE,
            outcome="yes",
            price_e4=parse_price("0.3100"),
            total_e2=CountE2(500),
        )
        assert isinstance(await client.amend(amend), Amended)
        decrease = DecreaseOrder(
            effect_id="d",
            client_order_id=order.client_order_id,
            order_id=answer.order_id,
            ticker=ELSEWHERE,
            reduce_to_e2=CountE2(100),
        )
        assert isinstance(await client.decrease(decrease), Decreased)
        assert isinstance(await client.cancel(cancel_of(order, answer.order_id)), Cancelled)
        several = [shards.order("yes", "0.3000", "1.00", ticker=t) for t in (ELSEWHERE, shards.ticker)]
        answers = await client.place_batch(several)
        cancels = [
            cancel_of(each, one.order_id) for each, one in zip(several, answers, strict=True) if isinstance(one, Placed)
        ]
        assert [type(each) for each in await client.cancel_batch(cancels)] == [Cancelled, Cancelled]


async def test_without_its_market_an_order_of_another_shard_is_not_found(shards: Stage) -> None:
    """A cancel and a read by the id alone look on the first shard, and answer 404 for an order that lives."""
    async with shards.client() as client:
        order = shards.order("yes", "0.3000", "5.00", ticker=ELSEWHERE)
        answer = await placed(client, order)
        calls = client._rest.endpoints
        with pytest.raises(VenueRefused) as refused:
            await calls.fetch(f"/portfolio/orders/{answer.order_id}")
        assert refused.value.status == 404
        await calls.fetch(f"/portfolio/orders/{answer.order_id}", {"market_ticker": ELSEWHERE})
        bare = await calls.send_write("cancel", "DELETE", f"{ORDERS}/{answer.order_id}", lambda _: None)
        assert isinstance(bare, Refused)
        assert bare.code == "not_found"
        for shard, found in (("0", False), (str(SHARD), True)):
            query = {"market_ticker": ELSEWHERE, "exchange_index": shard}
            done = await calls.send_write(
                "cancel", "DELETE", f"{ORDERS}/{answer.order_id}", lambda _: None, query=query
            )
            assert isinstance(done, Refused) != found


async def test_what_a_shard_has_is_listed_alone_or_with_all(shards: Stage) -> None:
    """Orders, fills and positions: without a shard all of them, with one its own."""
    async with shards.client() as client:
        for ticker in (ELSEWHERE, shards.ticker):
            await placed(client, msgspec.structs.replace(shards.now_or_never("yes", "0.9900", "1.00"), ticker=ticker))
        assert {row.ticker for row in (await client.fetch_fills()).fills} == {ELSEWHERE, shards.ticker}
        assert {row.ticker for row in await client.fetch_positions()} == {ELSEWHERE, shards.ticker}
        calls = client._rest.endpoints
        for path in ("orders", "fills", "positions"):
            body = await calls.fetch(f"/portfolio/{path}", {"exchange_index": str(SHARD)})
            assert ELSEWHERE.encode() in body
            assert shards.ticker.encode() not in body


async def test_a_group_holds_orders_of_its_own_shard_alone(shards: Stage) -> None:
    """Made on a shard, it is found there only; it takes no order of another one, and its trigger ends its own."""
    async with shards.client() as client:
        here, there = (
            await client.groups.create(CountE2(500)),
            await client.groups.create(CountE2(500), exchange_index=SHARD),
        )
        assert isinstance(here, GroupCreated)
        assert isinstance(there, GroupCreated)
        assert {group.group_id: group.exchange_index for group in await client.groups.fetch_all()} == {
            here.group_id: 0,
            there.group_id: SHARD,
        }
        mine = shards.order("yes", "0.3000", "1.00", ticker=ELSEWHERE, order_group_id=there.group_id)
        await placed(client, mine)
        strange = shards.order("yes", "0.3000", "1.00", ticker=ELSEWHERE, order_group_id=here.group_id)
        assert not isinstance(await client.place(strange), Placed)
        assert isinstance(await client.groups.trigger(there.group_id), Refused)
        assert [row.status for row in (await client.fetch_orders()).orders] == ["resting"]
        assert await client.groups.trigger(there.group_id, exchange_index=SHARD) == GroupChanged(there.group_id)
        assert [row.status for row in (await client.fetch_orders()).orders] == ["canceled"]
        assert await client.groups.delete(there.group_id, exchange_index=SHARD) == GroupChanged(there.group_id)


class Pair(NamedTuple):
    """Clients of one key: of the primary account said so, of its subaccount 1, and of one that says nothing."""

    primary: KalshiClient
    first: KalshiClient
    unsaid: KalshiClient


@asynccontextmanager
async def pair_of(stage: Stage) -> AsyncIterator[Pair]:
    stage.account, credentials = stage.gate.open_account(CASH, "ed25519")
    stage.exchange.open_subaccount(stage.account, MoneyE6(5_000_000))
    async with (
        stage.client_of(credentials, subaccount=0) as primary,
        stage.client_of(credentials, subaccount=1) as first,
        stage.client_of(credentials) as unsaid,
    ):
        yield Pair(primary, first, unsaid)


async def test_subaccounts_share_nothing_but_their_key(stage: Stage) -> None:
    """Orders, fills, positions, cash, places in the queue and groups of each are its own; who says nothing acts for the
    primary one, and is shown the orders and fills of all."""
    async with pair_of(stage) as at:
        resting, bought = stage.order("yes", "0.4300", "1.00"), stage.now_or_never("yes", "0.9900", "1.00")
        answer = await placed(at.first, resting)
        await placed(at.first, bought)
        assert len((await at.first.fetch_orders()).orders) == 2
        assert (await at.primary.fetch_orders()).orders == ()
        assert len((await at.unsaid.fetch_orders()).orders) == 2
        assert [len((await each.fetch_fills()).fills) for each in at] == [0, 1, 1]
        assert [len(await each.fetch_positions()) for each in at] == [0, 1, 0]
        balances = [(await each.fetch_balance()).available_e6 for each in at]
        assert balances[0] == balances[2] == CASH
        assert balances[1] < 5_000_000
        assert [len(await each.account.fetch_queue_positions([stage.ticker])) for each in at] == [0, 1, 0]
        group = await at.first.groups.create(CountE2(500))
        assert isinstance(group, GroupCreated)
        assert [len(await each.groups.fetch_all()) for each in at] == [0, 1, 1]
        assert isinstance(await at.primary.groups.trigger(group.group_id), Refused)
        assert await at.first.groups.trigger(group.group_id) == GroupChanged(group.group_id)
        for other in (at.primary, at.unsaid):
            assert isinstance(await other.cancel(cancel_of(resting, answer.order_id)), Refused)
        assert isinstance(await at.first.cancel(cancel_of(resting, answer.order_id)), Cancelled)


async def test_cancel_all_of_a_subaccount_leaves_the_others(stage: Stage) -> None:
    """One that names none takes all there are."""
    async with pair_of(stage) as at:
        for client in (at.primary, at.first):
            await placed(client, stage.order("yes", "0.4300", "1.00"))
        assert isinstance(await at.first.cancel_all(), AllCancelled)
        assert [len((await each.fetch_orders(resting=True)).orders) for each in at] == [1, 0, 1]
        assert isinstance(await at.unsaid.cancel_all(), AllCancelled)
        assert [len((await each.fetch_orders(resting=True)).orders) for each in at] == [0, 0, 0]


async def test_each_hears_its_own_on_the_stream(stage: Stage) -> None:
    """The exchange sends a key everything; the client hands on what is of its subaccount."""
    async with pair_of(stage) as at, stage.watched(at.first) as mine, stage.watched(at.primary) as theirs:
        await placed(at.first, stage.now_or_never("yes", "0.9900", "1.00"))
        await placed(at.primary, stage.now_or_never("yes", "0.9900", "2.00"))
        await mine.until(lambda: len(mine.fills) == 1 and bool(mine.orders))
        await theirs.until(lambda: len(theirs.fills) == 1 and bool(theirs.orders))
        assert [fill.count_e2 for fill in mine.fills] == [100]
        assert [fill.count_e2 for fill in theirs.fills] == [200]
        assert {fill.post_position_e2 for fill in mine.fills} == {100}


async def test_what_a_subaccount_won_is_its_own(stage: Stage) -> None:
    """The market settles: a settlement for each that held something, with its own revenue; all of them where none is
    named."""
    async with pair_of(stage) as at:
        await placed(at.first, stage.now_or_never("yes", "0.9900", "1.00"))
        await placed(at.primary, stage.now_or_never("yes", "0.9900", "2.00"))
        stage.exchange.close_market(stage.ticker)
        stage.exchange.determine_market(stage.ticker, "yes")
        told = [[each.revenue_e6 for each in await client.fetch_settlements()] for client in (at.primary, at.first)]
        assert told == [[2_000_000], [1_000_000]]
        body = await at.unsaid._rest.endpoints.fetch("/portfolio/settlements")
        assert body.count(b'"ticker"') == 2


async def test_a_subaccount_that_is_not_there_is_refused(stage: Stage) -> None:
    """Reads and writes alike: 400, never the primary one instead."""
    stage.account, credentials = stage.gate.open_account(CASH, "ed25519")
    async with stage.client_of(credentials, subaccount=7) as client:
        assert not isinstance(await client.place(stage.order("yes", "0.4300", "1.00")), Placed)
        with pytest.raises(VenueRefused):
            await client.fetch_positions()
        with pytest.raises(VenueRefused):
            await client.fetch_orders()
    assert stage.account.orders == []


async def test_a_restricted_key_acts_for_its_subaccount_alone(stage: Stage) -> None:
    """It may leave its number out or say it, sees nothing of the others, and says which it is; any other is 403."""
    account, _ = stage.gate.open_account(CASH, "ed25519")
    numbered = stage.exchange.open_subaccount(account, MoneyE6(5_000_000))
    credentials = stage.gate.create_key(numbered, "ed25519")
    async with (
        stage.client_of(credentials) as unsaid,
        stage.client_of(credentials, subaccount=1) as said,
        stage.client_of(credentials, subaccount=0) as wrong,
    ):
        for client in (unsaid, said):
            await placed(client, stage.order("yes", "0.4300", "1.00"))
            assert (await client.fetch_balance()).available_e6 < 5_000_000
        assert len((await unsaid.fetch_orders()).orders) == len((await said.fetch_orders()).orders) == 2
        with pytest.raises(VenueRefused) as refused:
            await wrong.fetch_orders()
        assert refused.value.status == 403
        assert [key.subaccount for key in await said.account.fetch_api_keys()] == [1]
        async with stage.watched(said) as watcher:
            await placed(said, stage.order("yes", "0.4200", "1.00"))
            await watcher.until(lambda: bool(watcher.orders))
    assert account.orders == []
