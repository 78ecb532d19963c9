"""A fact that contradicts what an execution holds, and the person who looks at it and takes it up again.

The fact is said and not made: what exchange and database hold agrees, so nothing stands in the way of going on, and all
that is promised of an execution is promised of this one too.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from fsm_exec.core.errors import IllegalEvent
from fsm_exec.core.values.units import US_PER_MS
from fsm_exec.lab.simulation import audit
from fsm_exec.lab.simulation.actions import Contradict
from fsm_exec.runtime.engine import Engine

if TYPE_CHECKING:
    from fsm_exec.lab.simulation.world import World

ASK_AGAIN_S = 2  # it may still be given up, or its engine be down


async def contradict(world: World, action: Contradict) -> None:
    """Have an execution given up, if any is at work; from some time on take it up again, for as long as it takes."""
    engine = world.process.engine
    if engine is None or not world.is_up() or not engine.actors:
        return
    name = sorted(engine.actors)[action.nth % len(engine.actors)]
    engine.actors[name].inbox.stop(IllegalEvent(audit.DRAWN))
    world.history.add("contradicted", name)
    world.contradicted.add(name)
    await trio.sleep(action.for_ms * US_PER_MS / 1_000_000)
    while True:
        if world.is_up() and audit.was_contradicted(world.disk.connection, name):
            world.process.ask(partial(_take_up, name))
        await trio.sleep(ASK_AGAIN_S)


async def _take_up(name: str, engine: Engine) -> None:
    """It goes on, or ends where a halted engine lets nothing go on."""
    if engine.state == "running":
        await engine.resume_execution(name)
    else:
        await engine.cancel(name)
