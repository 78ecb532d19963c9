"""Recovery: the events with which a new process, or a restarted task of an execution, begins. Pure.

In: the executions as their last saves say, what the exchange's listings show, the markets' status. Out: one `Restored`
for each execution, and the resting orders that no execution works.

* Orders are joined by market and client order id, fills by order id; nothing is concluded from positions, from the
  order of a list, or from sums.
* What a listing does not show proves nothing here: a look-up repeats until a listing is late enough (`order_lookup`).
* A listing may lag behind what was answered before the last process ended. Its terminal states and fills are trusted at
  once, because they cannot change any more; `resting` is never taken as the outcome of an unconfirmed write.
* An execution that missed nothing and had nothing under way stays as it is. The epoch of this opening, which is in the
  names of its next orders, it learns before its next step (`brings_only_epoch`): most have none for long, and ten
  thousand steps at each start would be most of what the start costs.
* The orders of a quarantined execution were cancelled by us, and no journal says so. An operator who resumes it wants
  it to go on, so the end of such an order, also one that is still to come, counts as ours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from fsm_exec.core.algorithm.algorithm import Algorithm
from fsm_exec.core.execution.closing_leg import closing_at_us
from fsm_exec.core.execution.events import (
    QUARANTINE_CANCEL,
    AnyEvent,
    FillReported,
    OrderReported,
    PlaceUnconfirmed,
    Restored,
    WriteUnconfirmed,
)
from fsm_exec.core.execution.execution import CHILD_ENDS, ChildOrder, Execution, OutboxEntry
from fsm_exec.core.execution.fenced_orders import FENCE_CANCEL
from fsm_exec.core.market.client_order_id import INSTANCE_CHARS, order_prefix, parse_order_name
from fsm_exec.core.market.orders import FillListing, FillReport, OrderListing, OrderReport
from fsm_exec.core.market.terms import MarketStatus
from fsm_exec.core.recovery.order_lookup import fill_event, is_after_our_changes, order_event, why_in_another_market
from fsm_exec.core.recovery.reconcile import fill_is_news
from fsm_exec.core.values.units import format_count

QUIET = CHILD_ENDS | {"resting", "partial"}
"""States of an order about which a new process has nothing to find out."""

OVERLAP_US = 60_000_000
"""How far listings reach back beyond what they are asked for: clocks differ, reads lag."""


class RecoveryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """`events` has one for every execution, in the order they were given. `orphans` are orders of this database that
    rest and that none of the executions works; `of_other_instances` those of other databases of ours that rest, by
    instance; `foreign_count` resting orders are not ours. `unknown_fills` are of orders that no execution here has.
    `conflicts` has the executions of whose names another order is, in another market or unknown to them, and what is to
    be said of it. `unowned` are all listed orders of this database, and of fenced ones, that none of the executions
    has. `strange_groups` are the order groups, with their shards, of orders that bear the name of a fenced engine."""

    events: tuple[tuple[str, Restored], ...]
    orphans: tuple[OrderReport, ...]
    of_other_instances: Mapping[str, tuple[OrderReport, ...]]
    foreign_count: int
    unknown_fills: tuple[FillReport, ...]
    conflicts: Mapping[str, str]
    unowned: tuple[OrderReport, ...]
    strange_groups: Mapping[str, int]


def brings_only_epoch(execution: Execution, event: Restored, algorithm: Algorithm) -> bool:
    """Whether `event` tells an execution no more than the epoch of this opening of its own database, and would do no
    more than put it down: then it may be applied as late as directly before the next step."""
    named, closing_us = event.instance, closing_at_us(execution, algorithm)
    if named is None or named[:INSTANCE_CHARS] != execution.instance[:INSTANCE_CHARS]:
        return False
    if event.orders or event.fills or event.market == "closed" or execution.outbox:
        return False
    if execution.ending is not None or execution.draining or execution.closing is not None or execution.free_e2 < 0:
        return False
    if event.at_us >= (execution.deadline_us if closing_us is None else min(closing_us, execution.deadline_us)):
        return False
    return all(child.write is None and child.state in QUIET for child in execution.children)


def adopts(execution: Execution, event: Restored) -> bool:
    """Whether `event` tells an execution of orders that it does not know and a fenced engine placed for it."""
    return any(order.cause == FENCE_CANCEL and execution.child(order.client_order_id) is None for order in event.orders)


def listed_since_us(restored: Iterable[Execution], last_saved_us: int | None, now_us: int) -> int:
    """Return the time from which orders and fills must be listed: the start of the oldest of these executions, or
    shortly before the last save, whichever is earlier; a fill of an order that had ended may have come after that
    save."""
    begun = [execution.begun_us for execution in restored]
    last_us = now_us if last_saved_us is None else min(now_us, last_saved_us)
    return max(0, min([*begun, last_us]) - OVERLAP_US)


def unconfirmed_write_event(left: OutboxEntry, at_us: int) -> AnyEvent:
    """Return the event that marks one write of the last process as unconfirmed: it may have been done. It is for an
    execution that must stop before the exchange has said anything; `Restored` says the same of all writes at once, with
    what the listings show.
    """
    name, why = left.client_order_id, "the process that sent it is gone"
    if left.kind == "place":
        return PlaceUnconfirmed(at_us=at_us, client_order_id=name, why=why)
    return WriteUnconfirmed(at_us=at_us, client_order_id=name, effect_id=left.effect_id, why=why)


def plan_recovery(
    restored: Sequence[Execution],
    orders: Sequence[OrderListing],
    fills: FillListing,
    markets: Mapping[str, MarketStatus],
    instance: str,
    now_us: int,
    *,
    epoch: str = "",
    were_quarantined: bool = False,
    fenced: Collection[str] = (),
    own_groups: Collection[str] = (),
) -> RecoveryPlan:
    """Plan the recovery of `restored` by the rules of the module. `orders` may be several listings, later ones fetched
    later. A market that is not in `markets` could not be read. `were_quarantined` holds for all of `restored`.
    `fenced`: instances of whose orders none can live or arrive any more since before the listings were asked for; what
    they bear of an execution that does not have it is adopted. Orders in `own_groups` are this database's, whatever
    their name: it sent them again."""
    # An order may be in several listings: the later look wins, together with the time at which it was made.
    listed = {report.order_id: report for listing in orders for report in listing.orders}
    looked_us = {report.order_id: listing.as_of_us for listing in orders for report in listing.orders}
    by_market: dict[str, dict[str, OrderReport]] = {}
    for report in listed.values():
        by_market.setdefault(report.ticker, {})[report.client_order_id] = report
    # A listed fill names only the exchange's order id. Which order of ours that is, the snapshots say, and the listed
    # orders beside them: of an order whose answer was lost only the listing knows the id.
    owners = {child.client_order_id: execution for execution in restored for child in execution.children}
    adopted = _adopted(listed.values(), restored, owners, frozenset(fenced))
    owners |= {report.client_order_id: owner for owner, reports in adopted.values() for report in reports}
    named = {child.order_id: name for name, child in _children(restored) if child.order_id is not None}
    named |= {order_id: report.client_order_id for order_id, report in listed.items() if report.client_order_id}
    news: dict[str, list[FillReported]] = {}
    unknown_fills: list[FillReport] = []
    for fill in fills.fills:
        name = fill.client_order_id or named.get(fill.order_id)
        owner = None if name is None else owners.get(name)
        # The market must agree too: in another one an order of this name is another order (see `_conflicts`).
        if name is None or owner is None or fill.ticker != owner.terms.ticker:
            unknown_fills.append(fill)
            continue
        child = owner.child(name)
        if child is None or fill_is_news(owner, name, fill):
            news.setdefault(owner.execution_id, []).append(fill_event(fill, name, None, now_us, owner))
    # One event for each execution, whether it missed anything or not: `Restored` also says that what stood in its
    # outbox is unconfirmed now, and nothing is decided before all of it has been applied.
    news_of = _news_after_quarantine if were_quarantined else _news_of_orders
    current = instance + epoch
    quiet: dict[tuple[MarketStatus | None, str | None], Restored] = {}  # most missed nothing: they share an event

    def event_for(execution: Execution) -> Restored:
        market = markets.get(execution.terms.ticker)
        orders = tuple(news_of(execution, by_market.get(execution.terms.ticker, {}), looked_us, now_us))
        if fenced:
            orders = tuple(
                stated if listed[stated.order_id].group_id in own_groups else _by_the_fence(stated, fenced)
                for stated in orders
            )
            _, reports = adopted.get(execution.execution_id, (execution, ()))
            orders += tuple(
                replace(order_event(report, now_us, looked_up=True), cause=FENCE_CANCEL) for report in reports
            )
        filled = tuple(sorted(found, key=_by_time)) if (found := news.get(execution.execution_id)) else ()
        told = None if execution.instance == current else current
        if orders or filled:
            return Restored(at_us=now_us, market=market, orders=orders, fills=filled, instance=told)
        return quiet.setdefault((market, told), Restored(at_us=now_us, market=market, instance=told))

    events = tuple((execution.execution_id, event_for(execution)) for execution in restored)
    instances = frozenset(fenced) | {instance}
    orphans, others, foreign = _not_worked(listed.values(), owners, instance, instances)
    unowned = tuple(_unowned(listed.values(), owners, instances))
    return RecoveryPlan(
        events=events,
        orphans=orphans,
        of_other_instances=others,
        foreign_count=foreign,
        unknown_fills=tuple(unknown_fills),
        conflicts=_conflicts(listed.values(), owners) | _unknown_to_database(unowned, restored),
        unowned=unowned,
        strange_groups=_groups_of(listed.values(), frozenset(fenced), frozenset(own_groups)),
    )


def _children(executions: Iterable[Execution]) -> Iterable[tuple[str, ChildOrder]]:
    return ((child.client_order_id, child) for execution in executions for child in execution.children)


def _adopted(
    listed: Iterable[OrderReport],
    restored: Sequence[Execution],
    owners: Mapping[str, Execution],
    fenced: frozenset[str],
) -> dict[str, tuple[Execution, tuple[OrderReport, ...]]]:
    """Find the orders that bear an execution's name and that it does not know, because the fenced engine placed them
    after the copy was made; by execution, in the order of their attempts."""
    if not fenced:
        return {}
    executions = {execution.execution_id: execution for execution in restored}
    found: dict[str, list[tuple[int, int, OrderReport]]] = {}
    for report in listed:
        if report.client_order_id in owners or report.status == "resting":
            continue
        named = parse_order_name(report.client_order_id)
        owner = None if named is None or named.instance not in fenced else executions.get(named.execution_id)
        if named is None or owner is None:
            continue
        if (report.ticker, report.outcome) == (owner.terms.ticker, owner.outcome):
            found.setdefault(named.execution_id, []).append((named.level, named.attempt, report))
    return {
        name: (executions[name], tuple(report for _, _, report in sorted(reports, key=lambda each: each[:2])))
        for name, reports in found.items()
    }


def _by_the_fence(stated: OrderReported, fenced: Collection[str]) -> OrderReported:
    """Return the statement with its cause: where a fenced engine's order stood, and its end, were our own doing."""
    named = parse_order_name(stated.client_order_id)
    if stated.status == "resting" or named is None or named.instance not in fenced:
        return stated
    return replace(stated, cause=FENCE_CANCEL, looked_up=True)


def _by_time(fill: FillReported) -> tuple[int, str, str]:
    return fill.traded_at_us, fill.order_id, fill.fill_id


def _news_of_orders(
    execution: Execution, by_name: Mapping[str, OrderReport], looked_us: Mapping[str, int], now_us: int
) -> Iterable[OrderReported]:
    for child in execution.children:
        report = by_name.get(child.client_order_id)
        if report is not None and _is_news(child, report):
            stands = is_after_our_changes(child, looked_us[report.order_id])
            yield order_event(report, now_us, looked_up=stands, child=child)


def _conflicts(listed: Iterable[OrderReport], owners: Mapping[str, Execution]) -> dict[str, str]:
    found: dict[str, str] = {}
    for report in listed:
        owner = owners.get(report.client_order_id)
        child = None if owner is None else owner.child(report.client_order_id)
        why = None if owner is None or child is None else why_in_another_market(child, owner.terms.ticker, report)
        if owner is not None and why is not None:
            found.setdefault(owner.execution_id, why)
    return found


def _groups_of(listed: Iterable[OrderReport], fenced: frozenset[str], own: frozenset[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    if not fenced:
        return found
    for report in listed:
        if report.group_id is None or report.group_id in own or report.group_id in found:
            continue
        named = parse_order_name(report.client_order_id)
        if named is not None and named.instance in fenced:
            found[report.group_id] = report.exchange_index
    return found


def _unowned(
    listed: Iterable[OrderReport], owners: Mapping[str, Execution], instances: frozenset[str]
) -> Iterable[OrderReport]:
    for report in listed:
        if report.client_order_id in owners:  # the most of them, so this is asked first
            continue
        named = parse_order_name(report.client_order_id)
        if named is not None and named.instance in instances:
            yield report


def _unknown_to_database(unowned: Iterable[OrderReport], restored: Sequence[Execution]) -> dict[str, str]:
    """Find orders that the database forgot. An order is saved before it is sent, so one that bears an execution's name
    and is not in its snapshot was lost; what it bought is missing in what the execution still wants, so a person must
    look."""
    names = {execution.execution_id for execution in restored}
    found: dict[str, str] = {}
    for report in unowned:
        named = parse_order_name(report.client_order_id)
        if named is not None and named.execution_id in names:
            found.setdefault(
                named.execution_id,
                f"the exchange has its order {report.client_order_id} ({format_count(report.filled_e2)} filled), which "
                "the database does not know: it lost steps that it had acknowledged",
            )
    return found


def _news_after_quarantine(
    execution: Execution, by_name: Mapping[str, OrderReport], looked_us: Mapping[str, int], now_us: int
) -> Iterable[OrderReported]:
    """Yield what is news; and for every order that stands as we left it, that a cancel of ours may be on its way to
    it."""
    news = {report.client_order_id: report for report in _news_of_orders(execution, by_name, looked_us, now_us)}
    for child in execution.children:
        stated, report = news.get(child.client_order_id), by_name.get(child.client_order_id)
        if stated is not None:
            by_whom = stated.cause if stated.cause == "ExpiryCancel" else QUARANTINE_CANCEL
            yield replace(stated, cause=by_whom)
        elif report is not None and child.is_open and child.state != "settling" and _stands_as_left(child, report):
            yield replace(order_event(report, now_us, looked_up=False), cause=QUARANTINE_CANCEL)


def _stands_as_left(child: ChildOrder, report: OrderReport) -> bool:
    return (report.price_e4, report.count_e2) == (child.price_e4, child.count_e2)


def _is_news(child: ChildOrder, report: OrderReport) -> bool:
    if not child.is_open:
        # Ended here without ever having been seen there, and alive: a contradiction that must come to light.
        return child.order_id is None and report.status == "resting"
    if child.state == "settling":
        return False  # its end is known, its fills come by themselves
    if report.status != "resting" or child.state in ("intended", "unknown"):
        return True
    return report.filled_e2 > child.reported_e2 or (not _stands_as_left(child, report) and child.write is None)


def _not_worked(
    listed: Iterable[OrderReport], owners: Mapping[str, Execution], instance: str, instances: frozenset[str]
) -> tuple[tuple[OrderReport, ...], dict[str, tuple[OrderReport, ...]], int]:
    orphans: list[OrderReport] = []
    others: dict[str, list[OrderReport]] = {}
    foreign = 0
    prefix = order_prefix(instance)
    for report in listed:
        if report.status != "resting":
            continue
        owner = owners.get(report.client_order_id)
        if owner is None or not report.client_order_id.startswith(prefix):
            named = parse_order_name(report.client_order_id)
            if named is None:
                foreign += 1
                continue
            if named.instance not in instances:
                others.setdefault(named.instance, []).append(report)
                continue
        child = None if owner is None else owner.child(report.client_order_id)
        # An order that ended here under its id: the listing lags, or the order lives on; a second cancel settles it.
        if child is None or (not child.is_open and child.order_id is not None):
            orphans.append(report)
    return tuple(orphans), {name: tuple(orders) for name, orders in others.items()}, foreign
