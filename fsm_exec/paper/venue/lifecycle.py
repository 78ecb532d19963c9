"""What the operator of the exchange does: pauses, deactivation, close, result and settlement, a change of grid.

While nothing may trade, a market's tape moves on unseen: its book is kept beside, its trades did not happen, and when
trading resumes the book is set to it. Orders that rest stay, but for those that asked to be cancelled on a pause.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.core.market.book import Book
from fsm_exec.core.market.price_structures import grid_of
from fsm_exec.core.values.units import ONE_DOLLAR_E4, Outcome, PriceE4, format_price
from fsm_exec.paper import errors
from fsm_exec.paper.matching_engine.accounts import MarketResult
from fsm_exec.paper.matching_engine.market import PaperMarket
from fsm_exec.paper.tapes.tape import BookSnapshot
from fsm_exec.paper.timing.timeline import Rank, Timeline
from fsm_exec.paper.venue.publisher import price_ranges
from fsm_exec.paper.venue.trading import Trading

VALUES_E4: dict[MarketResult, PriceE4] = {"yes": ONE_DOLLAR_E4, "no": PriceE4(0)}


class Lifecycle(Trading):
    """`exchange_active` false: nothing works. `trading_active` false: only cancels do. `in_maintenance`: not even reads
    do. `hang_ups` ends each connection that is open; who opens one adds to it."""

    def __init__(self, timeline: Timeline, *, seed: int = 0) -> None:
        super().__init__(timeline, seed=seed)
        self.exchange_active = True
        self.trading_active = True
        self.in_maintenance = False
        self.resume_us: int | None = None
        self.hang_ups: set[Callable[[], None]] = set()

    # Pauses

    def pause_trading(self) -> None:
        """Cancels work, placing and changing do not; orders with `cancel_order_on_pause` go at once."""
        self.trading_active = False
        self._sync_paused_books()
        self._cancel_pause_orders()

    def resume_trading(self) -> None:
        self.trading_active = True
        self._sync_paused_books()

    def pause_exchange(self, *, resume_us: int | None = None) -> None:
        """Nothing works; status answers 503. `resume_us` is only shown to members."""
        self.exchange_active = False
        self.resume_us = resume_us
        self._sync_paused_books()
        self._cancel_pause_orders()

    def resume_exchange(self) -> None:
        self.exchange_active = True
        self.resume_us = None
        self._sync_paused_books()

    def begin_maintenance(self, *, resume_us: int | None = None) -> None:
        """Take the exchange down: it pauses, everything but its status is answered 503, and connections end."""
        self.in_maintenance = True
        self.pause_exchange(resume_us=resume_us)
        for hang_up in list(self.hang_ups):
            hang_up()

    def end_maintenance(self) -> None:
        """Bring the exchange up again; trading goes on unless it is paused for itself."""
        self.in_maintenance = False
        self.resume_exchange()

    def require_up(self) -> None:
        """Raises ApiError 503 during a maintenance."""
        if self.in_maintenance:
            raise errors.unavailable()

    def require_exchange(self) -> None:
        """Raises ApiError 409 while the exchange is paused."""
        if not self.exchange_active:
            raise errors.exchange_is_paused()

    def require_trading(self) -> None:
        """Raises ApiError 409 while the exchange or trading on it is paused."""
        self.require_exchange()
        if not self.trading_active:
            raise errors.trading_is_paused()

    def _cancel_pause_orders(self) -> None:
        for account in self.accounts.values():
            for resting in account.resting.values():
                for order in [order for order in resting.values() if order.cancel_on_pause]:
                    self.cancel(order, "HaltCancel")

    def _sync_paused_books(self) -> None:
        for market in self.markets.values():
            may_trade = self.exchange_active and self.trading_active and market.status == "active"
            if not may_trade and market.paused_book is None:
                market.paused_book = Book(market.book.recorded("yes"), market.book.recorded("no"))
            elif may_trade and market.paused_book is not None:
                stated = BookSnapshot(tuple(market.paused_book.yes.items()), tuple(market.paused_book.no.items()))
                market.paused_book = None
                self.apply(market.ticker, stated)

    # One market

    def deactivate_market(self, ticker: str) -> None:
        """No matching and no new orders until it is activated again. Cancels work."""
        market = self._in_status(ticker, "active")
        self._change_status(market, "inactive")
        self.publisher.publish_lifecycle(
            self.markets[ticker], "deactivated", {"is_deactivated": True}, self.timeline.now_us()
        )
        self._sync_paused_books()

    def activate_market(self, ticker: str) -> None:
        """Trading goes on; what rested through the pause is cancelled first, as the exchange does."""
        market = self._in_status(ticker, "inactive")
        self._cancel_all_in(ticker, "HaltCancel")
        self._change_status(market, "active")
        self.publisher.publish_lifecycle(
            self.markets[ticker], "activated", {"is_deactivated": False}, self.timeline.now_us()
        )
        self._sync_paused_books()

    def close_market(self, ticker: str) -> None:
        """No more orders; what rests is cancelled. A close before its time is published; one in time is not."""
        market = self.markets[ticker]
        now_us = self.timeline.now_us()
        if market.close_us != now_us:
            market.close_us = now_us
            self.publisher.publish_lifecycle(
                self.markets[ticker], "close_date_updated", {"close_ts": now_us // 1_000_000}, now_us
            )
        self._change_status(market, "closed")
        self._cancel_all_in(ticker, "CloseCancel")

    def close_market_at(self, ticker: str, at_us: int) -> None:
        """Let a market close at a time of its own, which its terms show until then; it may still close earlier."""
        market = self._in_status(ticker, "active")
        market.close_us = at_us

        def close() -> None:
            if market.close_us == at_us and market.status in ("active", "inactive"):
                self.close_market(ticker)

        self.timeline.at(at_us, Rank.EXPIRY, ticker, close)

    def determine_event(self, event: str, winner: str | None = None, *, settle_after_s: int = 0) -> None:
        """State that the market `winner` of an event is YES, or none, and all its others NO; what trades of it is
        closed first. Markets that have a result keep it. Raises UserError if that contradicts one."""
        markets = [market for market in self.markets.values() if market.header.event == event]
        if winner is not None:
            if winner not in {market.ticker for market in markets}:
                raise UserError(f"{winner} is no market of {event}; give one of its own")
            self._check_may_win(self.markets[winner])
        for market in markets:
            if market.status in ("active", "inactive"):
                self.close_market(market.ticker)
        for market in markets:
            if market.result is None:
                result: Outcome = "yes" if market.ticker == winner else "no"
                self.determine_market(market.ticker, result, settle_after_s=settle_after_s)

    def determine_market(
        self, ticker: str, result: MarketResult, *, value_e4: PriceE4 | None = None, settle_after_s: int = 0
    ) -> None:
        """State the result of a closed market; it settles `settle_after_s` later, on the timeline if not at once.
        `value_e4` is what one YES contract is worth, for a scalar result alone: so a market that is void pays what its
        contracts were last worth. Raises UserError for a second YES among markets that exclude each other."""
        market = self._in_status(ticker, "closed")
        assert (result == "scalar") == (value_e4 is not None), f"{result} with a value of {value_e4}"
        if result == "yes":
            self._check_may_win(market)
        now_us = self.timeline.now_us()
        market.result = result
        market.value_e4 = VALUES_E4[result] if value_e4 is None else value_e4
        self._change_status(market, "determined")
        fields = {
            "result": result,
            "determination_ts": now_us // 1_000_000,
            "settlement_value": format_price(market.value_e4),
        }
        self.publisher.publish_lifecycle(market, "determined", fields, now_us)
        if settle_after_s:
            due_us = now_us + settle_after_s * 1_000_000
            self.timeline.at(due_us, Rank.EXPIRY, ticker, lambda: self.settle_market(ticker))
        else:
            self.settle_market(ticker)

    def _check_may_win(self, market: PaperMarket) -> None:
        """Raise UserError if another market of its event is YES and they exclude each other."""
        event = market.header.event
        others = [each for each in self.markets.values() if each.header.event == event and each is not market]
        won = [each.ticker for each in others if each.result == "yes"]
        if event in self.exclusive_events and won:
            raise UserError(f"{market.ticker}: of {event} only one market may be yes, and {won[0]} is")

    def settle_market(self, ticker: str) -> None:
        """Pay every contract what the result makes it worth, free of fees, and end all positions."""
        market = self._in_status(ticker, "determined")
        now_us = self.timeline.now_us()
        self._change_status(market, "finalized")
        market.settled_us = now_us
        self.settlement.pay_out(market, now_us)
        self.publisher.publish_lifecycle(market, "settled", {"settled_ts": now_us // 1_000_000}, now_us)
        for account in self.accounts.values():
            if ticker in account.positions:
                self.publisher.publish_position(account, ticker, now_us)

    def change_grid(self, ticker: str, structure: str) -> None:
        """Another price grid from now on. Resting orders stay where they are. Raises UserError for an unknown name."""
        market = self.markets[ticker]
        grid = grid_of(structure)
        market.header = msgspec.structs.replace(market.header, grid=grid, price_level_structure=structure)
        market.updated_us = self.timeline.now_us()
        fields = {"price_level_structure": structure, "price_ranges": price_ranges(grid)}
        self.publisher.publish_lifecycle(
            self.markets[ticker], "price_level_structure_updated", fields, market.updated_us
        )

    def _in_status(self, ticker: str, status: str) -> PaperMarket:
        market = self.markets[ticker]
        assert market.status == status, f"{ticker} is {market.status}, not {status}"
        return market

    def _change_status(self, market: PaperMarket, status: str) -> None:
        market.status = status
        market.updated_us = self.timeline.now_us()

    def _cancel_all_in(self, ticker: str, reason: str) -> None:
        for account in self.accounts.values():
            for order in list(account.resting_in(ticker).values()):
                self.cancel(order, reason)
