"""What the account has and may do: balance, positions, places in the queue, keys, rate limits (W4.2, W11).

Reads only; each raises VenueError.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fsm_exec.core.account import Balance, Position, QueuePosition
from fsm_exec.core.errors import VenueError
from fsm_exec.core.units import MoneyE6, parse_change, parse_count, parse_money
from fsm_exec.kalshi import translate
from fsm_exec.kalshi.budget import RateBudget
from fsm_exec.kalshi.calls import Calls, decode
from fsm_exec.kalshi.log import Log
from fsm_exec.kalshi.translate import Malformed, reading
from fsm_exec.wire import account as wire
from fsm_exec.wire.rest import Balance as WireBalance

PAGE_ROWS: Final = 1_000
E6_PER_CENT: Final = 10_000


class KalshiAccount:
    def __init__(self, calls: Calls, budget: RateBudget, log: Log) -> None:
        self._calls = calls
        self._budget = budget
        self._log = log

    async def balance(self) -> Balance:
        row = decode(await self._calls.read("/portfolio/balance"), WireBalance)
        with reading("balance"):
            available = parse_money(row.balance_dollars)
        if available // E6_PER_CENT != row.balance:
            raise Malformed(f"a balance of {row.balance_dollars[:20]} dollars and of {str(row.balance)[:20]} cents")
        return Balance(
            available_e6=available,
            portfolio_e6=MoneyE6(row.portfolio_value * E6_PER_CENT),
            at_us=translate.ms_to_us(row.updated_ts * 1_000),
        )

    async def positions(self, ticker: str | None = None) -> tuple[Position, ...]:
        """Of every unsettled market that was ever traded, flat ones included; of one market with `ticker`."""
        query: dict[str, str] = {}
        if ticker is not None:
            translate.check_ticker(ticker)
            query["ticker"] = ticker
        rows: dict[str, Position] = {}

        def take(content: bytes) -> str:
            page = decode(content, wire.PositionRows)
            rows.update((row.ticker, _position(row)) for row in page.market_positions)
            return page.cursor or ""

        await self._calls.pages("/portfolio/positions", query, take, rows=PAGE_ROWS)
        return tuple(rows.values())

    async def queue_positions(self, tickers: Sequence[str]) -> tuple[QueuePosition, ...]:
        """Of all resting orders in these markets."""
        for ticker in tickers:
            translate.check_ticker(ticker)
        content = await self._calls.read("/portfolio/orders/queue_positions", {"market_tickers": ",".join(tickers)})
        rows = decode(content, wire.QueuePositionRows).queue_positions or []
        with reading("queue position"):
            return tuple(
                QueuePosition(row.order_id, row.market_ticker, parse_count(row.queue_position_fp)) for row in rows
            )

    async def limits(self) -> wire.AccountLimits:
        return decode(await self._calls.read("/account/limits"), wire.AccountLimits)

    async def endpoint_costs(self) -> wire.EndpointCosts:
        return decode(await self._calls.read("/account/endpoint_costs"), wire.EndpointCosts)

    async def api_keys(self) -> tuple[wire.ApiKeyRow, ...]:
        return tuple(decode(await self._calls.read("/api_keys"), wire.ApiKeyRows).api_keys)

    async def learn_budget(self) -> None:
        """Set the rate budget to what the exchange tells; what it does not tell stays as it was. Never raises for
        what the exchange does."""
        try:
            self._budget.learn_limits(await self.limits())
        except VenueError as error:
            self._log.warning("limits_unknown", error=str(error))
        try:
            self._budget.learn_costs(await self.endpoint_costs())
        except VenueError as error:
            self._log.warning("costs_unknown", error=str(error))


def _position(row: wire.MarketPositionRow) -> Position:
    with reading(f"position in {row.ticker[:40]}"):
        return Position(
            ticker=row.ticker,
            count_e2=parse_change(row.position_fp),
            traded_e6=parse_money(row.total_traded_dollars),
            exposure_e6=parse_money(row.market_exposure_dollars),
            realized_e6=parse_money(row.realized_pnl_dollars),
            fees_e6=parse_money(row.fees_paid_dollars),
            changed_at_us=translate.time_us(row.last_updated_ts),
        )
