"""Algorithms that no package should offer: each breaks one rule, and is otherwise as good as `join_bid`."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from typing import Final

from fsm_exec.algorithms import AnyFamily, Family, Settings, join_bid
from fsm_exec.algorithms.toolkit import cap_to_grid, rest_at, single_slice
from fsm_exec.core.algorithm.algorithm import Action, AmendAction, CancelAction, Goal, PlaceAction, Progress, Slice
from fsm_exec.core.algorithm.market_view import MarketView
from fsm_exec.core.values.units import CountE2, PriceE4

Config = join_bid.Config
SEEN: list[int] = []
FIRST: dict[str, int] = {}
WORDS: Final = ("best", "bid", "ask", "mid", "touch", "spread", "depth", "tick")


class Loose(Settings, frozen=True, forbid_unknown_fields=False, kw_only=True):
    """Takes whatever it is given."""


class Floating(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    share: float = 0.5  # the rule it breaks


def plan(goal: Goal, view: MarketView, config: Settings) -> tuple[Slice, ...]:
    return single_slice(goal)


def replan(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    return rest_at(progress, cap_to_grid(progress.goal, view.best_bid or 100))


def half_a_plan(goal: Goal, view: MarketView, config: Settings) -> tuple[Slice, ...]:
    return (Slice(level=1, count_e2=CountE2(goal.target_e2 - 1)),)


def float_price(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    return rest_at(progress, PriceE4(cap_to_grid(progress.goal, 5_000) * 1.0))  # type: ignore[arg-type]


def beyond_target(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    part = progress.slices[0]
    if part.working is not None or not part.free_e2:
        return ()
    price = cap_to_grid(progress.goal, 5_000)
    return (PlaceAction(level=1, price_e4=price, count_e2=CountE2(part.free_e2 + 100)),)


def over_cap(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    above = progress.goal.grid.ceil(progress.goal.limits.worst_e4 + 1)
    return rest_at(progress, progress.goal.limits.worst_e4 if above is None else above)


def off_the_grid(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    return rest_at(progress, PriceE4(cap_to_grid(progress.goal, 5_000) - 1))


class Secretive(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Declares one signal and reads another."""

    @property
    def signals_read(self) -> frozenset[str]:
        return frozenset({"ofi_z_ppm"})


def by_what_it_hides(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    flow = None if view.signals is None else view.signals.trade_flow_e2
    return replan(progress, view, config) if flow is None or flow < 0 else ()


def by_the_clock(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    return replan(progress, view, config) if time.time() > 1 else ()


def by_the_calendar(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    return replan(progress, view, config) if datetime.now(UTC).year > 1 else ()


def by_dice(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    return replan(progress, view, config) if random.randrange(2) else ()


def chatty(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    print("deciding")  # noqa: T201 - the rule it breaks
    return replan(progress, view, config)


def counting(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    SEEN.append(progress.at_us)
    return replan(progress, view, config) if len(SEEN) % 2 else ()


def first_impression(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    """Remembers a price for good: asked again in this process it always says the same."""
    first = FIRST.setdefault("bid", view.best_bid or 100)
    return rest_at(progress, cap_to_grid(progress.goal, first))


def by_a_set(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    """The order of a set of text is another in each process."""
    words = {f"{word}{progress.goal.target_e2}" for word in WORDS}
    place = list(words).index(f"bid{progress.goal.target_e2}")
    return rest_at(progress, cap_to_grid(progress.goal, progress.goal.limits.worst_e4 - place * 100))


def raising(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    return replan(progress, view, config) if view.bids[0][0] else ()  # of an empty side


def leaving(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    raise SystemExit(3)


def a_list(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    return list(replan(progress, view, config))  # type: ignore[return-value]


def restless(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    order = progress.slices[0].working
    if order is None:
        return replan(progress, view, config)
    return () if order.busy else (CancelAction(level=1),)


class Impatient(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    @property
    def look_every_us(self) -> int | None:
        return 1_000_000


def swaying(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    order = progress.slices[0].working
    if order is None:
        return replan(progress, view, config)
    if order.busy or progress.at_us < order.moved_at_us + 20_000_000:
        return ()
    low, high = cap_to_grid(progress.goal, 100), cap_to_grid(progress.goal, 300)
    return (AmendAction(level=1, price_e4=low if order.price_e4 != low else high),)


class Uneven(Settings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    @property
    def look_every_us(self) -> int | None:
        return 1.5  # type: ignore[return-value]


def halves(goal: Goal, view: MarketView, config: Settings) -> tuple[Slice, ...]:
    half = CountE2(goal.target_e2 // 2)
    parts = ((1, half), (2, CountE2(goal.target_e2 - half)))
    return tuple(Slice(level=level, count_e2=count) for level, count in parts if count)


def crowded(progress: Progress, view: MarketView, config: Settings) -> tuple[Action, ...]:
    """Two orders at once, of which its configuration says one."""
    price = cap_to_grid(progress.goal, view.best_bid or 100)
    return tuple(
        PlaceAction(level=part.level, price_e4=price, count_e2=part.free_e2)
        for part in progress.slices
        if part.working is None and part.free_e2
    )


def _family(name: str, function: object) -> AnyFamily:
    return Family(name, Config, plan, function)  # type: ignore[arg-type]


BAD: Final[dict[str, tuple[AnyFamily, str, str]]] = {
    "loose": (Family("loose", Loose, plan, replan), "settings", "forbid_unknown_fields"),
    "floating": (Family("floating", Floating, plan, replan), "settings", "share is a float"),
    "uneven": (Family("uneven", Uneven, plan, replan), "settings", "look_every_us 1.5 is no whole number"),
    "crowded": (Family("crowded", Config, halves, crowded), "invariants", "admission reckons with fewer"),
    "secretive": (
        Family("secretive", Secretive, plan, by_what_it_hides),
        "signals",
        "replan reads signals that signals_read does not name; it declares ['ofi_z_ppm']",
    ),
    "half_a_plan": (Family("half_a_plan", Config, half_a_plan, replan), "invariants", "the plan's slices are not"),
    "float_price": (_family("float_price", float_price), "invariants", "is no int"),
    "beyond_target": (_family("beyond_target", beyond_target), "invariants", "is not free to be placed"),
    "over_cap": (_family("over_cap", over_cap), "invariants", "beyond the worst price"),
    "off_the_grid": (_family("off_the_grid", off_the_grid), "invariants", "is not on the grid"),
    "by_the_clock": (_family("by_the_clock", by_the_clock), "pure", "replan calls time.time"),
    "by_the_calendar": (_family("by_the_calendar", by_the_calendar), "pure", "replan calls datetime.now"),
    "by_dice": (_family("by_dice", by_dice), "pure", "replan calls random."),
    "chatty": (_family("chatty", chatty), "pure", "replan calls print"),
    "counting": (_family("counting", counting), "invariants", "it would have done something else"),
    "first_impression": (_family("first_impression", first_impression), "memory", "must be in Progress"),
    "by_a_set": (_family("by_a_set", by_a_set), "memory", "must be in Progress"),
    "raising": (_family("raising", raising), "invariants", "IndexError"),
    "leaving": (_family("leaving", leaving), "invariants", "SystemExit: 3"),
    "a_list": (_family("a_list", a_list), "invariants", "answered a list, not a tuple"),
    "restless": (_family("restless", restless), "rest", "writes in a minute in which nothing happens"),
    "swaying": (Family("swaying", Impatient, plan, swaying), "rest", "turn back although nothing happens"),
    "hidden": (_family("hidden", lambda *asked: replan(*asked)), "memory", "must stand at the top of a module"),
}
"""By name: the family, the property that finds it out, and what the verdict says."""
