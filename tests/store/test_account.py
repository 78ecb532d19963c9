"""What the store keeps of the account, in both lanes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from fsm_exec.core.account.brake import RiskState
from fsm_exec.core.account.limits import RiskLimits
from fsm_exec.core.account.rows import (
    AccountFill,
    AccountLook,
    Adjustment,
    Bought,
    Difference,
    Opening,
    RiskLogRow,
    TakenOver,
    holding_of,
)
from fsm_exec.core.errors import SaveRefused
from fsm_exec.core.market.account import EventShape, Settlement
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.store_port import AccountStore
from fsm_exec.core.values.units import LINEAR_CENT, CountE2, MoneyE6, Outcome, PriceE4, parse_price
from fsm_exec.paper.matching_engine.accounts import Position
from fsm_exec.runtime.account.ledger import Ledger
from fsm_exec.store.maintenance.integrity import check_database
from fsm_exec.store.maintenance.read_only import open_read_only
from fsm_exec.store.reads import account_reads, profit_queries
from tests.store.conftest import T0_US
from tests.store.histories import fill

if TYPE_CHECKING:
    from tests.store.conftest import OpenStore, Samples

TERMS = MarketTerms(
    ticker="KXTEST-1",
    series="KX",
    event="KXTEST",
    category="Test",
    status="open",
    grid=LINEAR_CENT,
    fees=FeeTerms(0, 0),
)
BY_HAND = AccountFill(
    order_id="o-hand",
    fill_id="t-1",
    ticker="KXTEST-1",
    outcome="no",
    price_e4=PriceE4(4_400),
    count_e2=CountE2(250),
    fee_e6=MoneyE6(43_200),
    is_taker=True,
    traded_at_us=T0_US + 10_000_000,
)
OTHER = replace(BY_HAND, ticker="KXTEST-2", fill_id="x")
SETTLEMENT = Settlement(
    ticker="KXTEST-1",
    event="KXTEST",
    result="scalar",
    value_e4=PriceE4(2_500),
    yes_count_e2=CountE2(50),
    no_count_e2=CountE2(0),
    yes_cost_e6=MoneyE6(210_000),
    no_cost_e6=MoneyE6(0),
    revenue_e6=MoneyE6(130_000),
    fee_e6=MoneyE6(43_200),
    at_us=T0_US + 90_000_000,
)
OPENING = Opening(
    ticker="KXTEST-1",
    count_e2=CountE2(-100),
    cost_e6=MoneyE6(300_000),
    realized_e6=MoneyE6(-5),
    fees_e6=None,
    at_us=T0_US + 5_000_000,
)
LOOK = AccountLook(at_us=T0_US + 5_000_000, first_at_us=T0_US + 5_000_000, balance_e6=MoneyE6(10**9), explained_e6=None)
CHANGE = Adjustment(
    ticker="KXTEST-2", at_us=T0_US + 7, count_e2=CountE2(-30), cost_e6=MoneyE6(-90_000), why="unexplained"
)
FOUND = Difference(
    kind="position", ticker="KXTEST-2", found_at_us=T0_US + 7, ours="0.00", theirs="-0.30", cause="unexplained"
)
RISK = RiskState(state="reducing", why="lost 12", since_us=T0_US, day="2026-11-29", day_start_e6=3, peak_e6=-4)
MOVE = RiskLogRow(
    at_us=T0_US,
    moved_from="active",
    moved_by="loss_passed",
    moved_to="reducing",
    who="engine",
    why="lost 12",
    figures=b'{"equity":"-9.000000"}',
)


async def test_the_account_comes_back_as_it_was_saved(open_store: OpenStore, samples: Samples) -> None:
    """Every row of it, the books of a market in time order with ours, others' and what was taken over."""
    shape = EventShape(event="KXTEST", series="KX", mutually_exclusive=True, tickers=("KXTEST-1", "KXTEST-2"))
    async with open_store() as opened:
        store: AccountStore = opened
        assert await store.load_account() == replace(await store.load_account(), markets=(), look=None, risk=None)
        await opened.save_market(TERMS, T0_US)
        await opened.save(samples.save(children=(samples.child(),), fills=(samples.fill(),)))
        await store.save_account_fills([BY_HAND, replace(BY_HAND, fill_id="t-2")])
        await store.save_look(LOOK, [OPENING], [CHANGE], [FOUND])
        await store.save_risk(RISK, MOVE)
        await store.save_risk(replace(RISK, equity_e6=-5), None)
        await store.save_event_shape(shape, T0_US)
        books = await store.load_books("KXTEST-1")
        assert [entry.at_us for entry in books.entries] == sorted(entry.at_us for entry in books.entries)
        kinds = [type(entry) for entry in books.entries]
        assert (kinds.count(Bought), kinds.count(TakenOver), books.settlement) == (3, 1, None)
        (ours,) = [one for one in books.entries if isinstance(one, Bought) and one.execution_id is not None]
        assert (ours.execution_id, ours.method, ours.outcome) == ("e1", "simple_limit@1", "yes")
        await store.save_settlements([SETTLEMENT])
        account = await store.load_account()
        assert (account.look, account.openings, account.differences) == (LOOK, (OPENING,), (FOUND,))
        assert (account.risk, account.shapes, account.damage) == (replace(RISK, equity_e6=-5), (shape,), ())
        assert await store.load_risk_log(10) == [MOVE]
        first, second = account.markets
        assert (first.ticker, first.event, first.series, first.settlement) == ("KXTEST-1", "KXTEST", "KX", SETTLEMENT)
        assert first.ours_e2 == ours.count_e2
        assert (second.ticker, second.holding.count_e2, second.holding.cost_e6) == ("KXTEST-2", -30, -90_000)


async def test_the_same_rows_again_change_nothing_and_other_words_take_their_place(open_store: OpenStore) -> None:
    """A fill by order and name, a settlement by market, a difference by kind, market and time."""
    async with open_store() as store:
        for _ in range(2):
            await store.save_account_fills([BY_HAND])
            await store.save_settlements([SETTLEMENT])
            await store.save_look(LOOK, [OPENING], [CHANGE], [FOUND])
        assert len((await store.load_books("KXTEST-1")).entries) == 2
        await store.save_account_fills([replace(BY_HAND, fee_e6=MoneyE6(1))])
        await store.save_look(LOOK, differences=[replace(FOUND, gone_at_us=T0_US + 9, cause="frames_under_way")])
        account = await store.load_account()
        assert account.differences == ()
        (fill,) = [one for one in (await store.load_books("KXTEST-1")).entries if isinstance(one, Bought)]
        assert fill.fee_e6 == 1


async def test_a_fill_whose_order_is_ours_after_all_is_counted_once(open_store: OpenStore, samples: Samples) -> None:
    """One that was stored as nobody's, before the order's id was known, is not counted beside the execution's own."""
    fill = samples.fill()
    async with open_store() as store:
        early = replace(BY_HAND, order_id=fill.order_id, fill_id=fill.fill_id)
        await store.save_account_fills([early])
        child = replace(samples.child(), order_id=fill.order_id)
        await store.save(samples.save(children=(child,), fills=(fill,)))
        (entry,) = (await store.load_books("KXTEST-1")).entries
        assert isinstance(entry, Bought)
        assert entry.execution_id == "e1"


async def test_a_look_that_is_refused_leaves_nothing(open_store: OpenStore) -> None:
    """A look with a row the database does not take is not stored in part."""
    async with open_store() as store:
        with pytest.raises(SaveRefused):
            await store.save_look(LOOK, [OPENING], [], [replace(FOUND, cause="bad luck")])
        account = await store.load_account()
        assert (account.look, account.openings, account.markets) == (None, (), ())


async def test_what_a_running_engine_reads_of_a_market_goes_by_an_index(
    open_file_store: OpenStore, database: Path
) -> None:
    """However many executions, fills and books there are: no table that grows is read whole."""
    async with open_file_store():
        pass
    with open_read_only(database) as looked:
        for query in (account_reads.OF_ONE, profit_queries.LAST_BOOK):
            plan = looked.connection.execute(f"EXPLAIN QUERY PLAN {query}", {"ticker": "T"}).fetchall()
            scans = [line for *_, line in plan if line.startswith("SCAN") and "subquery" not in line]
            assert scans == []


async def test_profit_of_a_copied_database(open_file_store: OpenStore, samples: Samples, database: Path) -> None:
    """It is reckoned at the last book that was stored; what cannot be read is named, and the rest goes on."""
    book = replace(samples.book(), yes_depth=b'[["0.6000","100.00"]]', no_depth=b'[["0.3000","100.00"]]')
    async with open_file_store() as store:
        await store.save_market(TERMS, T0_US)
        await store.save(samples.save(children=(samples.child(),), fills=(samples.fill(),)))
        await store.save_account_fills([replace(BY_HAND, outcome="yes"), OTHER])
        await store.save_book(replace(book, taken_at_us=T0_US - 1, yes_depth=b"[]"))
        await store.save_book(book)
        assert await store.load_traded_tickers() == ["KXTEST-1", "KXTEST-2"]
        marks = await store.load_stored_marks(["KXTEST-1", "KXTEST-2"])
        assert [(mark.ticker, mark.source, mark.at_us) for mark in marks.values()] == [("KXTEST-1", "stored", T0_US)]
    with open_read_only(database) as looked:
        profit = profit_queries.load_profit(looked.connection)
    assert [line.unrealized_e6 for line in profit.executions] == [100_000]
    assert [(line.key, line.unmarked) for line in profit.markets] == [("KXTEST-1", 0), ("KXTEST-2", 1)]
    assert profit.by_hand.unrealized_e6 == 250 * (6_000 - 4_400) - 250 * 4_400
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("UPDATE account_fills SET price = 'much' WHERE ticker = 'KXTEST-1'")
    with open_read_only(database) as looked:
        damage: list[str] = []
        again = profit_queries.load_profit(looked.connection, "UTC", damage)
    assert len(damage) == 1
    assert damage[0].startswith("row o-hand t-1 of account_fills is damaged, column price")
    assert [line.unrealized_e6 for line in again.executions] == [100_000]


DAMAGES = {
    "account_fills": "UPDATE account_fills SET fee = 'some'",
    "settlements": "UPDATE settlements SET value = '7'",
    "account_openings": "UPDATE account_openings SET cost = ''",
    "account_adjustments": "UPDATE account_adjustments SET quantity = '1.234'",
    "account_differences": "UPDATE account_differences SET found_at = 'once'",
    "account_look": "UPDATE account_look SET balance = 'x'",
    "risk_state": "UPDATE risk_state SET peak = 'x'",
    "risk_log": "UPDATE risk_log SET at = 'x'",
    "event_shapes": "UPDATE event_shapes SET tickers = '7'",
}


@pytest.mark.parametrize("table", DAMAGES)
async def test_a_damaged_row_of_the_account_is_named(open_file_store: OpenStore, database: Path, table: str) -> None:
    """By `db check`, with table and column; and the account is loaded without it."""
    async with open_file_store() as store:
        await store.save_account_fills([BY_HAND])
        await store.save_settlements([SETTLEMENT])
        await store.save_look(LOOK, [OPENING], [CHANGE], [FOUND])
        await store.save_risk(RISK, MOVE)
        shape = EventShape(event="KXTEST", series="KX", mutually_exclusive=True, tickers=("KXTEST-1",))
        await store.save_event_shape(shape, T0_US)
    assert check_database(database, every=True).findings == []
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        assert connection.execute(DAMAGES[table]).rowcount == 1
    findings = check_database(database, every=True).findings
    assert [one for one in findings if f"of {table} is damaged" in one.what], findings
    async with open_file_store() as store:
        assert (await store.load_account()).damage or table == "risk_log"


def test_what_an_execution_may_still_cost_is_checked_against_its_journal(database: Path) -> None:
    """Another amount is found; none at all is a row that an older version saved last."""
    fill(database)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        rows = dict(connection.execute("SELECT execution_id, reserved FROM execution_state"))
        unfinished = [name for name, amount in rows.items() if amount != "0.000000"]
        assert unfinished
        connection.execute("UPDATE execution_state SET reserved = NULL WHERE execution_id = ?", unfinished[:1])
        assert check_database(database, every=True).findings == []
        connection.execute("UPDATE execution_state SET reserved = '0.000000' WHERE execution_id = ?", unfinished[:1])
    (found,) = check_database(database, every=True).findings
    assert (found.execution_id, found.what.startswith("execution_state: reserved is 0.000000, the journal says")) == (
        unfinished[0],
        True,
    )


async def test_books_in_memory_are_those_of_the_rows_whatever_comes_first(
    open_store: OpenStore, samples: Samples
) -> None:
    """Average cost depends on the order of fills: one that is heard of after a newer one has the books read again."""
    async with open_store() as store:
        ledger = Ledger(RiskLimits())
        store.on_saved(ledger.take_save)
        for seq, (fill_id, price, quantity, after_us) in enumerate(
            (("f1", "0.5000", "2.00", 0), ("f3", "0.6000", "2.00", 9), ("f2", "0.4000", "3.00", 4)), start=1
        ):
            name = f"fxaaaaaaaaaa-e{seq}-1-1"
            child = replace(samples.child(name), order_id=fill_id)
            at_us = T0_US + after_us
            one = samples.fill(fill_id, client_order_id=name)
            one = replace(one, price=price, quantity=quantity, traded_at_us=at_us, order_id=fill_id)
            save = samples.save(f"e{seq}", fills=(one,), children=(child,))
            await store.save(replace(save, outcome="no" if fill_id == "f2" else "yes"))
        await ledger.reload_stale(store)
        assert ledger.markets["KXTEST-1"] == holding_of(await store.load_books("KXTEST-1"))


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
async def test_average_cost_does_not_depend_on_who_tells_of_a_fill_first(
    open_store: OpenStore, samples: Samples, order: tuple[int, ...]
) -> None:
    """A position that an order turns around, taking at two prices and filled at rest in the same millisecond, then one
    trade through two orders at rest: the books are the exchange's, in memory and from the rows, whatever the order."""
    there = Position(count_e2=200, cost_e6=200 * 5_000, traded_e2=200)
    held = replace(BY_HAND, order_id="o-0", fill_id="t-0", outcome="yes", price_e4=PriceE4(5_000), fee_e6=MoneyE6(0))
    held = replace(held, count_e2=CountE2(200), traded_at_us=T0_US)
    # as the exchange does: price, outcome, role, time (a listing has microseconds, a frame milliseconds)
    booked: list[tuple[str, Outcome, bool, int]] = [
        ("0.6500", "no", True, 5_400),
        ("0.6600", "no", True, 5_000),
        ("0.6700", "no", False, 5_900),
        ("0.3000", "yes", False, 9_000),
    ]
    count = CountE2(150)
    for price, outcome, _, _ in booked:
        there.buy(outcome, parse_price(price), count, MoneyE6(0), 0)
    async with open_store() as store:
        ledger = Ledger(RiskLimits())
        await store.save_account_fills([held])
        ledger.begin(await store.load_account())
        store.on_saved(ledger.take_save)
        for nth in order:
            price, outcome, is_taker, after_us = booked[nth]
            name, key = f"fxaaaaaaaaaa-e{nth}-1-1", f"o-{nth}-1"
            one = replace(samples.fill(f"f{nth}", client_order_id=name), order_id=key, is_taker=is_taker, price=price)
            one = replace(one, quantity="1.50", fee="0.000000", traded_at_us=T0_US + after_us)
            child = replace(samples.child(name), order_id=key)
            save = samples.save(f"e{nth}", fills=(one,), children=(child,))
            await store.save(replace(save, outcome=outcome))
        await ledger.reload_stale(store)
        stored = holding_of(await store.load_books("KXTEST-1")).holding
        assert ledger.markets["KXTEST-1"].holding == stored
    assert (stored.count_e2, stored.cost_e6, stored.realized_e6) == (there.count_e2, there.cost_e6, there.realized_e6)
