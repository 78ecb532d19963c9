"""What is held of a market: as the paper exchange books it, whatever the trades."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fsm_exec.core.account.holding import NOTHING
from fsm_exec.core.account.marks import Mark
from fsm_exec.core.account.profit import line_of, profit_of
from fsm_exec.core.account.rows import Bought, MarketBooks, TakenOver, holding_of
from fsm_exec.core.market.account import Settlement
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome, PriceE4
from fsm_exec.paper.matching_engine.accounts import Position

OUTCOMES: st.SearchStrategy[Outcome] = st.sampled_from(("yes", "no"))
TRADES = st.lists(
    st.tuples(
        OUTCOMES,
        st.integers(1, 9_999).map(PriceE4),
        st.integers(1, 5_000).map(CountE2),
        st.integers(0, 2_000_000).map(MoneyE6),
    ),
    max_size=40,
)
FREE = FeeTerms(0, 0)


def bought(outcome: Outcome, price: int, count: int, fee: int = 0, who: str | None = None) -> Bought:
    return Bought(
        at_us=0,
        outcome=outcome,
        price_e4=PriceE4(price),
        count_e2=CountE2(count),
        fee_e6=MoneyE6(fee),
        is_taker=True,
        execution_id=who,
        method=None if who is None else "m@1",
    )


def settled(value: int | None, revenue: int = 0) -> Settlement:
    return Settlement(
        ticker="T",
        event="E",
        result="scalar",
        value_e4=None if value is None else PriceE4(value),
        yes_count_e2=CountE2(0),
        no_count_e2=CountE2(0),
        yes_cost_e6=MoneyE6(0),
        no_cost_e6=MoneyE6(0),
        revenue_e6=MoneyE6(revenue),
        fee_e6=MoneyE6(0),
        at_us=9,
    )


@given(TRADES, st.integers(0, 10_000).map(PriceE4))
def test_a_holding_is_the_exchanges_position(
    trades: list[tuple[Outcome, PriceE4, CountE2, MoneyE6]], value: PriceE4
) -> None:
    """After every trade and after the settlement at any value: count, cost, realised, fees, traded, and the cash."""
    ours, theirs, cash = NOTHING, Position(), 0
    for outcome, price, count, fee in trades:
        cash += theirs.revenue_e6(outcome, price, count) - fee
        theirs.buy(outcome, price, count, fee, 0)
        ours = ours.bought(outcome, price, count, fee)
        told = ours.count_e2, ours.cost_e6, ours.realized_e6, ours.fees_e6, ours.traded_e2, ours.traded_e6
        assert told == (
            theirs.count_e2,
            theirs.cost_e6,
            theirs.realized_e6,
            theirs.fees_e6,
            theirs.traded_e2,
            theirs.traded_e6,
        )
        assert ours.cash_e6 == ours.balance_change_e6 == cash
    ours = ours.settled(settled(value))
    cash += theirs.pay_out(value, 0)
    assert (ours.count_e2, ours.cost_e6, ours.realized_e6) == (0, 0, theirs.realized_e6)
    assert ours.balance_change_e6 == cash


@given(TRADES, st.integers(-5_000, 5_000), st.integers(-(10**9), 10**9), st.integers(0, 10_000).map(PriceE4))
def test_what_was_taken_over_makes_no_profit_by_itself(
    trades: list[tuple[Outcome, PriceE4, CountE2, MoneyE6]], count: int, cost: int, value: PriceE4
) -> None:
    """It changes count and cost; nothing is realised, and no balance of ours was moved by it."""
    before = NOTHING
    for outcome, price, amount, fee in trades:
        before = before.bought(outcome, price, amount, fee)
    after = before.taken_over(CountE2(count), MoneyE6(cost))
    assert (after.count_e2, after.cost_e6) == (before.count_e2 + count, before.cost_e6 + cost)
    assert (after.realized_e6, after.fees_e6) == (before.realized_e6, before.fees_e6)
    assert after.balance_change_e6 == before.balance_change_e6
    paid = after.settled(settled(value))
    assert paid.balance_change_e6 == before.balance_change_e6 + after.value_e6(value)


def test_what_closes_takes_its_share_of_the_average_cost() -> None:
    """4 YES at 0.30 and 0.50; NO at 0.45 sells one at 0.55: 0.15 realised, and the fees stand apart."""
    holding = NOTHING.bought("yes", PriceE4(3_000), CountE2(200), MoneyE6(100))
    holding = holding.bought("yes", PriceE4(5_000), CountE2(200), MoneyE6(100))
    holding = holding.bought("no", PriceE4(4_500), CountE2(100), MoneyE6(300))
    assert (holding.count_e2, holding.cost_e6, holding.realized_e6, holding.fees_e6) == (300, 1_200_000, 150_000, 500)


def test_unrealised_is_what_the_bids_take_after_fees_and_nothing_beyond() -> None:
    """5 YES, bids for 2 at 0.50 and 1 at 0.40 with a fee of 7 %: 1.40 less 0.035 and 0.0168; 2 are worth nothing."""
    mark = Mark(
        ticker="T",
        yes_bids=((PriceE4(5_000), CountE2(200)), (PriceE4(4_000), CountE2(100))),
        no_bids=((PriceE4(4_800), CountE2(100)),),
        fees=FeeTerms(700_000_000, 0),
        at_us=0,
    )
    assert mark.closing_value_e6(CountE2(500)) == 1_400_000 - 35_000 - 16_800
    assert mark.mid_value_e6(CountE2(500)) == 5 * 510_000
    assert mark.mid_value_e6(CountE2(-500)) == 5 * 490_000
    line = line_of("T", NOTHING.bought("yes", PriceE4(4_000), CountE2(500), MoneyE6(0)), mark)
    assert (line.unrealized_e6, line.unrealized_mid_e6) == (1_348_200 - 2_000_000, 550_000)


def test_a_market_without_a_price_brings_nothing_and_is_counted() -> None:
    """No mark: what is open is worth nothing, nothing is guessed, and the line says so."""
    line = line_of("T", NOTHING.bought("yes", PriceE4(4_000), CountE2(500), MoneyE6(7)), None)
    assert (line.unrealized_e6, line.unrealized_mid_e6, line.unmarked) == (-2_000_000, None, 1)
    assert line.total_e6 == -2_000_007


def test_two_executions_that_net_differ_from_the_market_by_the_spread() -> None:
    """YES at 0.40 and NO at 0.50 are netted to 0.10 profit; alone they would sell at 0.45 and 0.53: 0.08."""
    books = MarketBooks(
        ticker="T",
        event="E",
        series="S",
        entries=(bought("yes", 4_000, 100, who="e1"), bought("no", 5_000, 100, who="e2")),
    )
    bids = ((PriceE4(4_500), CountE2(900)),), ((PriceE4(5_300), CountE2(900)),)
    mark = Mark(ticker="T", yes_bids=bids[0], no_bids=bids[1], fees=FREE, at_us=0)
    profit = profit_of([books], {"T": mark})
    assert [line.total_e6 for line in profit.executions] == [50_000, 30_000]
    assert (profit.total.total_e6, profit.netted_e6) == (100_000, 20_000)
    assert [line.key for line in profit.series] == ["S"]


def test_a_settlement_of_no_stated_value_pays_what_it_paid() -> None:
    """What the exchange paid is the payout; what stands alone gets its share of it."""
    books = MarketBooks(
        ticker="T",
        event="E",
        series="S",
        entries=(bought("yes", 4_000, 100, who="e1"), bought("yes", 4_000, 300)),
        settlement=settled(None, 1_000_000),
    )
    assert holding_of(books).holding.realized_e6 == 1_000_000 - 1_600_000
    profit = profit_of([books], {})
    assert [line.realized_e6 for line in profit.executions] == [-150_000]
    assert (profit.by_hand.realized_e6, profit.netted_e6) == (-450_000, 0)


def test_a_day_is_one_of_the_time_zone() -> None:
    """What was realised at 03:00 UTC belongs to the day before in New York."""
    at = 1_764_471_600_000_000  # 2025-11-30 03:00 UTC
    entries = (
        replace(bought("yes", 4_000, 100, 10), at_us=at),
        replace(bought("no", 4_000, 100, 10), at_us=at + 300 * 60_000_000),
    )
    books = MarketBooks(ticker="T", event="E", series="S", entries=entries)
    days = profit_of([books], {}, "America/New_York").days
    told = [(day.key, day.realized_e6, day.fees_e6) for day in days]
    assert told == [("2025-11-29", 0, 10), ("2025-11-30", 200_000, 10)]
    assert len(profit_of([books], {}).days) == 1


def test_what_was_taken_over_is_a_line_of_its_own() -> None:
    """An opening is of no execution and nobody's hand."""
    opening = TakenOver(at_us=0, count_e2=CountE2(-100), cost_e6=MoneyE6(300_000))
    books = MarketBooks(ticker="T", event="", series="", entries=(opening,), settlement=settled(0))
    profit = profit_of([books], {})
    assert (profit.taken_over.realized_e6, profit.by_hand.realized_e6, profit.netted_e6) == (700_000, 0, 0)
    assert [line.key for line in profit.events] == ["T"]
