"""The end of a history, after calm has come: whether everything ended in its time, and the last look at the books."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from fsm_exec.core.market.client_order_id import order_prefix
from fsm_exec.lab.simulation import audit, user_actions
from fsm_exec.lab.simulation.actions import Cancel, CancelNewest, Contradict
from fsm_exec.lab.simulation.profit_checks import (
    ledger_differences,
    positions_by_hand_differences,
    profit_differences,
)
from fsm_exec.lab.simulation.wait import wait_until

if TYPE_CHECKING:
    from fsm_exec.lab.simulation.engine_process import EngineProcess
    from fsm_exec.lab.simulation.machine import Machine
    from fsm_exec.lab.simulation.world import World

WINDOW_AND_LAG_US = 32_000_000  # invariant 9: how long the exchange must have answered reads
GRACE_US = 5_000_000
ANSWER_US = 11_000_000  # the longest a write is waited for, and a little
CLOCK_LOOK_US = 10_500_000  # the engine looks at the machine's clock every 10 s
NO_START_US = 600_000_000  # of calm, without an engine: it does not come any more
ARRIVAL_S = 75  # whatever was on its way when calm came has arrived by then
LOOK_S = 1
TAKE_UP_S = 5
TAKEN_UP_US = 45_000_000  # after calm: what was given up has been, and a person has ended it
KNOWN_US = 45_000_000  # of calm: the listings are read every 30 s, and what is fresh then the next time


async def wait_until_ended(world: World) -> bool:
    """Whether everything ended in time."""
    lies = world.plan.profile.lies.any
    while (
        (left := audit.unfinished(world.disk.connection, quarantined_too=lies))
        or not world.is_up()
        or world.has_waiting_submission()
    ):
        late = [name for name, deadline_us in left if world.now_us() > _bound_us(world, name, deadline_us)]
        if late and world.is_up():
            for name in late:
                world.witness.found(f"9: {name} has not ended in time: {_state_of(world, name)}")
            return False
        _look_for_what_is_not_known(world)
        if world.standby is not None:
            world.standby.rules.look()
        if world.now_us() > world.calm_us + NO_START_US:
            world.witness.found(f"9: the engine does not start any more: {world.process.failed}")
            return False
        await trio.sleep(LOOK_S)
    return True


async def look_for_what_outlived(world: World, machine: Machine, gone: EngineProcess) -> None:
    """Invariant 17: unless the machine has started another engine, nothing that it sent rests when the lease and a
    second are over since this one was gone. What is on its way then carries its end with it."""
    gone_us = world.now_us()
    until_us = machine.lives_until_us(gone_us)
    if until_us is None:
        return
    await world.clock.sleep_until(until_us)
    if machine.process is not gone:
        return
    others = {name for each in world.machines if each is not machine for name in each.witness.sent}
    for orders in world.account.resting.values():
        for order in orders.values():
            name = order.client_order_id
            if name.startswith(order_prefix(machine.instance)) and name not in others | machine.witness.orphans:
                machine.witness.found(f"17: order {name} rests, and its host is gone since {gone_us} us")


async def resume_misled(world: World) -> None:
    """A person ends what was quarantined for what the exchange said: it must end, and its books must be right then."""
    while True:
        for name, _ in audit.given_up(world.disk.connection):
            if world.is_up() and world.witness.was_lied_to(name):
                world.contradicted.add(name)
                world.process.ask(partial(user_actions.cancel, name))
        await trio.sleep(TAKE_UP_S)


async def wait_until_at_rest(world: World) -> None:
    """Wait until fills the stream never carried are learned from listings, in their own time."""
    connection, account, orphans = world.disk.connection, world.account, world.witness.foreign
    standby = world.standby
    with trio.move_on_after(ARRIVAL_S):
        await wait_until(
            lambda: (
                not audit.fill_differences(connection, account, orphans)
                and not _resting(world)
                and not _differences_of_account(world)
                and (standby is None or not standby.rules.has_two_at_work())
            )
        )


def check_final_books(world: World, *, all_ended: bool) -> None:
    """Every book against every other, once all is at rest."""
    connection, orphans = world.disk.connection, world.witness.foreign
    for line in (
        *audit.stored_differences(connection),
        *audit.fill_differences(connection, world.account, orphans),
        *audit.late_fills(connection, world.witness.late_e2.keys() | world.plan.falsified_orders),
        *profit_differences(connection, world.account, world.witness),
        *_differences_of_account(world),
        *_untrue_reasons(world),
        *(
            line
            for machine in (world.machines if all_ended else ())
            for line in audit.order_differences(connection, world.account, machine.instance, orphans)
        ),
    ):
        world.witness.found(line)
    if world.standby is not None:
        world.standby.rules.check_end()
        for line in world.standby.told.broken(connection):
            world.witness.found(line)
        return  # two engines have spent the tokens of one account
    refused = sum(process.refused_429 for process in world.processes)
    if refused and not world.has_faults:
        world.witness.found(f"10: {refused} requests were refused for want of tokens on a calm exchange")


def _differences_of_account(world: World) -> list[str]:
    """Where an engine that looks at the account has other books than the exchange, or than its own database."""
    connection, engine = world.disk.connection, world.process.engine
    if not world.is_up() or engine is None or engine.account is None:
        return []
    return [
        *positions_by_hand_differences(connection, world.account, world.witness),
        *ledger_differences(connection, engine.account.ledger),
    ]


def _resting(world: World) -> bool:
    """Whether an orphan rests: it is cancelled at the second look."""
    return any(
        order.client_order_id in world.witness.orphans
        for orders in world.account.resting.values()
        for order in orders.values()
    )


def _look_for_what_is_not_known(world: World) -> None:
    """Compare with the exchange: what no frame carried has been read over REST by now."""
    if not world.is_up() or world.process.engine is None:
        return
    before_us = world.now_us() - KNOWN_US
    if before_us < max(world.calm_us, world.process.started_us):
        return
    connection, ignored = world.disk.connection, world.witness.foreign
    ignored |= audit.orders_given_up(connection)
    for line in audit.known_late(connection, world.account, before_us, ignored):
        world.witness.found(f"{line} after {KNOWN_US // 1_000_000} s")


def _untrue_reasons(world: World) -> list[str]:
    """Return the reasons of executions that are untrue: a cancel by the owner, a request of the user or a halt must
    have happened. For an order that a listing shows as canceled it stays open whether its market's close did it."""
    handled = {world.witness.owner(name) for name in world.witness.handled}
    handled |= set() if world.witness.risk is None else world.witness.risk.emptied
    closed = {ticker for ticker, market in world.exchange.markets.items() if market.status != "active"}
    handled |= {name for name, kept in world.witness.durable.items() if kept.execution.terms.ticker in closed}
    steps = [action for _, action in world.scenario.steps]
    may_be = {
        "external": handled,
        "user": None if any(isinstance(each, Cancel | CancelNewest | Contradict) for each in steps) else set(),
        "halt": None if world.may_halt else set(),
        "risk": None if world.witness.risk is not None and world.witness.risk.was_reducing else set(),
        "market_closed": None if closed else set(),
        "insufficient_balance": set(),
    }
    return [
        f"{name} is said to have ended for {reason}: that never was"
        for name, reason in audit.reasons(world.disk.connection)
        if (allowed := may_be.get(reason)) is not None and name not in allowed and not world.witness.was_lied_to(name)
    ]


def _bound_us(world: World, name: str, deadline_us: int) -> int:
    """Invariant 9: by when this execution must have ended. The exchange has answered since calm came, the engine
    asks since it was started, by a clock that is right (which is looked at now and then), and since it took this one
    up again if it had been given up; a write that got into doubt at its very end still needs its own window."""
    since_us = max(world.calm_us, world.process.started_us)
    if world.right_us:
        since_us = max(since_us, world.right_us + CLOCK_LOOK_US)
    if name in world.contradicted:
        since_us = max(since_us, world.calm_us + TAKEN_UP_US)
        since_us = max(since_us, world.witness.restored_us.get(name, 0))
    last_us = max(deadline_us, since_us) + ANSWER_US
    doubt_us = min(world.witness.doubts_us.get(name, 0), last_us)
    return max(deadline_us, max(since_us, doubt_us) + WINDOW_AND_LAG_US) + GRACE_US


def _state_of(world: World, name: str) -> str:
    durable = world.witness.durable.get(name)
    if durable is None:
        return "unknown"
    children = ", ".join(f"{each.client_order_id} {each.state}" for each in durable.execution.children)
    return f"{durable.execution.state} ({children})"
