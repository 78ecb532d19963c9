"""The bodies about a member's account: its keys, what it may ask, how much it trades, what its orders tie up."""

from __future__ import annotations

from collections.abc import Sequence

from fsm_exec.core.values.units import CountE2, format_count
from fsm_exec.paper.ids import subaccount_of
from fsm_exec.paper.matching_engine.accounts import Account
from fsm_exec.paper.server.auth import Authenticator
from fsm_exec.paper.venue.exchange import Exchange
from fsm_exec.paper.venue.serializers import format_balance

MONTH_US = 30 * 24 * 3_600 * 1_000_000
E6_PER_CENT = 10_000


def api_keys(key_ids: list[str], account: Account) -> dict[str, object]:
    """A key may do everything here, and its region never expires. One that is restricted to a subaccount says so."""
    number = subaccount_of(account.account_id)
    restricted = {"subaccount": number} if number else {}
    keys = [{"api_key_id": key_id, "name": "paper", "scopes": ["read", "write"], **restricted} for key_id in key_ids]
    return {"api_keys": keys}


def limits(gate: Authenticator, account: Account) -> dict[str, object]:
    tier = gate.rate_limiter.tier_of(account)
    read, write = ({"refill_rate": rate.refill, "bucket_capacity": rate.capacity} for rate in (tier.read, tier.write))
    granted = [{"exchange_instance": "event_contract", "level": "advanced", "source": "manual"}]
    grants = granted if gate.rate_limiter.is_upgraded(account) else []
    return {"usage_tier": tier.name, "read": read, "write": write, "grants": grants}


def volume_progress(exchange: Exchange, account: Account) -> dict[str, object]:
    """Reckoned at the moment it is asked for; no volume earns a tier here."""
    now_us = exchange.timeline.now_us()
    traded = CountE2(sum(fill.count_e2 for fill in account.fills if fill.at_us > now_us - MONTH_US))
    progress = {"computed_ts": now_us // 1_000_000, "trailing_30d_volume_fp": format_count(traded), "goals": []}
    return {"volume_progress": [progress]}


def resting_value(accounts: Sequence[Account]) -> dict[str, object]:
    """What the resting orders would cost, each in its own outcome, without fees."""
    orders = [order for account in accounts for resting in account.resting.values() for order in resting.values()]
    by_shard = {0: 0}
    for order in orders:
        by_shard[order.exchange_index] = by_shard.get(order.exchange_index, 0) + order.remaining_e2 * order.price_e4
    value_e6 = sum(by_shard.values())
    return {
        "total_resting_order_value": value_e6 // E6_PER_CENT,
        "resting_order_value_breakdown": [
            {"exchange_index": shard, "balance": format_balance(value)} for shard, value in sorted(by_shard.items())
        ],
    }
