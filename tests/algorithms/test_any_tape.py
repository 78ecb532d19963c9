"""Every shipped algorithm on any tape, with any configuration, against an exchange that answers late or not at all.

The stage checks the invariants after every step, that nothing but cancels is sent after the deadline, and that an
execution resumed from its journal at that step would have done the same. Seeds are printed by Hypothesis.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsm_exec.algorithms import SHIPPED_FAMILIES, Method
from fsm_exec.core.book import Ladder
from fsm_exec.core.edge import Edge
from fsm_exec.core.signals import Signals
from fsm_exec.core.units import LINEAR_CENT, CountE2, MoneyE6, Outcome, PriceE4, PriceGrid, PriceRange
from fsm_exec.lab.algorithm_checks.stage import OVERTIME_US, STEP_US, Frame, Stage, submitted

S = 1_000_000
FINE = PriceGrid((PriceRange(PriceE4(0), PriceE4(10_000), PriceE4(10)),))
TAPERED = PriceGrid(
    (
        PriceRange(PriceE4(0), PriceE4(1_000), PriceE4(10)),
        PriceRange(PriceE4(1_000), PriceE4(9_000), PriceE4(100)),
        PriceRange(PriceE4(9_000), PriceE4(10_000), PriceE4(10)),
    )
)
GRIDS = {"cent": LINEAR_CENT, "fine": FINE, "tapered": TAPERED}
TARGETS_E2 = (1, 50, 100, 300, 700, 730, 2_000, 10_000, 100_000)

lead = st.integers(0, 4)
SETTINGS: dict[str, st.SearchStrategy[dict[str, object]]] = {
    "simple_limit": st.just({}),
    "market": st.just({}),
    "passive_mid": st.fixed_dictionaries({"closing_lead_s": lead}),
    "join_bid": st.fixed_dictionaries({"closing_lead_s": lead}),
    "marketable": st.fixed_dictionaries({"closing_lead_s": lead}),
    "static_fraction": st.fixed_dictionaries({"closing_lead_s": lead, "fraction_ppm": st.integers(0, 1_000_000)}),
    "basic": st.fixed_dictionaries({"closing_lead_s": lead, "take_above_e6": st.integers(0, 1_000_000)}),
    "adaptive_limit": st.fixed_dictionaries(
        {
            "closing_lead_s": lead,
            "step_e4": st.integers(1, 300),
            "interval_s": st.integers(1, 5),
            "steps_max": st.integers(0, 10),
        }
    ),
    "twap": st.fixed_dictionaries(
        {
            "closing_lead_s": lead,
            "slices": st.integers(5, 10),
            "interval_s": st.integers(0, 4),
            "spread_ppm": st.integers(100_000, 1_000_000),
            "retry_ms": st.integers(250, 2_000),
            "fruitless_max": st.integers(3, 20),
        }
    ),
    "volume_weighted": st.fixed_dictionaries({"closing_lead_s": lead, "levels_max": st.integers(1, 10)}),
    "dynamic_depth_walker": st.fixed_dictionaries(
        {
            "closing_lead_s": lead,
            "min_volume_threshold": st.sampled_from([0, 1, 50, 500]),
            "splits": st.just("proportional"),
            "levels": st.integers(2, 3),
            "walk_interval_s": st.integers(1, 5),
            "max_walks": st.integers(0, 10),
            "momentum_threshold_ppm": st.sampled_from([0, 100_000]),
            "strong_momentum_ppm": st.sampled_from([100_000, 300_000]),
            "adverse_flow_ppm": st.sampled_from([0, 1_000_000]),
            "step_e4": st.integers(1, 300),
            "strong_step_e4": st.integers(1, 300),
            "early_walk_slippage_ppm": st.sampled_from([0, 20_000]),
            "dry_up_ppm": st.sampled_from([500_000, 1_000_000]),
        }
    ),
    "seed_walker": st.just({}),
    "deadline_walker": st.fixed_dictionaries(
        {
            "closing_lead_s": lead,
            "a0": st.decimals(0, 1, places=2).map(str),
            "a1": st.decimals(0, 2, places=2).map(str),
            "g": st.decimals("0.1", 4, places=1).map(str),
            "up_ticks": st.integers(1, 3),
            "down_ticks": st.integers(1, 4),
            "fine_grid_ticks": st.integers(0, 3),
            "look_every_ms": st.integers(250, 2_000),
            "write_budget": st.integers(3, 30),
            "imbalance_weight": st.decimals(-1, 1, places=1).map(str),
            "flow_weight": st.decimals(-1, 1, places=1).map(str),
            "taker_leg": st.booleans(),
            "flow_e2_per_s": st.integers(0, 5_000),
            "taker_start_e4": st.integers(-500, 500),
            "taker_slope_e4": st.integers(0, 500),
            "taker_every_s": st.integers(1, 5),
        }
    ),
}


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
    return Signals(
        at_us=0,
        imbalance_ppm=some(0, 1_000_000),
        ofi_z_ppm=some(-3_000_000, 3_000_000),
        seed_momentum_ppm=some(-1_000_000, 2_000_000),
        ema_slippage_ppm=some(0, 100_000),
        dry_up_ppm=some(0, 1_000_000),
    )


def _side(dice: Random, prices: list[int]) -> Ladder:
    return tuple((PriceE4(price), CountE2(dice.choice((1, 100, 400, 1_500, 9_000)))) for price in prices)


@pytest.mark.parametrize("name", sorted(SHIPPED_FAMILIES))
@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    seed=st.integers(0, 2**32),
    grid=st.sampled_from(sorted(GRIDS)),
    outcome=st.sampled_from(["yes", "no"]),
)
def test_any_tape_keeps_the_invariants_and_is_ended_by_the_deadline(
    name: str, data: st.DataObject, seed: int, grid: str, outcome: Outcome
) -> None:
    """No wish is refused, slices add up, it ends in time, and resumed at any step it does the same."""
    dice = Random(seed)
    configuration = data.draw(SETTINGS.get(name, st.just({})))
    horizon_s = data.draw(st.integers(1, 20))
    own = GRIDS[grid].seen_from(outcome)
    frames = tape(dice, own, (horizon_s * S + OVERTIME_US) // STEP_US + 1, data.draw(st.sampled_from([0, 10, 60])))
    target = data.draw(st.sampled_from([price for price in range(100, 9_900, 10) if own.contains(PriceE4(price))]))
    above = [price for price in range(target, min(9_990, target + 600) + 1, 10) if own.contains(PriceE4(price))]

    def fresh() -> Method:
        return SHIPPED_FAMILIES[name].method(name, 1, configuration)

    stage = Stage(
        first=submitted(
            data.draw(st.sampled_from(TARGETS_E2)),
            frames[0],
            horizon_us=horizon_s * S,
            target_e4=target,
            worst_e4=data.draw(st.sampled_from(above)),
            grid=GRIDS[grid],
            outcome=outcome,
            edge=Edge(probability_ppm=600_000, expected_value_e6=MoneyE6(dice.randrange(300_000))),
        ),
        frame_at=lambda step: frames[step],
        fresh=fresh,
        dice=dice,
        faults_in_100=data.draw(st.sampled_from([0, 5, 40])),
        latency_steps=data.draw(st.integers(0, 3)),
        restarts_in_100=data.draw(st.sampled_from([0, 0, 5])),
        hits_in_100=data.draw(st.sampled_from([0, 5, 30])),
    )
    stage.run()
