"""Events of several markets, of which one may exclude the others; results between yes and no; money from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from fsm_exec.core.errors import UserError
from fsm_exec.core.values.units import MoneyE6, PriceE4
from fsm_exec.paper.venue import member_reads
from tests.paper.support import TICKER, Floor, Stage, header, snapshot, staged

EVENT = "KXTEST-26OCT01"
SECOND, THIRD = f"{EVENT}-B", f"{EVENT}-C"
BOOK = snapshot([("0.44", "20")], [("0.47", "30")])


@pytest.fixture
def floor() -> Floor:
    floor = Floor()
    for ticker in (SECOND, THIRD):
        floor.exchange.add_market(header(ticker))
    for ticker in (TICKER, SECOND, THIRD):
        floor.exchange.apply(ticker, BOOK)
    floor.exchange.exclusive_events.add(EVENT)
    return floor


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged("memory") as stage:
        yield stage


def results(floor: Floor) -> dict[str, str | None]:
    return {ticker: market.result for ticker, market in floor.exchange.markets.items()}


def listed(body: dict[str, Any], name: str) -> dict[str, Any]:
    """The one row of a listing."""
    (row,) = body[name]
    found: dict[str, Any] = row
    return found


@pytest.mark.parametrize("winner", [TICKER, THIRD, None])
def test_an_event_has_at_most_one_winner(floor: Floor, winner: str | None) -> None:
    """The winner pays a dollar, all others nothing; without a winner no market pays."""
    floor.bid("0.53", "10")
    cash_e6 = floor.account.cash_e6
    floor.exchange.determine_event(EVENT, winner)
    assert [ticker for ticker, result in results(floor).items() if result == "yes"] == ([winner] if winner else [])
    assert set(results(floor).values()) <= {"yes", "no"}
    assert all(market.status == "finalized" for market in floor.exchange.markets.values())
    assert floor.account.cash_e6 - cash_e6 == (10_000_000 if winner == TICKER else 0)


def test_a_second_winner_is_refused(floor: Floor) -> None:
    """One by one or all at once, and before anything is closed; where markets do not exclude each other it is not."""
    floor.exchange.close_market(SECOND)
    floor.exchange.determine_market(SECOND, "yes")
    floor.exchange.close_market(TICKER)
    with pytest.raises(UserError, match="only one market may be yes"):
        floor.exchange.determine_market(TICKER, "yes")
    with pytest.raises(UserError, match="only one market may be yes"):
        floor.exchange.determine_event(EVENT, THIRD)
    with pytest.raises(UserError, match="is no market of"):
        floor.exchange.determine_event(EVENT, "KXNONE-1")
    assert floor.exchange.markets[THIRD].status == "active"
    floor.exchange.exclusive_events.clear()
    floor.exchange.determine_market(TICKER, "yes")
    assert results(floor) == {TICKER: "yes", SECOND: "yes", THIRD: None}


@pytest.mark.parametrize("outcome", ["yes", "no"])
def test_a_scalar_result_pays_what_a_contract_is_worth(floor: Floor, outcome: str) -> None:
    """To the last digit, and the two sides get a dollar together; the listing has whole cents, the market all of it."""
    if outcome == "yes":
        floor.bid("0.53", "2.50")
    else:
        floor.ask("0.44", "2.50")
    crowd = floor.exchange.settlement.crowd
    cash_e6, theirs_e6 = floor.account.cash_e6, crowd.cash_e6
    floor.exchange.close_market(TICKER)
    floor.exchange.determine_market(TICKER, "scalar", value_e4=PriceE4(3_333))
    paid_e6 = floor.account.cash_e6 - cash_e6
    assert paid_e6 == (833_250 if outcome == "yes" else 2_500_000 - 833_250)
    assert paid_e6 + crowd.cash_e6 - theirs_e6 == 2_500_000
    row = listed(member_reads.settlements_page(floor.exchange, floor.account, member_reads.Page()), "settlements")
    assert (row["market_result"], row["value"], row["revenue"]) == ("scalar", 33, paid_e6 // 10_000)


def test_a_market_closes_when_it_says_it_will(floor: Floor) -> None:
    """At that moment, not before; one that was closed earlier stays closed."""
    due_us = floor.clock.now_us() + 60_000_000
    for ticker in (TICKER, SECOND):
        floor.exchange.close_market_at(ticker, due_us)
    assert floor.market.close_us == due_us
    floor.exchange.close_market(SECOND)
    floor.later(59)
    assert floor.market.status == "active"
    floor.later(1)
    assert {floor.market.status, floor.exchange.markets[SECOND].status} == {"closed"}


def test_money_comes_and_goes(floor: Floor) -> None:
    """In whole cents, and no more than is free goes; each transfer is listed on its own side."""
    cash_e6 = floor.account.cash_e6
    floor.bid("0.30", "100")  # reserves 30 dollars
    floor.exchange.transfer(floor.account, MoneyE6(12_340_000))
    floor.exchange.transfer(floor.account, MoneyE6(-2_000_000))
    assert floor.account.cash_e6 == cash_e6 + 10_340_000
    assert floor.exchange.settlement.transferred_e6 == 10_340_000
    for amount in (0, 1, -floor.account.cash_e6):
        with pytest.raises(UserError):
            floor.exchange.transfer(floor.account, MoneyE6(amount))
    assert floor.account.cash_e6 == cash_e6 + 10_340_000
    for kind, cents in (("deposits", 1_234), ("withdrawals", 200)):
        row = listed(member_reads.transfers_page(floor.account, member_reads.Page(), kind), kind)
        assert (row["amount_cents"], row["status"]) == (cents, "applied")


async def test_the_wire_says_what_excludes_what(stage: Stage) -> None:
    """The event says whether its markets exclude each other, with and without them in it."""
    stage.exchange.add_market(header(SECOND))
    for exclusive, collateral in ((False, ""), (True, "MECNET")):
        if exclusive:
            stage.exchange.exclusive_events.add(EVENT)
        for nested in ("true", "false"):
            answer = await stage.call("GET", f"/events/{EVENT}", query={"with_nested_markets": nested})
            event = answer.json()["event"]
            assert (event["mutually_exclusive"], event["collateral_return_type"]) == (exclusive, collateral)


async def test_transfers_and_scalar_results_are_as_specified(stage: Stage) -> None:
    """Bodies of both, over the wire."""
    stage.exchange.apply(TICKER, BOOK)
    await stage.create("bid", "0.53", "2.50")
    stage.exchange.transfer(stage.member.account, MoneyE6(5_000_000))
    stage.exchange.transfer(stage.member.account, MoneyE6(-1_000_000))
    stage.exchange.close_market(TICKER)
    stage.exchange.determine_market(TICKER, "scalar", value_e4=PriceE4(2_575))
    market = (await stage.call("GET", f"/markets/{TICKER}")).json()["market"]
    assert (market["result"], market["settlement_value_dollars"]) == ("scalar", "0.2575")
    assert len((await stage.call("GET", "/portfolio/settlements")).json()["settlements"]) == 1
    for kind in ("deposits", "withdrawals"):
        assert len((await stage.call("GET", f"/portfolio/{kind}")).json()[kind]) == 1
