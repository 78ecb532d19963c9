"""Watches whether an algorithm reads a signal that it does not declare: what others do not ask for is not there.

Each question is put twice, with the signals it does not declare left out and with drawn ones in their place. An engine
leaves them out, so an answer that depends on them would be another one than in an engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TypeVar

import msgspec

from fsm_exec.algorithms import Method
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.signals.signals import ON_DEMAND, Signals, SweepCost, keep_read
from fsm_exec.core.values.units import CountE2

R = TypeVar("R")


class Undeclared(Exception):
    """The message says which function answers otherwise."""


def held_to_its_declaration(method: Method, dice: Random) -> Method:
    """The same method; both of its functions raise Undeclared when what they do not declare changes their answer."""
    read = method.signals_read
    if read is None:
        return method
    return replace(
        method,
        plan_bound=_asked_twice("plan", method.plan_bound, read, dice),
        replan_bound=_asked_twice("replan", method.replan_bound, read, dice),
    )


def _asked_twice(
    name: str, function: Callable[..., R], read: frozenset[str], dice: Random
) -> Callable[[object, MarketView], R]:
    def ask(about: object, view: MarketView) -> R:
        if view.signals is None:
            return function(about, view)
        without = msgspec.structs.replace(view, signals=keep_read(view.signals, read))
        answer = function(about, without)
        if function(about, msgspec.structs.replace(view, signals=_filled(without.signals, read, dice))) != answer:
            raise Undeclared(f"{name} reads signals that signals_read does not name; it declares {sorted(read)}")
        return answer

    return ask


def _filled(signals: Signals | None, read: frozenset[str], dice: Random) -> Signals | None:
    """All that is not declared has a value."""
    if signals is None:
        return None
    return msgspec.structs.replace(signals, **{name: _draw(name, dice) for name in sorted(ON_DEMAND - read)})


def _draw(name: str, dice: Random) -> int | SweepCost:
    if name.startswith("sweep_"):
        low, high = sorted(dice.randint(-100_000, 200_000) for _ in range(2))
        ratio = dice.randint(-10_000_000, 10_000_000)
        return SweepCost(
            count_e2=CountE2(dice.randint(1, 100_000)),
            now_e6=dice.choice((low, high)),
            beyond_depth=dice.random() < 0.5,
            mean_30s_e6=high,
            mean_120s_e6=low,
            z_30s_ppm=ratio,
            z_120s_ppm=-ratio,
        )
    return dice.randint(-3_000_000, 3_000_000) if dice.random() < 0.5 else dice.randint(0, 100_000)
