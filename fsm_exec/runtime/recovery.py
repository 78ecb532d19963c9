"""Starting is recovering: what the database left unfinished is joined with what the exchange holds, and goes on.

1. Snapshots are read; one that cannot be, or whose method is not known, is quarantined with the reason, and kept.
2. The markets' terms are read in few calls, then the account's orders and fills.
3. Live orders of another database of ours: the start is refused, before anything was sent, unless told that its engine
   is gone. Foreign orders are left alone. Resting orders of this database that nobody unfinished works are cancelled.
   Orders that it named and does not know prove that it lost what it had acknowledged, which is said.
4. Each execution takes in what it missed, as one durable fact. When all have, the engine runs.

An exchange that does not answer is asked again for as long as it takes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import Algorithm, NoAlgorithm
from fsm_exec.core.errors import AlgorithmMissing, CorruptSnapshot, UserError
from fsm_exec.core.execution.events import Restored
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.rows import StoredExecution
from fsm_exec.core.journal.snapshot import decode_snapshot
from fsm_exec.core.market.client_order_id import name_of_ours, number_of
from fsm_exec.core.market.orders import OrderReport
from fsm_exec.core.market.terms import MarketStatus, MarketTerms
from fsm_exec.core.recovery.proof import LISTED_FOR_US, is_doubted
from fsm_exec.core.recovery.recovery import Plan, listed_since_us, plan
from fsm_exec.core.store_port import Store
from fsm_exec.core.values.units import CountE2, format_count
from fsm_exec.runtime.exchange_reads import listings
from fsm_exec.runtime.services import Services

Methods = Callable[[str], Algorithm]
"""The algorithm of a stored method's name. Raises UserError for one that is not known here."""

NAMES_SHOWN = 3


class Loaded(msgspec.Struct, frozen=True):
    """What the database has to go on with. `unusable` are to be quarantined now, with the reason; `quarantined` have
    been; `given_up` are those of both that can be read; `healed` are those of the second whose algorithm was missing
    and is there again; `unscored` have ended, and what they cost was not reckoned.
    `number` is the highest an execution has had."""

    ready: tuple[tuple[Execution, Algorithm], ...]
    unusable: dict[str, str]
    quarantined: dict[str, str]
    given_up: tuple[Execution, ...]
    healed: tuple[str, ...]
    unscored: tuple[Execution, ...]
    last_saved_us: int
    number: int


async def load(services: Services, methods: Methods) -> Loaded:
    """Read and check what is stored. Raises StoreFailed."""
    started = await services.store.started()
    ready: list[tuple[Execution, Algorithm]] = []
    unusable: dict[str, str] = {}
    quarantined: dict[str, str] = {}
    given_up: list[Execution] = []
    healed: list[str] = []
    seen: dict[MarketTerms, MarketTerms] = {}
    methods = _asked_once(methods)
    for stored in await services.store.unfinished():
        if stored.quarantine is not None:
            quarantined[stored.execution_id] = stored.quarantine
            given_up.extend(readable(stored))
            if AlgorithmMissing.is_reason(stored.quarantine) and _has_algorithm(stored, methods):
                healed.append(stored.execution_id)
            continue
        try:
            execution, algorithm = usable(stored, methods)
        except (CorruptSnapshot, UserError) as error:
            unusable[stored.execution_id] = str(error)
            given_up.extend(readable(stored))
            continue
        # Each snapshot has the terms of its market whole; in memory all of a market share them, and names as well.
        terms = seen.setdefault(execution.terms, execution.terms)
        instance, named = sys.intern(execution.instance), sys.intern(execution.method)
        ready.append((replace(execution, terms=terms, instance=instance, method=named), algorithm))
    unscored: list[Execution] = []
    for stored in await services.store.unscored():
        try:
            unscored.append(decode_snapshot(stored.snapshot))
        except CorruptSnapshot:
            services.log.exception("unscored_unreadable", execution=stored.execution_id)
    return Loaded(
        ready=tuple(ready),
        unusable=unusable,
        quarantined=quarantined,
        given_up=tuple(given_up),
        healed=tuple(healed),
        unscored=tuple(unscored),
        last_saved_us=started.last_saved_us,
        number=started.number,
    )


def _asked_once(methods: Methods) -> Methods:
    """The same, remembering what it said, a refusal too: thousands of executions may want one that is missing."""
    said: dict[str, Algorithm | CorruptSnapshot | UserError] = {}

    def find(name: str) -> Algorithm:
        if name not in said:
            try:
                said[name] = methods(name)
            except (CorruptSnapshot, UserError) as error:
                said[name] = error
        found = said[name]
        if isinstance(found, Exception):
            raise found
        return found

    return find


def _has_algorithm(stored: StoredExecution, methods: Methods) -> bool:
    """Whether it could be worked again."""
    try:
        usable(stored, methods)
    except (CorruptSnapshot, UserError):
        return False
    return True


def readable(stored: StoredExecution) -> Sequence[Execution]:
    """The execution, if its snapshot can be read."""
    try:
        return (decode_snapshot(stored.snapshot),)
    except CorruptSnapshot:
        return ()


def usable(stored: StoredExecution, methods: Methods, *, only_ends: bool = False) -> tuple[Execution, Algorithm]:
    """An execution with its algorithm; one that ends needs none. Raises CorruptSnapshot, and UserError for a method
    that is not known."""
    if stored.damage is not None:
        raise CorruptSnapshot(f"{stored.damage}; restore a backup, nothing was changed")
    execution = decode_snapshot(stored.snapshot)
    if execution.execution_id != stored.execution_id:
        raise CorruptSnapshot(f"the snapshot stored for {stored.execution_id} is that of {execution.execution_id}")
    if execution.state != stored.state:
        raise CorruptSnapshot(
            f"row {stored.execution_id} of execution_state is damaged, column state: it says {stored.state}, the "
            f"snapshot {execution.state}; restore a backup, nothing was changed"
        )
    try:
        return execution, methods(execution.method)
    except (CorruptSnapshot, UserError):
        if not only_ends and execution.ending is None:
            raise
        return execution, NoAlgorithm()


async def doubted(services: Services) -> list[Execution]:
    """What ended lately and was told of something that no listing had borne out before the process died. Raises
    StoreFailed."""
    found: list[Execution] = []
    for stored in await services.store.lately_filled():
        try:
            execution = decode_snapshot(stored.snapshot)
        except CorruptSnapshot:
            services.log.exception("ended_unreadable", execution=stored.execution_id)
            continue
        is_listed = (execution.ended_at_us or 0) > services.wall.now_us() - LISTED_FOR_US
        if is_listed and is_doubted(execution):
            found.append(execution)
    return found


async def differences(
    executions: Sequence[Execution],
    markets: Mapping[str, MarketStatus],
    last_saved_us: int,
    services: Services,
) -> Plan:
    """What the exchange's listings tell a whole database. Raises VenueRefused."""
    since_us = listed_since_us(executions, last_saved_us, services.wall.now_us())
    orders, fills = await listings(services.exchange, since_us, services.log)
    store = services.store
    return plan(executions, orders, fills, markets, store.instance, services.wall.now_us(), epoch=store.epoch)


async def difference(
    execution: Execution, status: MarketStatus | None, services: Services, *, was_quarantined: bool = False
) -> Restored:
    """The same for one execution that begins anew while the others work. Raises VenueRefused."""
    ticker = execution.terms.ticker
    since_us = listed_since_us((execution,), None, services.wall.now_us())
    orders, fills = await listings(services.exchange, since_us, services.log, ticker)
    markets = {} if status is None else {ticker: status}
    found = plan(
        (execution,),
        orders,
        fills,
        markets,
        services.store.instance,
        services.wall.now_us(),
        epoch=services.store.epoch,
        were_quarantined=was_quarantined,
    )
    ((_, event),) = found.events
    return event


def refuse_others(found: Plan, gone: str | None, services: Services) -> None:
    """Raises UserError while orders of another database of ours rest in the account, unless its engine is gone."""
    for instance, orders in sorted(found.others.items()):
        names = ", ".join(order.client_order_id for order in orders[:NAMES_SHOWN])
        services.log.warning("orders_of_another_engine", instance=instance, orders=len(orders), first=names)
        if instance != gone:
            raise UserError(
                f"{len(orders)} live orders in this account belong to another fsm-exec database, instance {instance} "
                f"({names}); stop its engine, or start with --other-engine-is-gone {instance} to leave them alone"
            )
    if found.foreign:
        services.log.info("foreign_orders", resting=found.foreign)


class Forgotten(msgspec.Struct, frozen=True):
    """Orders at the exchange that this database named and does not know. `number` is the highest that an execution has
    in their names."""

    orders: tuple[OrderReport, ...]
    number: int

    def __str__(self) -> str:
        names = ", ".join(order.client_order_id for order in self.orders[:NAMES_SHOWN])
        bought = format_count(CountE2(sum(order.filled_e2 for order in self.orders)))
        return (
            f"the exchange has {len(self.orders)} orders of this database that it does not know ({names}), {bought} "
            "contracts of them filled and in no execution here: what rests is cancelled; it lost what it acknowledged"
        )


async def misnamed(found: Plan, forgot: Forgotten | None, store: Store) -> list[tuple[str, OrderReport]]:
    """Orders that have ended, of executions that have, listed under another id than the database has of them, which is
    that of an answer that was wrong; with the execution. Raises StoreFailed."""
    unknown = set[str]() if forgot is None else {order.client_order_id for order in forgot.orders}
    ours = [order for order in found.unowned if order.status != "resting" and order.client_order_id not in unknown]
    owners = await store.owners([order.order_id for order in ours])
    return [
        (named.execution_id, order)
        for order in ours
        if order.order_id not in owners and (named := name_of_ours(order.client_order_id)) is not None
    ]


async def forgotten(found: Plan, store: Store) -> Forgotten | None:
    """An order is saved before it is sent, so one that was never saved here was forgotten. Raises StoreFailed."""
    names = await store.unknown_orders([order.client_order_id for order in found.unowned])
    unknown = set(names)
    orders = tuple(order for order in found.unowned if order.client_order_id in unknown)
    numbers = [number_of(named.execution_id) for name in names if (named := name_of_ours(name)) is not None]
    return Forgotten(orders, max(numbers)) if orders else None
