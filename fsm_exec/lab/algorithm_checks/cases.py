"""What an algorithm is put through: a tape, a task and a configuration, drawn from a seed or given by a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Final

import msgspec
from msgspec.inspect import BoolType, IntType, LiteralType, StructType, type_info

from fsm_exec.algorithms import AnyFamily, Method
from fsm_exec.core.errors import UserError
from fsm_exec.core.market.book import Ladder
from fsm_exec.core.market.edge import Edge
from fsm_exec.core.signals.signals import Signals
from fsm_exec.core.values.units import LINEAR_CENT, US_PER_S, CountE2, MoneyE6, Outcome, PriceE4, PriceGrid, PriceRange
from fsm_exec.lab.algorithm_checks.stage import OVERTIME_US, STEP_US, Frame, Stage, submitted

FINE: Final = PriceGrid((PriceRange(PriceE4(0), PriceE4(10_000), PriceE4(10)),))
TAPERED: Final = PriceGrid(
    (
        PriceRange(PriceE4(0), PriceE4(1_000), PriceE4(10)),
        PriceRange(PriceE4(1_000), PriceE4(9_000), PriceE4(100)),
        PriceRange(PriceE4(9_000), PriceE4(10_000), PriceE4(10)),
    )
)
GRIDS: Final[Mapping[str, PriceGrid]] = {"cent": LINEAR_CENT, "fine": FINE, "tapered": TAPERED}
TARGETS_E2: Final = (1, 50, 100, 300, 700, 730, 2_000, 10_000, 100_000)
ROOM_E4: Final = 600  # the worst price is at most so far above the target price
SMALL: Final = 20  # settings are often drawn near their lower bound: large ones make everything wait

Maker = Callable[[], Method]
"""Makes the method anew, as a new process would."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """`target_e4` and `worst_e4` are prices of the execution's own outcome and on its grid. `wildness` is how many of a
    hundred frames are strange: one-sided, stale, paused, far apart."""

    seed: int
    grid: str
    outcome: Outcome
    settings: Mapping[str, object]
    horizon_s: int
    wildness: int
    target_e4: int
    worst_e4: int
    target_e2: int
    faults_in_100: int = 0
    latency_steps: int = 1
    restarts_in_100: int = 0
    hits_in_100: int = 0


def prices_of(grid: str, outcome: Outcome, low: int = 100, high: int = 9_890) -> list[int]:
    """The prices of a grid as `outcome` sees it, from `low` to `high`."""
    own = GRIDS[grid].seen_from(outcome)
    return [price for price in range(low, high + 1, 10) if own.contains(PriceE4(price))]


def worst_prices(grid: str, outcome: Outcome, target_e4: int) -> list[int]:
    return prices_of(grid, outcome, target_e4, min(9_990, target_e4 + ROOM_E4))


def draw_case(family: AnyFamily, seed: int) -> Case:
    """The same case for the same seed."""
    dice = Random(f"case:{seed}")
    grid = dice.choice(sorted(GRIDS))
    outcome: Outcome = dice.choice(("yes", "no"))
    target_e4 = dice.choice(prices_of(grid, outcome))
    return Case(
        seed=seed,
        grid=grid,
        outcome=outcome,
        settings=draw_settings(family, dice),
        horizon_s=dice.randint(1, 20),
        wildness=dice.choice((0, 10, 60)),
        target_e4=target_e4,
        worst_e4=dice.choice(worst_prices(grid, outcome, target_e4)),
        target_e2=dice.choice(TARGETS_E2),
        faults_in_100=dice.choice((0, 5, 40)),
        latency_steps=dice.randint(0, 3),
        restarts_in_100=dice.choice((0, 0, 5)),
        hits_in_100=dice.choice((0, 5, 30)),
    )


def draw_settings(family: AnyFamily, dice: Random) -> dict[str, object]:
    """Within the bounds that the types of its configuration state; the defaults where they state none, and for all of
    it if what was drawn does not go together."""
    drawn = _draw(type_info(type(family.method(family.name, 1, {}).config)), dice)
    try:
        family.method(family.name, 1, drawn)
    except UserError:
        return {}
    return drawn


def _draw(about: object, dice: Random, group: str = "") -> dict[str, object]:
    """Of a configuration, and of each group of settings in it."""
    drawn: dict[str, object] = {}
    for field in about.fields if isinstance(about, StructType) else ():
        if dice.randrange(3) == 0:
            continue  # its default
        name = group + field.encode_name
        match field.type:
            case IntType(ge=int(low), le=int(high)):
                drawn[name] = dice.choice((low, high, dice.randint(low, min(high, low + SMALL))))
            case BoolType():
                drawn[name] = dice.choice((True, False))
            case LiteralType(values=words):
                drawn[name] = dice.choice(words)
            case StructType() if not group:
                drawn |= {name: {}, **_draw(field.type, dice, f"{name}.")}
            case _:
                pass
    return drawn


def stage_of(case: Case, fresh: Maker) -> Stage:
    """Set up and not begun: `run` plays it."""
    dice = Random(case.seed)
    own = GRIDS[case.grid].seen_from(case.outcome)
    horizon_us = case.horizon_s * US_PER_S
    frames = tape(dice, own, (horizon_us + OVERTIME_US) // STEP_US + 1, case.wildness)
    first = submitted(
        case.target_e2,
        frames[0],
        horizon_us=horizon_us,
        target_e4=case.target_e4,
        worst_e4=case.worst_e4,
        grid=GRIDS[case.grid],
        outcome=case.outcome,
        edge=Edge(probability_ppm=600_000, expected_value_e6=MoneyE6(dice.randrange(300_000))),
    )
    return Stage(
        first=first,
        frame_at=frames.__getitem__,
        fresh=fresh,
        dice=dice,
        faults_in_100=case.faults_in_100,
        latency_steps=case.latency_steps,
        restarts_in_100=case.restarts_in_100,
        hits_in_100=case.hits_in_100,
    )


def tape(dice: Random, grid: PriceGrid, steps: int, wildness: int) -> list[Frame]:
    """A book that wanders over the grid, now and then one-sided, silent, paused or blown apart."""
    prices = [price for price in range(10, 10_000, 10) if grid.contains(PriceE4(price))]
    place = dice.randrange(2, len(prices) - 2)
    frames: list[Frame] = []
    frame = Frame((), ())
    for _ in range(steps):
        if not frames or dice.randrange(4) == 0:
            place = min(max(place + dice.randint(-2, 2), 1), len(prices) - 2)
            spread = 1 + dice.randrange(4) + (dice.randrange(12) if dice.randrange(100) < wildness else 0)
            bids = _side(dice, prices[max(0, place - 3) : place + 1][::-1])
            asks = _side(dice, prices[place + spread : place + spread + 4])
            strange = dice.randrange(100) < wildness
            frame = Frame(
                bids=() if strange and dice.randrange(3) == 0 else bids,
                asks=() if strange and dice.randrange(3) == 0 else asks,
                feed="stale" if strange and dice.randrange(3) == 0 else "live",
                status="paused" if strange and dice.randrange(6) == 0 else "open",
                signals=_signals(dice),
            )
        frames.append(frame)
    return frames


def _signals(dice: Random) -> Signals | None:
    """Any that an algorithm may be shown, each of them missing at times."""

    def some(low: int, high: int) -> int | None:
        return None if dice.randrange(4) == 0 else dice.randint(low, high)

    if dice.randrange(5) == 0:
        return None
    touch = some(0, 300_000)
    return Signals(
        at_us=0,
        imbalance_ppm=some(0, 1_000_000),
        ofi_z_ppm=some(-3_000_000, 3_000_000),
        seed_momentum_ppm=some(-1_000_000, 2_000_000),
        ema_slippage_ppm=some(0, 100_000),
        dry_up_ppm=some(0, 1_000_000),
        mid_deviation_e5=some(0, 4_000),
        mid_mean_60s_e5=some(5_000, 95_000),
        touch_mean_60s_e2=None if touch is None else CountE2(touch),
        touch_cost_120s_e6=some(0, 60_000),
    )


def _side(dice: Random, prices: list[int]) -> Ladder:
    return tuple((PriceE4(price), CountE2(dice.choice((1, 100, 400, 1_500, 9_000)))) for price in prices)
