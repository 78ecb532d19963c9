"""The structs of the account's part of the control API: what is held, what it has brought, what may be lost, and how it
is closed.

Prices, quantities and money are decimal strings in contracts and dollars, times ISO 8601 UTC; null is not known."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fsm_exec.control.market_schema import Ticker
from fsm_exec.control.schema import Accepted, Key, Number
from fsm_exec.core.values.units import Outcome

CLOSE_METHOD = "close"
CLOSE_HORIZON_S = 60
CLOSES_MAX = 200


class CloseWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Close what is held of `ticker`, or of every market of `event`: buy the other outcome, never more than is held at
    any moment. `quantity` goes with a ticker; without it all that is held. `limit` is the least to
    be received per contract that is held, before fees; without it, what the book of now pays for all of it, less two
    ticks. The same `key` with the same request is the same execution, as of a submission."""

    key: Key
    ticker: Ticker | None = None
    event: Ticker | None = None
    quantity: Number | None = None
    limit: Number | None = None
    method: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] = CLOSE_METHOD
    horizon_s: Annotated[int, msgspec.Meta(ge=1, le=10**9)] = CLOSE_HORIZON_S


class ClosedMarket(msgspec.Struct, frozen=True, kw_only=True):
    """The execution that closes a market: it buys up to `quantity` of `outcome`, and so brings `limit` or more for each
    contract of `held`, `after_fee` with the fee taken off. One that could not be accepted has null, and the reason in
    `refusal`."""

    ticker: str
    held: Outcome | None = None
    outcome: Outcome | None = None
    quantity: str | None = None
    limit: str | None = None
    after_fee: str | None = None
    accepted: Accepted | None = None
    refusal: str | None = None


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """What a close set to work; empty if nothing of the event is held."""

    markets: list[ClosedMarket]
