"""The accounts as listings show them: the exchange's own, or, while frozen, a copy that stands still.

The real exchange's reads lag behind its writes (wire/README.md 6.6). `as_of_us` is honest about it, and never
goes back: everything up to it is in a listing read later.
"""

from __future__ import annotations

import copy
from dataclasses import replace

from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.venue.exchange import Exchange


class StaleListings:
    """Listings of orders and fills stand still apart from the rest of the account: positions, cash, settlements."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._stopped_us: int | None = None
        self._copies: dict[str, Account] = {}
        self._account_stopped_us: int | None = None
        self._account_copies: dict[str, Account] = {}

    def freeze(self) -> None:
        """Keep listings as they are now."""
        self._stopped_us = self._exchange.timeline.now_us()
        self._copies = {
            name: replace(account, orders=[copy.copy(order) for order in account.orders], fills=list(account.fills))
            for name, account in self._exchange.accounts.items()
        }

    def unfreeze(self) -> None:
        """Let listings show the present state again."""
        self._stopped_us = None
        self._copies = {}

    def freeze_account(self) -> None:
        """Keep positions, balances and settlements as they are now."""
        self._account_stopped_us = self._exchange.timeline.now_us()
        self._account_copies = {
            name: replace(
                account,
                positions={ticker: copy.copy(position) for ticker, position in account.positions.items()},
                settlements=list(account.settlements),
                resting={
                    ticker: {order_id: copy.copy(order) for order_id, order in orders.items()}
                    for ticker, orders in account.resting.items()
                },
                reserves={},
            )
            for name, account in self._exchange.accounts.items()
        }

    def unfreeze_account(self) -> None:
        """Let them show the present state again."""
        self._account_stopped_us = None
        self._account_copies = {}

    def holdings_view(self, account: Account) -> Account:
        """The account as reads of positions, balance and settlements show it."""
        return self._account_copies.get(account.account_id, account)

    def account_view(self, account: Account) -> Account:
        return self._copies.get(account.account_id, account)

    def as_of_us(self) -> int:
        stops = [at_us for at_us in (self._stopped_us, self._account_stopped_us) if at_us is not None]
        return min(stops, default=self._exchange.timeline.now_us())
