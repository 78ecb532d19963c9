"""Before one submits: what there is to trade, its book with one's own orders marked, and what an order would cost."""

from __future__ import annotations

import httpx
import msgspec
import pytest
import trio

from fsm_exec.cli.daemon.market_commands import describe_fee_changes
from fsm_exec.control.market_schema import BookLevel, Estimate, MarketBook, MarketList
from fsm_exec.core.values.times import to_iso
from fsm_exec.core.values.units import parse_count, parse_price
from fsm_exec.paper.tapes.tape import BookSnapshot
from tests.control.conftest import OTHER, TICKER, Desk, error_of


async def ask(desk: Desk, **changes: object) -> httpx.Response:
    wanted: dict[str, object] = {"ticker": TICKER, "outcome": "yes", "quantity": "10", "horizon_s": 60}
    body = {name: value for name, value in (wanted | changes).items() if value is not None}
    return await desk.http.post("/v1/estimate", content=msgspec.json.encode(body))


async def estimated(desk: Desk, **changes: object) -> Estimate:
    answer = await ask(desk, **changes)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=Estimate)


async def book_of(desk: Desk, **query: str) -> MarketBook:
    answer = await desk.http.get(f"/v1/markets/{TICKER}/book", params=query)
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=MarketBook)


async def test_markets_are_found_by_ticker_with_their_quotes(desk: Desk) -> None:
    """All that are open without a word; a beginning of a ticker finds its own; bad parameters are refused."""
    every = msgspec.json.decode((await desk.http.get("/v1/markets")).content, type=MarketList)
    assert {market.ticker for market in every.markets} == {TICKER, OTHER}
    found = msgspec.json.decode(
        (await desk.http.get("/v1/markets", params={"search": TICKER})).content, type=MarketList
    )
    (market,) = found.markets
    assert (market.ticker, market.status, market.bid, market.ask) == (TICKER, "open", "0.4500", "0.5300")
    assert (await desk.http.get("/v1/markets", params={"limit": "0"})).status_code == 400


async def test_a_book_shows_both_sides_and_what_of_it_is_ours(desk: Desk) -> None:
    """In the terms of either outcome, live; our own order is in the level and told apart."""
    before = await book_of(desk)
    assert (before.source, before.spread, before.mid) == ("stream", "0.0800", "0.49000")
    assert before.bids[0] == BookLevel(price="0.4500", quantity="10.00", own="0.00")
    assert before.asks[0] == BookLevel(price="0.5300", quantity="10.00", own="0.00")
    await desk.accepted(target_price=None, limit="0.45", quantity="4")
    with trio.fail_after(5):
        while (await book_of(desk)).bids[0] != BookLevel(price="0.4500", quantity="14.00", own="4.00"):  # noqa: ASYNC110
            await trio.sleep(0.02)
    other = await book_of(desk, outcome="no", levels="1")
    assert (other.bids[0].price, other.asks) == ("0.4700", [BookLevel(price="0.5500", quantity="14.00", own="4.00")])
    assert other.market is not None
    assert other.market.title


async def test_a_market_that_does_not_trade_has_its_book_read(desk: Desk) -> None:
    """It is not watched, and still shown; one that is not there is refused."""
    desk.exchange.close_market(OTHER)
    answer = await desk.http.get(f"/v1/markets/{OTHER}/book")
    assert answer.status_code == 200, answer.text
    told = msgspec.json.decode(answer.content, type=MarketBook)
    assert (told.source, told.market is not None and told.market.status) == ("listing", "closed")
    assert OTHER not in desk.engine.feeds
    missing = await desk.http.get("/v1/markets/KXNONE-1/book")
    assert (missing.status_code, "KXNONE-1" in error_of(missing).message) == (422, True)


async def test_an_estimate_says_what_it_would_cost_and_sends_nothing(desk: Desk) -> None:
    """Without a price the limit is what buys it all now; taking is walked through the book, fees included; what the
    daemon would refuse is said; nothing is stored and no order goes out."""
    told = await estimated(desk)
    assert (told.limit, told.limit_from, told.seconds) == ("0.5300", "book", 60)
    assert (told.bid, told.ask, told.mid) == ("0.4500", "0.5300", "0.49000")
    now = told.taking_now
    assert (now.quantity, now.cost, now.fees, now.above_mid) == ("10.00", "5.474370", "0.174370", "0.05743")
    assert told.refusals == []
    assert (told.writes.to_place, told.writes.to_cancel) == (10, 2)
    low = await estimated(desk, limit="0.40", quantity="9000", methods=["passive_mid", "market"])
    assert (low.limit, low.cap, low.limit_from) == ("0.4000", "0.416800", "given")
    assert low.at_most == "3751.200000"
    assert (low.taking_now.quantity, low.taking_now.above_mid) == ("0.00", None)
    assert any("max_notional_dollars" in why for why in low.refusals)
    assert [one.method for one in low.methods] == ["passive_mid@1", "market@1"]
    await desk.http.post("/v1/halt")
    assert any("halted" in why for why in (await estimated(desk)).refusals)
    assert await desk.executions() == 0
    assert list(desk.exchange.orders.values()) == []


REFUSED: list[tuple[dict[str, object], int, str]] = [
    ({"horizon_s": None}, 422, "missing: horizon_s or deadline"),
    ({"quantity": "nan"}, 422, "quantity: 'nan'"),
    ({"quantity": None}, 422, "missing: quantity"),
    (
        {"quantity": None, "limit": "0.5", "edge": {"model_probability": "0.6"}},
        422,
        "leave limit, cap and target_price",
    ),
    ({"edge": {"model_probability": "0.6"}}, 422, "missing: expected_value"),
    ({"quantity": None, "edge": {"model_probability": "1"}}, 422, "above 0 and below 1"),
    ({"limit": "55"}, 422, "did you mean 0.55?"),
    ({"limit": "0.4", "cap": "0.5"}, 422, "not both"),
    ({"methods": ["no_such"]}, 422, "no_such"),
    ({"methods": ["passive_mid", "no_such"]}, 422, "no_such"),
    ({"methods": []}, 400, "methods"),
    ({"ticker": "KXNONE-1"}, 422, "KXNONE-1"),
    ({"key": "k"}, 400, "key"),
    ({"outcome": "maybe"}, 400, "maybe"),
]


@pytest.mark.parametrize(("changes", "status", "says"), REFUSED)
async def test_an_estimate_of_nonsense_is_one_line(
    desk: Desk, changes: dict[str, object], status: int, says: str
) -> None:
    """As of a submission."""
    answer = await ask(desk, **changes)
    assert (answer.status_code, says in error_of(answer).message) == (status, True), answer.text


async def test_a_market_without_offers_has_no_price_to_propose(desk: Desk) -> None:
    """It is said; with a limit of one's own the rest is told all the same."""
    bids = ((parse_price("0.44"), parse_count("10")),)
    desk.exchange.apply(TICKER, BookSnapshot(bids, ()))
    answer = await ask(desk)
    assert (answer.status_code, "nobody offers" in error_of(answer).message) == (422, True)
    told = await estimated(desk, limit="0.50")
    assert (told.ask, told.mid, told.taking_now.quantity) == (None, None, "0.00")
    assert told.methods[0].no_basis is not None


async def test_a_cap_is_made_by_the_fees_until_the_deadline(desk: Desk) -> None:
    """A waiver that ends within the horizon: the cap of a limit has the fees of after it, the limit of a cap those of
    now; estimate and book say when they change."""
    ends_us = desk.exchange.timeline.now_us() // 1_000_000 * 1_000_000 + 30_000_000
    desk.exchange.fees.waive(TICKER, ends_us)
    short = await estimated(desk, limit="0.50", horizon_s=10)
    assert (short.limit, short.cap, short.fee_changes) == ("0.5000", "0.500000", [])
    long = await estimated(desk, limit="0.50", horizon_s=60)
    assert (long.limit, long.cap) == ("0.5000", "0.517500")
    (change,) = long.fee_changes
    assert (change.at, change.taker) == (to_iso(ends_us), "0.0700000000")
    by_cap = await estimated(desk, limit=None, cap="0.50", horizon_s=60)
    assert (by_cap.limit, by_cap.cap) == ("0.5000", "0.500000"), "while it is free; core bids less afterwards"
    shown = await book_of(desk)
    assert shown.fee_changes == [change]
    assert "0.07 as taker" in describe_fee_changes(shown.fee_changes)[0]
