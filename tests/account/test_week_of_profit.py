"""A week of random trading on the paper exchange, kept in a real database: our books are the exchange's own."""

from __future__ import annotations

import random
from typing import Any, Final, Literal

import pytest
from msgspec.structs import replace

from fsm_exec.core.account.marks import Mark
from fsm_exec.core.account.profit import Profit, profit_of
from fsm_exec.core.account.rows import AccountFill, Bought, MarketBooks, holding_of
from fsm_exec.core.account.statement import position_lines
from fsm_exec.core.execution.execution import Fill
from fsm_exec.core.journal.rows import ChildRow
from fsm_exec.core.journal.to_rows import fill_row
from fsm_exec.core.market.account import Settlement
from fsm_exec.core.market.terms import MarketTerms
from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome, PriceE4, complement, format_count, format_price
from fsm_exec.paper.errors import ApiError
from fsm_exec.paper.matching_engine.accounts import Account, MarketResult, SettlementRecord
from fsm_exec.paper.matching_engine.orders import FillRecord
from fsm_exec.paper.tapes.tape import BookSnapshot, Trade, tape_header
from fsm_exec.paper.timing.timeline import Timeline
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.store import SqliteStore, open_virtual_store
from fsm_exec.wire.rest import CreateOrder
from tests.paper.support import START_US, HandClock
from tests.store.conftest import Samples

DAY_US: Final = 24 * 3_600 * 1_000_000
STEPS: Final = 700
CASH: Final = MoneyE6(50_000_000_000)
FEES: Final = ("quadratic", "quadratic_with_maker_fees", "quadratic_with_combo_maker_fees")
LAST_DIGIT_E6: Final = 100
SEEDS: Final = (1, 2, 116)


class Week:
    """An exchange with twelve markets in five events, our account, two others, and the store our side writes to."""

    def __init__(self, seed: int, store: SqliteStore) -> None:
        self.chance = random.Random(seed)
        self.store = store
        self.clock = HandClock()
        self.exchange = Exchange(Timeline(self.clock), seed=seed)
        self.ours = self.exchange.add_account(CASH)
        self.others = [self.exchange.add_account(CASH) for _ in range(2)]
        events = [(f"KX{'AB'[number % 2]}-E{number}", 2 + number % 2) for number in range(5)]
        self.tickers = [f"{event}-M{number}" for event, markets in events for number in range(markets)]
        for number, ticker in enumerate(self.tickers):
            header = tape_header(ticker, "linear_cent", category="Testing", fee_type=FEES[number % 3])
            self.exchange.add_market(header)
            self.quote(ticker)
        self.executions: dict[str, tuple[str, str, Outcome]] = {}  # by order id: id, method, outcome
        self.seqs: dict[str, int] = {}
        self.transferred = 0
        self.kept_fills = self.kept_settlements = 0

    async def save_markets(self) -> None:
        for ticker in self.tickers:
            header = self.exchange.markets[ticker].header
            terms = MarketTerms(
                ticker=ticker,
                series=header.series,
                event=header.event,
                category=header.category,
                status="open",
                grid=header.grid,
                fees=self.exchange.markets[ticker].fees,
            )
            await self.store.save_market(terms, START_US)

    def open_tickers(self) -> list[str]:
        return [ticker for ticker in self.tickers if self.exchange.markets[ticker].status == "active"]

    def quote(self, ticker: str) -> None:
        """The crowd's book anew: some levels on each side, anywhere."""
        mid, half = self.chance.randrange(5, 95), self.chance.randrange(1, 4)
        sides = []
        for best in (mid - half, 100 - mid - half):
            prices = sorted({max(1, best - self.chance.randrange(0, 4)) for _ in range(3)}, reverse=True)
            sides.append(tuple((PriceE4(100 * p), CountE2(self.chance.randrange(1, 9_000))) for p in prices))
        self.exchange.apply(ticker, BookSnapshot(sides[0], sides[1]))

    def order(self, account: Account, ticker: str, execution: tuple[str, str, Outcome] | None = None) -> None:
        """One order of an account: by hand (any outcome), or an execution's, which buys one outcome only."""
        outcome: Outcome = self.chance.choice(("yes", "no")) if execution is None else execution[2]
        own = PriceE4(100 * self.chance.randrange(2, 98))
        side: Literal["bid", "ask"] = "bid" if outcome == "yes" else "ask"
        more: dict[str, Any] = {
            "time_in_force": self.chance.choice(("good_till_canceled", "good_till_canceled", "immediate_or_cancel")),
            "self_trade_prevention_type": self.chance.choice(("taker_at_cross", "maker")),
        }
        if execution is None and self.chance.random() < 0.1:
            more |= {"time_in_force": "immediate_or_cancel", "reduce_only": True}
        at = own if outcome == "yes" else complement(own)
        size = format_count(CountE2(self.chance.randrange(1, 4_000)))
        try:
            answer = self.exchange.create_order(
                account, CreateOrder(ticker=ticker, side=side, price=format_price(at), count=size, **more)
            )
        except ApiError:  # without funds, or nothing to reduce
            return
        if execution is not None:
            self.executions[answer.order_id] = execution

    def act(self) -> None:
        """One thing that happens, after some time."""
        self.clock.at_us += self.chance.randrange(1_000_000, 2 * 7 * DAY_US // STEPS - 1_000_000)
        self.exchange.timeline.advance()
        tickers = self.open_tickers()
        if not tickers:
            return
        ticker = self.chance.choice(tickers)
        what = self.chance.random()
        if what < 0.35:
            number = self.chance.randrange(40)
            outcome: Outcome = "yes" if number % 2 else "no"
            ticker = tickers[number % len(tickers)]
            method = f"m{number % 3}@1"
            self.order(self.ours, ticker, (f"e{number}-{ticker}", method, outcome))
        elif what < 0.45:
            self.order(self.ours, ticker)
        elif what < 0.6:
            self.order(self.chance.choice(self.others), ticker)
        elif what < 0.72:
            self.quote(ticker)
        elif what < 0.94:
            price = PriceE4(100 * self.chance.randrange(2, 98))
            taker: Outcome = self.chance.choice(("yes", "no"))
            self.exchange.apply(ticker, Trade(taker, price, CountE2(self.chance.randrange(1, 6_000))))
        elif what < 0.96:
            amount = MoneyE6(self.chance.choice((250, -130)) * 1_000_000)
            if amount > 0 or self.exchange.available_e6(self.ours) > -amount:
                self.exchange.transfer(self.ours, amount)
                self.transferred += amount
        elif len(tickers) > 4:
            self.settle(ticker)

    def settle(self, ticker: str) -> None:
        """Yes, no, or void: for a part of a dollar to a hundredth of a cent."""
        self.exchange.close_market(ticker)
        results: tuple[MarketResult, ...] = ("yes", "no", "scalar")
        result = results[len(self.open_tickers()) % 3]
        value = PriceE4(self.chance.randrange(10_001)) if result == "scalar" else None
        self.exchange.determine_market(ticker, result, value_e4=value, settle_after_s=self.chance.choice((0, 3_600)))

    async def keep(self) -> None:
        """Store what has happened since the last time, in the exchange's order."""
        fills = self.ours.fills[self.kept_fills :]
        settled = self.ours.settlements[self.kept_settlements :]
        self.kept_fills, self.kept_settlements = len(self.ours.fills), len(self.ours.settlements)
        for fill in fills:
            execution = self.executions.get(fill.order.order_id)
            if execution is None:
                await self.store.save_account_fills([by_hand(fill)])
            else:
                await self.keep_ours(fill, *execution)
        await self.store.save_settlements(
            [settlement(one, self.exchange.markets[one.ticker].header.event) for one in settled]
        )

    async def keep_ours(self, fill: FillRecord, execution_id: str, method: str, outcome: Outcome) -> None:
        seq = self.seqs[execution_id] = self.seqs.get(execution_id, 0) + 1
        counted = Fill(
            fill_id=fill.trade_id,
            order_id=fill.order.order_id,
            price_e4=fill.price_e4,
            count_e2=fill.count_e2,
            fee_e6=fill.fee_e6,
            is_taker=fill.is_taker,
            traded_at_us=fill.at_us,
            mid_e5=None,
            trade_id=fill.trade_id,
        )
        child, row = self.child(fill, execution_id), fill_row(counted, f"c-{fill.order.order_id}", late=False)
        save = Samples().save(execution_id, seq, children=(child,), fills=(row,))
        await self.store.save(replace(save, ticker=fill.order.ticker, outcome=outcome, method=method))

    def child(self, fill: FillRecord, execution_id: str) -> ChildRow:
        order = fill.order
        return replace(
            Samples().child(f"c-{order.order_id}"),
            order_id=order.order_id,
            price=format_price(order.price_e4),
            quantity=format_count(order.initial_e2),
            filled_quantity=format_count(order.filled_e2),
        )

    def marks(self) -> dict[str, Mark]:
        """The book of each market as it trades: the crowd's and every member's, but for our own orders."""
        return {ticker: self.mark(ticker) for ticker in self.open_tickers()}

    def mark(self, ticker: str) -> Mark:
        market = self.exchange.markets[ticker]
        bids: dict[Outcome, tuple[tuple[PriceE4, CountE2], ...]] = {}
        for outcome in ("yes", "no"):
            shown = market.book.displayed(outcome)
            bids[outcome] = tuple(sorted(((p, c) for p, c in shown if c > 0), reverse=True))
        return Mark(
            ticker=ticker,
            yes_bids=bids["yes"],
            no_bids=bids["no"],
            fees=market.fees,
            at_us=self.clock.at_us,
        )


def by_hand(fill: FillRecord) -> AccountFill:
    return AccountFill(
        order_id=fill.order.order_id,
        fill_id=fill.trade_id,
        ticker=fill.order.ticker,
        outcome=fill.order.outcome,
        price_e4=fill.price_e4,
        count_e2=fill.count_e2,
        fee_e6=fill.fee_e6,
        is_taker=fill.is_taker,
        traded_at_us=fill.at_us,
    )


def settlement(one: SettlementRecord, event: str) -> Settlement:
    return Settlement(
        ticker=one.ticker,
        event=event,
        result=one.result,
        value_e4=one.value_e4,
        yes_count_e2=CountE2(max(0, one.count_e2)),
        no_count_e2=CountE2(max(0, -one.count_e2)),
        yes_cost_e6=MoneyE6(one.cost_e6 if one.count_e2 > 0 else 0),
        no_cost_e6=MoneyE6(one.cost_e6 if one.count_e2 < 0 else 0),
        revenue_e6=MoneyE6(one.revenue_e6 // 10_000 * 10_000),
        fee_e6=MoneyE6(one.fees_e6),
        at_us=one.at_us,
    )


def check_books(week: Week, books: list[MarketBooks], profit: Profit, why: str) -> None:
    """Every figure the exchange keeps, and all that must add up."""
    traded = {ticker for ticker, one in week.ours.positions.items() if one.traded_e2}
    assert {one.ticker for one in books} == traded, why
    changed = 0
    for one in books:
        holding, theirs = holding_of(one).holding, week.ours.positions[one.ticker]
        told = holding.count_e2, holding.fees_e6, holding.traded_e2, holding.traded_e6
        assert told == (theirs.count_e2, theirs.fees_e6, theirs.traded_e2, theirs.traded_e6), why
        assert holding.realized_e6 - holding.cost_e6 == theirs.realized_e6 - theirs.cost_e6, why
        # Of orders at one price that one trade filled, nobody is told which was first; average cost rounds each close.
        assert abs(holding.cost_e6 - theirs.cost_e6) < LAST_DIGIT_E6, why
        changed += holding.balance_change_e6
    assert week.ours.cash_e6 == CASH + week.transferred + changed, why
    for lines in (profit.markets, profit.events, profit.series):
        assert sum(line.total_e6 for line in lines) == profit.total.total_e6, why
    assert sum(line.realized_e6 - line.fees_e6 for line in profit.days) == sum(
        line.realized_e6 - line.fees_e6 for line in profit.markets
    ), why
    alone = (*profit.executions, profit.by_hand, profit.taken_over)
    assert sum(line.total_e6 for line in alone) + profit.netted_e6 == profit.total.total_e6, why
    assert sum(line.fees_e6 for line in alone) == profit.total.fees_e6, why
    assert [sum(line.total_e6 for line in profit.methods)] == [sum(line.total_e6 for line in profit.executions)], why


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_profit_of_a_week_is_the_exchanges_own(seed: int) -> None:
    """Positions, fees and cash agree exactly, cost and realised profit to 0.0001 dollar, all week, with markets that
    settled yes, no and void, netting both ways, fees of takers and makers, deposits, our trades and those by hand;
    and what is unrealised is what closing everything then brings."""
    async with open_virtual_store(None, draw_instance=lambda: "a" * 10, at_us=START_US) as store:
        week = Week(seed, store)
        await week.save_markets()
        for step in range(STEPS):
            week.act()
            if step % 50 == 49:
                await week.keep()
                account = await store.load_account()
                assert account.damage == ()
                books = [await store.load_books(one.ticker) for one in account.markets]
                assert tuple(holding_of(one) for one in books) == account.markets
                profit = profit_of(books, week.marks(), "America/New_York")
                check_books(week, books, profit, f"seed {seed}, step {step}")
        results = {one.result for one in week.ours.settlements}
        hands = {one.order.order_id in week.executions for one in week.ours.fills}
        takers = {one.is_taker for one in week.ours.fills}
        assert (len(results), hands, takers) == (3, {True, False}, {True, False}), f"seed {seed} is a dull week"
        assert any(is_netted(one) for one in books), f"seed {seed}: nothing was netted"
        for account_of in (week.ours, *week.others):
            week.exchange.cancel_all(account_of)
        profit = profit_of(books, week.marks())
        held = {line.ticker: line for line in position_lines((holding_of(one) for one in books), week.marks())}
        before = week.ours.cash_e6
        value = 0
        for ticker, line in held.items():
            if week.exchange.markets[ticker].status != "active":
                continue
            value += line.value_e6
            week.exchange.create_order(
                week.ours,
                CreateOrder(
                    ticker=ticker,
                    side="ask" if line.outcome == "yes" else "bid",
                    price="0.0100" if line.outcome == "yes" else "0.9900",
                    count=format_count(line.count_e2),
                    time_in_force="immediate_or_cancel",
                    self_trade_prevention_type="maker",
                ),
            )
        assert value > 0
        assert week.ours.cash_e6 - before == value, f"seed {seed}"


def is_netted(books: MarketBooks) -> bool:
    """Whether both outcomes were bought."""
    return len({entry.outcome for entry in books.entries if isinstance(entry, Bought)}) == 2
