"""What members ask of their order groups. Each function raises ApiError and has then changed nothing."""

from __future__ import annotations

from collections.abc import Sequence

from fsm_exec.core.values.units import format_count
from fsm_exec.paper import errors
from fsm_exec.paper.ids import subaccount_of
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.matching_engine.order_groups import GROUPS_MAX, OrderGroup, limit_of
from fsm_exec.paper.venue import request_checks
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.wire.writes import CreateGroup, GroupBody, GroupCreated, GroupLimit, GroupsPage, GroupSummary


def create_group(exchange: Exchange, account: Account, asked: CreateGroup) -> GroupCreated:
    exchange.require_exchange()
    account = exchange.subaccount(account, asked.subaccount)
    request_checks.check_shard(asked.exchange_index, exchange.shards)
    limit = limit_of(asked)
    if len(_of(exchange, account)) >= GROUPS_MAX:
        raise errors.invalid_parameters(f"there are {GROUPS_MAX} order groups already")
    shard = max(0, asked.exchange_index or 0)
    group = OrderGroup(exchange.ids.new("group"), account.account_id, limit, shard)
    exchange.groups[group.group_id] = group
    exchange.publisher.publish_group(group, "created", exchange.timeline.now_us())
    number = subaccount_of(account.account_id)
    return GroupCreated(order_group_id=group.group_id, subaccount=number, exchange_index=shard)


def change_limit(exchange: Exchange, account: Account, group_id: str, asked: GroupLimit) -> None:
    """A limit that the last 15 s have reached already triggers the group at once."""
    exchange.require_exchange()
    group = _group(exchange, account, group_id)
    group.limit_e2 = limit_of(asked)
    now_us = exchange.timeline.now_us()
    exchange.publisher.publish_group(group, "limit_updated", now_us)
    if not group.triggered and group.has_reached_limit(now_us):
        exchange.trigger_group(group)


def reset(exchange: Exchange, account: Account, group_id: str) -> None:
    exchange.require_exchange()
    group = _group(exchange, account, group_id)
    group.reset()
    exchange.publisher.publish_group(group, "reset", exchange.timeline.now_us())


def trigger(exchange: Exchange, account: Account, group_id: str) -> None:
    """A group that was triggered already is left as it is."""
    exchange.require_exchange()
    group = _group(exchange, account, group_id)
    if not group.triggered:
        exchange.trigger_group(group)


def delete(exchange: Exchange, account: Account, group_id: str) -> None:
    """Its orders are cancelled."""
    exchange.require_exchange()
    group = _group(exchange, account, group_id)
    for order in list(group.resting.values()):
        exchange.cancel(order, None)
    del exchange.groups[group_id]
    exchange.publisher.publish_group(group, "deleted", exchange.timeline.now_us())


def group_of(exchange: Exchange, accounts: Sequence[Account], group_id: str) -> GroupBody:
    """A group of one or any of a member's subaccounts, on whichever shard."""
    group = exchange.groups.get(group_id)
    if group is None or group.account_id not in [account.account_id for account in accounts]:
        raise errors.group_not_found(group_id)
    return GroupBody(
        is_auto_cancel_enabled=True,
        orders=list(group.resting),
        contracts_limit_fp=format_count(group.limit_e2),
        exchange_index=group.exchange_index,
    )


def groups_of(exchange: Exchange, accounts: Sequence[Account]) -> GroupsPage:
    """The groups of one or all of a member's subaccounts."""
    return GroupsPage(
        order_groups=[
            GroupSummary(
                id=group.group_id,
                is_auto_cancel_enabled=True,
                contracts_limit_fp=format_count(group.limit_e2),
                exchange_index=group.exchange_index,
            )
            for account in accounts
            for group in _of(exchange, account)
        ]
    )


def _of(exchange: Exchange, account: Account) -> list[OrderGroup]:
    return [group for group in exchange.groups.values() if group.account_id == account.account_id]


def _group(exchange: Exchange, account: Account, group_id: str) -> OrderGroup:
    group = exchange.groups.get(group_id)
    if group is None or group.account_id != account.account_id:
        raise errors.group_not_found(group_id)
    return group
