"""Every shipped algorithm on any tape, with any configuration, against an exchange that answers late or not at all.

The stage checks the invariants after every step, that nothing but cancels is sent after the deadline, and that an
execution resumed from its journal at that step would have done the same. Seeds are printed by Hypothesis.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsm_exec.algorithms import SHIPPED_FAMILIES
from fsm_exec.core.values.units import Outcome
from fsm_exec.lab.algorithm_checks.cases import GRIDS, TARGETS_E2, Case, prices_of, worst_prices
from fsm_exec.lab.algorithm_checks.properties import play

lead = st.integers(0, 4)


def without_idle_group(settings: dict[str, object]) -> dict[str, object]:
    """Settings of fast markets are refused where none is."""
    return settings if "fast" in settings else {key: one for key, one in settings.items() if key != "fast_taking"}


SETTINGS: dict[str, st.SearchStrategy[dict[str, object]]] = {
    "simple_limit": st.just({}),
    "market": st.just({}),
    "passive_mid": st.fixed_dictionaries({"closing_lead_s": lead}),
    "join_bid": st.fixed_dictionaries({"closing_lead_s": lead}),
    "marketable": st.fixed_dictionaries({"closing_lead_s": lead}),
    "static_fraction": st.fixed_dictionaries({"closing_lead_s": lead, "fraction_ppm": st.integers(0, 1_000_000)}),
    "follow": st.fixed_dictionaries(
        {
            "closing_lead_s": lead,
            "share": st.decimals(0, 1, places=2).map(str),
            "up_ticks": st.integers(1, 3),
            "down_ticks": st.integers(1, 4),
            "fine_grid_ticks": st.integers(0, 3),
            "look_every_ms": st.integers(250, 2_000),
            "write_budget": st.integers(3, 30),
        }
    ),
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
    "close": st.fixed_dictionaries(
        {
            "closing_lead_s": lead,
            "retry_ms": st.integers(250, 2_000),
            "pause_max_ms": st.integers(250, 8_000),
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
        },
        optional={
            "taking": st.fixed_dictionaries(
                {
                    "shift_e6": st.integers(-20_000, 60_000),
                    "usual_weight_ppm": st.integers(0, 1_000_000),
                    "every_s": st.integers(1, 5),
                    "trend_ppm": st.integers(-1_000_000, 1_000_000),
                    "deep_touch": st.integers(0, 3_000),
                }
            ),
            "fast": st.fixed_dictionaries({"ratio_ppm": st.integers(0, 2_000_000), "down_ticks": st.integers(1, 4)}),
            "fast_taking": st.fixed_dictionaries({"shift_e6": st.integers(-20_000, 60_000)}),
        },
    ).map(without_idle_group),
}


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
    target_e4 = data.draw(st.sampled_from(prices_of(grid, outcome)))
    case = Case(
        seed=seed,
        grid=grid,
        outcome=outcome,
        settings=data.draw(SETTINGS.get(name, st.just({}))),
        horizon_s=data.draw(st.integers(1, 20)),
        wildness=data.draw(st.sampled_from([0, 10, 60])),
        target_e4=target_e4,
        worst_e4=data.draw(st.sampled_from(worst_prices(grid, outcome, target_e4))),
        target_e2=data.draw(st.sampled_from(TARGETS_E2)),
        faults_in_100=data.draw(st.sampled_from([0, 5, 40])),
        latency_steps=data.draw(st.integers(0, 3)),
        restarts_in_100=data.draw(st.sampled_from([0, 0, 5])),
        hits_in_100=data.draw(st.sampled_from([0, 5, 30])),
    )
    play(SHIPPED_FAMILIES[name], case)
