"""The order groups of this opening: every order is in one, which was durable before it.

Without a group nothing is placed. A group whose orders fill too much together within 15 s, or that a successor has
triggered, takes no more: nothing is placed from then on, and who leads is asked (`fence_watch`). None is ever reset but
on a person's word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio
from msgspec.structs import replace
from structlog.typing import FilteringBoundLogger

from fsm_exec.core.epochs import EpochGroup, note_of_group
from fsm_exec.core.leadership_port import Leader, LeadershipUnknown
from fsm_exec.core.market.account import GroupChanged, GroupCreated
from fsm_exec.core.market.orders import NotSent, PlaceAnswer, PlaceOrder, Refused, Unknown
from fsm_exec.core.trouble import Trouble
from fsm_exec.core.values.units import ONE_CONTRACT_E2, CountE2
from fsm_exec.runtime.clock import WallClock
from fsm_exec.runtime.fence import SHARD, FenceSetup

WAIT_S: Final = 3.0  # that a place waits for its group
PAUSE_FIRST_S: Final = 0.2
PAUSE_MAX_S: Final = 5.0
GRACE_US: Final = 20_000_000  # that a group may be missing before that is said: some tries have failed by then
REFUSAL_WORD: Final = "order_group"  # in every code that is about the group of an order, however it is spelled


class EpochGroups:
    """`shard_of` returns the shard of a market; `on_blocked` is called with the reason when a group takes no more, and
    `on_fenced` with who leads, if somebody does when a group is to be used again, `on_made` with each new group once it
    is durable, and `on_reset` with the id of each that takes orders again."""

    def __init__(
        self,
        setup: FenceSetup,
        wall: WallClock,
        log: FilteringBoundLogger,
        shard_of: Callable[[str], int],
        on_blocked: Callable[[str], None],
        on_fenced: Callable[[Leader], None],
        on_made: Callable[[EpochGroup], None],
        on_reset: Callable[[str], None],
    ) -> None:
        self._setup, self._wall, self._log = setup, wall, log
        self._shard_of, self._on_blocked, self._on_fenced = shard_of, on_blocked, on_fenced
        self._on_made, self._on_reset = on_made, on_reset
        self._groups: dict[int, EpochGroup] = {}  # by shard, usable ones
        self._taken_out: dict[int, EpochGroup] = {}  # those that took no more; to be reset on a person's word
        self._missing: dict[int, tuple[int, str]] = {}  # since when a shard has none, and why
        self._ready: dict[int, trio.Event] = {}
        self._send, self._receive = trio.open_memory_channel[int](1_000)
        self._blocked: str | None = None

    async def run(self) -> None:
        """Make groups as they are wanted, for ever; the first shard's at once."""
        self._want(SHARD)
        async with trio.open_nursery() as nursery:
            async for shard in self._receive:
                nursery.start_soon(self._make, shard)

    async def stamp(self, order: PlaceOrder) -> PlaceOrder | NotSent:
        """Return the order in its group; NotSent while it has none."""
        shard = self._shard_of(order.ticker)
        if self._blocked is None and shard not in self._groups:
            self._want(shard)
            with trio.move_on_after(WAIT_S):
                await self._ready[shard].wait()
        group = self._groups.get(shard)
        if self._blocked is not None or group is None:
            return NotSent(why=self._blocked or self._why_missing(shard))
        return replace(order, order_group_id=group.group_id)

    def check(self, answer: PlaceAnswer) -> None:
        """Take in the answer to a place: a refusal because of the group stops all of them."""
        if isinstance(answer, Refused | Unknown) and REFUSAL_WORD in (answer.code or "").lower():
            self.block(f"the exchange takes no order of our order group any more: {answer.code}")

    def uses(self, group_id: str) -> bool:
        """Return whether new orders are placed in a group."""
        return any(group.group_id == group_id for group in self._groups.values())

    def block(self, why: str) -> None:
        """Place nothing more until `unblock`."""
        if self._blocked is not None:
            return
        self._blocked = why
        self._taken_out.update(self._groups)
        self._groups.clear()
        self._log.error("order_group_blocked", why=why)
        self._on_blocked(why)

    def unblock(self) -> None:
        """Use the groups again, on a person's word: they are reset first."""
        if self._blocked is None:
            return
        self._blocked = None
        for shard in [shard for shard in self._ready if shard not in self._groups]:
            del self._ready[shard]
            self._want(shard)

    async def forget_gone(self) -> bool:
        """Forget the groups that took no more and are not at the exchange at all, which is nobody's fence: a successor
        deletes none. Returns whether that is true of every one of them. Raises VenueError."""
        for shard, group in list(self._taken_out.items()):
            if not await self._setup.groups.exists(group.group_id, exchange_index=group.exchange_index):
                self._log.warning("order_group_gone", group=group.group_id, shard=shard)
                self._taken_out.pop(shard, None)
        return not self._taken_out

    def problem(self) -> str | None:
        """Return why nothing can be placed, if that lasts; None: it can be."""
        if self._blocked is not None:
            return self._blocked
        now_us = self._wall.now_us()
        lasting = [shard for shard, (since_us, _) in self._missing.items() if now_us - since_us >= GRACE_US]
        return self._why_missing(lasting[0]) if lasting else None

    def _why_missing(self, shard: int) -> str:
        _, why = self._missing.get(shard, (0, "it is being made"))
        return f"there is no order group at the exchange yet, and nothing is placed without one: {why}"

    def _want(self, shard: int) -> None:
        if shard not in self._ready:
            self._ready[shard] = trio.Event()
            self._missing[shard] = (self._wall.now_us(), "it is being made")
            self._send.send_nowait(shard)

    async def _make(self, shard: int) -> None:
        """Make the group of a shard, or reset the one it had, until it can be used; durable and noted before it is.
        Raises StoreFailed."""
        pause_s, missing = PAUSE_FIRST_S, Trouble(self._log, "no_order_group", "why")
        before = self._taken_out.get(shard)
        group: EpochGroup | None = None
        while True:
            why = None
            if group is None:
                made = await (self._create(shard) if before is None else self._reset(before))
                if isinstance(made, EpochGroup):
                    group = made
                else:
                    why, before = made, (None if made == GONE else before)
            if group is not None:
                why = await self._note(group)
            if group is not None and why is None:
                break
            self._missing[shard] = (self._missing[shard][0], why or "")
            missing.record(why or "", shard=shard, again_in_s=pause_s)
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)
        self._taken_out.pop(shard, None)
        if self._blocked is not None:  # meanwhile
            self._taken_out[shard] = group
            return
        self._groups[shard] = group
        self._missing.pop(shard, None)
        missing.end()
        self._log.info("order_group", group=group.group_id, shard=shard, limit_e2=group.limit_e2)
        self._ready[shard].set()

    async def _create(self, shard: int) -> EpochGroup | str:
        """Create a group and save it. One whose answer is lost is never used. Returns why there is none."""
        limit_e2 = CountE2(self._setup.contracts_in_15_s * ONE_CONTRACT_E2)
        answer = await self._setup.groups.create(limit_e2, exchange_index=shard)
        if not isinstance(answer, GroupCreated):
            return str(answer)
        group = EpochGroup(
            group_id=answer.group_id,
            epoch=self._setup.store.epoch_number,
            exchange_index=shard,
            limit_e2=limit_e2,
            state="live",
        )
        await self._setup.store.save_groups([group])
        self._on_made(group)
        return group

    async def _reset(self, group: EpochGroup) -> EpochGroup | str:
        """Reset a group, unless another engine leads: it was triggered to fence this one."""
        leader = await self._leader()
        if leader is not None:
            return leader
        answer = await self._setup.groups.reset(group.group_id, exchange_index=group.exchange_index)
        if isinstance(answer, Refused) and answer.code == "not_found":
            return GONE
        if not isinstance(answer, GroupChanged):
            return str(answer)
        leader = await self._leader()
        if leader is None:
            self._on_reset(group.group_id)
            return group
        # Somebody took over while it was reset: it is triggered again, by us.
        await self._setup.groups.trigger(group.group_id, exchange_index=group.exchange_index)
        return leader

    async def _leader(self) -> str | None:
        """Return who leads instead, and have the engine stop for it, or why that is not known; None: we lead."""
        try:
            leader = await self._setup.leadership.who_leads()
        except LeadershipUnknown as error:
            return f"who leads cannot be read: {error}"
        if leader is None:
            return None
        self._on_fenced(leader)
        return f"{leader.holder} leads"

    async def _note(self, group: EpochGroup) -> str | None:
        """Note the group where a successor finds it. Returns why it could not be."""
        try:
            await self._setup.leadership.note_group(note_of_group(group.group_id, group.exchange_index))
        except LeadershipUnknown as error:
            return f"it cannot be noted for a successor: {error}"
        return None


GONE: Final = "the group is gone: another one is made"
