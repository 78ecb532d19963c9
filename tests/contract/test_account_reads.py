"""What the client reads of the account and of markets is what the paper exchange has, over both wires."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fsm_exec.core.errors import UserError, VenueRefused
from fsm_exec.core.values.units import parse_price
from fsm_exec.paper.tapes.tape import tape_header

if TYPE_CHECKING:
    from tests.contract.conftest import Stage

EVENT = "KXTEST-26OCT01"


async def test_a_settlement_is_read_with_its_money(stage: Stage) -> None:
    """Count, cost, value, revenue and fees of what was held, and nothing before a moment that is named."""
    async with stage.client() as client:
        await client.place(stage.now_or_never("no", "0.5600", "12.25"))
        position = stage.account.positions[stage.ticker]
        cost_e6, fees_e6 = position.cost_e6, position.fees_e6
        stage.exchange.close_market(stage.ticker)
        stage.exchange.determine_market(stage.ticker, "no")
        (settled,) = await client.fetch_settlements()
        assert (settled.ticker, settled.event, settled.result) == (stage.ticker, EVENT, "no")
        assert (settled.yes_count_e2, settled.no_count_e2, settled.value_e4) == (0, 1_225, 0)
        assert (settled.yes_cost_e6, settled.no_cost_e6, settled.fee_e6) == (0, cost_e6, fees_e6)
        assert settled.payout_e6() == settled.revenue_e6 == 12_250_000
        assert await client.fetch_settlements(settled.at_us) == (settled,)
        assert await client.fetch_settlements(settled.at_us + 1_000_000) == ()
        assert await client.fetch_positions() == ()


async def test_a_scalar_settlement_is_exact(stage: Stage) -> None:
    """The listing has whole cents; the market's own value makes it exact."""
    async with stage.client() as client:
        await client.place(stage.now_or_never("yes", "0.5300", "2.50"))
        cash_e6 = stage.account.cash_e6
        stage.exchange.close_market(stage.ticker)
        stage.exchange.determine_market(stage.ticker, "scalar", value_e4=parse_price("0.3333"))
        (settled,) = await client.fetch_settlements()
        assert (settled.result, settled.value_e4, settled.revenue_e6) == ("scalar", 3_333, 830_000)
        assert settled.payout_e6() == stage.account.cash_e6 - cash_e6 == 833_250


async def test_the_shape_of_an_event_has_all_of_its_markets(stage: Stage) -> None:
    """Event, series, whether its markets exclude each other, and each of them; an unknown event is refused."""
    stage.exchange.add_market(tape_header("KXTEST-26OCT01-B", "linear_cent", category="Testing"))
    async with stage.client() as client:
        shape = await client.fetch_event_shape(EVENT)
        assert (shape.event, shape.series, shape.mutually_exclusive) == (EVENT, "KXTEST", False)
        assert sorted(shape.tickers) == [stage.ticker, "KXTEST-26OCT01-B"]
        stage.exchange.exclusive_events.add(EVENT)
        assert (await client.fetch_event_shape(EVENT)).mutually_exclusive
        with pytest.raises(VenueRefused):
            await client.fetch_event_shape("KXNONE-1")
        with pytest.raises(UserError):
            await client.fetch_event_shape("../orders")


async def test_facts_of_markets_are_read_by_ticker(stage: Stage) -> None:
    """Status, quotes with their sizes, and times; a market without quotes has none, and an unknown one is left out."""
    stage.exchange.add_market(tape_header("KXTEST-26OCT01-B", "linear_cent", category="Testing"))
    async with stage.client() as client:
        found = await client.fetch_market_facts([stage.ticker, "KXTEST-26OCT01-B", "KXNONE-1"])
        assert sorted(found) == [stage.ticker, "KXTEST-26OCT01-B"]
        facts = found[stage.ticker]
        assert (facts.event, facts.status, facts.result, facts.is_settled) == (EVENT, "open", None, False)
        assert (facts.yes_bid_e4, facts.yes_bid_size_e2) == (parse_price("0.45"), 1_000)
        assert (facts.yes_ask_e4, facts.yes_ask_size_e2) == (parse_price("0.52"), 500)
        assert facts.close_us == stage.exchange.markets[stage.ticker].close_us
        assert found["KXTEST-26OCT01-B"].yes_bid_e4 is None
        stage.exchange.close_market(stage.ticker)
        stage.exchange.determine_market(stage.ticker, "yes")
        ended = (await client.fetch_market_facts([stage.ticker]))[stage.ticker]
        assert (ended.status, ended.result, ended.is_settled) == ("closed", "yes", True)
        assert ended.settlement_value_e4 == 10_000


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["KXOTHER-1", "KXTEST-26OCT01-A", "KXTEST-26OCT01-B"]),
        ("KXTEST-26OCT01-A", ["KXTEST-26OCT01-A"]),
        ("kxtest-26oct01", ["KXTEST-26OCT01-A", "KXTEST-26OCT01-B"]),
        ("KXTEST", ["KXTEST-26OCT01-A", "KXTEST-26OCT01-B"]),
        ("KXTEST-26", ["KXTEST-26OCT01-A", "KXTEST-26OCT01-B"]),
        ("rain london", ["KXOTHER-1"]),
        ("London", ["KXOTHER-1"]),
        ("nothing like it", []),
    ],
)
async def test_markets_are_found_by_ticker_and_by_words(stage: Stage, text: str, found: list[str]) -> None:
    """A ticker's beginning finds its markets, else every word must occur in a title."""
    stage.exchange.add_market(tape_header("KXTEST-26OCT01-B", "linear_cent", category="Testing"))
    stage.exchange.add_market(
        tape_header("KXOTHER-1", "linear_cent", category="Testing", title="Will it rain in London tomorrow?")
    )
    async with stage.client() as client:
        result = await client.search_markets(text)
        assert sorted(facts.ticker for facts in result.markets) == found
        assert not result.has_more


async def test_a_search_says_when_there_is_more(stage: Stage) -> None:
    """A search that is cut at its limit says so; a market that is closed is only found when it is asked for."""
    stage.exchange.add_market(tape_header("KXTEST-26OCT01-B", "linear_cent", category="Testing"))
    async with stage.client() as client:
        for text in ("", "KXTEST", "test"):
            result = await client.search_markets(text, limit=1)
            assert (len(result.markets), result.has_more) == (1, True)
        stage.exchange.close_market(stage.ticker)
        assert [each.ticker for each in (await client.search_markets("KXTEST")).markets] == ["KXTEST-26OCT01-B"]
        assert len((await client.search_markets("KXTEST", only_open=False)).markets) == 2
        with pytest.raises(UserError):
            await client.search_markets("x" * 300)
        with pytest.raises(UserError):
            await client.search_markets(limit=0)


async def test_position_balance_and_book_are_read_through_the_client(stage: Stage) -> None:
    """What the account holds and has, and a market's book, as the exchange's own state has them."""
    async with stage.client() as client:
        await client.place(stage.now_or_never("yes", "0.5300", "12.00"))
        (position,) = await client.fetch_positions()
        held = stage.account.positions[stage.ticker]
        assert (position.ticker, position.count_e2, position.exposure_e6) == (stage.ticker, 1_200, held.cost_e6)
        assert (await client.fetch_balance()).available_e6 == stage.account.cash_e6
        book = await client.fetch_order_book(stage.ticker)
        assert (book.yes, book.no) == ((mine := await stage.rest_book()).yes, mine.no)
