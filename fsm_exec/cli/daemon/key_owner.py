"""Whose a new key is: it goes on with this database's executions only if it is of the account that has their orders.

The exchange has no name for an account that each key tells. But it lists to a key the orders of its own account alone,
and gives each order an id of its own: who is shown one of our orders is us.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Final, NamedTuple

import trio

from fsm_exec.core.errors import UserError, VenueError
from fsm_exec.kalshi.client import KalshiClient
from fsm_exec.store import SqliteStore
from fsm_exec.store.reads.api_queries import Filter

ASK_WITHIN_S: Final = 30
EXECUTIONS_MAX: Final = 200


class OwnOrders(NamedTuple):
    """Orders of one execution, by the exchange's ids."""

    ticker: str
    order_ids: frozenset[str]


async def check_owner(opening: AbstractAsyncContextManager[KalshiClient], store: SqliteStore) -> None:
    """Check that the client which `opening` opens asks as the account whose orders the database knows: that the
    exchange shows it one of them. A database that knows none has nothing that is another's. Raises UserError, also
    where that cannot be learned now."""
    known = await _load_own_orders(store)
    if known is None:
        return
    with trio.move_on_after(ASK_WITHIN_S) as limit:
        try:
            async with opening as client:
                listing = await client.fetch_orders(known.ticker)
        except VenueError as error:
            raise UserError(f"the exchange does not say whose the new one is: {error}") from error
    if limit.cancelled_caught:
        raise UserError(f"the exchange does not say within {ASK_WITHIN_S} s whose the new one is")
    shown = {row.order_id for row in listing.orders} | {row.order_id for row in listing.unread}
    if not known.order_ids & shown:
        raise UserError(
            f"the new one is of another account: the exchange does not show it the orders of this database in "
            f"{known.ticker}; configure a key of the account that has them"
        )


async def _load_own_orders(store: SqliteStore) -> OwnOrders | None:
    """Load those of the newest execution that has any at the exchange."""
    for row in await store.load_listing(Filter(limit=EXECUTIONS_MAX)):
        detail = await store.load_detail(row.execution_id, 1)
        orders = () if detail is None else detail.orders
        order_ids = frozenset(order.order_id for order in orders if order.order_id is not None)
        if order_ids:
            return OwnOrders(row.ticker, order_ids)
    return None
