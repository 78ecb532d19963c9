"""What a member reads of its own: orders, fills, balance, positions, settlements, places in the queue."""

from __future__ import annotations

import msgspec

from fsm_exec.core.values.units import CountE2, MoneyE6, Outcome, format_count, format_money
from fsm_exec.paper import errors
from fsm_exec.paper.ids import is_of
from fsm_exec.paper.matching_engine.accounts import Account, Position, SettlementRecord, Transfer
from fsm_exec.paper.matching_engine.market import PaperMarket
from fsm_exec.paper.matching_engine.orders import FillRecord, Order
from fsm_exec.paper.rfc3339 import rfc3339
from fsm_exec.paper.venue import serializers
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.paging import Page as Page
from fsm_exec.paper.venue.paging import newest_first
from fsm_exec.wire import rest


class MarketPosition(msgspec.Struct, kw_only=True):
    ticker: str
    exchange_index: int
    total_traded_dollars: str
    position_fp: str
    market_exposure_dollars: str
    realized_pnl_dollars: str
    fees_paid_dollars: str
    last_updated_ts: str


class EventPosition(msgspec.Struct, kw_only=True):
    event_ticker: str
    total_cost_dollars: str
    total_cost_shares_fp: str
    event_exposure_dollars: str
    realized_pnl_dollars: str
    fees_paid_dollars: str


class PositionsPage(msgspec.Struct, kw_only=True):
    market_positions: list[MarketPosition]
    event_positions: list[EventPosition]
    cursor: str


def orders_page(exchange: Exchange, account: Account, page: Page, *, past: bool = False) -> rest.OrdersPage:
    """Orders on one side of the cutoff: those that rest, or ended since; `past`: those that ended before."""

    def wanted(order: Order) -> bool:
        return (
            (order.status != "resting" and order.updated_us < exchange.archived_until_us) == past
            and page.names(order.ticker)
            and page.on(order.exchange_index)
            and _of_event(exchange, order.ticker, page)
            and (page.status is None or order.status == page.status)
            and page.within(order.created_us)
        )

    found, cursor = newest_first(account.orders, page, wanted, lambda order: order.number)
    return rest.OrdersPage(orders=[serializers.order_body(order, account.user_id) for order in found], cursor=cursor)


def order_of(exchange: Exchange, user: Account, order_id: str, market_ticker: str | None) -> rest.OrderBody:
    """An order of any of the member's subaccounts; one of another shard than the first only with its market."""
    exchange.check_route(order_id, market_ticker, None)
    order = exchange.orders.get(order_id)
    if order is None or not is_of(order.account_id, user.account_id):
        raise errors.not_found("order")
    return rest.OrderBody(order=serializers.order_body(order, user.user_id))


def fills_page(exchange: Exchange, account: Account, page: Page, *, past: bool = False) -> rest.FillsPage:
    """Fills on one side of the cutoff: those made since, or before it."""

    def wanted(fill: FillRecord) -> bool:
        return (
            (fill.at_us < exchange.archived_until_us) == past
            and (page.order_id is None or fill.order.order_id == page.order_id)
            and page.names(fill.order.ticker)
            and page.on(fill.order.exchange_index)
            and page.within(fill.at_us)
        )

    found, cursor = newest_first(account.fills, page, wanted, lambda fill: fill.number)
    return rest.FillsPage(fills=[serializers.fill_body(fill) for fill in found], cursor=cursor)


class BalanceWithShards(rest.Balance, kw_only=True):
    """With the cash of each shard: all of it lies on the first one, and orders on every shard may use it."""

    balance_breakdown: list[dict[str, object]]


def balance(exchange: Exchange, account: Account) -> BalanceWithShards:
    """`balance` is what is free: cash net of what resting orders reserve (unconfirmed, but the official text calls it
    available)."""
    available = exchange.available_e6(account)
    dollars = serializers.format_balance(available)
    worth = sum(_value_e6(exchange.markets[t], p) for t, p in account.positions.items())
    return BalanceWithShards(
        balance=available // 10_000,
        balance_dollars=dollars,
        portfolio_value=worth // 10_000,
        updated_ts=exchange.timeline.now_us() // 1_000_000,
        balance_breakdown=[{"exchange_index": 0, "balance": dollars}],
    )


def positions_page(
    exchange: Exchange,
    account: Account,
    page: Page,
    *,
    settlement: str = "unsettled",
    nonzero: tuple[str, ...] = (),
) -> PositionsPage:
    """Every market ever traded that is not settled (or is: `settlement`), the last one first. `nonzero`: only those
    whose position or total traded is not zero. The sums by event are over the page's markets."""

    def wanted(item: tuple[int, PaperMarket, Position]) -> bool:
        _, market, position = item
        settled = "settled" if market.status == "finalized" else "unsettled"
        return (
            position.traded_e2 > 0
            and page.names(market.ticker)
            and page.on(market.exchange_index)
            and _of_event(exchange, market.ticker, page)
            and settlement in ("all", settled)
            and ("position" not in nonzero or position.count_e2 != 0)
        )

    numbered = enumerate(account.positions.items(), 1)
    listed = [(number, exchange.markets[ticker], position) for number, (ticker, position) in numbered]
    found, cursor = newest_first(listed, page, wanted, lambda item: item[0])
    events: dict[str, Position] = {}
    for _, market, position in found:
        total = events.setdefault(market.header.event, Position())
        total.traded_e6 += position.traded_e6
        total.traded_e2 += position.traded_e2
        total.cost_e6 += position.cost_e6
        total.realized_e6 += position.realized_e6
        total.fees_e6 += position.fees_e6
    return PositionsPage(
        market_positions=[_market_position(market, position) for _, market, position in found],
        event_positions=[_event_position(event, total) for event, total in events.items()],
        cursor=cursor,
    )


def _market_position(market: PaperMarket, position: Position) -> MarketPosition:
    """The exposure is what the open contracts cost: no source has the exact formula."""
    return MarketPosition(
        ticker=market.ticker,
        exchange_index=market.exchange_index,
        total_traded_dollars=format_money(MoneyE6(position.traded_e6)),
        position_fp=format_count(CountE2(position.count_e2)),
        market_exposure_dollars=format_money(MoneyE6(position.cost_e6)),
        realized_pnl_dollars=format_money(MoneyE6(position.realized_e6)),
        fees_paid_dollars=format_money(MoneyE6(position.fees_e6)),
        last_updated_ts=rfc3339(position.updated_us),
    )


def _event_position(event: str, total: Position) -> EventPosition:
    return EventPosition(
        event_ticker=event,
        total_cost_dollars=format_money(MoneyE6(total.traded_e6)),
        total_cost_shares_fp=format_count(CountE2(total.traded_e2)),
        event_exposure_dollars=format_money(MoneyE6(total.cost_e6)),
        realized_pnl_dollars=format_money(MoneyE6(total.realized_e6)),
        fees_paid_dollars=format_money(MoneyE6(total.fees_e6)),
    )


def settlements_page(
    exchange: Exchange, account: Account, page: Page, until_us: int | None = None
) -> dict[str, object]:
    """What has settled, as far as it was paid until `until_us` (None: all)."""

    def wanted(each: SettlementRecord) -> bool:
        return (
            page.names(each.ticker)
            and _of_event(exchange, each.ticker, page)
            and page.within(each.at_us)
            and (until_us is None or each.at_us <= until_us)
        )

    found, cursor = newest_first(account.settlements, page, wanted, lambda each: each.number)
    return {"settlements": [_settlement_body(exchange, each) for each in found], "cursor": cursor}


def _settlement_body(exchange: Exchange, settled: SettlementRecord) -> dict[str, object]:
    """`revenue` and `value` are whole cents, as the field's types want it. They are exact for a result of yes or no; of
    a scalar one the rest of a cent is cut off, and only the market's own `settlement_value_dollars` has it."""
    yes, no = max(0, settled.count_e2), max(0, -settled.count_e2)
    return {
        "ticker": settled.ticker,
        "exchange_index": exchange.markets[settled.ticker].exchange_index,
        "event_ticker": exchange.markets[settled.ticker].header.event,
        "market_result": settled.result,
        "yes_count_fp": format_count(CountE2(yes)),
        "yes_total_cost_dollars": format_money(MoneyE6(settled.cost_e6 if yes else 0)),
        "no_count_fp": format_count(CountE2(no)),
        "no_total_cost_dollars": format_money(MoneyE6(settled.cost_e6 if no else 0)),
        "revenue": settled.revenue_e6 // 10_000,
        "settled_time": rfc3339(settled.at_us),
        "fee_cost": format_money(MoneyE6(settled.fees_e6)),
        "value": settled.value_e4 // 100,
    }


def transfers_page(account: Account, page: Page, kind: str) -> dict[str, object]:
    """The deposits or the withdrawals (`kind`), each done at once and free."""
    is_deposit = kind == "deposits"
    found, cursor = newest_first(
        account.transfers, page, lambda each: (each.amount_e6 > 0) == is_deposit, lambda each: each.number
    )
    return {kind: [_transfer_body(each) for each in found], "cursor": cursor}


def _transfer_body(transfer: Transfer) -> dict[str, object]:
    at_s = transfer.at_us // 1_000_000
    return {
        "id": transfer.transfer_id,
        "status": "applied",
        "type": "wire",
        "amount_cents": abs(transfer.amount_e6) // 10_000,
        "fee_cents": 0,
        "created_ts": at_s,
        "finalized_ts": at_s,
    }


def queue_position(exchange: Exchange, user: Account, order_id: str) -> dict[str, object]:
    order = exchange.orders.get(order_id)
    if order is None or not is_of(order.account_id, user.account_id) or order.status != "resting":
        raise errors.not_found("order")
    return {"queue_position_fp": format_count(exchange.markets[order.ticker].book.ahead_of(order))}


def queue_positions(exchange: Exchange, account: Account, page: Page) -> dict[str, object]:
    """Return the queue positions of every resting order in the markets of the page."""
    resting = [
        order
        for ticker, orders in account.resting.items()
        if page.names(ticker) and _of_event(exchange, ticker, page)
        for order in orders.values()
    ]
    return {
        "queue_positions": [
            {
                "order_id": order.order_id,
                "market_ticker": order.ticker,
                "queue_position_fp": format_count(exchange.markets[order.ticker].book.ahead_of(order)),
            }
            for order in resting
        ]
    }


def _of_event(exchange: Exchange, ticker: str, page: Page) -> bool:
    return page.names_event(exchange.markets[ticker].header.event)


def _value_e6(market: PaperMarket, position: Position) -> int:
    """What a position is worth: at the result, or at the best bid of its outcome. No source has the exact formula."""
    if market.result is not None:
        return position.worth_e6(market.value_e4)
    outcome: Outcome = "yes" if position.count_e2 > 0 else "no"
    best = market.book.best(outcome) if position.count_e2 else None
    return 0 if best is None else abs(position.count_e2) * best[0]
