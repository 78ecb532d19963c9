"""What the user of a history asks of a running engine, as `process.Order` has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from fsm_exec.algorithms import method
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.errors import RiskRefused
from fsm_exec.core.execution.execution import Execution
from fsm_exec.core.journal.rows import SubmissionRow
from fsm_exec.core.market.fees import FeeTerms
from fsm_exec.core.market.limits import Limits, resolve_limits
from fsm_exec.core.market.position_closing import closing_outcome
from fsm_exec.core.values.units import ONE_CONTRACT_E2, ONE_DOLLAR_E4, US_PER_MS, CountE2, MoneyE6, PriceE4
from fsm_exec.lab.simulation import audit
from fsm_exec.lab.simulation.actions import CloseOut, Price, RiskReduce, RiskResume, Submit, SubmitToLimit
from fsm_exec.lab.simulation.risk_oracle import MayFill
from fsm_exec.lab.simulation.wait import wait_until
from fsm_exec.lab.simulation.wire_rules import all_in_e6
from fsm_exec.runtime.engine import Engine, ExecutionRequest, MethodRef

if TYPE_CHECKING:
    from fsm_exec.lab.simulation.machine import Machine
    from fsm_exec.lab.simulation.world import World

BOOK_WAIT_S = 5
MOST_E2 = 1_000_000
CLOSING_ROOM_E4, LIMIT_ROOM_E4 = 500, 200
HALT_S = 5


async def submit(world: World, number: int, action: Submit | SubmitToLimit | CloseOut, engine: Engine) -> None:
    """The `number`-th submission, priced by the book, if one comes to life in time. Raises what the engine raises."""
    ticker = world.tickers[action.market]
    with trio.move_on_after(BOOK_WAIT_S):
        await wait_until(lambda: engine.view(ticker, "yes").trusted_mid_e5 is not None)
    wanted = _wanted(world, number, action, engine, ticker)
    if wanted is None:
        return
    request, cap_e6 = wanted
    machine = world.machine_of(engine)
    process = machine.process
    asked_us = process.wall_us()
    try:
        name = await engine.submit(request)
    except RiskRefused as error:
        if world.witness.risk is not None:
            world.witness.risk.refused(request, error, alone=world.waiting_submissions == 1)
        raise
    if name in world.submitted.values():
        world.witness.found(f"16: {name} is the id of two submissions")
    world.submitted[number] = name
    if world.standby is not None and request.submission is not None:
        world.standby.told.acknowledge(request.submission.key, name)
    world.history.add("accepted", number, name)
    kept = machine.witness.durable.get(name)
    if kept is None:
        world.witness.found(f"5: {name} is accepted and not on disk")
        return
    for line in _not_as_asked(kept.execution, request, asked_us, process.wall_us(), cap_e6):
        world.witness.found(line)


def _wanted(
    world: World, number: int, action: Submit | SubmitToLimit | CloseOut, engine: Engine, ticker: str
) -> tuple[ExecutionRequest, int | None] | None:
    """What the user asks for, and the cap by which no order of it may be dearer, as its user reckons. None: there is
    nothing to ask for."""
    if isinstance(action, CloseOut):
        return _closing(world, action, engine, ticker)
    view = engine.view(ticker, action.outcome)
    limits: Limits | None = None
    cap_e6: int | None = None
    if view.trusted_mid_e5 is not None:
        now_us = world.machine_of(engine).process.wall_us()
        limits, cap_e6 = _limits(view, action, engine.feeds[ticker].terms.fees_at(now_us))
    if isinstance(action, Submit):
        count_e2 = action.count_e2
    elif limits is None or world.witness.risk is None:
        return None
    else:
        asked = MayFill(ticker, action.outcome, MOST_E2, limits.cap_e6)
        count_e2 = CountE2(world.witness.risk.most_e2(asked) + action.beyond_e2)
        if count_e2 <= 0:
            return None
    chosen = method(action.method)
    request = ExecutionRequest(
        ticker=ticker,
        outcome=action.outcome,
        target_e2=count_e2,
        method=MethodRef(chosen.full_name, chosen),
        limits=limits,
        horizon_us=action.horizon_ms * US_PER_MS,
        submission=None if world.standby is None else SubmissionRow(f"key {number}", b"{}"),
    )
    return request, cap_e6


def _closing(world: World, action: CloseOut, engine: Engine, ticker: str) -> tuple[ExecutionRequest, int | None] | None:
    """What closes a part of what the exchange says is held, or more than that."""
    held_e2 = world.account.position(ticker).count_e2
    outcome = closing_outcome(held_e2)
    view = engine.view(ticker, outcome)
    asked_e2 = abs(held_e2) * action.per_mille // 1_000
    if view.trusted_mid_e5 is None or asked_e2 == 0:
        return None
    worst = view.grid.floor(min(view.asks[0][0] + CLOSING_ROOM_E4, ONE_DOLLAR_E4 - 1))
    assert worst is not None
    fees = engine.feeds[ticker].terms.fees
    chosen = method("close")
    request = ExecutionRequest(
        ticker=ticker,
        outcome=outcome,
        target_e2=CountE2(asked_e2),
        method=MethodRef(chosen.full_name, chosen),
        limits=resolve_limits(worst, view.grid, fees, worst=worst),
        horizon_us=action.horizon_ms * US_PER_MS,
        reduce_only=True,
    )
    return request, all_in_e6(worst, fees, taker=True)


async def act_on_risk(world: World, action: RiskResume | RiskReduce, engine: Engine) -> None:
    """The user returns the brake. Raises UserError where it does not let itself be returned."""
    account = engine.account
    assert account is not None
    risk = world.witness.risk
    assert risk is not None
    risk.expect_return()
    if isinstance(action, RiskResume):
        await account.resume(accept_loss=action.accept_loss)
    else:
        await account.reduce()


def _limits(view: MarketView, action: Submit | SubmitToLimit, fees: FeeTerms) -> tuple[Limits, int]:
    """What `action` asks for at this book, and the cap that its user has in mind."""
    if isinstance(action, SubmitToLimit):
        worst = view.grid.floor(min(view.asks[0][0] + LIMIT_ROOM_E4, ONE_DOLLAR_E4 - 1))
        limits = resolve_limits(view.asks[0][0], view.grid, fees, worst=worst)
        return limits, all_in_e6(limits.worst_e4, fees, taker=True)
    price = _price(view, action.price)
    if action.bound == "cap":
        cap = MoneyE6(all_in_e6(price, fees, taker=True) + action.room_e4 * ONE_CONTRACT_E2)
        return resolve_limits(price, view.grid, fees, cap=cap), cap
    worst = None
    if action.bound == "worst":
        worst = view.grid.floor(min(price + action.room_e4, ONE_DOLLAR_E4 - 1))
    limits = resolve_limits(price, view.grid, fees, worst=worst)
    return limits, all_in_e6(limits.worst_e4 if worst is None else worst, fees, taker=True)


def _not_as_asked(
    kept: Execution, request: ExecutionRequest, asked_us: int, answered_us: int, cap_e6: int | None
) -> list[str]:
    """Where what was accepted is not what was asked for. The engine's clock said `asked_us` then, and `answered_us`
    when it had accepted."""
    name, horizon_us = kept.execution_id, request.horizon_us
    earliest_us, latest_us = sorted((asked_us, answered_us))
    found = []
    if not earliest_us + horizon_us <= kept.deadline_us <= latest_us + horizon_us:
        found.append(f"9: {name} was asked to be done within {horizon_us} us, it has {kept.deadline_us - asked_us}")
    if (kept.terms.ticker, kept.outcome, kept.target_e2) != (request.ticker, request.outcome, request.target_e2):
        found.append(f"1: {name} is not for what was asked: {kept.target_e2} {kept.outcome} of {kept.terms.ticker}")
    if cap_e6 is not None and (kept.limits is None or kept.limits.cap_e6 > cap_e6):
        found.append(f"2: {name} was to cost {cap_e6} at most, its limits are {kept.limits}")
    if request.reduce_only and not kept.reduce_only:
        found.append(f"13: {name} was to close only, and may open")
    return found


async def cancel(name: str, engine: Engine) -> None:
    """The execution of this id."""
    await engine.cancel(name)


async def halt(world: World, engine: Engine) -> None:
    """Everything: it reaches every execution there is."""
    machine = world.machine_of(engine)
    names = [name for name, _ in audit.unfinished(machine.disk.connection)]
    engine.halt()
    with trio.move_on_after(HALT_S):
        await wait_until(lambda: not _untouched(machine, names))
    for name in () if machine.power.is_frozen else _untouched(machine, names):
        world.witness.found(f"halt: {name} goes on {HALT_S} s after everything was halted")


def _untouched(machine: Machine, names: list[str]) -> list[str]:
    """Those that a halt has not reached. A quarantined one stays as it is until its user resumes it."""
    connection = machine.disk.connection
    kept = {name: machine.witness.durable[name].execution for name in names}
    return [
        name
        for name, execution in kept.items()
        if not execution.is_ended and execution.ending is None and not audit.was_contradicted(connection, name)
    ]


async def resume(engine: Engine) -> None:
    """Take new work again."""
    engine.resume()


def _price(view: MarketView, wanted: Price) -> PriceE4:
    """A target price of that kind. The view must be two-sided."""
    bid, ask = view.bids[0][0], view.asks[0][0]
    if wanted == "cross":
        return ask
    floored = view.grid.floor((bid + ask) // 2)
    return bid if wanted == "passive" or floored is None else floored
