"""What is held and what it has brought, as the API tells it, from the account's books at the prices of now."""

from __future__ import annotations

import msgspec
import trio

from fsm_exec.control.account_schema import AccountSeen, PositionsSeen, ProfitTable
from fsm_exec.control.limits import ControlLimits
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.values.units import parse_count, parse_money, parse_price
from fsm_exec.paper.tapes.tape import BookSnapshot
from tests.control.conftest import OTHER, TICKER, Desk, a_desk
from tests.control.test_close import close, hold, until_ended


async def positions_of(desk: Desk) -> PositionsSeen:
    return msgspec.json.decode((await desk.http.get("/v1/positions")).content, type=PositionsSeen)


async def profit_of(desk: Desk, by: str) -> ProfitTable:
    return msgspec.json.decode((await desk.http.get("/v1/pnl", params={"by": by})).content, type=ProfitTable)


async def test_a_position_has_what_closing_it_now_brings(desk: Desk) -> None:
    """Cost without fees, value with the fee of closing taken off, at the live book; nothing held is no error."""
    nothing = await positions_of(desk)
    assert (nothing.positions, nothing.value) == ([], "0.000000")
    await hold(desk, quantity="8")
    (one,) = (await positions_of(desk)).positions
    assert (one.ticker, one.outcome, one.quantity, one.ours, one.others) == (TICKER, "yes", "8.00", "8.00", "0.00")
    assert (one.average_price, one.cost, one.priced_by) == ("0.530000", "4.240000", "book")
    assert parse_money(one.value) == parse_money(one.cost) + parse_money(one.unrealized)
    assert parse_money(one.value) < 8 * 450_000, "closed at the bid of 0.45, less the fee"
    desk.engine.close_market(TICKER)
    (listed,) = (await positions_of(desk)).positions
    assert (listed.priced_by, listed.value) == ("quote", one.value)


async def test_profit_adds_up_whichever_way_it_is_divided(desk: Desk) -> None:
    """Markets, events, series and days to the total; executions and methods with what was netted between them."""
    await hold(desk, quantity="8")
    await hold(desk, OTHER, quantity="5", outcome="no")
    answer = await close(desk, ticker=TICKER, quantity="3")
    assert answer.status_code == 200, answer.text
    await until_ended(desk, "e000003")
    for by in ("market", "event", "series", "method", "execution"):
        table = await profit_of(desk, by)
        netted = parse_money(table.netted or "0")
        assert sum(parse_money(line.total) for line in table.lines) + netted == parse_money(table.total.total), by
        assert (table.netted is None) == (by not in ("method", "execution"))
        assert parse_money(table.total.realized) < 0
    days = await profit_of(desk, "day")
    assert [line.key for line in days.lines] == ["2026-10-01"]
    assert days.lines[0].realized == days.total.realized
    assert len((await profit_of(desk, "execution")).lines) == 3
    assert (await desk.http.get("/v1/pnl", params={"by": "moon"})).status_code == 400


async def test_the_days_are_those_of_the_configured_time_zone() -> None:
    """No calendar day is today on both sides of the date line, 26 hours apart."""
    days = []
    for zone in ("Pacific/Kiritimati", "Etc/GMT+12"):
        async with a_desk(ControlLimits(), RiskLimits(time_zone=zone)) as desk:
            await hold(desk, quantity="8")
            table = await profit_of(desk, "day")
            assert table.time_zone == zone
            days.append(table.lines[0].key)
    assert days[0] > days[1]


async def test_the_account_says_balance_and_profit(desk: Desk) -> None:
    """The balance is the exchange's, the profit ours: before anything is held they say the same."""
    await hold(desk, quantity="8")
    with trio.fail_after(10):
        while True:
            seen = msgspec.json.decode((await desk.http.get("/v1/account")).content, type=AccountSeen)
            spent = 1_000_000_000 - parse_money(seen.available)
            if spent:
                break
            await trio.sleep(0.1)
    assert seen.markets_held == 1
    assert spent == parse_money(seen.profit.paid) + parse_money(seen.profit.fees)
    assert seen.differences == []


async def test_what_nobody_bids_for_is_worth_nothing(desk: Desk) -> None:
    """What the book does not take counts with nothing, and what it does with its price; at the mid there is none."""
    await hold(desk, quantity="8")
    desk.exchange.apply(TICKER, BookSnapshot(((parse_price("0.40"), parse_count("2")),), ()))
    with trio.fail_after(5):
        while True:
            one = (await positions_of(desk)).positions[0]
            if one.unrealized_at_mid is None and parse_money(one.value):  # each level is a frame of its own
                break
            await trio.sleep(0.02)
    assert 700_000 < parse_money(one.value) < 800_000, "2 of the 8 at 0.40, less the fee"
