"""Moves contracts and cash between the two sides of a match, bills the fees, and pays out at the result.

The crowd of the tape is an account too, without limits and without fees, so that cash, contracts and fees add up over
all accounts: nothing is made or lost.
"""

from __future__ import annotations

from fsm_exec.core.market.fees import fill_fee
from fsm_exec.core.values.units import CountE2, MoneyE6, in_outcome, opposite
from fsm_exec.paper.matching_engine.accounts import Account, SettlementRecord
from fsm_exec.paper.matching_engine.market import PaperMarket
from fsm_exec.paper.matching_engine.market_book import Match
from fsm_exec.paper.matching_engine.orders import FillRecord, Order

CROWD = "crowd"


class Settlement:
    """Books matches and results. `fees_e6` is the sum of the fees all accounts have paid, `transferred_e6` of what came
    from outside less what went there."""

    def __init__(self, accounts: dict[str, Account]) -> None:
        self.crowd = Account(CROWD, CROWD, 0)
        self.fees_e6 = 0
        self.transferred_e6 = 0
        self._accounts = accounts
        self._fills = 0

    def settle(self, market: PaperMarket, match: Match, trade_id: str, now_us: int) -> list[FillRecord]:
        """Book a match on both sides, the resting one first. Returns the members' fills. The crowd trading with
        itself moves nothing."""
        if match.maker is None and match.taker is None:
            return []
        sides = (
            self._settle_side(market, match, trade_id, now_us, match.maker, is_taker=False),
            self._settle_side(market, match, trade_id, now_us, match.taker, is_taker=True),
        )
        return [fill for fill in sides if fill is not None]

    def pay_out(self, market: PaperMarket, now_us: int) -> None:
        """Settle a determined market for all accounts, free of fees. Orders and fills stay as they are."""
        assert market.result is not None, f"{market.ticker} has no result"
        for account in (self.crowd, *self._accounts.values()):
            position = account.positions.get(market.ticker)
            if position is None or not position.traded_e2:
                continue
            count, cost = position.count_e2, position.cost_e6
            revenue = position.pay_out(market.value_e4, now_us)
            account.drop_cached_reserve(market.ticker)
            account.cash_e6 += revenue
            record = SettlementRecord(
                number=len(account.settlements) + 1,
                ticker=market.ticker,
                result=market.result,
                value_e4=market.value_e4,
                count_e2=count,
                cost_e6=cost,
                revenue_e6=revenue,
                fees_e6=position.fees_e6,
                at_us=now_us,
            )
            account.settlements.append(record)

    def _settle_side(
        self, market: PaperMarket, match: Match, trade_id: str, now_us: int, order: Order | None, *, is_taker: bool
    ) -> FillRecord | None:
        yes_price = in_outcome(match.price_e4, match.outcome)
        outcome = opposite(match.outcome) if is_taker else match.outcome
        price = in_outcome(yes_price, outcome)
        account = self.crowd if order is None else self._accounts[order.account_id]
        position = account.position(market.ticker)
        revenue = position.revenue_e6(outcome, price, match.count_e2)
        account.drop_cached_reserve(market.ticker)
        if order is None:
            position.buy(outcome, price, match.count_e2, MoneyE6(0), now_us)
            account.cash_e6 += revenue
            return None
        bill = fill_fee(market.fees.model_fee(price, match.count_e2, taker=is_taker), revenue, order.accumulator_e6)
        position.buy(outcome, price, match.count_e2, bill.net, now_us)
        account.cash_e6 += bill.balance_change
        self.fees_e6 += bill.net
        order.accumulator_e6 = bill.accumulator
        _add_to_order(order, MoneyE6(match.count_e2 * price), bill.net, is_taker=is_taker)
        order.filled_e2 = CountE2(order.filled_e2 + match.count_e2)
        order.updated_us, order.reason = now_us, "Trade"
        self._fills += 1
        fill = FillRecord(
            number=self._fills,
            trade_id=trade_id,
            order=order,
            price_e4=price,
            count_e2=match.count_e2,
            fee_e6=bill.net,
            is_taker=is_taker,
            position_e2=position.count_e2,
            at_us=now_us,
            cause="taken" if is_taker else match.cause,
        )
        account.fills.append(fill)
        return fill


def _add_to_order(order: Order, cost: MoneyE6, fee: MoneyE6, *, is_taker: bool) -> None:
    if is_taker:
        order.taker_cost_e6 = MoneyE6(order.taker_cost_e6 + cost)
        order.taker_fees_e6 = MoneyE6(order.taker_fees_e6 + fee)
    else:
        order.maker_cost_e6 = MoneyE6(order.maker_cost_e6 + cost)
        order.maker_fees_e6 = MoneyE6(order.maker_fees_e6 + fee)
