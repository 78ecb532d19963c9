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
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._stopped_us: int | None = None
        self._copies: dict[str, Account] = {}

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

    def account_view(self, account: Account) -> Account:
        return self._copies.get(account.account_id, account)

    def as_of_us(self) -> int:
        return self._exchange.timeline.now_us() if self._stopped_us is None else self._stopped_us
