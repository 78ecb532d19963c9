"""The end of a history, after calm has come: whether everything ended in its time, and the last look at the books."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from fsm_exec.lab.simulation import audit
from fsm_exec.lab.simulation.scenario import CALM, START_US, US_PER_MS, Jump
from fsm_exec.lab.simulation.waiting import until

if TYPE_CHECKING:
    from fsm_exec.lab.simulation.world import World

WINDOW_AND_LAG_US = 32_000_000  # invariant 9: how long the exchange must have answered reads
GRACE_US = 5_000_000
ANSWER_US = 11_000_000  # the longest a write is waited for, and a little
NO_START_US = 600_000_000  # of calm, without an engine: it does not come any more
ARRIVAL_S = 75  # whatever was on its way when calm came has arrived by then
LOOK_S = 1


async def until_ended(world: World) -> bool:
    """Whether everything ended in time."""
    while (left := audit.unfinished(world.disk.connection)) or not world.is_up():
        late = [name for name, deadline_us in left if world.now_us() > _bound_us(world, name, deadline_us)]
        if late and world.is_up():
            for name in late:
                world.witness.found(f"9: {name} has not ended in time: {_state_of(world, name)}")
            return False
        if world.now_us() > _calm_us(world) + NO_START_US:
            world.witness.found(f"9: the engine does not start any more: {world.process.failed}")
            return False
        await trio.sleep(LOOK_S)
    return True


async def until_at_rest(world: World) -> None:
    """Fills that nobody has told us of yet are learned from listings, in their own time."""
    with trio.move_on_after(ARRIVAL_S):
        await until(lambda: not audit.fill_differences(world.disk.connection, world.account))


def last_look(world: World, *, all_ended: bool) -> None:
    """Every book against every other, once all is at rest."""
    connection = world.disk.connection
    for line in (
        *audit.stored_differences(connection),
        *audit.fill_differences(connection, world.account),
        *(audit.order_differences(connection, world.account, world.instance) if all_ended else ()),
    ):
        world.witness.found(line)
    refused = sum(process.refused_429 for process in world.processes)
    if refused and world.scenario.faults_name == CALM:
        world.witness.found(f"10: {refused} requests were refused for want of tokens on a calm exchange")


def _calm_us(world: World) -> int:
    return START_US + world.scenario.calm_ms * US_PER_MS


def _bound_us(world: World, name: str, deadline_us: int) -> int:
    """Invariant 9: by when this execution must have ended. The exchange has answered since calm came, the engine
    asks since it was started; a write that got into doubt at its very end still needs its own window."""
    since_us = max(_calm_us(world), world.process.started_us)
    last_us = max(deadline_us, since_us) + ANSWER_US
    doubt_us = min(world.witness.doubts_us.get(name, 0), last_us)
    wrong_us = max((abs(a.by_ms) for _, a in world.scenario.steps if isinstance(a, Jump)), default=0) * US_PER_MS
    return max(deadline_us, max(since_us, doubt_us) + WINDOW_AND_LAG_US) + GRACE_US + wrong_us


def _state_of(world: World, name: str) -> str:
    durable = world.witness.durable.get(name)
    if durable is None:
        return "unknown"
    children = ", ".join(f"{each.client_order_id} {each.state}" for each in durable.execution.children)
    return f"{durable.execution.state} ({children})"
