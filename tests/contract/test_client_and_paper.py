"""What the client promises, kept against the paper exchange over both wires."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from fsm_exec.core.errors import VenueRefused
from fsm_exec.core.exchange_port import Exchange
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.orders import (
    Amended,
    AmendOrder,
    Cancelled,
    CancelOrder,
    Placed,
    PlaceOrder,
    Refused,
    Unknown,
)
from fsm_exec.core.values.units import LINEAR_CENT, CountE2, MoneyE6, PriceE4, parse_count, parse_price
from fsm_exec.kalshi.translate import create_order
from fsm_exec.paper.tapes.tape import BookDelta, Trade

if TYPE_CHECKING:
    from tests.contract.conftest import Stage


def cancel_of(order: PlaceOrder, order_id: str) -> CancelOrder:
    return CancelOrder(
        effect_id="e1:99:0", client_order_id=order.client_order_id, order_id=order_id, ticker=order.ticker
    )


async def placed(exchange: Exchange, order: PlaceOrder) -> Placed:
    answer = await exchange.place(order)
    assert isinstance(answer, Placed), answer
    return answer


@pytest.mark.parametrize("key_type", ["rsa", "ed25519"])
async def test_both_kinds_of_key_are_let_in(stage: Stage, key_type: str) -> None:
    """Requests signed with either kind are answered."""
    async with stage.client(key_type="rsa" if key_type == "rsa" else "ed25519") as client:
        assert (await client.fetch_orders()).orders == ()


async def test_terms_are_read(stage: Stage) -> None:
    """Market, event and series come together."""
    async with stage.client() as client:
        terms = await client.fetch_market_terms(stage.ticker)
        assert (terms.ticker, terms.status, terms.category) == (stage.ticker, "open", "Testing")
        assert terms.grid == LINEAR_CENT
        assert terms.fees == FeeTerms(700_000_000, 0)
        with pytest.raises(VenueRefused) as caught:
            await client.fetch_market_terms("KXNONE-1")
        assert caught.value.status == 404


@pytest.mark.parametrize(("outcome", "price"), [("yes", "0.4300"), ("no", "0.4600")])
async def test_an_order_rests_is_listed_and_is_cancelled(stage: Stage, outcome: str, price: str) -> None:
    """In its own outcome all the way: answer, listing, stream and book; a second cancel is refused."""
    order = stage.order("yes" if outcome == "yes" else "no", price, "7.50")
    async with stage.client() as client, stage.watched(client) as watcher:
        answer = await placed(client, order)
        assert (answer.filled_e2, answer.remaining_e2) == (0, 750)
        (row,) = (await client.fetch_orders(stage.ticker)).orders
        assert (row.order_id, row.client_order_id) == (answer.order_id, order.client_order_id)
        assert (row.outcome, row.price_e4, row.count_e2, row.status) == (outcome, order.price_e4, 750, "resting")
        await watcher.until(lambda: watcher.book.side(order.outcome).get(order.price_e4) == 750)
        ended = await client.cancel(cancel_of(order, answer.order_id))
        assert isinstance(ended, Cancelled)
        assert (ended.order_id, ended.reduced_by_e2) == (answer.order_id, 750)
        await watcher.until(lambda: order.price_e4 not in watcher.book.side(order.outcome))
        await watcher.until(lambda: [report.status for report in watcher.orders] == ["resting", "canceled"])
        assert {(report.outcome, report.price_e4, report.count_e2) for report in watcher.orders} == {
            (outcome, order.price_e4, 750)
        }
        again = await client.cancel(cancel_of(order, answer.order_id))
        assert isinstance(again, Refused)
        assert again.code == "not_found"


@pytest.mark.parametrize(("outcome", "limit", "price"), [("yes", "0.5300", "0.5200"), ("no", "0.5600", "0.5500")])
async def test_a_taker_gets_the_same_fills_from_both_channels(
    stage: Stage, outcome: str, limit: str, price: str
) -> None:
    """Listing and stream agree on id, outcome, price, count, fee and liquidity; the answer counts the same."""
    order = stage.now_or_never("yes" if outcome == "yes" else "no", limit, "12.00")
    async with stage.client() as client, stage.watched(client) as watcher:
        answer = await placed(client, order)
        listed = (await client.fetch_fills(order_id=answer.order_id)).fills
        await watcher.until(lambda: len(watcher.fills) == len(listed))
        assert sum(fill.count_e2 for fill in listed) == answer.filled_e2 == 1_200
        assert answer.remaining_e2 == 0
        assert listed[-1].price_e4 <= order.price_e4
        assert parse_price(price) in [fill.price_e4 for fill in listed]

        def facts(fills: object) -> set[tuple[object, ...]]:
            assert isinstance(fills, list | tuple)
            return {
                (f.fill_id, f.order_id, f.ticker, f.outcome, f.price_e4, f.count_e2, f.fee_e6, f.is_taker)
                for f in fills
            }

        assert facts(listed) == facts(watcher.fills)
        assert {fill.client_order_id for fill in watcher.fills} == {order.client_order_id}
        assert {fill.outcome for fill in listed} == {outcome}
        assert all(fill.is_taker and fill.fee_e6 > 0 for fill in listed)
        assert (await client.fetch_fills(stage.ticker)).fills == listed


async def test_a_makers_fill_arrives(stage: Stage) -> None:
    """A trade of the tape through our bid fills us at our price, without a fee."""
    order = stage.order("yes", "0.4600", "4.00", post_only=True)
    async with stage.client() as client, stage.watched(client) as watcher:
        answer = await placed(client, order)
        stage.exchange.apply(stage.ticker, Trade("no", parse_price("0.46"), parse_count("3")))
        await watcher.until(lambda: bool(watcher.fills))
        (fill,) = watcher.fills
        assert (fill.order_id, fill.price_e4, fill.count_e2) == (answer.order_id, 4_600, 300)
        assert (fill.is_taker, fill.fee_e6) == (False, 0)
        (row,) = (await client.fetch_orders()).orders
        assert (row.status, row.filled_e2, row.remaining_e2) == ("resting", 300, 100)


async def test_frames_of_orders_that_are_not_ours_arrive(stage: Stage) -> None:
    """What is done by hand, without a client order id or with a foreign one, is heard whole: order, fill, and the
    position after it."""
    async with stage.client() as client, stage.watched(client) as watcher:
        for number, name in enumerate((None, "somebody-else")):
            body = create_order(stage.now_or_never("no", "0.5600", "2.00"))
            body.client_order_id = name
            made = stage.exchange.create_order(stage.account, body)
            await watcher.until(lambda number=number: len(watcher.fills) == len(watcher.orders) == number + 1)  # type: ignore[misc]
            fill, order = watcher.fills[-1], watcher.orders[-1]
            assert (fill.order_id, fill.client_order_id) == (order.order_id, name) == (made.order_id, name)
            assert order.client_order_id == (name or "")
            assert (fill.outcome, fill.price_e4, fill.count_e2) == ("no", parse_price("0.55"), 200)
            assert fill.fee_e6 > 0
            assert fill.trade_id == (await client.fetch_fills(order_id=made.order_id)).fills[0].trade_id
            assert fill.post_position_e2 == -200 * (number + 1)


async def test_the_streams_book_equals_the_rest_book(stage: Stage) -> None:
    """After changes of the tape and orders of ours, one book, without a gap."""
    async with stage.client() as client, stage.watched(client) as watcher:
        changes = [("yes", "0.43", 500), ("no", "0.48", -500), ("yes", "0.45", -250), ("no", "0.40", 100)]
        for outcome, price, change in changes:
            stage.exchange.apply(
                stage.ticker, BookDelta("yes" if outcome == "yes" else "no", parse_price(price), CountE2(change))
            )
        await placed(client, stage.order("yes", "0.4600", "3.00"))
        await placed(client, stage.order("no", "0.4600", "2.00"))
        await placed(client, stage.now_or_never("yes", "0.5300", "1.00"))
        await watcher.until(lambda: len(watcher.fills) >= 1)
        book = await stage.rest_book()
        await watcher.until(lambda: (watcher.book.yes, watcher.book.no) == (book.yes, book.no))
        assert watcher.gaps == 0
        assert len(watcher.trades) >= 1


async def test_a_repeat_of_an_id_is_unknown_and_names_itself(stage: Stage) -> None:
    """The exchange has an order of that id; whose and which, a look-up must tell."""
    order = stage.order("yes", "0.4300", "1.00")
    async with stage.client() as client:
        await placed(client, order)
        again = await client.place(order)
        assert isinstance(again, Unknown)
        assert "order_already_exists" in again.why
        assert len((await client.fetch_orders()).orders) == 1


async def test_an_amend_moves_the_order(stage: Stage) -> None:
    """Price and total change, the id stays."""
    order = stage.order("no", "0.4300", "5.00")
    async with stage.client() as client:
        answer = await placed(client, order)
        amended = await client.amend(
            AmendOrder(
                effect_id="e1:98:0",
                client_order_id=order.client_order_id,
                order_id=answer.order_id,
                ticker=order.ticker,
                outcome="no",
                price_e4=PriceE4(4_400),
                total_e2=CountE2(400),
            )
        )
        assert isinstance(amended, Amended)
        (row,) = (await client.fetch_orders()).orders
        assert (row.order_id, row.price_e4, row.count_e2, row.status) == (answer.order_id, 4_400, 400, "resting")


async def test_an_amend_of_the_expiration_alone_keeps_the_place(stage: Stage) -> None:
    """Price, size and id stay, and so does what is ahead; listing and stream state the new end. A new price loses the
    place."""
    at_s = stage.clock.now_us() // 1_000_000 + 90
    order = stage.order("yes", "0.4500", "5.00", expiration_s=at_s)
    async with stage.client() as client, stage.watched(client) as watcher:
        answer = await placed(client, order)
        amend = AmendOrder(
            effect_id="e1:98:0",
            client_order_id=order.client_order_id,
            order_id=answer.order_id,
            ticker=order.ticker,
            outcome="yes",
            price_e4=order.price_e4,
            total_e2=order.count_e2,
        )
        stage.exchange.apply(stage.ticker, BookDelta("yes", parse_price("0.45"), CountE2(700)))  # others come behind it
        assert isinstance(await client.amend(replace(amend, expiration_s=at_s + 45)), Amended)
        (row,) = (await client.fetch_orders()).orders
        assert (row.price_e4, row.count_e2, row.remaining_e2) == (order.price_e4, 500, 500)
        assert (row.order_id, row.status, row.expiration_s) == (answer.order_id, "resting", at_s + 45)
        await watcher.until(lambda: any(each.expiration_s == at_s + 45 for each in watcher.orders))
        held = stage.exchange.orders[answer.order_id]
        assert (held.expiration_us, held.ahead_e2) == ((at_s + 45) * 1_000_000, 1_000)
        assert isinstance(await client.amend(amend), Amended)
        assert held.expiration_us == (at_s + 45) * 1_000_000, "left out it stays"
        assert isinstance(await client.amend(replace(amend, price_e4=PriceE4(4_400))), Amended)
        assert isinstance(await client.amend(amend), Amended)
        assert held.ahead_e2 == 1_700


async def test_refusals_are_told_apart(stage: Stage) -> None:
    """Each definite no of the exchange arrives under its own code, and leaves nothing behind."""
    async with stage.client(cash=MoneyE6(10_000_000)) as client:
        wishes = {
            "invalid_price": stage.order("yes", "0.4350", "1.00"),
            "invalid_order": stage.order("yes", "0.5300", "1.00", post_only=True),
            "insufficient_balance": stage.order("yes", "0.4300", "1000.00"),
            "market_not_found": stage.order("yes", "0.4300", "1.00", ticker="KXNONE-1"),
        }
        for code, order in wishes.items():
            answer = await client.place(order)
            assert isinstance(answer, Refused), answer
            assert answer.code == code
        assert (await client.fetch_orders()).orders == ()


async def test_a_clock_that_is_off_is_refused_by_name(stage: Stage) -> None:
    """A write is refused definitely, a read raises the refusal with its code."""
    async with stage.client(skew_us=-60_000_000) as client:
        answer = await client.place(stage.order("yes", "0.4300", "1.00"))
        assert isinstance(answer, Refused)
        assert answer.code == "header_timestamp_expired"
        with pytest.raises(VenueRefused) as caught:
            await client.fetch_orders()
        assert (caught.value.status, caught.value.code) == (401, "header_timestamp_expired")


async def test_listings_vouch_for_a_moment_before_they_were_read(stage: Stage) -> None:
    """`as_of` lies between the start of the call and its end, by the exchange's clock."""
    async with stage.client() as client:
        before_us = stage.clock.now_us()
        listing = await client.fetch_orders()
        assert before_us - 1_000_000 <= listing.as_of_us <= stage.clock.now_us()


async def test_many_rows_come_in_pages(stage: Stage) -> None:
    """More orders than a page holds are listed, each once."""
    async with stage.client() as client:
        for _ in range(205):  # past the client, whose rate budget would take 20 s for them
            stage.exchange.create_order(stage.account, create_order(stage.order("yes", "0.0100", "1.00")))
        rows = (await client.fetch_orders(stage.ticker)).orders
        assert len({row.order_id for row in rows}) == len(rows) == 205
