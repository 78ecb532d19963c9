"""Listings past the cutoff (wire/README.md 4.1, 4.2): what is old enough is no longer in the normal listings.

An order that ended, or a fill that was made, before the exchange's cutoff (about three months ago) is only in the
historical listings. So a listing that reaches back that far reads both: the normal one first, because a row may move
while they are read, and it moves one way. Where the cutoff is, the exchange says; for the last day it is not asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, NamedTuple, TypeAlias

from fsm_exec.core.errors import VenueRefused
from fsm_exec.core.values.units import US_PER_S
from fsm_exec.kalshi import translate
from fsm_exec.kalshi.endpoints import Endpoints, decode
from fsm_exec.kalshi.log import Log
from fsm_exec.wire import client_bodies
from fsm_exec.wire.field_values import required_text

Kind: TypeAlias = Literal["orders", "fills"]

CUTOFF_PATH: Final = "/historical/cutoff"
PATHS: Final[dict[Kind, str]] = {"orders": "/historical/orders", "fills": "/historical/fills"}
DAY_US: Final = 86_400 * US_PER_S
GOOD_US: Final = 3_600 * US_PER_S
MARGIN_US: Final = DAY_US
"""How far the cutoff may have moved since it was read, and more."""


class Cutoff(NamedTuple):
    """Orders that ended before `orders_us`, and fills made before `fills_us`, are in the historical listings alone."""

    orders_us: int
    fills_us: int


class History:
    """Says which listings reach past the cutoff. `wall_us` is the wall time in unix microseconds."""

    def __init__(self, endpoints: Endpoints, wall_us: Callable[[], int], log: Log) -> None:
        self._endpoints, self._wall_us, self._log = endpoints, wall_us, log
        self._cutoff: Cutoff | None = None
        self._read_us: int | None = None

    async def reaches_past_cutoff(self, kind: Kind, since_us: int | None) -> bool:
        """Return whether a listing of what is as old as `since_us` (None: of all) must read the historical one too.
        Raises VenueError."""
        now_us = self._wall_us()
        if since_us is not None and since_us > now_us - DAY_US:
            return False  # no exchange puts away what is a day old
        if self._read_us is None or not 0 <= now_us - self._read_us < GOOD_US:
            self._cutoff = await self._fetch_cutoff()
            self._read_us = now_us
        if self._cutoff is None:
            return False
        before_us = self._cutoff.orders_us if kind == "orders" else self._cutoff.fills_us
        return since_us is None or since_us < before_us + MARGIN_US

    async def _fetch_cutoff(self) -> Cutoff | None:
        """Fetch the cutoff; None: the exchange has none."""
        try:
            body = decode(await self._endpoints.fetch(CUTOFF_PATH), client_bodies.HistoricalCutoff)
        except VenueRefused as refused:
            if refused.status != 404:
                raise
            self._log.info("no_history", why=str(refused)[:300])
            return None
        with translate.malformed_as(f"GET {CUTOFF_PATH}"):
            orders = required_text(body.orders_updated_ts, "orders_updated_ts")
            fills = required_text(body.trades_created_ts, "trades_created_ts")
        return Cutoff(translate.time_us(orders), translate.time_us(fills))
