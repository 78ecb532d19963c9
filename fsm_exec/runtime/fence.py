"""The fence: what keeps two engines of one account from having live orders at once. README.md has the protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import trio
from msgspec.structs import replace
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.epochs import EpochGroup, parse_group_note
from fsm_exec.core.errors import VenueRefused
from fsm_exec.core.execution.timing import READ_LAG_US
from fsm_exec.core.leadership_port import Leader, Leadership, LeadershipUnknown
from fsm_exec.core.market.account import GroupAnswer, GroupChanged, GroupCreateAnswer
from fsm_exec.core.market.orders import Refused
from fsm_exec.core.store_port import EpochStore
from fsm_exec.core.trouble import Trouble
from fsm_exec.core.values.units import ONE_CONTRACT_E2, CountE2
from fsm_exec.runtime.clock import WallClock

CONTRACTS_IN_15_S: Final = 100_000  # far above what a desk trades, far below what a program gone wild could
SHARD: Final = 0
PAUSE_FIRST_S: Final = 0.5
PAUSE_MAX_S: Final = 8.0
NOTES_TRIES: Final = 5
SHUT_OUT: Final = frozenset({"authentication_error", "signature_is_missing_from_headers", "forbidden"})
"""Refusals of who asks, which no asking again changes: the start fails with them, as it does for a refused read."""


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

    def exists(self, group_id: str, *, exchange_index: int = SHARD) -> Awaitable[bool]:
        """Ask whether there is such a group. Raises VenueError, but not because there is none."""
        ...


class SoleEngine:
    """The leadership of an engine without a standby."""

    async def who_leads(self) -> Leader | None:
        """Nobody else leads."""
        return None

    async def note_group(self, group_id: str) -> None:
        """Nobody looks for it."""

    async def load_groups(self) -> Sequence[str]:
        """There was no other engine."""
        return ()


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


class Fence:
    """The engines that this one has taken over from, and the groups of this database's own earlier openings."""

    def __init__(self, setup: FenceSetup, wall: WallClock, log: FilteringBoundLogger) -> None:
        self._setup, self._wall, self._log = setup, wall, log
        self._theirs: dict[str, EpochGroup] = {}
        self.is_pending = False  # who was taken over from may still have live orders
        self.instances: frozenset[str] = frozenset()  # of the databases whose engines were taken over from
        self.own: tuple[EpochGroup, ...] = ()  # of this database's earlier openings, by the lock without an engine now
        self._own_ids: set[str] = set()  # of all groups of this database's openings, this one's too
        self.settled_us = 0  # a listing later than this shows what became of all orders of theirs

    async def load(self, *, takeover: bool) -> None:
        """Load what is to be fenced, and with `takeover` mark it first. Raises StoreFailed."""
        store = self._setup.store
        if takeover:
            await store.begin_fencing()
        stored = await store.load_epochs()
        for damage in stored.damage:
            self._log.error("epoch_damaged", what=damage)
        theirs = {epoch.number: epoch for epoch in stored.epochs if epoch.state in ("fencing", "fenced")}
        self.is_pending = takeover or any(epoch.state == "fencing" for epoch in theirs.values())
        instances = {epoch.instance for epoch in theirs.values()}
        if self.is_pending:
            instances.update(stored.former)
        own = next((epoch.instance for epoch in stored.epochs if epoch.number == store.epoch_number), "")
        self.instances = frozenset(instances - {own})
        numbers = {epoch.number for epoch in stored.epochs if epoch.instance == own} - theirs.keys()
        self.own = tuple(group for group in stored.groups if group.epoch in numbers)
        self._own_ids.update(group.group_id for group in self.own)
        self._theirs = {
            group.group_id: group for group in stored.groups if group.epoch is None or group.epoch in theirs
        }

    async def end_predecessors(self) -> None:
        """Trigger every group that may hold orders of who was taken over from, once; return when it is certain that
        each of them has none and takes none. Raises VenueRefused and StoreFailed."""
        if not self.is_pending:
            return
        notes = await self._load_notes()
        # Read after the notes: that of this opening, which is being made now, was saved before it was noted.
        stored = await self._setup.store.load_epochs()
        known = {group.group_id for group in stored.groups if group.epoch == self._setup.store.epoch_number}
        known.update(group.group_id for group in self.own)
        for note in notes:
            group_id, exchange_index = parse_group_note(note)
            if group_id not in known:
                self._theirs.setdefault(group_id, self._unknown_group(group_id, exchange_index))
        await self._trigger([group for group in self._theirs.values() if group.state != "triggered"])

    async def trigger_strange(self, groups: Mapping[str, int]) -> None:
        """Trigger groups that only the orders in them told of, by their shards. Raises as `end_predecessors`."""
        await self._trigger([self._unknown_group(group_id, shard) for group_id, shard in groups.items()])

    async def finish(self) -> None:
        """Record that nobody who was taken over from can have a live order. Raises StoreFailed."""
        if self.is_pending:
            await self._setup.store.end_fencing()
            self.is_pending = False
            self._log.info("fenced", groups=len(self._theirs), instances=sorted(self.instances))

    def knows(self, group_id: str) -> bool:
        """Return whether a group was triggered here, or is one of this database's own."""
        return group_id in self._theirs or group_id in self._own_ids

    def add_own(self, group: EpochGroup) -> None:
        """Record a group that this opening has made."""
        self._own_ids.add(group.group_id)

    def is_own(self, group_id: str) -> bool:
        """Return whether a group is of this database's own openings."""
        return group_id in self._own_ids

    def own_ids(self) -> frozenset[str]:
        """Return the ids of the groups of this database's own openings."""
        return frozenset(self._own_ids)

    def _unknown_group(self, group_id: str, exchange_index: int) -> EpochGroup:
        limit_e2 = CountE2(self._setup.contracts_in_15_s * ONE_CONTRACT_E2)
        return EpochGroup(group_id=group_id, epoch=None, exchange_index=exchange_index, limit_e2=limit_e2, state="live")

    async def _load_notes(self) -> Sequence[str]:
        """Load the groups that were noted beside the record of who leads. Without it, what the database and the orders
        tell must do."""
        for _ in range(NOTES_TRIES):
            try:
                return await self._setup.leadership.load_groups()
            except LeadershipUnknown as error:
                self._log.warning("noted_groups_unknown", why=str(error))
                await trio.sleep(PAUSE_FIRST_S)
        return ()

    async def _trigger(self, groups: Sequence[EpochGroup]) -> None:
        refusals: list[VenueRefused] = []
        async with trio.open_nursery() as nursery:
            for group in groups:
                nursery.start_soon(self._trigger_one, group, refusals)
        if refusals:
            raise refusals[0]
        if groups:
            self.settled_us = self._wall.now_us() + READ_LAG_US
            await trio.sleep(READ_LAG_US / 1_000_000)

    async def _trigger_one(self, group: EpochGroup, refusals: list[VenueRefused]) -> None:
        """Trigger one group, again until the answer is definite: it is triggered, or there is none."""
        pause_s, failing = PAUSE_FIRST_S, Trouble(self._log, "group_not_triggered", "answer")
        while True:
            answer = await self._setup.groups.trigger(group.group_id, exchange_index=group.exchange_index)
            if isinstance(answer, GroupChanged) or (isinstance(answer, Refused) and answer.code == "not_found"):
                done = replace(group, state="triggered")
                await self._setup.store.save_groups([done])
                self._theirs[group.group_id] = done
                self._log.warning("group_triggered", group=group.group_id, answer=str(answer))
                return
            if isinstance(answer, Refused) and answer.code in SHUT_OUT:
                refusals.append(VenueRefused(401, answer.code, answer.message))
                return
            failing.record(str(answer), group=group.group_id, again_in_s=pause_s)
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)
