"""What is done about order groups while the engine works: whose doing it was that one takes no more, and the deletion
of those of earlier openings once none of their orders is live."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

import trio
from msgspec.structs import replace

from fsm_exec.core.epochs import EpochGroup
from fsm_exec.core.errors import VenueError
from fsm_exec.core.exchange_port import Exchange
from fsm_exec.core.execution.timing import PROOF_US
from fsm_exec.core.leadership_port import LeadershipUnknown
from fsm_exec.core.market.account import GroupChanged
from fsm_exec.core.market.orders import Refused
from fsm_exec.core.trouble import Trouble
from fsm_exec.runtime.fence import SHARD, Fence, FenceSetup
from fsm_exec.runtime.group_cancels import GroupCancels
from fsm_exec.runtime.order_groups import EpochGroups

if TYPE_CHECKING:
    from fsm_exec.runtime.engine import Engine
    from fsm_exec.runtime.feed import MarketFeed
    from fsm_exec.runtime.monitored_exchange import MonitoredExchange
    from fsm_exec.runtime.services import Services
    from fsm_exec.runtime.stream_listener import EngineStreamListener

ASK_AGAIN_S: Final = 2.0
LOOK_FIRST_S: Final = 60.0
LOOK_MAX_S: Final = 900.0


def start_groups(
    setup: FenceSetup,
    fence: Fence,
    engine: Engine,
    services: Services,
    exchange: MonitoredExchange,
    listener: EngineStreamListener,
    feeds: Mapping[str, MarketFeed],
) -> None:
    """Have every order placed from now on be in an order group of this opening, and watch over those groups and the
    ones of earlier openings."""
    wall, requests, opened_us = services.wall, services.requests, services.wall.now_us()

    def shard_of(ticker: str) -> int:
        feed = feeds.get(ticker)
        return SHARD if feed is None else feed.terms.exchange_index

    def on_blocked(why: str) -> None:
        if engine.failure is None:
            requests.start_soon(engine.run_service, find_who_leads, engine, groups, setup, services, why)

    def has_orders_before(at_us: int) -> bool:
        return bool(services.loose) or any(
            child.sent_at_us <= at_us
            for execution in engine.executions_at_work()
            for child in execution.children
            if child.is_open or child.suspicion is not None
        )

    def start_soon(service: Callable[..., Awaitable[None]], *args: object) -> None:
        requests.start_soon(engine.run_service, service, *args)

    cancels = GroupCancels(fence.is_own, start_soon)

    def on_group(group_id: str, change: str) -> None:
        """Take in what the stream tells of a group."""
        if change == "reset":
            cancels.record_reset(group_id)
        elif change == "triggered" and fence.is_own(group_id):
            cancels.record_trigger(group_id)
            groups.block(f"the exchange has triggered our order group {group_id}, which ended its orders")
        elif change == "deleted" and groups.uses(group_id):
            groups.block(f"our order group {group_id} was deleted, which ended its orders")

    groups = EpochGroups(
        setup, wall, services.log, shard_of, on_blocked, engine.stop_fenced, fence.add_own, cancels.record_reset
    )
    exchange.groups = engine.groups = groups
    exchange.group_cancels = listener.group_cancels = cancels
    listener.on_group = on_group
    engine.health.group_problem = groups.problem
    requests.start_soon(engine.run_service, groups.run)
    if fence.own:
        requests.start_soon(
            engine.run_service, delete_spent_groups, fence.own, setup, exchange, opened_us, has_orders_before
        )


async def find_who_leads(engine: Engine, groups: EpochGroups, setup: FenceSetup, services: Services, why: str) -> None:
    """Find out why our group takes no more: another engine leads, and this one stops; or the group is not there, and
    another one is made; or it was the brake, and the engine halts until a person resumes it. Until both can be read
    nothing is placed. Raises StoreFailed."""
    unknown = Trouble(services.log, "who_leads_unknown", "why")
    while True:
        try:
            leader = await setup.leadership.who_leads()
            is_gone = leader is None and await groups.forget_gone()
            break
        except (LeadershipUnknown, VenueError) as error:
            unknown.record(str(error))
            await trio.sleep(ASK_AGAIN_S)
    unknown.end()
    if leader is not None:
        engine.stop_fenced(leader)
        return
    if is_gone:
        groups.unblock()
        return
    limit = f"more than {setup.contracts_in_15_s} contracts filled within 15 s (contracts_in_15_s of [limits])"
    said = f"{why}; nobody else leads, so it was the brake: {limit}, or somebody triggered the group by hand"
    if engine.state in ("recovering", "running"):
        engine.halt(said)
        await engine.keep_halt(setup.store)


async def delete_spent_groups(
    groups: tuple[EpochGroup, ...],
    setup: FenceSetup,
    exchange: Exchange,
    opened_us: int,
    has_orders_before: Callable[[int], bool],
) -> None:
    """Delete the groups of earlier openings, each once none of its orders can be live.

    Deleting cancels what is in a group. So nothing is deleted before a request of the process before can have arrived
    at the latest, nor while an order of before this opening is live or unknown here (`has_orders_before`), nor while a
    listing shows one in the group or cannot be read whole. Raises StoreFailed."""
    left, pause_s = list(groups), LOOK_FIRST_S
    while left:
        await trio.sleep(pause_s)
        pause_s = min(2 * pause_s, LOOK_MAX_S)
        if has_orders_before(opened_us):
            continue
        try:
            listing = await exchange.fetch_orders(resting=True)
        except VenueError:
            continue
        if listing.unread or listing.as_of_us <= opened_us + PROOF_US:
            continue
        used = {order.group_id for order in listing.orders}
        spent = [group for group in left if group.group_id not in used]
        await setup.store.save_groups([replace(group, state="spent") for group in spent])
        for group in spent:
            answer = await setup.groups.delete(group.group_id, exchange_index=group.exchange_index)
            if isinstance(answer, GroupChanged) or (isinstance(answer, Refused) and answer.code == "not_found"):
                await setup.store.save_groups([replace(group, state="deleted")])
                left.remove(group)
