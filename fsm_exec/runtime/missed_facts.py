"""What executions missed while no engine ran: fetched from the exchange's listings, with the orders that are not
theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from fsm_exec.core.errors import UserError
from fsm_exec.core.execution.events import Restored
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.market.client_order_id import number_of, parse_order_name
from fsm_exec.core.market.orders import OrderReport
from fsm_exec.core.market.terms import MarketStatus
from fsm_exec.core.recovery.recovery import RecoveryPlan, listed_since_us, plan_recovery
from fsm_exec.core.store_port import Store
from fsm_exec.core.values.units import CountE2, format_count
from fsm_exec.runtime.exchange_reads import fetch_listings
from fsm_exec.runtime.services import Services

NAMES_SHOWN = 3


async def fetch_missed_by_all(
    executions: Sequence[Execution],
    markets: Mapping[str, MarketStatus],
    last_saved_us: int,
    services: Services,
) -> RecoveryPlan:
    """Fetch what all executions of a database missed. Raises VenueRefused."""
    since_us = listed_since_us(executions, last_saved_us, services.wall.now_us())
    fence, store = services.fence, services.store
    later_than_us = 0 if fence is None else fence.settled_us
    orders, fills = await fetch_listings(services.exchange, since_us, services.log, later_than_us=later_than_us)
    return plan_recovery(
        executions,
        orders,
        fills,
        markets,
        store.instance,
        services.wall.now_us(),
        epoch=store.epoch,
        fenced=fenced_instances(services),
        own_groups=own_groups(services),
    )


async def fetch_missed_since_the_fence(
    executions: Sequence[Execution], markets: Mapping[str, MarketStatus], last_saved_us: int, services: Services
) -> RecoveryPlan:
    """End the orders of every engine that this one takes over from, and then fetch what all executions missed: only
    after that is it certain that nothing more comes of them. Orders may tell of a group that nothing else told of:
    then it is triggered too, and all is fetched again. Raises VenueRefused and StoreFailed."""
    fence = services.fence
    if fence is None:
        return await fetch_missed_by_all(executions, markets, last_saved_us, services)
    await fence.end_predecessors()
    while True:
        found = await fetch_missed_by_all(executions, markets, last_saved_us, services)
        strange = {group: shard for group, shard in found.strange_groups.items() if not fence.knows(group)}
        if not strange:
            await fence.finish()
            return found
        await fence.trigger_strange(strange)


def fenced_instances(services: Services) -> frozenset[str]:
    """Return the instances of the databases whose engines were taken over from."""
    return frozenset() if services.fence is None else services.fence.instances


def own_groups(services: Services) -> frozenset[str]:
    """Return the order groups of this database's own openings."""
    return frozenset() if services.fence is None else services.fence.own_ids()


async def fetch_missed(
    execution: Execution, status: MarketStatus | None, services: Services, *, was_quarantined: bool = False
) -> Restored:
    """Fetch what one execution missed that restarts while the others work. Raises VenueRefused."""
    ticker = execution.terms.ticker
    since_us = listed_since_us((execution,), None, services.wall.now_us())
    orders, fills = await fetch_listings(services.exchange, since_us, services.log, ticker)
    markets = {} if status is None else {ticker: status}
    found = plan_recovery(
        (execution,),
        orders,
        fills,
        markets,
        services.store.instance,
        services.wall.now_us(),
        epoch=services.store.epoch,
        were_quarantined=was_quarantined,
        fenced=fenced_instances(services),
        own_groups=own_groups(services),
    )
    ((_, event),) = found.events
    return event


def check_other_engines(found: RecoveryPlan, gone: str | None, services: Services) -> None:
    """Raise UserError while orders of another database of ours rest in the account, unless its engine is said to be
    gone."""
    for instance, orders in sorted(found.of_other_instances.items()):
        names = ", ".join(order.client_order_id for order in orders[:NAMES_SHOWN])
        services.log.warning("orders_of_another_engine", instance=instance, orders=len(orders), first=names)
        if instance != gone:
            raise UserError(
                f"{len(orders)} live orders in this account belong to another fsm-exec database, instance {instance} "
                f"({names}); stop its engine, or start with --other-engine-is-gone {instance} to leave them alone"
            )
    if found.foreign_count:
        services.log.info("foreign_orders", resting=found.foreign_count)


class ForgottenOrders(msgspec.Struct, frozen=True):
    """Orders at the exchange that bear this database's name and that it does not know. `number` is the highest that an
    execution has in their names."""

    orders: tuple[OrderReport, ...]
    number: int

    def __str__(self) -> str:
        names = ", ".join(order.client_order_id for order in self.orders[:NAMES_SHOWN])
        bought = format_count(CountE2(sum(order.filled_e2 for order in self.orders)))
        return (
            f"the exchange has {len(self.orders)} orders of this database that it does not know ({names}), {bought} "
            "contracts of them filled and in no execution here: what rests is cancelled; it lost what it acknowledged"
        )


async def load_misnamed(
    found: RecoveryPlan, forgot: ForgottenOrders | None, store: Store
) -> list[tuple[str, OrderReport]]:
    """Find ended orders of ended executions that are listed under another id than the database has, whose answer was
    wrong; with the execution's id. Raises StoreFailed."""
    unknown = set[str]() if forgot is None else {order.client_order_id for order in forgot.orders}
    ours = [order for order in found.unowned if order.status != "resting" and order.client_order_id not in unknown]
    owners = await store.load_owners([order.order_id for order in ours])
    return [
        (named.execution_id, order)
        for order in ours
        if order.order_id not in owners and (named := parse_order_name(order.client_order_id)) is not None
    ]


async def load_forgotten(found: RecoveryPlan, store: Store) -> ForgottenOrders | None:
    """Find the orders that this database forgot: an order is saved before it is sent, so it knew each of them once.
    Raises StoreFailed."""
    names = await store.find_unknown_orders([order.client_order_id for order in found.unowned])
    unknown = set(names)
    orders = tuple(order for order in found.unowned if order.client_order_id in unknown)
    numbers = [number_of(named.execution_id) for name in names if (named := parse_order_name(name)) is not None]
    return ForgottenOrders(orders, max(numbers)) if orders else None


async def leave_out_reported(forgot: ForgottenOrders | None, store: Store) -> ForgottenOrders | None:
    """Leave out the orders of submissions that were lost with another host and are reported by key: every start would
    say so once more. Raises StoreFailed."""
    if forgot is None:
        return None
    reported = {(one.instance, one.accepted_as) for one in await store.load_all_lost()}
    orders = tuple(
        order
        for order in forgot.orders
        if (named := parse_order_name(order.client_order_id)) is None
        or (named.instance, named.execution_id) not in reported
    )
    return msgspec.structs.replace(forgot, orders=orders) if orders else None
