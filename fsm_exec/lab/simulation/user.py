"""What the user of a history asks of a running engine, as `process.Order` has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from fsm_exec.algorithms import method
from fsm_exec.core.limits import Limits, resolve_limits
from fsm_exec.core.units import PriceE4
from fsm_exec.core.view import View
from fsm_exec.lab.simulation.scenario import US_PER_MS, Price, Submit
from fsm_exec.lab.simulation.waiting import until
from fsm_exec.runtime.engine import Engine, MethodRef, Request

if TYPE_CHECKING:
    from fsm_exec.lab.simulation.world import World

BOOK_WAIT_S = 5


async def submit(world: World, number: int, action: Submit, engine: Engine) -> None:
    """The `number`-th submission, priced by the book, if one comes to life in time."""
    ticker, outcome = world.tickers[action.market], action.outcome
    with trio.move_on_after(BOOK_WAIT_S):
        await until(lambda: engine.view(ticker, outcome).trusted_mid_e5 is not None)
    view = engine.view(ticker, outcome)
    limits: Limits | None = None
    if view.trusted_mid_e5 is not None:
        limits = resolve_limits(_price(view, action.price), view.grid, engine.feeds[ticker].terms.fees)
    chosen = method(action.method)
    world.submitted[number] = await engine.submit(
        Request(
            ticker=ticker,
            outcome=outcome,
            target_e2=action.count_e2,
            method=MethodRef(chosen.full_name, chosen),
            limits=limits,
            horizon_us=action.horizon_ms * US_PER_MS,
        )
    )
    world.history.add("accepted", number, world.submitted[number])


async def cancel(name: str, engine: Engine) -> None:
    """The execution of this id."""
    await engine.cancel(name)


async def halt(engine: Engine) -> None:
    """Everything."""
    engine.halt()


async def resume(engine: Engine) -> None:
    """Take new work again."""
    engine.resume()


def _price(view: View, wanted: Price) -> PriceE4:
    """A target price of that kind. The view must be two-sided."""
    bid, ask = view.bids[0][0], view.asks[0][0]
    if wanted == "cross":
        return ask
    floored = view.grid.floor((bid + ask) // 2)
    return bid if wanted == "passive" or floored is None else floored
