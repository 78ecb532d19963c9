"""The fence: what keeps two engines of one account from having live orders at once. README.md has the protocol."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Final, Protocol

from fsm_exec.core.leadership import Leadership, SoleEngine
from fsm_exec.core.market.account import GroupAnswer, GroupCreateAnswer
from fsm_exec.core.store_port import EpochStore
from fsm_exec.core.values.units import CountE2

CONTRACTS_IN_15_S: Final = 100_000  # far above what a desk trades, far below what a program gone wild could
SHARD: Final = 0


class OrderGroups(Protocol):
    """Order groups at the exchange, of the shard `exchange_index`. No call raises for what the exchange or the network
    does."""

    def create(self, limit_e2: CountE2, *, exchange_index: int = SHARD) -> Awaitable[GroupCreateAnswer]:
        """Create a group that ends all of its orders when so many contracts of them are filled within 15 s."""
        ...

    def trigger(self, group_id: str, *, exchange_index: int = SHARD) -> Awaitable[GroupAnswer]:
        """Cancel all orders of the group; it takes no more until it is reset."""
        ...

    def reset(self, group_id: str, *, exchange_index: int = SHARD) -> Awaitable[GroupAnswer]:
        """Have a triggered group take orders again."""
        ...

    def delete(self, group_id: str, *, exchange_index: int = SHARD) -> Awaitable[GroupAnswer]:
        """Delete the group, which cancels its orders too."""
        ...


@dataclass(frozen=True, kw_only=True)
class FenceSetup:
    """What a fence needs. `contracts_in_15_s` is the limit of each group; `leadership` says who leads."""

    groups: OrderGroups
    store: EpochStore
    contracts_in_15_s: int = CONTRACTS_IN_15_S
    leadership: Leadership = field(default_factory=SoleEngine)


@dataclass(frozen=True, kw_only=True)
class FenceSettings:
    """As `FenceSetup`, for a session, which has the rest."""

    contracts_in_15_s: int = CONTRACTS_IN_15_S
    leadership: Leadership = field(default_factory=SoleEngine)
