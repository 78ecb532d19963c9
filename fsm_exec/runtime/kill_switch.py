"""The kill switch: leave no order live, without "save first", the only place where that rule does not hold.

An execution that cannot go on (its save failed, or an event contradicts what it holds) has its orders cancelled without
a saved decision; so has one that is quarantined when everything is to stop, and an order of ours that no execution
works. Orders whose exchange id is known are cancelled at once, whether anything can be read or not. The others are
found in the exchange's listing by client order id, so that an order whose answer was still on its way is found too.
Reconciliation learns what the cancels did.

A disk that fails brings every execution here at once: they share listings, and have as long as the cancels of all live
orders take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import trio

from fsm_exec.core.alerts.alerts import Alert
from fsm_exec.core.errors import StoreFailed, VenueError
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.execution.timing import READ_LAG_US, SIGNATURE_WINDOW_US
from fsm_exec.core.market.orders import Cancelled, CancelOrder, OrderReport
from fsm_exec.core.recovery.recovery import OVERLAP_US
from fsm_exec.runtime.services import Services

EMERGENCY_CANCEL_S = 10.0
PAUSE_S = 0.5
PAUSE_MAX_S: Final = 15.0
ORPHAN_PAUSE_S: Final = 2.0
ORPHAN_ROUNDS_MAX: Final = 5  # then they are logged as still there
NO_OWNER: Final = "nobody"  # the owner of a loose order of no execution; a status shows it


async def cancel_all_orders(execution: Execution, services: Services) -> bool:
    """Cancel the orders of `execution` until none rests or may still arrive, or the time is over; return whether none
    is left."""
    left = _RemainingOrders(execution, services)
    cancelling_s = services.exchange.budget().cancelling_us(services.own.count()) / 1_000_000
    with trio.move_on_after(EMERGENCY_CANCEL_S + cancelling_s):
        await left.cancel_once()
        while left:
            await trio.sleep(PAUSE_S)
            await left.cancel_once()
    services.log.warning("emergency_ended", execution=execution.execution_id, nothing_live=not left)
    return not left


async def cancel_order(client_order_id: str, order_id: str, execution: Execution, services: Services) -> None:
    """Cancel one order of ours that rests, or may rest, under the given exchange id."""
    order = CancelOrder(
        effect_id=f"{execution.execution_id}:emergency",
        client_order_id=client_order_id,
        order_id=order_id,
        ticker=execution.terms.ticker,
    )
    answer = await services.exchange.cancel(order)
    services.log.warning("emergency_cancel", order=client_order_id, answer=str(answer))


async def cancel_until_gone(execution: Execution, services: Services, is_wanted: Callable[[], bool]) -> bool:
    """Cancel as `cancel_all_orders` does, without a limit of time, while `is_wanted`: at the latest the orders'
    expiration ends it. Return whether none is left."""
    left, pause_s = _RemainingOrders(execution, services), PAUSE_S
    while left and is_wanted():
        await left.cancel_once()
        await trio.sleep(pause_s if left else 0)
        pause_s = min(2 * pause_s, PAUSE_MAX_S)
    return not left


class _RemainingOrders:
    """The orders of one execution that the exchange has not yet confirmed as ended."""

    def __init__(self, execution: Execution, services: Services) -> None:
        self._execution, self._services = execution, services
        still_open = [child for child in execution.children if child.is_open or child.suspicion is not None]
        self._ids = {child.client_order_id: child.order_id for child in still_open}
        self._listed_by_us = {
            child.client_order_id: child.sent_at_us + SIGNATURE_WINDOW_US + READ_LAG_US for child in still_open
        }
        services.add_loose(execution)

    def __bool__(self) -> bool:
        return bool(self._ids)

    async def cancel_once(self) -> None:
        """Cancel the orders whose id is known, and those that the listing shows resting."""
        async with trio.open_nursery() as nursery:
            for name, order_id in self._ids.items():
                if order_id is not None:
                    nursery.start_soon(self._cancel, name, order_id)
        if not self._ids:
            return
        execution, services = self._execution, self._services
        try:
            listing = await services.listings.fetch_orders(execution.terms.ticker, execution.begun_us - OVERLAP_US)
        except VenueError as error:
            services.log.warning("emergency_listing_failed", execution=execution.execution_id, error=str(error))
            return
        listed = {report.client_order_id: report for report in listing.orders}
        for name, order_id in list(self._ids.items()):
            report = listed.get(name)
            if report is None:
                if listing.as_of_us > self._listed_by_us[name] and not listing.hides(name):
                    self._discard(name)  # it never arrived, and cannot any more
            elif report.status != "resting":
                self._discard(name)
            elif order_id != report.order_id:  # not known, or what an answer called it
                self._ids[name] = report.order_id
                await self._cancel(name, report.order_id)

    async def _cancel(self, name: str, order_id: str) -> None:
        answer = await self._services.exchange.cancel(
            CancelOrder(
                effect_id=f"{self._execution.execution_id}:emergency",
                client_order_id=name,
                order_id=order_id,
                ticker=self._execution.terms.ticker,
            )
        )
        self._services.log.warning("emergency_cancel", order=name, answer=str(answer))
        if isinstance(answer, Cancelled):
            self._discard(name)

    def _discard(self, name: str) -> None:
        del self._ids[name]
        self._services.loose.pop(name, None)


def cancel_orphans(orphans: Sequence[OrderReport], services: Services) -> None:
    """Start cancelling orders of ours that no unfinished execution works, until the exchange confirms that they are
    gone."""
    new = [order for order in orphans if order.client_order_id not in services.loose]
    services.loose.update((order.client_order_id, NO_OWNER) for order in new)
    if new:
        services.requests.start_soon(_cancel_orphans, new, services)
        services.requests.start_soon(_report_orphans, new, services)


async def _report_orphans(orphans: Sequence[OrderReport], services: Services) -> None:
    """Store an alert of each. That it cannot be stored keeps nobody from cancelling."""
    alerts = [
        Alert(
            kind="orphan",
            subject=order.client_order_id,
            text=f"the order {order.client_order_id} of ours rests in {order.ticker} and no execution works it: it is "
            "being cancelled",
            at_us=services.wall.now_us(),
            stands=False,
        )
        for order in orphans
    ]
    with suppress(StoreFailed):
        await services.store.save_alerts(alerts)


async def _cancel_orphans(orphans: Sequence[OrderReport], services: Services) -> None:
    left = {order.order_id: order for order in orphans}
    number, pause_s = 0, ORPHAN_PAUSE_S
    while left:
        async with trio.open_nursery() as nursery:  # one that is not answered does not delay the others
            for order in left.values():
                nursery.start_soon(_cancel_orphan, order, number, services)
        number += 1
        if number == ORPHAN_ROUNDS_MAX:
            names = ", ".join(order.client_order_id for order in left.values())
            services.log.error("orphans_left", orders=names)
        await trio.sleep(pause_s)
        pause_s = min(2 * pause_s, PAUSE_MAX_S)
        try:
            listing = await services.exchange.fetch_orders(resting=True)
        except VenueError as error:
            services.log.warning("orphans_not_listed", error=str(error))
            continue
        resting = {order.order_id for order in listing.orders}
        for order in list(left.values()):
            # One whose row cannot be read is not known to be gone.
            if order.order_id not in resting and not listing.hides(order.client_order_id):
                services.loose.pop(left.pop(order.order_id).client_order_id, None)


async def _cancel_orphan(order: OrderReport, number: int, services: Services) -> None:
    services.log.error("orphan", order=order.client_order_id, order_id=order.order_id, ticker=order.ticker)
    write = CancelOrder(
        effect_id=f"orphan:{order.order_id}:{number}",
        client_order_id=order.client_order_id,
        order_id=order.order_id,
        ticker=order.ticker,
    )
    answer = await services.exchange.cancel(write)
    services.log.warning("orphan_cancelled", order=order.client_order_id, answer=str(answer))
