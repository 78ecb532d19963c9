"""What the engine knows of a market beside its book."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.values.units import PriceGrid

MarketStatus: TypeAlias = Literal["unopened", "open", "paused", "closed"]
"""`closed` covers everything after trading: closed, determined, disputed, amended, finalized."""


class MarketTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The terms an execution is accepted under. `grid` is in YES prices. `exchange_index` is the shard of the exchange
    that has the market: 0 where it says nothing. What is stored of a market of shard 0 does not name it."""

    ticker: str
    series: str
    event: str
    category: str
    status: MarketStatus
    grid: PriceGrid
    fees: FeeTerms
    exchange_index: int = 0
