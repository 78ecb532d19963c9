"""What the daemon accepts at most. Every limit is a person's typing error that did not become an order."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

BODY_BYTES_MAX: Final = 64 * 1_024
PAGE_MAX: Final = 500
JOURNAL_LINES_MAX: Final = 1_000
WATCHERS_MAX: Final = 64
CONNECTIONS_MAX: Final = 128
ROW_MAX: Final = 2**53  # of a number of a row: what JavaScript still counts exactly

Positive = Annotated[int, msgspec.Meta(ge=1, le=10**9)]


class ControlLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table `[limits]` of the configuration. Notional is quantity x cap: the most one execution can cost.
    `contracts_in_15_s` is the exchange's own brake: when so many contracts are filled in any 15 s it ends all orders.
    """

    max_unfinished_executions: Positive = 500
    max_quantity_contracts: Positive = 10_000
    max_notional_dollars: Positive = 1_000
    max_horizon_s: Positive = 7 * 86_400
    contracts_in_15_s: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 100_000
